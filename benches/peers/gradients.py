#!/usr/bin/env python3
"""`wgrad gradients` against PyTorch's float64 autograd.

Random networks and batches go through files to `wgrad gradients` and through float64 autograd; every output must agree
to a relative L2 error of 1e-5 (`d.grad`: relative to the sum of |e|).

    pip install torch numpy safetensors
    python benches/peers/gradients.py --wgrad target/release/wgrad --cases 60 --device cpu
    python benches/peers/gradients.py --wgrad target/release/wgrad --cases 60 --device vulkan:llvmpipe

Any value of `--device` is passed on as it is. Beside wgrad's own
time it takes about half a minute on two cores and 2 GB.
Output: a line a case, then the worst error of each output and the count; exit status 0 if all passed, 1 if not:

    case  17  dense  untied  screlu  mse          L=5000  K=33   N=1  T=1.25  Z=0: 51, Z=T: 37  worst 2.1e-07 (B1.grad)  ok
    ...
    worst: Y 3.1e-07, loss 2.0e-07, A1.grad 1.3e-06, ...
    60 passed, 0 failed

The cases (a fixed seed, printed; case i of a seed is always the same; `--only i` runs one, `--keep DIR` keeps its files):
dense batches (L*N up to 2,000,000) and sparse ones (index lists padded with -1 in random places), tied and not, CReLU,
SCReLU and ReLU, both losses, L from 1 to 5000, K from 1 to 700, N from 1 to 45,056. A, B and X are drawn from a dyadic grid on
which every partial sum of Z is exact in f32 in any order, which is checked, because a mask that flips by rounding is
an error of size 1, not a rounding; some Z are exactly 0 and exactly T and are counted. The mask is 1 at both ends,
and ReLU's is 1 at 0. Targets are at least 0.25 away from Y (from sigmoid(Y) with sigmoid_mse), most on one side, so that
e does not cancel. ReLU nets carry a small clip, which must be ignored.

To check the checker, without wgrad: `--self-test` puts a plain f32 numpy implementation in its place, which must
pass, and `--self-test --sabotage KIND` makes it wrong, which must end in exit status 1.
KIND: value (one element of A1.grad), nan, missing, shape, mask-low, mask-high (the mask without its lower or upper end), half
(the second perspective's share of tied weights forgotten), sign (of d.grad). Without a KIND it is value.
"""

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

SEED = 20261
BOUND = 1e-5
APART = 0.25
EXACT = 2**24  # integers up to here, times one power of two, are exact in f32
LARGEST_L, LARGEST_K, LARGEST_N, LARGEST_DENSE = 5000, 700, 45056, 2_000_000
SABOTAGES = ("value", "nan", "missing", "shape", "mask-low", "mask-high", "half", "sign")

# Activation, loss and tied go round independently of the sizes: 12 combinations for each kind of batch.
COMBINATIONS = list(itertools.product((False, True), ("crelu", "screlu", "relu"), ("mse", "sigmoid_mse")))

# The ends of the ranges, taken first: (L, K, N) and (L, K, N, F).
DENSE_ENDS = [
    (1, 1, 1), (5000, 700, 400), (5000, 1, 400), (5000, 33, 1), (44, 3, LARGEST_N), (1, 700, 2003),
    (2604, 255, 768), (1, 1, LARGEST_N), (4097, 65, 129), (3, 699, 17), (5000, 1, 1), (31, 17, 63),
]  # fmt: skip
SPARSE_ENDS = [
    (1, 1, 1, 1), (64, 700, LARGEST_N, 32), (5000, 699, 768, 32), (1, 129, LARGEST_N, 40), (5000, 1, LARGEST_N, 30),
    (2000, 127, LARGEST_N, 30), (5000, 3, 1, 1), (257, 65, 40, 64), (4999, 257, 768, 32), (1, 700, 1, 3),
    (33, 31, LARGEST_N - 1, 1), (4096, 128, 768, 32),
]  # fmt: skip


class Case:
    """One network and batch: the shapes, the numbers, and what float64 autograd makes of them."""

    def __init__(self, index):
        self.index = index
        rng = np.random.default_rng((SEED, index))
        self.sparse = index % 2 == 1
        turn = index // 2
        self.tied, self.activation, self.loss = COMBINATIONS[turn % len(COMBINATIONS)]
        self.f = None
        ends = SPARSE_ENDS if self.sparse else DENSE_ENDS
        if turn < len(ends):
            self.l, self.k, self.n, *rest = ends[turn]
            self.f = rest[0] if rest else None
        else:
            self.draw_sizes(rng)
        self.draw_grid(rng)
        self.draw_rest(rng)

    def draw_sizes(self, rng):
        def spread(top):  # from 1 to top, each power of two as likely as another, odd ones twice as likely
            value = int(np.exp(rng.uniform(0.0, np.log(top + 1))))
            return min(value | int(rng.integers(0, 2)), top)

        while True:
            self.l, self.k, self.n = spread(LARGEST_L), spread(LARGEST_K), spread(LARGEST_N)
            if self.sparse:
                self.f = int(rng.integers(1, 49))
                if self.k * self.n <= 8_000_000 and self.l * self.k * self.f <= 60_000_000:
                    return
            elif self.l * self.n <= LARGEST_DENSE and self.l * self.k * self.n <= 400_000_000 and self.k * self.n <= 8_000_000:
                return

    def draw_grid(self, rng):
        """A, B, X and T as integers times powers of two, and the proof that Z is exact in f32."""
        perspectives = 1 if self.tied else 2
        if self.sparse:
            x_power, x_square = 0, 1.0
            terms = min(self.f, self.n)
            ones = rng.integers(0, terms + 1, size=(2, self.l))
            ones = np.maximum(ones, rng.integers(0, terms + 1, size=(2, self.l)))  # rather many than few
            self.x = [self.draw_lists(rng, count) for count in ones]
            usual = max(1.0, terms * 2 / 3)
            x_largest = 1
        else:
            x_power, x_square, terms, usual = -2, 0.375, self.n, float(self.n)
            sign = np.where(rng.random((2, self.l, self.n)) < 0.15, -1, 1)
            whole = (rng.integers(0, 5, size=(2, self.l, self.n)) * sign).astype(np.float32)
            self.x = [np.ascontiguousarray(one * np.float32(2.0**x_power)) for one in whole]
            x_largest = 4
        # A from -7 to 7 units, so that Z has a deviation of about 1
        a_power = int(np.floor(np.log2(1.0 / np.sqrt(usual * x_square) / 4.3)))
        whole = [rng.integers(-7, 8, size=(self.k, self.n), dtype=np.int8) for _ in range(perspectives)]
        if self.k * self.n < 16:  # a network whose few weights are all 0 would show nothing
            whole = [np.where(one == 0, np.int8(5), one) for one in whole]
        self.a = [one.astype(np.float32) * np.float32(2.0**a_power) for one in whole]
        unit = 2.0 ** (a_power + x_power)
        self.b = [np.round(rng.normal(0.2, 0.5, self.k) / unit) * unit for _ in range(perspectives)]
        self.t = float(max(1.0, np.round(rng.uniform(0.5, 2.0) / unit)) * unit)
        if self.activation == "relu":
            self.clip = 0.25
        else:
            self.clip = self.t

        # some rows get the bias that puts one sample on 0 or on T
        with torch.no_grad():
            products = [self.product(p, self.a[p % perspectives]).numpy() for p in range(2)]
        for p in range(perspectives):
            for row in rng.choice(self.k, size=max(1, self.k // 10), replace=False):
                from_p = int(rng.integers(0, 2)) if self.tied else p
                end = 0.0 if rng.random() < 0.5 else self.t
                self.b[p][row] = end - products[from_p][rng.integers(0, self.l), row]
        z = [products[p] + self.b[p % perspectives] for p in range(2)]
        self.b = [one.astype(np.float32) for one in self.b]

        b_largest = max(np.abs(one.astype(np.float64)).max() for one in self.b) / unit
        if terms * 7 * x_largest + b_largest >= EXACT:
            raise AssertionError(f"case {self.index}: partial sums of Z may leave f32's exact range")
        self.hits = [0, 0]
        for one in z:
            units = one / unit
            if not ((units == np.round(units)).all() and np.abs(units).max() < EXACT):
                raise AssertionError(f"case {self.index}: Z is not on its grid")
            if not (one.astype(np.float32).astype(np.float64) == one).all() or np.float32(self.t) != self.t:
                raise AssertionError(f"case {self.index}: Z or T is not exact in f32")
            self.hits[0] += int((one == 0).sum())
            self.hits[1] += int((one == self.t).sum()) if self.activation != "relu" else 0
        self.z_known = z

    def draw_lists(self, rng, counts):
        """Index lists [L, F] without duplicates, count[s] of them not -1, in random places."""
        lists = np.full((self.l, self.f), -1, dtype=np.int32)
        for s, count in enumerate(counts):
            if count:
                places = rng.permutation(self.f)[:count]
                lists[s, places] = rng.choice(self.n, size=count, replace=False, shuffle=True)
        return lists

    def draw_rest(self, rng):
        """C, d and the targets, from the activations' real size."""
        h = np.concatenate([self.plain_activation(z) for z in self.z_known], axis=1)
        c = rng.normal(0.0, 1.0, 2 * self.k)
        if self.k < 8:  # so that tied gradients do not cancel between the perspectives
            c = np.abs(c) + 0.5
            c *= np.tile(np.where(rng.random(self.k) < 0.5, -1.0, 1.0), 2)
        raw = h @ c
        c *= min(1.0 / np.sqrt(2 * self.k), (0.7 if self.loss == "sigmoid_mse" else 4.0) / max(np.abs(raw).max(), 1e-3))
        self.c = c.astype(np.float32)
        raw = h @ self.c.astype(np.float64)
        self.d = np.array([np.copysign(rng.uniform(0.1, 0.28), raw.mean())], dtype=np.float32)
        y = raw + np.float64(self.d[0])
        side = 1.0 if rng.random() < 0.5 else -1.0
        sides = np.full(self.l, side)
        if self.l >= 20:
            sides[rng.random(self.l) < 0.08] = -side
        if self.loss == "mse":
            self.target = y + sides * (APART + 1e-3 + rng.exponential(0.5, self.l))
            away_from = y
        else:
            away_from = 1.0 / (1.0 + np.exp(-y))
            room = np.where(sides > 0, 1.0 - away_from, away_from) - APART
            if room.min() < 1e-3:
                raise AssertionError(f"case {self.index}: no room for the targets")
            self.target = away_from + sides * (APART + room * rng.uniform(1e-3, 1.0, self.l))
            self.target = np.clip(self.target, 0.0, 1.0)
        self.target = self.target.astype(np.float32)
        if np.abs(self.target - away_from).min() < APART:
            raise AssertionError(f"case {self.index}: a target is nearer than {APART}")

    def plain_activation(self, z):
        h = np.maximum(z, 0.0)
        if self.activation != "relu":
            h = np.minimum(h, self.t)
        return h * h if self.activation == "screlu" else h

    def product(self, p, a, leaf=None):
        """X_p * A_p^T in float64, [L, K]; `leaf` is the tensor to differentiate, `a` where there is none."""
        if self.sparse:
            table = leaf if leaf is not None else self.table(a)
            lists = torch.from_numpy(self.x[p].astype(np.int64))
            lists = torch.where(lists < 0, self.n, lists)
            return torch.nn.functional.embedding_bag(lists, table, mode="sum", padding_idx=self.n)
        a = leaf if leaf is not None else torch.from_numpy(a.astype(np.float64))
        return torch.from_numpy(self.x[p].astype(np.float64)) @ a.T

    def table(self, a):
        """A^T with one more row, of zeros, for the padding: [N + 1, K]."""
        table = torch.zeros((self.n + 1, self.k), dtype=torch.float64)
        table[: self.n] = torch.from_numpy(a).T
        return table

    def autograd(self):
        """All outputs by name, in float64, and the sum of |e|."""

        def leaf(values):
            return values.detach().clone().requires_grad_(True)

        a = [leaf(self.table(one)) if self.sparse else leaf(torch.from_numpy(one.astype(np.float64))) for one in self.a]
        b = [leaf(torch.from_numpy(one.astype(np.float64))) for one in self.b]
        c = leaf(torch.from_numpy(self.c.astype(np.float64)))
        d = leaf(torch.from_numpy(self.d.astype(np.float64)))
        last = len(a) - 1
        z = torch.cat([self.product(p, None, a[min(p, last)]) + b[min(p, last)] for p in range(2)], dim=1)
        if not (z.detach().numpy() == np.concatenate(self.z_known, axis=1)).all():
            raise AssertionError(f"case {self.index}: Z in autograd is not the exact one")
        # where, not clamp: the gradient passes for 0 <= Z <= T, both ends included
        h = torch.where(z < 0, torch.zeros_like(z), z)
        if self.activation != "relu":
            h = torch.where(z > self.t, torch.full_like(z, self.t), h)
        if self.activation == "screlu":
            h = h * h
        y = h @ c + d
        y.retain_grad()
        t = torch.from_numpy(self.target.astype(np.float64))
        loss = (((torch.sigmoid(y) if self.loss == "sigmoid_mse" else y) - t) ** 2).mean()
        loss.backward()
        outputs = {"Y": y.detach().numpy(), "loss": loss.detach().numpy().reshape(1)}
        for p in range(len(a)):
            outputs[f"A{p + 1}.grad"] = a[p].grad[: self.n].T.numpy() if self.sparse else a[p].grad.numpy()
            outputs[f"B{p + 1}.grad"] = b[p].grad.numpy()
        outputs["C.grad"], outputs["d.grad"] = c.grad.numpy(), d.grad.numpy()
        return outputs, float(y.grad.abs().sum())

    def write(self, directory):
        net = {"C": self.c, "d": self.d}
        for p, (a, b) in enumerate(zip(self.a, self.b)):
            net[f"A{p + 1}"], net[f"B{p + 1}"] = a, b
        inputs = "indices" if self.sparse else "X"
        batch = {f"{inputs}1": self.x[0], f"{inputs}2": self.x[1], "Y_exp": self.target}
        paths = [os.path.join(directory, name) for name in ("net.safetensors", "batch.safetensors", "out.safetensors")]
        tied = "true" if self.tied else "false"
        save_file(net, paths[0], metadata={"activation": self.activation, "clip": repr(self.clip), "tied": tied})
        save_file(batch, paths[1], metadata={"loss": self.loss})
        return paths

    def __str__(self):
        f = f" F={self.f}" if self.sparse else ""
        t = "" if self.activation == "relu" else f" T={self.t:.6g}"
        hits = f"Z=0: {self.hits[0]}" + ("" if self.activation == "relu" else f", Z=T: {self.hits[1]}")
        return (
            f"case {self.index:3}  {'sparse' if self.sparse else 'dense':6} {'tied' if self.tied else 'untied':6} "
            f"{self.activation:6} {self.loss:11} L={self.l} K={self.k} N={self.n}{f}{t}  {hits} "
        )


def compare(case, path):
    """The error of each output, and what is wrong beside errors."""
    expected, absolute_e = case.autograd()
    if not os.path.exists(path):
        return {}, ["no output file"]
    got = load_file(path)
    errors, wrong = {}, []
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
        size = absolute_e if name == "d.grad" else np.linalg.norm(reference)
        distance = np.linalg.norm((value - reference).ravel())
        errors[name] = 0.0 if distance == 0.0 else distance / size if size > 0 else np.inf
        if not errors[name] <= BOUND:
            wrong.append(f"{name} is off by {errors[name]:.2e}")
    wrong += [f"{name} should not be there: the net is tied" for name in ("A2.grad", "B2.grad") if case.tied and name in got]
    return errors, wrong


def run_wgrad(program, device, timeout, net, batch, out):
    command = [program, "gradients", "--net", net, "--batch", batch, "--out", out]
    if device is not None:
        command += ["--device", device]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.exit(f"{program} does not start: {error}")
    except subprocess.TimeoutExpired:
        return f"no answer within {timeout} s"
    if done.returncode != 0:
        return f"exit status {done.returncode}: {done.stderr.strip()[-600:]}"
    return None


def run_stand_in(sabotage, net_path, batch_path, out_path):
    """What `wgrad gradients` does, from the files alone, in plain f32 numpy by the formulas (no autograd)."""
    f32 = np.float32
    net, batch = load_file(net_path), load_file(batch_path)
    with safe_open(net_path, "np") as file:
        about = file.metadata()
    with safe_open(batch_path, "np") as file:
        sigmoid = file.metadata()["loss"] == "sigmoid_mse"
    tied, activation, clip = about["tied"] == "true", about["activation"], f32(about["clip"])
    names = ("1", "1") if tied else ("1", "2")
    k = len(net["C"]) // 2
    sparse = "indices1" in batch
    l = len(batch["Y_exp"])
    z = np.empty((l, 2 * k), f32)
    for p, name in enumerate(names):
        a = net["A" + name]
        if sparse:
            lists = batch[f"indices{p + 1}"]
            table = np.vstack([a.T, np.zeros((1, k), f32)])  # -1 finds the last row
            for s in range(0, l, 256):
                z[s : s + 256, p * k : (p + 1) * k] = table[lists[s : s + 256]].sum(axis=1, dtype=f32)
        else:
            z[:, p * k : (p + 1) * k] = batch[f"X{p + 1}"] @ a.T
        z[:, p * k : (p + 1) * k] += net["B" + name]
    low = z > 0 if sabotage == "mask-low" else z >= 0
    high = z < clip if sabotage == "mask-high" else z <= clip
    mask = low if activation == "relu" else low & high
    h = np.maximum(z, f32(0)) if activation == "relu" else np.minimum(np.maximum(z, f32(0)), clip)
    slope = mask.astype(f32)
    if activation == "screlu":
        slope, h = f32(2) * h * slope, h * h
    y = h @ net["C"] + net["d"][0]
    t = batch["Y_exp"]
    if sigmoid:
        answer = f32(1) / (f32(1) + np.exp(-y))
        e = f32(2) / f32(l) * (answer - t) * answer * (f32(1) - answer)
    else:
        answer = y
        e = f32(2) / f32(l) * (y - t)
    out = {"Y": y, "loss": ((answer - t) ** 2).mean(dtype=f32).reshape(1)}
    out["C.grad"], out["d.grad"] = e @ h, e.sum(dtype=f32).reshape(1)
    back = slope * e[:, None] * net["C"][None, :]
    for p, name in enumerate(names):
        if sabotage == "half" and tied and p == 1:
            continue
        part = np.ascontiguousarray(back[:, p * k : (p + 1) * k])
        if sparse:
            lists = batch[f"indices{p + 1}"]
            sample, place = np.nonzero(lists >= 0)
            feature = lists[sample, place]
            order = np.argsort(feature, kind="stable")
            sample, feature = sample[order], feature[order]
            starts = np.flatnonzero(np.r_[True, feature[1:] != feature[:-1]]) if len(feature) else []
            gradient = np.zeros((k, net["A" + name].shape[1]), f32)
            for row in range(0, k if len(feature) else 0, 64):
                gradient[row : row + 64, feature[starts]] = np.add.reduceat(part[sample, row : row + 64], starts, axis=0).T
        else:
            gradient = part.T @ batch[f"X{p + 1}"]
        for key, value in (("A", gradient), ("B", part.sum(axis=0, dtype=f32))):
            key = f"{key}{name}.grad"
            out[key] = out[key] + value if key in out else value
    if sabotage == "value":
        out["A1.grad"].flat[-1] += f32(1e-4) * max(np.linalg.norm(out["A1.grad"]), f32(1e-6))
    elif sabotage == "nan":
        out["B1.grad"][0] = np.nan
    elif sabotage == "missing":
        del out["C.grad"]
    elif sabotage == "shape":
        out["A1.grad"] = out["A1.grad"].T.reshape(out["A1.grad"].shape[::-1])
    elif sabotage == "sign":
        out["d.grad"] = -out["d.grad"]
    save_file({key: np.ascontiguousarray(value) for key, value in out.items()}, out_path)


def main():
    parser = argparse.ArgumentParser(description="cross-check of `wgrad gradients` against PyTorch's float64 autograd")
    parser.add_argument("--wgrad", default="target/release/wgrad", help="the program")
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--device", help="passed on; wgrad's own choice unless given")
    parser.add_argument("--only", type=int, help="the number of one case to run alone")
    parser.add_argument("--keep", metavar="DIR", help="write the files here and leave them (of the last case run)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one call")
    parser.add_argument("--self-test", action="store_true", help="an f32 numpy implementation in wgrad's place")
    parser.add_argument("--sabotage", nargs="?", const="value", choices=SABOTAGES, help="with --self-test: make it wrong")
    options = parser.parse_args()
    if options.sabotage and not options.self_test:
        parser.error("--sabotage goes with --self-test")
    indices = range(options.cases) if options.only is None else [options.only]
    who = "the stand-in" + (f" with {options.sabotage} wrong" if options.sabotage else "") if options.self_test else options.wgrad
    print(f"seed {SEED}, {len(indices)} cases, torch {torch.__version__}, {who}, device {options.device or 'not given'}", flush=True)

    worst, failed, hits, seconds = {}, [], [0, 0], 0.0
    for index in indices:
        case = Case(index)
        hits = [hits[0] + case.hits[0], hits[1] + case.hits[1]]
        with contextlib.ExitStack() as stack:
            if options.keep:
                directory = options.keep
                os.makedirs(directory, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    os.remove(os.path.join(directory, "out.safetensors"))
            else:
                directory = stack.enter_context(tempfile.TemporaryDirectory())
            net, batch, out = case.write(directory)
            begun = time.perf_counter()
            if options.self_test:
                trouble = run_stand_in(options.sabotage, net, batch, out)
            else:
                trouble = run_wgrad(options.wgrad, options.device, options.timeout, net, batch, out)
            seconds += time.perf_counter() - begun
            errors, wrong = ({}, [trouble]) if trouble else compare(case, out)
        for name, error in errors.items():
            worst[name] = max(worst.get(name, (0.0, index)), (error, index))
        if wrong:
            failed.append(index)
            verdict = "FAILED: " + "; ".join(wrong)
        else:
            name = max(errors, key=errors.get)
            verdict = f"worst {errors[name]:.1e} ({name})  ok"
        print(f"{case} {verdict}", flush=True)
        del case

    order = ("Y", "loss", "A1.grad", "A2.grad", "B1.grad", "B2.grad", "C.grad", "d.grad")
    print("worst: " + ", ".join(f"{name} {worst[name][0]:.2e} (case {worst[name][1]})" for name in order if name in worst))
    print(f"Z exactly 0: {hits[0]}, exactly T: {hits[1]}; {seconds:.0f} s in {'the stand-in' if options.self_test else 'wgrad'}")
    if failed:
        print("failed: " + " ".join(str(index) for index in failed))
    print(f"{len(indices) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
