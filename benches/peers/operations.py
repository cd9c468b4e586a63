#!/usr/bin/env python3
"""`wgrad operations` against PyTorch's float64 autograd: every operation, layer and loss, forward and backward.

    pip install torch numpy safetensors
    python benches/peers/operations.py --wgrad target/release/wgrad --device cpu
    python benches/peers/operations.py --wgrad target/release/wgrad --device vulkan:llvmpipe --cases 2000 --seed 7

Random cases go, all in one file, through `wgrad operations` and through float64 autograd. The result and every gradient
must agree to a relative L2 error of 1e-5. A few seconds; exit status 0 if all passed, 1 if not:

    seed 20262, 511 cases, torch 2.15.0+cu132, target/release/wgrad, device cpu
    operation                cases  worst y  worst gradient  shapes of the worst
    log                         12  1.9e-08         2.8e-08  [592]
    ...
    matmul                      12  1.4e-07         1.2e-07  [1, 1, 1, 83] [11, 1, 83, 7]
    ...
    batch_norm*                 12  1.9e-07         3.5e-07  [102, 6] [6] [6]
    ...
    exp of ±40 to ±85, 4 + 2|x| ulp: 0.00 of the bound
    log near 1, 2^-21 and 4 ulp: 0.12 of the bound
    pow up to e^±55, 7 + 5(1 + |y|)|log2 x| ulp: 0.07 of the bound
    edges of log: 6 rows, ok
    ...
    511 passed, 0 failed

The cases (`--cases N`, 12 of each operation unless given; `--seed S`; case i of a seed is always the same, `--only i` runs one,
`--keep DIR` keeps the files): ranks 0 to 6, up to 60,000 elements, sizes 0 and 1 among them, operands that stretch to one another,
axes all, some, none and negative. The list of operations must be wgrad's own, or the script stops.
How they are measured:

- What is summed has one sign in each operand, so that no sum cancels. Where differences may cancel all the same, the error is
  relative to the norm of the sums of their terms' magnitudes (see `magnitudes`): y of affine and binary_cross_entropy; the
  gradients by x of softmax, log_softmax, batch_norm and the cross-entropies; those by gamma and beta of batch_norm. A * marks
  these operations.
- Where the reference is 0 throughout, so must the output be; the logarithms of one class's probability may be off by 2^-21.
- The gradients of clamp and pairwise pass at both ends, where PyTorch's does not; the ends are among the values. Ties of max
  share equally.
- Which elements dropout drops is wgrad's choice: what follows from it must agree, and their share to 5 standard deviations.
- WGSL allows exp, log and pow more than 1e-5 at extremes: these have cases and bounds of their own, element by element.
- NaN and infinities of log, sqrt, div and pow are promised on the CPU executor only, so these rows run with `--device cpu` or
  with `--edges`; there a number is a number, and NaN and each infinity themselves. The slope of a negative base's power by its
  exponent, NaN, is compared there only.

To check the checker, without wgrad: `--self-test` puts float32 torch in its place, which must pass, and
`--self-test --sabotage KIND` makes it wrong, which must end in exit status 1. KIND: value, nan, missing, shape, sign, count (a mean
divided by the wrong one), stretched (a gradient not summed), ends (of clamp), ties (of max), unbiased (batch_norm's
variance), share, factor (of dropout), halves (of pairwise), buckets (of bucketed_linear), lists (of accumulate), extreme
(of exp), edge (0^0). Without a KIND it is value.
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
    """The reduction over o's axes; over none of them if the list is empty, which torch takes for all."""
    axes = list(range(x.ndim)) if o["axes"] is None else o["axes"]
    return reduce(x, dim=axes, keepdim=o["keep"]) if axes else x.clone()


def clamped(x, low, high):
    """where, not torch.clamp, whose gradient is 0 at the ends: here it passes for low <= x <= high, both ends included"""
    return torch.where(x < low, low, torch.where(x > high, high, x))


def chosen(o, a):
    """The matrix of 0 and 1, [samples, inputs], that o's index lists stand for."""
    x = torch.zeros(len(o["lists"]), a.shape[0], dtype=a.dtype)
    for row, indices in zip(x, o["lists"]):
        row[indices] = 1
    return x


def pairs(o, z):
    first, second = clamped(z, 0.0, o["clip"]).tensor_split(2, -1)
    return first * second


def by_bucket(o, x, weight, bias):
    buckets = torch.tensor(o["buckets"], dtype=torch.long)
    return torch.einsum("soi,si->so", weight[buckets], x) + bias[buckets]


# What each operation is, in torch; o holds its attributes.
FORMULAS = {name: lambda o, *xs, f=getattr(torch, name): f(*xs) for name in "log exp relu sigmoid tanh neg abs sqrt".split()}
FORMULAS |= {name: lambda o, *xs, f=getattr(torch, name): f(*xs) for name in "add sub mul div pow matmul dot trace".split()}
FORMULAS |= {
    "softplus": lambda o, x: F.softplus(x, threshold=100.0),
    "clamp": lambda o, x: clamped(x, o["low"], o["high"]),
    "affine": lambda o, x: o["factor"] * x + o["summand"],
    "sum": lambda o, x: over(x, o, torch.sum),
    "mean": lambda o, x: over(x, o, torch.mean),
    "max": lambda o, x: over(x, o, torch.amax),  # amax splits the gradient equally among ties, as wgrad does
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
    "dropout": lambda o, x: x.clone(),  # see Case.dropped
    "mse": lambda o, x, t: F.mse_loss(x, t),
    "cross_entropy": lambda o, x, t: -(t * x.log_softmax(-1)).sum(-1).mean(),  # by hand: t need not sum to 1
    "cross_entropy_classes": lambda o, x: F.cross_entropy(x, torch.tensor(o["classes"])),
    "binary_cross_entropy": lambda o, x, t: F.binary_cross_entropy_with_logits(x, t),
    "factorization": lambda o, x, a, s: ((x - a @ s) ** 2).sum(),
    "accumulate": lambda o, a, b: chosen(o, a) @ a + b,
    "pairwise": pairs,
    "bucketed_linear": by_bucket,
}
NAMES = list(FORMULAS)
# Their gradients do not sum, so the upstream gradient has both signs.
UNSUMMED = """log exp relu sigmoid tanh neg abs sqrt softplus clamp affine sum mean max diagonal permute reshape slice concat
    dropout pairwise""".split()
# Of one class they are ln 1, which is 0 but for LOG_NEAR_ONE.
LOG_OF_ONE = ("log_softmax", "cross_entropy", "cross_entropy_classes")
RANGES = {"exp": (-8, 8), "sigmoid": (-4, 4), "tanh": (-1.5, 1.5), "softplus": (-2, 6)}
RANGES |= dict.fromkeys(("relu", "neg", "abs", "clamp", "affine"), (-3, 3))


def magnitudes(o, g, x, *rest):
    """Of outputs that are differences, and may cancel: the sums of the magnitudes of their terms."""
    name = o["op"]
    if name == "affine":
        return {"y": (o["factor"] * x).abs() + abs(o["summand"])}
    if name == "softmax":
        y = x.softmax(o["axis"])
        return {"0.grad": y * (g.abs() + (g.abs() * y).sum(o["axis"], keepdim=True))}
    if name == "log_softmax":
        return {"0.grad": g.abs() + x.softmax(o["axis"]) * g.abs().sum(o["axis"], keepdim=True)}
    if name == "batch_norm":
        slope = 1 / torch.sqrt(x.var(0, correction=0) + o["epsilon"])
        normal, size = ((x - x.mean(0)) * slope).abs(), g.abs()
        by_x = (rest[0] * slope).abs() * (size + size.mean(0) + normal * (size * normal).mean(0))
        return {"0.grad": by_x, "1.grad": (size * normal).sum(0), "2.grad": size.sum(0)}
    if name.startswith("cross_entropy"):
        t = rest[0] if rest else F.one_hot(torch.tensor(o["classes"]), x.shape[-1])
        return {"0.grad": g.abs() * (t.sum(-1, keepdim=True) * x.softmax(-1) + t) * x.shape[-1] / x.numel()}
    if name == "binary_cross_entropy":
        y = x.clamp(min=0) + (x * rest[0]).abs() + F.softplus(-x.abs())
        return {"y": y.mean(), "0.grad": g.abs() * (x.sigmoid() + rest[0]) / x.numel()}
    return {}


class Draw:
    """The random attributes and operands of one case."""

    def __init__(self, seed, index):
        self.rng = np.random.default_rng((seed, index))
        self.room = 60_000 if self.chance(0.1) else 3000  # elements

    def chance(self, share):
        return bool(self.rng.random() < share)

    def whole(self, low, high):  # high included
        return int(self.rng.integers(low, high + 1))

    def spread(self, top, zero=0.0):  # from 1 to top, each power of two as likely as another
        return 0 if self.chance(zero) else min(int(np.exp(self.rng.uniform(0.0, np.log(top + 1.0)))), int(top))

    def number(self, low, high):  # exact in f32
        return float(f32(self.rng.uniform(low, high)))

    def shape(self, least=0, most=6, zero=0.08):
        rank, left = self.whole(least, most), self.room
        sizes = [1] * rank
        for done, axis in enumerate(self.rng.permutation(rank)):
            sizes[axis] = self.spread(left ** min(1.0, 1.6 / (rank - done)))
            left //= sizes[axis]
        if rank and self.chance(zero):
            sizes[self.whole(0, rank - 1)] = 0
        return sizes

    def stretching(self, shape):  # two shapes that stretch to one another, to this shape or a smaller one
        def one():
            sizes = [1 if self.chance(0.35) else size for size in shape]
            return sizes[self.whole(0, len(sizes)) if self.chance(0.3) else 0 :]

        return (one(), one()) if self.chance(0.8) else (shape, shape)

    def uniform(self, shape, low=-3, high=3):
        return np.asarray(self.rng.uniform(low, high, shape), f32)

    def one_sign(self, shape, low=0.25, high=2.0, sign=None):
        return self.uniform(shape, low, high) * f32(self.rng.choice([-1, 1]) if sign is None else sign)

    def with_some(self, x, values, share=0.1):
        return np.where(self.rng.random(x.shape) < share, self.rng.choice(np.array(values, f32), x.shape), x)

    def draw(self, name):
        """Attributes and operands. What is summed has one sign in each operand, so that no sum cancels."""
        chance, uniform, one_sign = self.chance, self.uniform, self.one_sign
        if name in RANGES:
            x = uniform(self.shape(), *RANGES[name])
            # far out slopes vanish, so such values stand among many others only
            x = self.with_some(x, [-30, 30, 0] if x.size >= 30 and name in ("sigmoid", "tanh", "softplus") else [0])
            if name == "clamp":
                low = self.number(-2, 1)
                high = low if chance(0.1) else max(low, self.number(-1, 2))
                return {"low": low, "high": high}, [self.with_some(x, [low, high], 0.3)]
            affine = {"factor": 0.0 if chance(0.1) else self.number(-2, 2), "summand": self.number(-2, 2)}
            return affine if name == "affine" else {}, [x]
        if name in ("log", "sqrt"):  # away from 1, where ln x vanishes
            x = uniform(self.shape(), 0.25, 4)
            return {}, [np.exp(x * self.rng.choice([-1, 1], x.shape))]
        if name in ("add", "sub", "mul", "div"):
            return {}, [one_sign(shape) for shape in self.stretching(self.shape())]
        if name == "pow":
            left, right = self.stretching(self.shape())
            if chance(0.35):  # negative bases to integers of one sign and parity, so that gradients have one sign
                exponents = self.rng.choice([[1, 3], [2, 4]][self.whole(0, 1)], right)
                return {}, [one_sign(left, 0.5, 2, -1), exponents * self.rng.choice([-1, 1])]
            x = np.exp(one_sign(left, 0.25, 2))  # on one side of 1, where ln x has one sign
            if chance(0.4):
                return {}, [self.with_some(x, [0]), self.with_some(uniform(right, 1.25, 3), [0])]
            return {}, [x, self.with_some(one_sign(right, 0.25, 3), [0])]
        if name in ("sum", "mean", "max"):
            shape = self.shape()
            rank = len(shape)
            some = self.rng.permutation(rank)[: self.whole(0 if chance(0.1) else min(1, rank), rank)]
            axes = None if chance(0.25) else [int(axis) - (rank if chance(0.3) else 0) for axis in some]
            if name != "sum" and 0 in (shape if axes is None else [shape[axis] for axis in axes]):
                shape = [size or 1 for size in shape]  # of nothing there is neither
            ties = name == "max" and chance(0.6)
            return {"axes": axes, "keep": chance(0.5)}, [self.rng.integers(-2, 3, shape) if ties else one_sign(shape)]
        if name == "matmul":
            m, k, n = (self.spread(100, 0.03) for _ in range(3))
            self.room = 30
            left, right = self.stretching(self.shape(most=4))
            kind = self.whole(0, 9)  # 0: a vector on the left, 1: on the right, 2: both
            return {}, [one_sign([k] if kind in (0, 2) else left + [m, k]), one_sign([k] if kind in (1, 2) else right + [k, n])]
        if name == "dot":
            length = self.spread(self.room, 0.05)
            return {}, [one_sign(length), one_sign(length)]
        if name in ("trace", "diagonal"):
            m, n = self.spread(150, 0.05), self.spread(150, 0.05)
            return {}, [one_sign([m, m]) if name == "trace" else uniform([m, n])]
        if name in ("softmax", "log_softmax", "permute", "slice", "concat"):
            shape = self.shape(least=0 if name == "permute" else 1)
            rank, far = len(shape), 30 if chance(0.3) else 3
            x = uniform(shape, -far, far)
            if name == "permute":
                return {"order": [int(axis) - (rank if chance(0.3) else 0) for axis in self.rng.permutation(rank)]}, [x]
            axis = self.whole(-rank, rank - 1)
            if name == "slice":
                start, end = sorted(self.whole(0, shape[axis]) for _ in range(2))
                return {"axis": axis, "start": start, "end": end}, [x]
            others = [list(shape) for _ in range(self.whole(0, 3) if name == "concat" else 0)]
            for other in others:
                other[axis] = self.whole(0, 5)
            return {"axis": axis}, [x, *map(uniform, others)]
        if name == "reshape":
            shape = self.shape()
            other = self.rng.permutation(shape).astype(int).tolist()
            several = self.whole(1, max(len(shape), 1))
            other = [math.prod(other[:several]), *other[several:]]
            shape, other = (other, shape) if chance(0.5) else (shape, other)
            return {"shape": other}, [uniform(shape)]
        if name == "broadcast_to":
            shape = self.shape(least=1)
            return {"shape": shape}, [one_sign(self.stretching(shape)[0])]
        if name == "linear":
            batch, inputs, outputs = (self.spread(100, 0.05) for _ in range(3))
            x, weight, sign = one_sign([batch, inputs]), one_sign([inputs, outputs], sign=1), self.rng.choice([-1, 1])
            return {}, [np.abs(x) * f32(sign), weight, one_sign(outputs, sign=sign)]
        if name.startswith("batch_norm"):
            batch, features = self.spread(300) + 1, self.spread(100)
            sign, o = self.rng.choice([-1, 1]), {"epsilon": float(f32(self.rng.choice([1e-5, 1e-3, 0.1])))}
            offset, gamma, beta = uniform(features), one_sign(features, sign=sign), one_sign(features, sign=sign)
            if name == "batch_norm":  # samples that lie apart
                steps = np.linspace(-1, 1, batch)[:, None] + uniform([batch, features], -0.3, 0.3) / batch
                return o, [offset + self.rng.permuted(steps, axis=0) * uniform(features, 0.5, 2), gamma, beta]
            return o, [offset + uniform([batch, features], 0.25, 2), gamma, beta, offset, uniform(features, 0.25, 2)]
        if name == "dropout":
            rate = 0.0 if chance(0.1) else self.number(0.05, 0.95)
            return {"rate": rate, "seed": int(self.rng.integers(2**64, dtype=np.uint64))}, [one_sign(self.shape())]
        if name == "factorization":
            m, n, r = (self.spread(80, 0.03) for _ in range(3))
            return {}, [one_sign([m, n], sign=-1), one_sign([m, r], sign=1), one_sign([r, n], sign=1)]
        if name == "accumulate":
            samples, inputs, lanes = (self.spread(100, zero) for zero in (0.05, 0, 0.05))
            most = self.whole(0, min(inputs, 32))
            lists = [self.rng.permutation(inputs)[: self.whole(0, most)].tolist() for _ in range(samples)]
            sign = self.rng.choice([-1, 1])
            return {"lists": lists}, [one_sign([inputs, lanes], sign=sign), one_sign(lanes, sign=sign)]
        if name == "pairwise":
            shape, clip = self.shape(least=1), self.number(0.5, 2)
            return {"clip": clip}, [self.with_some(uniform([*shape[:-1], 2 * shape[-1]], -1, 3), [0, clip], 0.3)]
        if name == "bucketed_linear":
            batch, inputs, outputs = (self.spread(100, 0.05) for _ in range(3))
            count, sign = self.spread(10), self.rng.choice([-1, 1])
            x, weight = one_sign([batch, inputs], sign=sign), one_sign([count, outputs, inputs], sign=1)
            buckets = self.rng.integers(0, count, batch).tolist()
            return {"buckets": buckets}, [x, weight, one_sign([count, outputs], sign=sign)]
        shape = self.shape(*{"cross_entropy": (1, 4), "cross_entropy_classes": (2, 2)}.get(name, (0, 6)), zero=0)
        if name == "mse":
            return {}, [uniform(shape), uniform(shape)]
        far = 30 if chance(0.3) else 3
        x, t = uniform(shape, -far, far), uniform(shape, 0.1, 1)
        if name == "cross_entropy_classes":
            classes = self.rng.integers(0, shape[1], shape[0])
            classes[0] = np.argmin(x[0])  # so that the loss is not nearly 0
            return {"classes": classes.tolist()}, [x]
        return {}, [x, self.with_some(t, [0, 1]) if t.size >= 30 or name == "binary_cross_entropy" else t]


def distances(reference, value):
    """Of each element; 0 where both are NaN or the same infinity, infinite where one alone is NaN."""
    same = (value == reference) | np.isnan(value) & np.isnan(reference)
    return np.where(same, 0.0, np.nan_to_num(np.abs(value - reference), nan=INF))


class Case:
    """An operation with operands and an upstream gradient, and what float64 autograd makes of them."""

    def __init__(self, title, op, operands, upstream):
        self.title, self.op, self.faults = title, op, []
        # not ascontiguousarray, which gives an axis to what has none
        self.operands, self.upstream = [np.array(one, f32, order="C") for one in operands], np.array(upstream, f32)

    @classmethod
    def random(cls, seed, index):
        name, draw = NAMES[index % len(NAMES)], Draw(seed, index)
        attributes, operands = draw.draw(name)
        case = cls(f"case {index}", {"op": name, **attributes}, operands, ())
        shape = case.apply(torch.float32)[1].shape
        case.upstream = np.asarray(draw.uniform(shape) if name in UNSUMMED else draw.one_sign(shape))
        return case

    def apply(self, dtype):
        leaves = [torch.from_numpy(one).to(dtype).requires_grad_(True) for one in self.operands]
        return leaves, FORMULAS[self.op["op"]](self.op, *leaves)

    def autograd(self, dtype):
        """The result and the gradients by name."""
        leaves, y = self.apply(dtype)
        y.backward(torch.from_numpy(self.upstream).to(dtype))
        return {"y": y.detach().numpy(), **{f"{i}.grad": leaf.grad.numpy() for i, leaf in enumerate(leaves)}}

    def sizes(self):
        operands = [torch.from_numpy(one).double() for one in (self.upstream, *self.operands)]
        return {key: size.numpy() for key, size in magnitudes(self.op, *operands).items()}

    def expected(self, got):
        expected = self.autograd(torch.float64)
        if self.op["op"] == "dropout" and got["y"].shape == self.upstream.shape:
            expected |= self.dropped(got["y"])
        if self.op["op"] == "pow" and (self.operands[0] < 0).any():
            del expected["1.grad"]  # NaN: see `edges`
        if not all(np.isfinite(one).all() for one in expected.values()):
            raise AssertionError(f"{self} is not finite")
        return expected

    def dropped(self, y):
        """Which elements are dropped is wgrad's choice: the rest follows from it."""
        rate, count = self.op["rate"], int((y == 0).sum())
        deviation = math.sqrt(y.size * rate * (1 - rate))
        if rate == 0 and count or deviation >= 3 and abs(count - y.size * rate) > DEVIATIONS * deviation:
            self.faults.append(f"{count} of {y.size} are dropped at the rate {rate}")
        factor = (y != 0) / (1 - rate)
        return {"y": np.asarray(self.operands[0] * factor), "0.grad": np.asarray(self.upstream * factor)}

    def check(self, got):
        """The error of each output, and what is wrong."""
        missing = {"y", *(f"{i}.grad" for i in range(len(self.operands)))} ^ set(got)
        if missing:
            return {}, [f"{key} is missing or too many" for key in sorted(missing)]
        errors, self.faults = {}, []
        for key, reference in self.expected(got).items():
            value = got[key]
            if value.dtype != f32 or value.shape != reference.shape:
                self.faults.append(f"{key} is {value.dtype} {list(value.shape)}, not float32 {list(reference.shape)}")
                continue
            errors[key] = self.error(key, reference, value)
            if not errors[key] <= 1.0:
                place = np.unravel_index(np.argmax(distances(reference, value)), reference.shape)
                at = f"at {[int(i) for i in place]} {value[place]:.9g}, not {reference[place]:.9g}"
                self.faults.append(f"{key} is {errors[key]:.3g} times as far off as its bound, most {at}")
        return errors, self.faults

    def error(self, key, reference, value):
        """The relative L2 error in units of its bound."""
        size = np.linalg.norm(self.sizes().get(key, reference).ravel())
        if size == 0 and self.op["op"] in LOG_OF_ONE:
            size = LOG_NEAR_ONE / BOUND * math.sqrt(reference.size)
        distance = np.linalg.norm(distances(reference, value).ravel())
        return 0.0 if distance == 0 else distance / size / BOUND if size > 0 else INF

    def shapes(self):
        return " ".join(str(list(one.shape)) for one in self.operands)

    def __str__(self):
        attributes = [f"{key}={value}" for key, value in self.op.items() if key not in ("op", "classes", "lists", "buckets")]
        return " ".join([f"{self.title}:", self.op["op"], self.shapes(), *attributes])


class Extreme(Case):
    """Where f32, or WGSL's accuracy table, allows more than 1e-5: each element has a bound, some ulps of itself."""

    def __init__(self, title, name, operands, ulps, absolute=0.0):
        super().__init__(title, {"op": name}, operands, np.ones(operands[0].shape))
        self.ulps, self.absolute = ulps, absolute

    def error(self, key, reference, value):
        bound = self.ulps * ULP * np.abs(reference) + (self.absolute if key == "y" else 0.0)
        return float(np.max(distances(reference, value) / bound))


def extremes():
    rng = np.random.default_rng(SEED)
    sides = np.repeat([1.0, -1.0], 200)
    x = rng.uniform(40, 85, 400) * sides
    yield Extreme("exp of ±40 to ±85, 4 + 2|x| ulp", "exp", [x], 4 + 2 * np.abs(x))
    x = 1 + 2.0 ** rng.uniform(-23, -2, 400) * sides
    yield Extreme("log near 1, 2^-21 and 4 ulp", "log", [x], 4, LOG_NEAR_ONE)
    # As exp2(y·log2 x): log2 is known to 3 ulp, a product, exp2(e) to 3 + 2|e| ulp; the gradients take y - 1, ln x, products.
    x = np.exp(rng.uniform(2, 8, 400) * sides)
    y = rng.uniform(-55, 55, 400) / np.abs(np.log(x))
    ulps = 7 + 5 * (1 + np.abs(y)) * np.abs(np.log2(x))
    yield Extreme("pow up to e^±55, 7 + 5(1 + |y|)|log2 x| ulp", "pow", [x, y], ulps)


class Edge(Case):
    """Rows of operands, the result and the gradients, as IEEE 754 and the definitions have them."""

    def __init__(self, name, arity, rows):
        columns = np.array(rows, f32).T
        super().__init__("edges", {"op": name}, columns[:arity], np.ones(len(rows)))
        self.columns = dict(zip(("y", "0.grad", "1.grad"), columns[arity:]))

    def expected(self, got):
        return self.columns

    def error(self, key, reference, value):
        return float(np.max(distances(reference, value) / ULP))


def edges():
    # fmt: off
    yield Edge("log", 1, [  # x, ln x, 1/x
        (0, -INF, INF), (-0.0, -INF, -INF), (1, 0, 1), (-1, NAN, -1), (INF, INF, 0), (NAN, NAN, NAN)])
    yield Edge("sqrt", 1, [(0, 0, INF), (4, 2, 0.25), (-1, NAN, NAN), (INF, INF, 0), (NAN, NAN, NAN)])
    yield Edge("div", 2, [  # x, y, x/y, 1/y, -x/y^2
        (1, 0, INF, INF, -INF), (-1, 0, -INF, INF, INF), (1, -0.0, -INF, -INF, -INF), (0, 0, NAN, INF, NAN),
        (1, INF, 0, 0, 0), (INF, 2, INF, 0.5, -INF), (INF, INF, NAN, 0, NAN), (NAN, 1, NAN, 1, NAN), (1, NAN, NAN, NAN, NAN)])
    yield Edge("pow", 2, [  # x, y, x^y, y·x^(y-1), x^y·ln x
        (0, 0, 1, 0, 0), (0, 2, 0, 0, 0), (0, 1, 0, 1, 0), (0, 0.5, 0, INF, 0), (0, -1, INF, -INF, -INF),
        (5, 0, 1, 0, math.log(5)), (-5, 0, 1, 0, NAN), (-2, 3, -8, 12, NAN), (-2, 2, 4, -4, NAN), (-2, -1, -0.5, -0.25, NAN),
        (-2, 0.5, NAN, NAN, NAN), (1, NAN, 1, NAN, 0), (NAN, 0, 1, 0, NAN), (NAN, 2, NAN, NAN, NAN), (INF, 2, INF, INF, INF)])
    # fmt: on


def write(cases, path):
    tensors = {f"{i}.{k}": one for i, case in enumerate(cases) for k, one in enumerate(case.operands)}
    tensors |= {f"{i}.upstream": case.upstream for i, case in enumerate(cases)}
    save_file(tensors, path, metadata={"cases": json.dumps([case.op for case in cases])})


def read(path, count):
    found = [{} for _ in range(count)]
    for name, value in load_file(path).items():
        index, key = name.split(".", 1)
        found[int(index)][key] = value
    return found


def run_wgrad(cases, directory, options):
    """What wgrad makes of each case, or why it makes nothing: a refusal of all is traced to its case by halves."""
    paths = [os.path.join(directory, name) for name in ("in.safetensors", "out.safetensors")]
    write(cases, paths[0])
    with contextlib.suppress(FileNotFoundError):
        os.remove(paths[1])
    trouble = call(options, "--in", paths[0], "--out", paths[1], *(["--device", options.device] if options.device else []))[1]
    if trouble is None:
        return read(paths[1], len(cases))
    if not cases:  # what has nothing to do with the cases: an unknown device
        sys.exit(trouble)
    half = len(cases) // 2
    return [trouble] if half == 0 else run_wgrad(cases[:half], directory, options) + run_wgrad(cases[half:], directory, options)


def call(options, *arguments):
    """What `wgrad operations` prints, and what went wrong."""
    command = [options.wgrad, "operations", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.timeout, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.exit(f"{options.wgrad} does not start: {error}")
    except subprocess.TimeoutExpired:
        return "", f"no answer within {options.timeout} s"
    return done.stdout, f"exit status {done.returncode}: {done.stderr.strip()[:400]}" if done.returncode else None


# What --sabotage KIND makes wrong: an operation, one of its outputs, and what that becomes, from attributes, upstream
# gradient and operands; None takes it away. Beside them stand two of dropout.
SABOTAGES = {
    "value": ("matmul", "0.grad", lambda v, *_: v + f32(1e-4) * np.linalg.norm(v) * (v == v.max(initial=-INF))),
    "nan": ("softmax", "0.grad", lambda v, *_: np.where(v == v.max(initial=-INF), NAN, v)),
    "missing": ("linear", "2.grad", lambda *_: None),
    "shape": ("trace", "y", lambda v, *_: v.reshape(1)),
    "sign": ("sub", "1.grad", lambda v, *_: -v),
    # divided by the number of means
    "count": ("mean", "y", lambda v, o, g, x: v * f32(x.size / max(v.size, 1) ** 2)),
    # the first elements of what is to be summed
    "stretched": ("add", "0.grad", lambda v, o, g, x, y: np.resize(g, x.shape)),
    "ends": ("clamp", "0.grad", lambda v, o, g, x: v * ((x > o["low"]) & (x < o["high"]))),
    "ties": ("max", "0.grad", lambda v, o, g, x: np.sign(v) * np.abs(v).max(initial=0)),
    "unbiased": ("batch_norm", "y", lambda v, o, g, x, gamma, beta: (v - beta) * f32(math.sqrt(1 - 1 / len(x))) + beta),
    # each half of the gradient by its own factor
    "halves": ("pairwise", "0.grad", lambda v, o, g, z: np.concatenate(np.split(v, 2, -1)[::-1], -1)),
    # the first bucket's matrix for every sample
    "buckets": ("bucketed_linear", "y", lambda v, o, g, x, w, c: x @ w[0].T + c[0]),
    "lists": ("accumulate", "0.grad", lambda v, o, g, a, b: np.broadcast_to(g.sum(0), v.shape)),
    # too little to be seen in the random cases
    "extreme": ("exp", "y", lambda v, o, g, x: v * (1 + f32(3e-7) * np.abs(x))),
    "edge": ("pow", "y", lambda v, o, g, x, y: np.where((x == 0) & (y == 0), 0, v)),
    "share": ("dropout", "", None),
    "factor": ("dropout", "", None),
}


def run_stand_in(cases, directory, sabotage):
    """What `wgrad operations` does, from the file alone, in float32 torch."""
    path = os.path.join(directory, "in.safetensors")
    write(cases, path)
    with safe_open(path, "np") as file:
        ops = json.loads(file.metadata()["cases"])
    random = np.random.default_rng(SEED)
    target, key, change = SABOTAGES.get(sabotage, ("", "", None))
    for op, tensors in zip(ops, read(path, len(ops))):
        g = tensors.pop("upstream")
        operands = [tensors[str(k)] for k in range(len(tensors))]
        got = Case("", op, operands, g).autograd(torch.float32)
        if op["op"] == "dropout":
            kept = random.random(g.shape) >= op["rate"] / (2 if sabotage == "share" else 1)
            factor = kept / f32(1 - op["rate"])
            got = {"y": operands[0] * factor, "0.grad": g if sabotage == "factor" else g * factor}
        elif op["op"] == target:
            got[key] = change(got[key], op, g, *operands)
        yield {key: np.asarray(value, f32) for key, value in got.items() if value is not None}


def main():
    parser = argparse.ArgumentParser(description="cross-check of `wgrad operations` against PyTorch's float64 autograd")
    parser.add_argument("--wgrad", default="target/release/wgrad", help="the program")
    parser.add_argument("--cases", type=int, default=12 * len(NAMES), help="of all operations in turn")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--device", help="passed on; wgrad's own choice unless given")
    parser.add_argument("--edges", action="store_true", help="NaN and infinities too; always with --device cpu")
    parser.add_argument("--only", type=int, help="the number of one case to run alone")
    parser.add_argument("--keep", metavar="DIR", help="write the files here and leave them")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one call")
    parser.add_argument("--self-test", action="store_true", help="float32 torch in wgrad's place")
    parser.add_argument("--sabotage", nargs="?", const="value", choices=SABOTAGES, help="with --self-test: make it wrong")
    options = parser.parse_args()
    if options.sabotage and not options.self_test:
        parser.error("--sabotage goes with --self-test")
    if not options.self_test:
        listed, trouble = call(options)
        if trouble or set(listed.split()) != set(NAMES):
            sys.exit(trouble or f"wgrad's operations are not this script's: {sorted(set(listed.split()) ^ set(NAMES))} differ")
    cases = [Case.random(options.seed, i) for i in (range(options.cases) if options.only is None else [options.only])]
    if options.only is None:
        cases += extremes()
        cases += edges() if options.edges or options.self_test or options.device == "cpu" else []
    who = "the stand-in" + (f" with {options.sabotage} wrong" if options.sabotage else "") if options.self_test else options.wgrad
    print(f"seed {options.seed}, {len(cases)} cases, torch {torch.__version__}, {who}, device {options.device or 'not given'}")

    with contextlib.ExitStack() as stack:
        directory = options.keep or stack.enter_context(tempfile.TemporaryDirectory())
        os.makedirs(directory, exist_ok=True)
        begun = time.perf_counter()
        if options.self_test:
            found = list(run_stand_in(cases, directory, options.sabotage))
        else:
            run_wgrad([], directory, options)
            found = run_wgrad(cases, directory, options)
        seconds = time.perf_counter() - begun

    failed, table, others = [], {name: [] for name in NAMES}, []
    np.seterr(all="ignore")  # infinities less infinities
    for case, got in zip(cases, found):
        errors, wrong = ({}, [got]) if isinstance(got, str) else case.check(got)
        failed += [f"FAILED {case}: " + "; ".join(wrong)] if wrong else []
        if type(case) is Case:
            gradients = max((error for key, error in errors.items() if key != "y"), default=INF)
            table[case.op["op"]].append((errors.get("y", INF) * BOUND, gradients * BOUND, case))
        elif isinstance(case, Extreme):
            others.append(f"{case.title}: {max(errors.values(), default=INF):.2f} of the bound")
        else:
            others.append(f"edges of {case.op['op']}: {len(case.upstream)} rows, {'wrong' if wrong else 'ok'}")
    print(f"{'operation':24} cases  worst y  worst gradient  shapes of the worst")
    for name, rows in table.items():
        if rows:
            y, gradient, _ = map(max, zip(*[(*row[:2], 0) for row in rows]))
            worst = max(rows, key=lambda row: max(row[:2]))[2]
            print(f"{name + '*' * bool(worst.sizes()):24} {len(rows):5}  {y:7.1e}  {gradient:14.1e}  {worst.shapes()}")
    print(*others, *failed, f"{seconds:.1f} s in {'the stand-in' if options.self_test else 'wgrad'}", sep="\n")
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
