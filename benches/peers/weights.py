#!/usr/bin/env python3
"""Networks move between wgrad and PyTorch in safetensors files: the digits' network of `examples/05_digits.rs`, both ways.

    pip install torch numpy safetensors
    cargo build --release --example 05_digits
    python benches/peers/weights.py --example target/release/examples/05_digits

wgrad trains and saves; PyTorch loads the file by `load_state_dict` with every name demanded, tests it, then trains a network
of its own, which wgrad loads. Each file has to give the same accuracy on both sides. Exit status 1 if not. Output:

    trained by wgrad, read by PyTorch  wgrad 98.33%  PyTorch 98.33%  ok
    trained by PyTorch, read by wgrad  wgrad 97.77%  PyTorch 97.77%  ok
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file

DATA = "examples/data/digits.csv"


def network():
    from torch.nn import BatchNorm1d, Linear, ReLU, Sequential

    return Sequential(
        Linear(64, 128), BatchNorm1d(128), ReLU(), Linear(128, 64), BatchNorm1d(64), ReLU(), Linear(64, 10)
    )


def accuracy(net, images, labels):
    net.eval()
    with torch.no_grad():
        return 100.0 * (net(images).argmax(1) == labels).double().mean().item()


def found(example, *options):
    """The accuracy that wgrad prints last."""
    ended = subprocess.run([example, "--device", "cpu", *options], capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{example}: {ended.stderr}")
    return float(re.findall(r"accuracy ([\d.]+)%", ended.stdout)[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--example", required=True, help="the built example 05_digits")
    options = parser.parse_args()

    table = np.loadtxt(DATA, delimiter=",", skiprows=1, dtype=np.float32)
    images, labels = torch.tensor(table[:, :64] / 16), torch.tensor(table[:, 64].astype(np.int64))
    test = torch.arange(len(table)) % 5 == 4
    failed = 0

    def compare(way, ours, theirs):
        nonlocal failed
        same = abs(ours - theirs) < 0.005 + 1e-9  # wgrad prints two places
        failed += not same
        print(f"{way:34} wgrad {ours:.2f}%  PyTorch {theirs:.2f}%  {'ok' if same else 'DIFFERENT'}")

    with tempfile.TemporaryDirectory() as directory:
        ours = str(pathlib.Path(directory) / "wgrad.safetensors")
        theirs = str(pathlib.Path(directory) / "torch.safetensors")
        trained = found(options.example, "--save", ours, "--picture", str(pathlib.Path(directory) / "curves.svg"))
        net = network()
        tensors = load_file(ours)
        # PyTorch counts batches beside the running values; nothing reads the count.
        tensors |= {f"{place}.num_batches_tracked": torch.tensor(0) for place in (1, 4)}
        net.load_state_dict(tensors)
        compare("trained by wgrad, read by PyTorch", trained, accuracy(net, images[test], labels[test]))

        torch.manual_seed(1)
        net = network()
        optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.01)
        x, y = images[~test], labels[~test]
        for _ in range(10):
            for rows in torch.randperm(len(x)).split(64):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
                optimizer.step()
        expected = accuracy(net, images[test], labels[test])
        save_file(net.state_dict(), theirs)
        compare("trained by PyTorch, read by wgrad", found(options.example, "--load", theirs), expected)
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
