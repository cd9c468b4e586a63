#!/usr/bin/env python3
"""`wgrad gradients` of networks with hidden layers, output buckets and shared inputs against PyTorch's float64 autograd.

The cases extend those of `gradients.py`: the same inputs and accumulators, with a head that is drawn at random: pairwise
product or not, 0 to 2 hidden layers of every activation, a skip connection or not, 1 to 8 output buckets, a shared part of A
or not. Every output must agree to a relative L2 error of 1e-5. The gradients of biases are relative to the norm of
the sums of |∂Loss/∂z|, as d.grad is to the sum of |e|, because their terms have both signs.

    pip install torch numpy safetensors
    python benches/peers/heads.py --wgrad target/release/wgrad --cases 120 --device cpu
    python benches/peers/heads.py --wgrad target/release/wgrad --cases 120 --device vulkan:llvmpipe --multiple 64

The kernels for longer heads on adapters take a K that is a multiple of 64, so `--multiple 64` rounds K up to one.
Z is exact in f32, as in `gradients.py`. The z of a hidden layer is not, so each bias is the one of 64 draws that keeps z
farthest from the kinks at 0 and 1, and of a dual square at -1, over all samples of its bucket; the smallest distance is printed.
Output: a line a case, then the count; exit status 0 if all passed, 1 if not. `--sabotage` leaves out the shared part
of the expected network, or the square of the dual, or squares only a positive z in the dual square, and must end in exit status 1.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

import gradients
from gradients import APART, BOUND, Case, run_wgrad

ACTIVATIONS = ("crelu", "screlu", "relu", "dual", "dual-square")
MOST_VALUES = 2_000_000  # L·K of a case, so that 120 cases take minutes


class HeadCase(Case):
    """A case of `gradients.py` with a head."""

    def __init__(self, index, sabotage=None, multiple=1):
        self.multiple = multiple
        self.head_rng = np.random.default_rng((gradients.SEED, 7, index))
        self.sabotage = sabotage
        super().__init__(index)

    def draw_sizes(self, rng):
        while True:
            super().draw_sizes(rng)
            self.k = -(-self.k // self.multiple) * self.multiple
            if self.l * self.k <= MOST_VALUES:
                return

    def draw_rest(self, rng):
        rng = self.head_rng
        self.pairwise = self.k % 2 == 0 and rng.random() < 0.6
        self.buckets = int(rng.integers(1, 9)) if rng.random() < 0.7 else 1
        self.bucket = rng.integers(0, self.buckets, self.l).astype(np.int32)
        layers = int(rng.integers(0, 3))
        self.layers = [(int(rng.integers(1, 33)), ACTIVATIONS[int(rng.integers(0, len(ACTIVATIONS)))]) for _ in range(layers)]
        self.skip = layers == 2 and rng.random() < 0.5
        self.draw_shared(rng)
        halves = [self.plain_activation(z) for z in self.z_known]
        if self.pairwise:
            halves = [h[:, : self.k // 2] * h[:, self.k // 2 :] for h in halves]
        x = np.concatenate(halves, axis=1)
        self.w, self.c, self.distance, first = [], [], np.inf, None
        for number, (width, activation) in enumerate(self.layers):
            w = self.weights(rng, width, x)
            z = self.products(w, x)
            c = np.zeros((self.buckets, width), np.float32)
            for bucket, lane in itertools.product(range(self.buckets), range(width)):
                own = z[self.bucket == bucket, lane]
                if own.size:
                    draws = rng.uniform(0.0, 0.6, 64).astype(np.float32)
                    shifted = own[None, :] + draws[:, None].astype(np.float64)
                    kinks = (0.0, 1.0, -1.0) if activation == "dual-square" else (0.0, 1.0)
                    far = np.min([np.abs(shifted - kink) for kink in kinks], axis=(0, 2))
                    c[bucket, lane] = draws[far.argmax()]
                    self.distance = min(self.distance, far.max())
            x = activate(torch.from_numpy(z + c[self.bucket]), activation).numpy()
            self.w.append(w)
            self.c.append(c)
            first = x if number == 0 else first
        if self.skip:
            x = np.concatenate([first, x], axis=1)
        w = self.weights(rng, 1, x)
        raw = self.products(w, x)[:, 0]
        w *= np.float32(min(1.0, 0.7 / max(np.abs(raw).max(), 1e-3)))
        c = rng.uniform(0.1, 0.2, (self.buckets, 1)).astype(np.float32)
        self.w.append(w)
        self.c.append(c)
        y = self.products(w, x)[:, 0] + c[self.bucket, 0]
        self.draw_targets(rng, y)

    def draw_shared(self, rng):
        """A as its own part and a shared one, both on A's grid."""
        divisors = [m for m in range(1, self.n) if self.n % m == 0] if self.n <= 50_000 else []
        self.m = int(rng.choice(divisors)) if divisors and rng.random() < 0.5 else 0
        self.shared = []
        if self.m:
            smallest = min(np.abs(a[a != 0]).min() for a in self.a)
            unit = np.float32(2.0 ** np.floor(np.log2(smallest)))
            for p, a in enumerate(self.a):
                shared = rng.integers(-3, 4, (self.k, self.m)).astype(np.float32) * unit
                own = a - np.tile(shared, (1, self.n // self.m))
                self.shared.append(shared)
                self.a[p] = np.ascontiguousarray(own)

    def weights(self, rng, outputs, x):
        size = 1.0 / np.sqrt(max((x * x).sum(axis=1).mean(), 1e-3))
        return (rng.normal(0.0, size, (self.buckets, outputs, x.shape[1])) * 0.7).astype(np.float32)

    def products(self, w, x):
        out = np.empty((self.l, w.shape[1]))
        for bucket in range(self.buckets):
            own = self.bucket == bucket
            out[own] = x[own] @ w[bucket].astype(np.float64).T
        return out

    def draw_targets(self, rng, y):
        away_from = 1.0 / (1.0 + np.exp(-y)) if self.loss == "sigmoid_mse" else y
        side = 1.0 if rng.random() < 0.5 else -1.0
        if self.loss == "mse":
            self.target = y + side * (APART + 1e-3 + rng.exponential(0.5, self.l))
        else:
            room = np.where(side > 0, 1.0 - away_from, away_from) - APART
            self.target = away_from + side * (APART + np.maximum(room, 0.0) * rng.uniform(1e-3, 1.0, self.l))
        self.target = self.target.astype(np.float32)

    def autograd(self):
        """All outputs by name, in float64, and for each bias the sizes that its error is relative to."""

        def leaf(values):
            return torch.from_numpy(np.asarray(values, dtype=np.float64)).clone().requires_grad_(True)

        own, shared = [leaf(a.T) for a in self.a], [leaf(a.T) for a in self.shared]
        b, w, c = [leaf(one) for one in self.b], [leaf(one) for one in self.w], [leaf(one) for one in self.c]
        last, halves = len(own) - 1, []
        for p in range(2):
            a = own[min(p, last)]
            if self.m and self.sabotage != "shared":
                a = a + shared[min(p, last)].repeat(self.n // self.m, 1)
            if self.sparse:
                table = torch.cat([a, torch.zeros((1, self.k), dtype=torch.float64)])
                lists = torch.from_numpy(self.x[p].astype(np.int64))
                z = table[torch.where(lists < 0, self.n, lists)].sum(dim=1) if lists.numel() < 200_000 else bag(table, lists, self.n)
            else:
                z = torch.from_numpy(self.x[p].astype(np.float64)) @ a
            z = z + b[min(p, last)]
            if self.sabotage != "shared" and not (z.detach().numpy() == self.z_known[p]).all():
                raise AssertionError(f"case {self.index}: Z in autograd is not the exact one")
            h = torch.where(z < 0, torch.zeros_like(z), z)
            if self.activation != "relu":
                h = torch.where(z > self.t, torch.full_like(z, self.t), h)
            if self.activation == "screlu":
                h = h * h
            halves.append(h[:, : self.k // 2] * h[:, self.k // 2 :] if self.pairwise else h)
        x, first, all_z = torch.cat(halves, dim=1), None, []
        bucket = torch.from_numpy(self.bucket.astype(np.int64))
        for number, (w_of, c_of) in enumerate(zip(w, c)):
            if number == len(self.layers) and self.skip:
                x = torch.cat([first, x], dim=1)
            z = c_of[bucket]
            for one in range(self.buckets):
                rows = (bucket == one).nonzero()[:, 0]
                z = z.index_add(0, rows, x[rows] @ w_of[one].T)
            z.retain_grad()
            all_z.append(z)
            if number < len(self.layers):
                x = activate(z, self.layers[number][1], self.sabotage)
                first = x if number == 0 else first
        y = all_z[-1][:, 0]
        t = torch.from_numpy(self.target.astype(np.float64))
        loss = (((torch.sigmoid(y) if self.loss == "sigmoid_mse" else y) - t) ** 2).mean()
        loss.backward()
        outputs = {"Y": y.detach().numpy(), "loss": loss.detach().numpy().reshape(1)}
        for p in range(len(own)):
            outputs[f"A{p + 1}.grad"] = own[p].grad.T.numpy()
            outputs[f"B{p + 1}.grad"] = b[p].grad.numpy()
            if self.m and self.sabotage != "shared":
                outputs[f"A{p + 1}f.grad"] = shared[p].grad.T.numpy()
        sizes = {}
        for number, (w_of, c_of, z) in enumerate(zip(w, c, all_z)):
            name_w, name_c = self.names(number)
            outputs[f"{name_w}.grad"] = self.in_file(w_of.grad.numpy(), number)
            outputs[f"{name_c}.grad"] = c_of.grad.numpy()[:, 0] if name_c == "d" else c_of.grad.numpy()
            size = torch.zeros_like(c_of).index_add(0, bucket, z.grad.abs())
            sizes[f"{name_c}.grad"] = float(torch.linalg.norm(size.detach()))
        return outputs, sizes

    def names(self, number):
        return ("C", "d") if not self.layers else (f"W{number + 1}", f"c{number + 1}")

    def in_file(self, w, number):
        if self.layers:
            return w
        return w[0, 0] if self.buckets == 1 else w[:, 0]

    def write(self, directory):
        net = {}
        for p, (a, b) in enumerate(zip(self.a, self.b)):
            net[f"A{p + 1}"], net[f"B{p + 1}"] = np.ascontiguousarray(a), b
            if self.m:
                net[f"A{p + 1}f"] = self.shared[p]
        for number, (w, c) in enumerate(zip(self.w, self.c)):
            name_w, name_c = self.names(number)
            net[name_w] = np.ascontiguousarray(self.in_file(w, number))
            net[name_c] = np.ascontiguousarray(c[:, 0]) if name_c == "d" else c
        layers = [{"width": width, "activation": activation} for width, activation in self.layers]
        head = {"pairwise": bool(self.pairwise), "layers": layers, "buckets": self.buckets, "skip": bool(self.skip)}
        metadata = {"activation": self.activation, "clip": repr(self.clip), "tied": "true" if self.tied else "false"}
        if self.layers or self.pairwise:
            metadata["head"] = json.dumps(head)
        inputs = "indices" if self.sparse else "X"
        batch = {f"{inputs}1": self.x[0], f"{inputs}2": self.x[1], "Y_exp": self.target, "buckets": self.bucket}
        paths = [os.path.join(directory, name) for name in ("net.safetensors", "batch.safetensors", "out.safetensors")]
        save_file(net, paths[0], metadata=metadata)
        save_file(batch, paths[1], metadata={"loss": self.loss})
        return paths

    def __str__(self):
        layers = ",".join(f"{width}:{activation}" for width, activation in self.layers) or "-"
        words = [word for word, given in (("pairwise", self.pairwise), ("skip", self.skip), (f"M={self.m}", self.m)) if given]
        return (
            f"case {self.index:3}  {'sparse' if self.sparse else 'dense':6} {'tied' if self.tied else 'untied':6} {self.activation:6} "
            f"{self.loss:11} L={self.l} K={self.k} N={self.n} {layers} x{self.buckets} {' '.join(words)} far {self.distance:.0e} "
        )


def bag(table, lists, padding):
    return torch.nn.functional.embedding_bag(torch.where(lists < 0, padding, lists), table, mode="sum", padding_idx=padding)


def activate(z, activation, sabotage=None):
    h = torch.where(z < 0, torch.zeros_like(z), z)
    if activation == "relu":
        return h
    h = torch.where(z > 1, torch.ones_like(z), h)
    if activation == "dual":
        return torch.cat([h, h if sabotage == "dual" else h * h], dim=1)
    if activation == "dual-square":
        return torch.cat([h, h * h if sabotage == "dual-square" else clipped_square(z)], dim=1)
    return h * h if activation == "screlu" else h


def clipped_square(z):
    return torch.where(z.abs() > 1, torch.ones_like(z), z * z)


def compare(case, path):
    """The error of each output, and what is wrong beside errors."""
    expected, sizes = case.autograd()
    got, errors, wrong = load_file(path), {}, []
    for name, reference in expected.items():
        if name not in got:
            wrong.append(f"{name} is missing")
            continue
        value = got.pop(name)
        if value.dtype != np.float32 or value.shape != reference.shape:
            wrong.append(f"{name} is {value.dtype} {list(value.shape)}, not float32 {list(reference.shape)}")
            continue
        if not np.isfinite(value).all():
            wrong.append(f"{name} holds NaN or infinity")
            continue
        size = sizes.get(name, np.linalg.norm(reference))
        distance = np.linalg.norm((value - reference).ravel())
        errors[name] = 0.0 if distance == 0.0 else distance / size if size > 0 else np.inf
        if not errors[name] <= BOUND:
            wrong.append(f"{name} is off by {errors[name]:.2e}")
    wrong += [f"{name} is not expected" for name in got] if not case.sabotage else []
    return errors, wrong


def main():
    parser = argparse.ArgumentParser(description="cross-check of heads against PyTorch's float64 autograd")
    parser.add_argument("--wgrad", default="target/release/wgrad", help="the program")
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--device", help="passed on; wgrad's own choice unless given")
    parser.add_argument("--only", type=int, help="the number of one case to run alone")
    parser.add_argument("--multiple", type=int, default=1, help="round K up to a multiple of this")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one call")
    parser.add_argument("--sabotage", choices=("shared", "dual", "dual-square"), help="make the expected network wrong")
    options = parser.parse_args()
    indices = range(options.cases) if options.only is None else [options.only]
    failed, worst = [], (0.0, "", 0)
    for index in indices:
        case = HeadCase(index, options.sabotage, options.multiple)
        with tempfile.TemporaryDirectory() as directory:
            net, batch, out = case.write(directory)
            trouble = run_wgrad(options.wgrad, options.device, options.timeout, net, batch, out)
            errors, wrong = ({}, [trouble]) if trouble else compare(case, out)
        if wrong:
            failed.append(index)
            verdict = "FAILED: " + "; ".join(wrong)
        else:
            name = max(errors, key=errors.get)
            worst = max(worst, (errors[name], name, index))
            verdict = f"worst {errors[name]:.1e} ({name})  ok"
        print(f"{case} {verdict}", flush=True)
    print(f"worst: {worst[1]} {worst[0]:.2e} (case {worst[2]})")
    print(f"{len(indices) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
