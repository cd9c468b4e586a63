#!/usr/bin/env python3
"""`wgrad operations` against PyTorch's float64 autograd.

HEAD
"""

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

SEED = 20262
BOUND = 1e-5
DEVIATIONS = 5.0  # of the share that dropout drops
ULP = 2.0**-23
LOG_NEAR_ONE = 2.0**-21  # what WGSL promises of log in [0.5, 2], in absolute terms
f32 = np.float32
INF, NAN = math.inf, math.nan


def over(x, o, reduce):
    """The reduction over o's axes; unlike torch's, over none of them if the list is empty."""
    axes = list(range(x.ndim)) if o["axes"] is None else [axis % x.ndim for axis in o["axes"]]
    return reduce(x, dim=axes, keepdim=o["keep"]) if axes else x.clone()


def cross_entropy(x, t):
    return -(t * torch.log_softmax(x, -1)).sum(-1).mean()


# What each operation is, in torch; o holds its attributes.
FORMULAS = {
    "log": lambda o, x: x.log(),
    "exp": lambda o, x: x.exp(),
    "relu": lambda o, x: x.relu(),
    "sigmoid": lambda o, x: x.sigmoid(),
    "tanh": lambda o, x: x.tanh(),
    "neg": lambda o, x: -x,
    "abs": lambda o, x: x.abs(),
    "sqrt": lambda o, x: x.sqrt(),
    "softplus": lambda o, x: F.softplus(x, threshold=100.0),
    # where, not torch.clamp, whose gradient is 0 at the ends: here it passes for low <= x <= high, both ends included
    "clamp": lambda o, x: torch.where(x < o["low"], o["low"], torch.where(x > o["high"], o["high"], x)),
    "affine": lambda o, x: o["factor"] * x + o["summand"],
    "add": lambda o, x, y: x + y,
    "sub": lambda o, x, y: x - y,
    "mul": lambda o, x, y: x * y,
    "div": lambda o, x, y: x / y,
    "pow": lambda o, x, y: x**y,
    "sum": lambda o, x: over(x, o, torch.sum),
    "mean": lambda o, x: over(x, o, torch.mean),
    "max": lambda o, x: over(x, o, torch.amax),  # splits the gradient equally among ties
    "matmul": lambda o, x, y: x @ y,
    "dot": lambda o, x, y: x.dot(y),
    "trace": lambda o, x: x.diagonal().sum(),
    "diagonal": lambda o, x: x.diagonal(),
    "permute": lambda o, x: x.permute(o["order"]),
    "reshape": lambda o, x: x.reshape(o["shape"]),
    "slice": lambda o, x: x.narrow(o["axis"], o["start"], o["end"] - o["start"]),
    "concat": lambda o, *xs: torch.cat(xs, o["axis"]),
    "broadcast_to": lambda o, x: x.broadcast_to(o["shape"]),
    "softmax": lambda o, x: x.softmax(o["axis"]),
    "log_softmax": lambda o, x: x.log_softmax(o["axis"]),
    "linear": lambda o, x, weight, bias: x @ weight + bias,  # weight [in, out]
    "batch_norm": lambda o, x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True, eps=o["epsilon"]),
    # by hand: torch's has no gradient by the running values
    "batch_norm_evaluation": lambda o, x, gamma, beta, m, v: gamma * (x - m) / torch.sqrt(v + o["epsilon"]) + beta,
    "dropout": lambda o, x: x,  # see Case.dropped
    "mse": lambda o, x, t: F.mse_loss(x, t),
    "cross_entropy": lambda o, x, t: cross_entropy(x, t),  # by hand: t need not sum to 1
    "cross_entropy_classes": lambda o, x: F.cross_entropy(x, torch.tensor(o["classes"])),
    "binary_cross_entropy": lambda o, x, t: F.binary_cross_entropy_with_logits(x, t),
    "factorization": lambda o, x, a, s: ((x - a @ s) ** 2).sum(),
}
NAMES = list(FORMULAS)
# Their gradients do not sum, so the upstream gradient has both signs.
UNSUMMED = NAMES[: NAMES.index("add")] + ["max", "diagonal", "permute", "reshape", "slice", "concat", "sum", "mean", "dropout"]
# Their y over one class is ln 1, which WGSL knows to LOG_NEAR_ONE.
LOG_OF_ONE = ("log_softmax", "cross_entropy", "cross_entropy_classes")


def magnitudes(o, g, x, *rest):
    """Where differences may cancel: the sums of the magnitudes of their terms, by output, in torch."""
    name = o["op"]
    if name == "affine":
        return {"y": (o["factor"] * x).abs() + abs(o["summand"])}
    if name == "softmax":
        y = x.softmax(o["axis"])
        return {"0.grad": y * (g.abs() + (g.abs() * y).sum(o["axis"], keepdim=True))}
    if name == "log_softmax":
        return {"0.grad": g.abs() + x.softmax(o["axis"]) * g.abs().sum(o["axis"], keepdim=True)}
    if name == "batch_norm":
        centred = x - x.mean(0)
        root = torch.sqrt((centred**2).mean(0) + o["epsilon"])
        normal, size = (centred / root).abs(), g.abs()
        by_x = (rest[0] / root).abs() * (size + size.mean(0) + normal * (size * normal).mean(0))
        return {"0.grad": by_x, "1.grad": (size * normal).sum(0), "2.grad": size.sum(0)}
    if name.startswith("cross_entropy"):
        t = rest[0] if rest else F.one_hot(torch.tensor(o["classes"]), x.shape[-1])
        return {"0.grad": g.abs() * (t.sum(-1, keepdim=True) * x.softmax(-1) + t) * x.shape[-1] / x.numel()}
    if name == "binary_cross_entropy":
        t = rest[0]
        y = (x.clamp(min=0) + (x * t).abs() + F.softplus(-x.abs())).mean()
        return {"y": y, "0.grad": g.abs() * (x.sigmoid() + t) / x.numel()}
    return {}


class Draw:
    """The random attributes and operands of one case."""

    def __init__(self, seed, index):
        self.rng = np.random.default_rng((seed, index))
        self.name = NAMES[index % len(NAMES)]
        self.turn = index // len(NAMES)
        self.room = 60_000 if self.rng.random() < 0.1 else 3000

    def chance(self, share):
        return bool(self.rng.random() < share)

    def whole(self, low, high):  # high included
        return int(self.rng.integers(low, high + 1))

    def spread(self, top):  # from 1 to top, each power of two as likely as another
        return min(int(np.exp(self.rng.uniform(0.0, np.log(top + 1.0)))), int(top))

    def shape(self, least=0, most=6, zeros=True):
        rank, left = self.whole(least, most), self.room
        sizes = [1] * rank
        for done, axis in enumerate(self.rng.permutation(rank)):
            sizes[axis] = self.spread(left ** min(1.0, 1.6 / (rank - done)))
            left //= sizes[axis]
        if rank and zeros and self.chance(0.08):
            sizes[self.whole(0, rank - 1)] = 0
        return sizes

    def stretching(self, shape):
        """Two shapes that stretch to this one, though not always both."""
        pair = []
        for other in range(2):
            sizes = [1 if self.chance(0.25) else size for size in shape]
            pair.append(sizes[self.whole(0, len(sizes)) if self.chance(0.3) else 0 :])
        return pair if self.chance(0.8) else [list(shape)] * 2

    def axis(self, rank):
        return self.whole(-rank, rank - 1)

    def uniform(self, shape, low, high):
        return np.asarray(self.rng.uniform(low, high, shape), f32)

    def one_sign(self, shape, low=0.25, high=2.0, sign=None):
        sign = sign if sign is not None else self.rng.choice([-1.0, 1.0])
        return self.uniform(shape, low, high) * f32(sign)

    def with_some(self, x, values, share=0.15):
        """Some elements replaced by these values."""
        return np.where(self.rng.random(x.shape) < share, self.rng.choice(np.array(values, f32), x.shape), x).astype(f32)

    def number(self, low, high):  # exact in f32
        return float(f32(self.rng.uniform(low, high)))

    def draw(self):
        """Attributes and operands. What is summed has one sign in each operand, so that no sum cancels."""
        name, chance = self.name, self.chance
        if name in ("relu", "neg", "abs", "clamp", "affine"):
            x = self.with_some(self.uniform(self.shape(), -3, 3), [0.0])
            if name == "clamp":
                low = self.number(-2, 1)
                high = low if chance(0.1) else max(low, self.number(-1, 2))
                return {"low": low, "high": high}, [self.with_some(x, [low, high], 0.3)]
            if name == "affine":
                return {"factor": 0.0 if chance(0.1) else self.number(-2, 2), "summand": self.number(-2, 2)}, [x]
            return {}, [x]
        if name in ("exp", "sigmoid", "tanh", "softplus"):
            low, high = {"exp": (-8, 8), "sigmoid": (-4, 4), "tanh": (-1.5, 1.5), "softplus": (-2, 6)}[name]
            x = self.uniform(self.shape(), low, high)
            # far out slopes vanish, so these stand among others only
            return {}, [self.with_some(x, [0.0, -30.0, 30.0], 0.1) if name != "exp" and x.size >= 30 else x]
        if name in ("log", "sqrt"):
            x = self.uniform(self.shape(), 0.25, 4)
            return {}, [np.exp(x * self.rng.choice(np.array([-1, 1], f32), x.shape))]
        if name in ("add", "sub", "mul", "div"):
            left, right = self.stretching(self.shape())
            return {}, [self.one_sign(left), self.one_sign(right)]
        if name == "pow":
            return {}, self.power(*self.stretching(self.shape()))
        if name in ("sum", "mean", "max"):
            shape = self.shape(zeros=True)
            rank = len(shape)
            some = self.rng.permutation(rank)[: self.whole(0, rank)]
            axes = None if chance(0.3) else [int(axis) - (rank if chance(0.5) else 0) for axis in some]
            if name != "sum":  # of nothing there is no mean
                shape = [max(size, 1) if axes is None or axis in axes or axis - rank in axes else size for axis, size in enumerate(shape)]
            x = self.one_sign(shape)
            if name == "max" and chance(0.6):  # ties
                x = np.asarray(self.rng.integers(-2, 3, shape), f32)
            return {"axes": axes, "keep": chance(0.5)}, [x]
        if name == "matmul":
            m, k, n = (0 if chance(0.03) else self.spread(100) for _ in range(3))
            self.room = 30
            left, right = self.stretching(self.shape(most=4))
            left, right = left + [m, k], right + [k, n]
            if chance(0.3):  # a vector on the left, on the right, or both
                kind = self.whole(0, 2)
                left, right = left if kind == 1 else [k], right if kind == 0 else [k]
            return {}, [self.one_sign(left), self.one_sign(right)]
        if name == "dot":
            length = 0 if chance(0.08) else self.spread(self.room)
            return {}, [self.one_sign([length]), self.one_sign([length])]
        if name in ("trace", "diagonal"):
            m, n = (0 if chance(0.08) else self.spread(150) for _ in range(2))
            return {}, [self.one_sign([m, m])] if name == "trace" else [self.uniform([m, n], -3, 3)]
        if name in ("permute", "reshape", "slice", "concat", "broadcast_to"):
            return self.move(name)
        if name in ("softmax", "log_softmax"):
            shape = self.shape(least=1)
            far = 30 if chance(0.3) else 3
            return {"axis": self.axis(len(shape))}, [self.uniform(shape, -far, far)]
        if name == "linear":
            batch, inputs, outputs = (0 if chance(0.05) else self.spread(100) for _ in range(3))
            x, weight = self.one_sign([batch, inputs]), self.one_sign([inputs, outputs])
            sign = np.sign((x.sum() or 1.0) * (weight.sum() or 1.0))
            return {}, [x, weight, self.one_sign([outputs], sign=sign)]
        if name.startswith("batch_norm"):
            batch, features = self.spread(300) + 1, self.spread(100)
            epsilon = float(f32(self.rng.choice([1e-5, 1e-3, 0.1])))
            offset, gamma = self.uniform([features], -3, 3), self.one_sign([features])
            if name == "batch_norm":  # samples that lie apart
                steps = np.linspace(-1, 1, batch)[:, None] + self.rng.uniform(-0.3, 0.3, [batch, features]) / batch
                x = offset + self.rng.permuted(steps, axis=0) * self.rng.uniform(0.5, 2, [features])
                return {"epsilon": epsilon}, [x.astype(f32), gamma, self.one_sign([features])]
            sign = 1.0 if gamma.sum() >= 0 else -1.0
            above = offset + self.uniform([batch, features], 0.25, 2)
            return {"epsilon": epsilon}, [above, gamma, self.one_sign([features], sign=sign), offset, self.one_sign([features], sign=1)]
        if name == "dropout":
            rate = self.rng.choice([0.0, self.number(0.05, 0.95)], p=[0.1, 0.9])
            x = self.one_sign(self.shape())
            return {"rate": float(rate), "seed": int(self.rng.integers(2**64, dtype=np.uint64))}, [x]
        if name == "mse":
            shape = self.shape(zeros=False)
            return {}, [self.uniform(shape, -3, 3), self.uniform(shape, -3, 3)]
        if name in ("cross_entropy", "cross_entropy_classes", "binary_cross_entropy"):
            ranks = {"cross_entropy": (1, 4), "cross_entropy_classes": (2, 2), "binary_cross_entropy": (0, 6)}[name]
            shape = self.shape(*ranks, zeros=False)
            far = 30 if chance(0.3) else 3
            x, t = self.uniform(shape, -far, far), self.uniform(shape, 0.1, 1)
            if name == "cross_entropy_classes":
                classes = self.rng.integers(0, shape[1], shape[0])
                classes[0] = np.argmin(x[0])  # so that the loss is not nearly 0
                return {"classes": classes.tolist()}, [x]
            return {}, [x, self.with_some(t, [0.0, 1.0]) if t.size >= 30 or name[0] == "b" else t]
        if name == "factorization":
            m, n, r = (0 if chance(0.03) else self.spread(80) for _ in range(3))
            a, s = self.one_sign([m, r]), self.one_sign([r, n])
            sign = -np.sign((a.sum() or 1.0) * (s.sum() or 1.0))
            return {}, [self.one_sign([m, n], sign=sign), a, s]
        raise AssertionError(name)

    def power(self, left, right):
        """Bases on one side of 1, where ln x has one sign, with zeros; or negative ones to integers of one parity."""
        if self.chance(0.25):
            exponents = self.rng.choice(np.array([[-1, 1, 3], [-2, 2, 4]][self.whole(0, 1)], f32), right)
            return [self.one_sign(left, 0.5, 2, sign=-1), np.abs(exponents) * np.sign(exponents.flat[0]) if exponents.size else exponents]
        x = np.exp(self.one_sign(left, 0.25, 2))
        if self.chance(0.4):
            return [self.with_some(x, [0.0]), self.with_some(self.uniform(right, 1.25, 3), [0.0])]
        return [x, self.with_some(self.one_sign(right, 0.25, 3), [0.0])]

    def move(self, name):
        shape = self.shape(least=1 if name in ("slice", "concat") else 0)
        rank = len(shape)
        x = self.uniform(shape, -3, 3)
        if name == "permute":
            return {"order": [int(axis) - (rank if self.chance(0.3) else 0) for axis in self.rng.permutation(rank)]}, [x]
        if name == "reshape":
            left, sizes = math.prod(shape), []
            while left > 1 and len(sizes) < 4:
                sizes.append(int(self.rng.choice([size for size in range(1, min(left, 200) + 1) if left % size == 0])))
                left //= sizes[-1]
            sizes += [left] if left > 1 else [0, self.whole(0, 4)] if left == 0 else []
            return {"shape": [int(size) for size in self.rng.permutation(sizes)]}, [x]
        if name == "broadcast_to":
            to = self.shape()
            from_ = [1 if self.chance(0.4) else size for size in to[self.whole(0, len(to)) if self.chance(0.5) else 0 :]]
            return {"shape": to}, [self.one_sign(from_)]
        axis = self.axis(rank)
        if name == "slice":
            start, end = sorted(self.whole(0, shape[axis]) for _ in range(2))
            return {"axis": axis, "start": start, "end": end}, [x]
        others = [list(shape) for _ in range(self.whole(0, 3))]
        for other in others:
            other[axis] = self.whole(0, 5)
        return {"axis": axis}, [x] + [self.uniform(other, -3, 3) for other in others]


class Case:
    """An operation with operands and an upstream gradient, and what float64 autograd makes of them."""

    def __init__(self, title, op, operands, upstream):
        self.title, self.op, self.operands, self.upstream = title, op, operands, upstream

    @classmethod
    def random(cls, seed, index):
        draw = Draw(seed, index)
        attributes, operands = draw.draw()
        op = {"op": draw.name, **attributes}
        operands = [np.asarray(one, f32) for one in operands]  # numpy makes numbers of arrays without axes
        shape = FORMULAS[draw.name](op, *map(torch.from_numpy, operands)).shape
        upstream = draw.uniform(shape, -2, 2) if draw.name in UNSUMMED else draw.one_sign(shape)
        return cls(f"case {index}", op, operands, upstream)

    def autograd(self, dtype):
        """The result and the gradients by name."""
        leaves = [torch.from_numpy(one).to(dtype).requires_grad_(True) for one in self.operands]
        y = FORMULAS[self.op["op"]](self.op, *leaves)
        y.backward(torch.from_numpy(self.upstream).to(dtype))
        return {"y": y.detach(), **{f"{i}.grad": leaf.grad for i, leaf in enumerate(leaves)}}

    def sizes(self):
        operands = [torch.from_numpy(one).double() for one in self.operands]
        return magnitudes(self.op, torch.from_numpy(self.upstream).double(), *operands)

    def check(self, got):
        """The relative L2 error of each output, and what is wrong."""
        name = self.op["op"]
        expected = self.autograd(torch.float64)
        wrong = [f"{key} should not be there" for key in got if key not in expected]
        if name == "dropout" and "y" in got and got["y"].shape == self.upstream.shape:
            wrong += self.dropped(got["y"], expected)
        if name == "pow" and (self.operands[0] < 0).any():
            del expected["1.grad"]  # NaN, of which `edges` is about
        sizes, errors = self.sizes(), {}
        for key, reference in expected.items():
            reference, value = reference.numpy(), got.get(key)
            trouble = misfit(key, reference, value)
            if trouble is None and not np.isfinite(value).all():
                trouble = f"{key} holds NaN or infinity"
            if trouble:
                wrong.append(trouble)
                continue
            size = float(sizes[key].norm()) if key in sizes else np.linalg.norm(reference.ravel())
            distance = np.linalg.norm((value - reference).ravel())
            if size == 0.0 and name in LOG_OF_ONE:
                size = LOG_NEAR_ONE / BOUND * math.sqrt(reference.size)
            errors[key] = 0.0 if distance == 0.0 else distance / size if size > 0.0 else INF
            if not errors[key] <= BOUND:
                wrong.append(f"{key} is off by {errors[key]:.2e}, most {at_worst(reference, value)}")
        return errors, wrong

    def dropped(self, y, expected):
        """Which elements are dropped is wgrad's choice: the rest follows from it."""
        rate = self.op["rate"]
        factor = np.where(y == 0.0, 0.0, 1.0 / (1.0 - rate))
        expected["y"] = torch.from_numpy(self.operands[0] * factor)
        expected["0.grad"] = torch.from_numpy(self.upstream * factor)
        count, deviation = int((y == 0.0).sum()), math.sqrt(y.size * rate * (1.0 - rate))
        if rate == 0.0 and count or deviation >= 3.0 and abs(count - y.size * rate) > DEVIATIONS * deviation:
            return [f"{count} of {y.size} are dropped at the rate {rate}"]
        return []

    def shapes(self):
        return " ".join(str(list(one.shape)) for one in self.operands)

    def __str__(self):
        attributes = ", ".join(f"{key}={value}" for key, value in self.op.items() if key not in ("op", "classes"))
        return f"{self.title}  {self.op['op']} {self.shapes()} {attributes}".rstrip()


class Extreme(Case):
    """Values where f32, or WGSL's accuracy table, allows more than 1e-5: every element has a bound of its own."""

    def __init__(self, title, name, operands, bounds):
        super().__init__(title, {"op": name}, operands, np.ones(operands[0].shape, f32))
        self.bounds = bounds

    def check(self, got):
        """The largest share of its bound that an error takes, and what is wrong."""
        wrong, share = [], 0.0
        for key, reference in self.autograd(torch.float64).items():
            reference, value = reference.numpy(), got.get(key)
            trouble = misfit(key, reference, value)
            if trouble is None:
                shares = np.abs(value - reference) / self.bounds[key](np.abs(reference))
                share = max(share, float(shares.max()))
                if not (shares <= 1.0).all():  # NaN neither
                    trouble = f"{key} is {float(np.nanmax(shares)):.2g} times as far off as its bound, {at_worst(reference, value)}"
            wrong += [trouble] if trouble else []
        return {"share": share}, wrong


def extremes():
    rng = np.random.default_rng(SEED)
    x = np.concatenate([rng.uniform(40, 85, 200), rng.uniform(-85, -40, 200)]).astype(f32)

    def relative(ulps):
        return lambda size: ulps * ULP * size

    exp = 3 + 2 * np.abs(x.astype(float))
    yield Extreme("exp of 40 to 85 and -85 to -40, 3 + 2|x| ulp", "exp", [x], {"y": relative(exp), "0.grad": relative(exp + 1)})

    x = (1 + np.concatenate([2.0 ** -rng.uniform(2, 23, 200), -(2.0 ** -rng.uniform(2, 23, 200))])).astype(f32)
    bounds = {"y": lambda size: LOG_NEAR_ONE, "0.grad": relative(4)}
    yield Extreme("log near 1, 2^-21 in absolute terms", "log", [x], bounds)
    x = np.exp(np.concatenate([rng.uniform(4, 87, 200), rng.uniform(-87, -4, 200)])).astype(f32)
    # 1/x is a normal number only down to e^-87
    yield Extreme("log of e^-87 to e^87, 4 ulp", "log", [x], {"y": relative(4), "0.grad": relative(4)})

    # pow inherits from exp2(y·log2 x): log2 within 2^-21 near 1, else 3 ulp; exp2 within 3 + 2|·| ulp
    x = np.exp(rng.uniform(-8, 8, 400)).astype(f32)
    y = (rng.uniform(-55, 55, 400) / np.maximum(np.abs(np.log(x)), 2)).astype(f32)
    log = np.abs(np.log2(x.astype(float)))

    def ulps(y):
        exponent = np.abs(y) * log
        off = np.abs(y) * np.where(log <= 1, LOG_NEAR_ONE / ULP, 3 * log) + exponent
        return math.log(2) * off + 3 + 2 * exponent

    def by_y(size):  # ln x near 1 once more
        return ((ulps(y) + 4) * size + x.astype(float) ** y * np.where(log <= 1, LOG_NEAR_ONE / ULP, 0)) * ULP

    by_x = ulps(np.abs(y) + 1) + np.abs(y) * log + 4  # y - 1 is rounded
    yield Extreme("pow to e^55 and e^-55, from exp2 and log2", "pow", [x, y], {"y": relative(ulps(y)), "0.grad": relative(by_x), "1.grad": by_y})


class Edge(Case):
    """Rows of operands, the result and the gradients, as IEEE 754 and the definitions have them."""

    def __init__(self, name, arity, rows):
        columns = np.array(rows, f32).T
        super().__init__("edges", {"op": name}, list(columns[:arity].copy()), np.ones(len(rows), f32))
        self.expected = dict(zip(("y", "0.grad", "1.grad"), columns[arity:]))

    def check(self, got):
        wrong = []
        for key, reference in self.expected.items():
            value = got.get(key)
            trouble = misfit(key, reference, value)
            if trouble:
                wrong.append(trouble)
                continue
            for i, (a, b) in enumerate(zip(value.tolist(), reference.tolist())):
                # infinities are equal to themselves alone, and NaN is NaN
                if not (a == b or math.isnan(a) and math.isnan(b) or math.isfinite(b) and abs(a - b) <= BOUND * abs(b)):
                    operands = ", ".join(str(one[i]) for one in self.operands)
                    wrong.append(f"{key} of ({operands}) is {a}, not {b}")
        return {}, wrong


def edges():
    # fmt: off
    yield Edge("log", 1, [  # x, ln x, 1/x
        (0.0, -INF, INF), (-0.0, -INF, -INF), (1.0, 0.0, 1.0), (-1.0, NAN, -1.0), (INF, INF, 0.0), (NAN, NAN, NAN)])
    yield Edge("sqrt", 1, [(0.0, 0.0, INF), (4.0, 2.0, 0.25), (-1.0, NAN, NAN), (INF, INF, 0.0), (NAN, NAN, NAN)])
    yield Edge("div", 2, [  # x, y, x/y, 1/y, -x/y²
        (1.0, 0.0, INF, INF, -INF), (-1.0, 0.0, -INF, INF, INF), (1.0, -0.0, -INF, -INF, -INF), (0.0, 0.0, NAN, INF, NAN),
        (1.0, INF, 0.0, 0.0, 0.0), (INF, 2.0, INF, 0.5, -INF), (INF, INF, NAN, 0.0, NAN), (NAN, 1.0, NAN, 1.0, NAN),
        (1.0, NAN, NAN, NAN, NAN)])
    yield Edge("pow", 2, [  # x, y, x^y, y·x^(y-1), x^y·ln x
        (0.0, 0.0, 1.0, 0.0, 0.0), (0.0, 2.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 1.0, 0.0), (0.0, 0.5, 0.0, INF, 0.0),
        (0.0, -1.0, INF, -INF, -INF), (5.0, 0.0, 1.0, 0.0, math.log(5)), (-5.0, 0.0, 1.0, 0.0, NAN),
        (-2.0, 3.0, -8.0, 12.0, NAN), (-2.0, 2.0, 4.0, -4.0, NAN), (-2.0, -1.0, -0.5, -0.25, NAN), (-2.0, 0.5, NAN, NAN, NAN),
        (1.0, NAN, 1.0, NAN, 0.0), (NAN, 0.0, 1.0, 0.0, NAN), (NAN, 2.0, NAN, NAN, NAN), (INF, 2.0, INF, INF, INF)])
    # fmt: on


def misfit(key, reference, value):
    if value is None:
        return f"{key} is missing"
    if value.dtype != np.float32 or value.shape != reference.shape:
        return f"{key} is {value.dtype} {list(value.shape)}, not float32 {list(reference.shape)}"
    return None


def at_worst(reference, value):
    place = np.unravel_index(np.argmax(np.abs(value - reference)), reference.shape)
    return f"at {[int(i) for i in place]}: {value[place]:.9g}, not {reference[place]:.9g}"


def write(cases, path):
    tensors = {}
    for i, case in enumerate(cases):
        for k, one in enumerate(case.operands):
            tensors[f"{i}.{k}"] = one
        tensors[f"{i}.upstream"] = case.upstream
    # ascontiguousarray would give a scalar an axis
    tensors = {name: np.array(one, f32, order="C") for name, one in tensors.items()}
    save_file(tensors, path, metadata={"cases": json.dumps([case.op for case in cases])})


def run_wgrad(cases, directory, options):
    """What wgrad makes of each case, or why it makes nothing. A refusal is traced to its case by halves."""
    paths = [os.path.join(directory, name) for name in ("in.safetensors", "out.safetensors")]
    write(cases, paths[0])
    with contextlib.suppress(FileNotFoundError):
        os.remove(paths[1])
    command = [options.wgrad, "operations", "--in", paths[0], "--out", paths[1]]
    if options.device is not None:
        command += ["--device", options.device]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.timeout, stdin=subprocess.DEVNULL)
        trouble = f"exit status {done.returncode}: {done.stderr.strip()[-400:]}" if done.returncode else None
    except OSError as error:
        sys.exit(f"{options.wgrad} does not start: {error}")
    except subprocess.TimeoutExpired:
        trouble = f"no answer within {options.timeout} s"
    if trouble is None:
        return split(load_file(paths[1]), len(cases))
    if len(cases) == 1:
        return [trouble]
    half = len(cases) // 2
    return run_wgrad(cases[:half], directory, options) + run_wgrad(cases[half:], directory, options)


def split(tensors, count):
    found = [{} for _ in range(count)]
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        found[int(index)][key] = value
    return found


def run_stand_in(cases, directory, sabotage):
    """What `wgrad operations` does, from the file alone, in float32 torch."""
    path = os.path.join(directory, "in.safetensors")
    write(cases, path)
    with safe_open(path, "np") as file:
        ops = json.loads(file.metadata()["cases"])
    found = []
    random = np.random.default_rng(SEED)
    for op, operands in zip(ops, split(load_file(path), len(ops))):
        upstream = operands.pop("upstream")
        operands = [operands[str(k)] for k in range(len(operands))]
        got = {key: value.numpy() for key, value in Case("", op, operands, upstream).autograd(torch.float32).items()}
        name, x, y, gradient = op["op"], operands[0], got["y"], got["0.grad"]
        if name == "dropout":
            rate = op["rate"] / 2 if sabotage == "share" else op["rate"]
            factor = f32(1 / (1 - op["rate"])) * (random.random(x.shape) >= rate)
            got = {"y": x * factor, "0.grad": upstream if sabotage == "factor" else upstream * factor}
        elif sabotage == "count" and name == "mean" and op["axes"] and x.size:  # the number of results for that of elements
            got["y"] = y * f32(x.size / y.size / y.size)
        elif sabotage == "stretched" and name == "add" and gradient.size and upstream.size:
            first = upstream[(0,) * (upstream.ndim - x.ndim)]
            got["0.grad"] = first[tuple(slice(0, size) for size in x.shape)]
        elif sabotage == "ends" and name == "clamp":
            got["0.grad"] = gradient * ((x > op["low"]) & (x < op["high"]))
        elif sabotage == "ties" and name == "max" and op["axes"] is None:
            got["0.grad"] = upstream.reshape(-1)[0] * (x == y)
        elif sabotage == "unbiased" and name == "batch_norm":
            got["y"] = (y - operands[2]) * f32(math.sqrt(1 - 1 / len(x))) + operands[2]
        elif sabotage == "sign" and name == "sub":
            got["1.grad"] = -got["1.grad"]
        elif sabotage == "extreme" and name == "exp":
            got["y"] = y * (1 + f32(2e-7) * np.abs(x))  # up to 2e-6 in the random cases
        elif sabotage == "edge" and name == "pow":
            got["y"] = np.where((x == 0) & (operands[1] == 0), f32(0), y)
        elif sabotage == "value" and name == "matmul" and gradient.size:
            gradient.flat[-1] += f32(1e-4) * np.linalg.norm(gradient)
        elif sabotage == "nan" and name == "softmax" and gradient.size:
            gradient.flat[0] = NAN
        elif sabotage == "missing" and name == "linear":
            del got["2.grad"]
        elif sabotage == "shape" and name == "trace":
            got["y"] = y.reshape(1)
        found.append({key: np.asarray(value, f32) for key, value in got.items()})
    return found


SABOTAGES = "value nan missing shape sign count stretched ends ties unbiased share factor extreme edge".split()


def main():
    parser = argparse.ArgumentParser(description="cross-check of `wgrad operations` against PyTorch's float64 autograd")
    parser.add_argument("--wgrad", default="target/release/wgrad", help="the program")
    parser.add_argument("--cases", type=int, default=12 * len(NAMES), help="in turn of every operation")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--device", help="passed on; wgrad's own choice unless given")
    parser.add_argument("--edges", action="store_true", help="NaN and infinities, promised on the CPU executor only; its default")
    parser.add_argument("--only", type=int, help="the number of one case to run alone")
    parser.add_argument("--keep", metavar="DIR", help="write the files here and leave them")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one call")
    parser.add_argument("--self-test", action="store_true", help="float32 torch in wgrad's place")
    parser.add_argument("--sabotage", nargs="?", const="value", choices=SABOTAGES, help="with --self-test: make it wrong")
    options = parser.parse_args()
    if options.sabotage and not options.self_test:
        parser.error("--sabotage goes with --self-test")
    if not options.self_test:
        try:
            done = subprocess.run([options.wgrad, "operations"], capture_output=True, text=True, timeout=options.timeout)
        except OSError as error:
            sys.exit(f"{options.wgrad} does not start: {error}")
        differing = set(done.stdout.split()) ^ set(NAMES)
        if done.returncode or differing:
            sys.exit(f"the list of `{options.wgrad} operations` is not this script's: {sorted(differing)}")
    if options.only is not None:
        cases = [Case.random(options.seed, options.only)]
    else:
        cases = [Case.random(options.seed, index) for index in range(options.cases)] + list(extremes())
        if options.edges or options.self_test or options.device == "cpu":
            cases += edges()
    who = "the stand-in" + (f" with {options.sabotage} wrong" if options.sabotage else "") if options.self_test else options.wgrad
    print(f"seed {options.seed}, {len(cases)} cases, torch {torch.__version__}, {who}, device {options.device or 'not given'}", flush=True)

    with contextlib.ExitStack() as stack:
        directory = options.keep or stack.enter_context(tempfile.TemporaryDirectory())
        os.makedirs(directory, exist_ok=True)
        begun = time.perf_counter()
        found = run_stand_in(cases, directory, options.sabotage) if options.self_test else run_wgrad(cases, directory, options)
        seconds = time.perf_counter() - begun

    failures, table, others = [], {name: [] for name in NAMES}, []
    for case, got in zip(cases, found):
        errors, wrong = ({}, [got]) if isinstance(got, str) else case.check(got)
        if wrong:
            failures.append(f"FAILED: {case}: " + "; ".join(wrong))
        if type(case) is Case:
            by_gradients = max((error for key, error in errors.items() if key != "y"), default=NAN)
            table[case.op["op"]].append((errors.get("y", NAN), by_gradients, case.shapes(), bool(case.sizes())))
        elif isinstance(case, Extreme):
            others.append(f"{case.title}: {errors['share']:.2f} of the bound" if errors else case.title)
        else:
            others.append(f"edges of {case.op['op']}: {len(case.upstream)} rows, {len(wrong)} wrong")
    print(f"{'operation':24} cases  worst y  worst gradient  shapes of the worst")
    for name, rows in table.items():
        if rows:
            worst = max(rows, key=lambda row: np.nan_to_num(row[:2]).max())
            y, gradient = (np.nanmax([row[k] for row in rows] + [0.0]) for k in range(2))
            print(f"{name + '*' * worst[3]:24} {len(rows):5}  {y:7.1e}  {gradient:14.1e}  {worst[2]}")
    print(*others, *failures, sep="\n")
    print(f"{seconds:.1f} s in {'the stand-in' if options.self_test else 'wgrad'}")
    print(f"{len(cases) - len(failures)} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
