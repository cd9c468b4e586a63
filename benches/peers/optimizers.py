#!/usr/bin/env python3
"""200 steps of wgrad's optimizers against PyTorch's in float64.

    pip install torch numpy
    cargo test --release --test tensor descent_follows -- --nocapture | python benches/peers/optimizers.py

The test minimizes x^4/4 + c·x, with a c that turns with the step, from four starts, on the reference, the CPU and an
adapter. Exit status 1 if a parameter is further than 2e-5 from PyTorch's, or if a line of one of these is missing.
"""

import sys

import numpy as np
import torch


def f32(value):
    return float(np.float32(value))


BETAS = (f32(0.9), f32(0.999))
RADAM = {"decoupled_weight_decay": True}
OPTIMIZERS = {
    "sgd (momentum 0)": lambda x: torch.optim.SGD([x], f32(0.01)),
    "sgd (momentum 0.9)": lambda x: torch.optim.SGD([x], f32(0.01), momentum=f32(0.9)),
    "adamw (decay 0.01)": lambda x: torch.optim.AdamW([x], f32(0.01), BETAS, f32(1e-8), f32(0.01)),
    "radam (decay 0.01)": lambda x: torch.optim.RAdam([x], f32(0.01), BETAS, f32(1e-8), f32(0.01), **RADAM),
    "radam (decay 0.3)": lambda x: torch.optim.RAdam([x], f32(0.01), (f32(0.9),) * 2, f32(0.03), f32(0.3), **RADAM),
}
SLOPES = (0.5, -0.25, 0.75, -1.0)


def expected(name, start):
    x = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optimizer = OPTIMIZERS[name](x)
    for step in range(1, 201):
        x.grad = x.detach() ** 3 + SLOPES[step % 4]
        optimizer.step()
    return x.item()


def main():
    seen, worst = set(), 0.0
    for line in sys.stdin:
        # The test harness may print before it on the same line.
        at = line.find("optimizer;")
        if at < 0:
            continue
        _, device, name, start, found = line[at:].strip().split(";")
        if name in OPTIMIZERS:
            seen.add(name)
            error = abs(float(found) - expected(name, float(start)))
            worst = max(worst, error)
            if not error <= 2e-5:
                sys.exit(f"{device}: {name} from {start}: {found}, PyTorch {expected(name, float(start))}")
    if seen != set(OPTIMIZERS):
        sys.exit(f"no line of {sorted(set(OPTIMIZERS) - seen)}")
    print(f"{len(seen)} optimizers, worst error {worst:.1e}")


main()
