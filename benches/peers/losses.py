#!/usr/bin/env python3
"""e and the value of each of wgrad's losses against PyTorch's float64 autograd, with and without weights.

    pip install torch numpy safetensors
    python benches/peers/losses.py --wgrad target/release/wgrad --device cpu

A network whose output is its one input (dense, ReLU, Y = x·C + d per sample) makes d.grad the sum of e; batches of one
sample make it e itself. Exit status 1 if a value or an e is off by more than 1e-5 relative, or 1e-7 absolute.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

STOCKFISH = {"scale": 600.0, "offset": 270.0, "scaling": 340.0}
LOSSES = [
    {"link": "identity", "power": 2.0},
    {"link": "sigmoid", "power": 2.0},
    {"link": "sigmoid", "power": 2.5},
    {"link": "sigmoid", "power": 2.5, "asymmetry": 0.25},
    {"link": "sigmoid", "power": 2.0, "cross_entropy": True},
    {"link": "sigmoid", "power": 2.5, "asymmetry": 0.1, "win_rate": STOCKFISH},
]
POINTS = [(-4.0, 0.0), (-0.5, 0.75), (0.25, 0.25), (0.25, 0.9), (1.5, 0.5), (3.0, 1.0), (6.0, 0.125)]


def of_torch(loss, y, target, weight):
    y = torch.tensor(y, dtype=torch.float64, requires_grad=True)
    t = torch.tensor(float(np.float32(target)), dtype=torch.float64)
    if loss.get("cross_entropy"):
        value = torch.nn.functional.binary_cross_entropy_with_logits(y, t)
    else:
        p = y if loss["link"] == "identity" else torch.sigmoid(y)
        if model := loss.get("win_rate"):
            s, o, k = model["scale"], model["offset"], model["scaling"]
            p = 0.5 * (1 + torch.sigmoid((y * s - o) / k) - torch.sigmoid((-y * s - o) / k))
        value = (p - t).abs() ** loss["power"] * torch.where(p > t, 1 + loss.get("asymmetry", 0.0), 1.0)
    value = weight * value
    value.backward()
    return value.item(), y.grad.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wgrad", required=True)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory:
        net, batch, out = (os.path.join(directory, name + ".safetensors") for name in ("net", "batch", "out"))
        for loss in LOSSES:
            for y, target in POINTS:
                for weight in (None, 0.75):
                    one = np.ones((1, 1), np.float32)
                    bias = {"C": np.zeros(2, np.float32), "d": np.array([y], np.float32)}
                    tensors = {"A1": one, "A2": one, "B1": one[0], "B2": one[0], **bias}
                    save_file(tensors, net, metadata={"activation": "relu", "clip": "1", "tied": "false"})
                    samples = {"X1": one, "X2": one, "Y_exp": np.array([target], np.float32)}
                    if weight is not None:
                        samples["weights"] = np.array([weight], np.float32)
                    save_file(samples, batch, metadata={"loss": json.dumps(loss)})
                    command = [options.wgrad, "gradients", "--net", net, "--batch", batch, "--out", out]
                    subprocess.run([*command, "--device", options.device], check=True)
                    got = load_file(out)
                    expected = of_torch(loss, y, target, 1.0 if weight is None else weight)
                    for found, reference in zip((got["loss"][0], got["d.grad"][0]), expected):
                        error = abs(float(found) - reference)
                        if not error <= 1e-5 * abs(reference) + 1e-7:
                            sys.exit(f"{loss} at Y = {y}, t = {target}: {found}, PyTorch {reference}")
                        worst = max(worst, error)
    print(f"{len(LOSSES)} losses, worst error {worst:.1e}")


main()
