#!/usr/bin/env python3
"""The training recipe of bullet's `simple` example in float64, beside a run of `wgrad train`.

The recipe: (768 -> 128) x 2 -> 1 with one accumulator for both perspectives and SCReLU; squared
error of sigmoid(Y) against 0.75 * result + 0.25 * sigmoid(score / 400); batches of 16,384 in the
order of the file, which starts again at its end; AdamW without bias correction (0.9, 0.999, 1e-8),
decay 0.01, every parameter within +-1.98; a learning rate of 1e-3, times 0.1 after every 18
superbatches. This is an independent implementation: the schedule, the update and the gradients
(PyTorch's autograd) are not those of wgrad. Only the initial parameters and the data are the same.

wgrad's reference computes in float64 too, from settings in float32, so the numbers of the recipe
are rounded here. Without that the losses of two float64 runs differ by up to 7e-4 after 300
batches: without bias correction the first steps are large, and rounding changes their course.
Runs in float32, here or in wgrad, differ from float64 by as much.

    pip install torch numpy safetensors
    wgrad train examples/configs/simple.toml --data train.bin --superbatches 3 \\
        --batches-per-superbatch 100 --keep 0 --device reference --out run
    python benches/peers/recipe.py --run run --data train.bin --batches-per-superbatch 100

Output: the loss of both at every 25th batch, and the largest relative difference over all batches.
The exit status is 1 if it exceeds 1e-4. `--every SUPERBATCHES` shortens the 18 superbatches, to
test the step of the schedule in a short run; the run then needs `--schedule step:0.1,SUPERBATCHES`.
`--sabotage bias-correction` (or decay, clip, lambda, rate) changes the recipe here: the check must
then fail.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

import train as positions

BATCH = 16384


def rounded(number):
    """A number as a float32 holds it."""
    return float(np.float32(number))


DECAY, BETA1, BETA2, EPSILON, LIMIT = map(rounded, (0.01, 0.9, 0.999, 1e-8, 1.98))
RATE, FACTOR = rounded(1e-3), rounded(0.1)
SCALE = 400.0
BOUND = 1e-4


def features(path):
    """Feature lists of both perspectives [n, 32], padded with 768."""
    inputs = positions.Inputs("chess768", None)
    return positions.read(path, inputs, positions.output_table("1"))


def targets(path, share):
    raw = np.fromfile(path, dtype=np.uint8).reshape(-1, 32)
    score = raw[:, 24:26].copy().view("<i2")[:, 0].astype(np.float64)
    result = raw[:, 26].astype(np.float64) / 2
    return torch.from_numpy(share * result + (1 - share) / (1 + np.exp(-score / SCALE)))


def outputs(parameters, own, other):
    """Y [L] from parameters A [768, K], B [K], C [2K] and d [1]."""
    a, b, c, d = parameters
    table = torch.cat([a, torch.zeros(1, a.shape[1], dtype=a.dtype)])
    hidden = [
        torch.nn.functional.embedding_bag(lists, table, mode="sum") + b for lists in (own, other)
    ]
    active = [torch.clamp(z, 0, 1) ** 2 for z in hidden]
    return torch.cat(active, dim=1) @ c + d


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batches-per-superbatch", type=int, default=6104)
    parser.add_argument("--every", type=int, default=18)
    parser.add_argument(
        "--sabotage", choices=["bias-correction", "decay", "clip", "lambda", "rate"]
    )
    options = parser.parse_args()
    wrong = options.sabotage

    log = [json.loads(line) for line in open(options.run / "log.jsonl", encoding="utf-8")]
    theirs = [line["loss"] for line in log if line["kind"] == "step"]
    start = load_file(options.run / "checkpoints" / "step-00000000.safetensors")
    leaves = [start["A1"].T, start["B1"], start["C"].reshape(-1), start["d"].reshape(-1)]
    leaves = [torch.from_numpy(np.array(leaf, dtype=np.float64)) for leaf in leaves]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    first = [torch.zeros_like(leaf) for leaf in leaves]
    second = [torch.zeros_like(leaf) for leaf in leaves]
    data = features(options.data)
    target = targets(options.data, 0.5 if wrong == "lambda" else 0.75)
    own, other = data.own.long(), data.other.long()

    place, worst, at = 0, 0.0, 0
    for step, loss_of_run in enumerate(theirs, start=1):
        rows = slice(place, min(place + BATCH, len(target)))
        place = 0 if rows.stop == len(target) else rows.stop
        y = outputs(leaves, own[rows], other[rows])
        loss = ((torch.sigmoid(y) - target[rows]) ** 2).mean()
        gradients = torch.autograd.grad(loss, leaves)
        superbatch = (step - 1) // options.batches_per_superbatch
        rate = rounded(RATE * FACTOR ** (superbatch // options.every))
        if wrong == "rate":
            rate *= 1.01
        decay = rounded(1 - rate * (0.02 if wrong == "decay" else DECAY))
        with torch.no_grad():
            for leaf, m, v, gradient in zip(leaves, first, second, gradients):
                leaf *= decay
                m += (1 - BETA1) * (gradient - m)
                v += (1 - BETA2) * (gradient**2 - v)
                mean, square = m, v
                if wrong == "bias-correction":
                    mean, square = m / (1 - BETA1**step), v / (1 - BETA2**step)
                leaf -= rate * mean / (square.sqrt() + EPSILON)
                limit = 0.2 if wrong == "clip" else LIMIT
                leaf.clamp_(-limit, limit)
        difference = abs(loss_of_run / loss.item() - 1)
        # A difference that is no number is the worst of all.
        if not difference <= worst and not math.isnan(worst):
            worst, at = difference, step
        if step % 25 == 0 or step == 1:
            print(f"batch {step:5}  float64 {loss.item():.8f}  wgrad {loss_of_run:.8f}", flush=True)
    print(f"{len(theirs)} batches: largest relative difference {worst:.2e}, at batch {at}")
    sys.exit(0 if theirs and worst <= BOUND else 1)


if __name__ == "__main__":
    main()
