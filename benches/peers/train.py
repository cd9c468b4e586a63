#!/usr/bin/env python3
"""The same training in PyTorch, as a witness for the loss curve of `wgrad train`.

A two-perspective network, (768 -> hidden) x 2 -> 1 with CReLU and T = 1, on bulletformat files, with the defaults of
`wgrad train`: squared error of sigmoid(Y) against sigmoid(score / 400) (lambda 0), batches of 4096, AdamW (0.9, 0.999,
1e-8) at 2e-3 with a cosine to 0 over the whole run, decay 0.01 on all parameters. It runs on the CPU.

    pip install torch numpy
    python benches/peers/train.py --data train.bin --validation validation.bin --epochs 20 --hidden 128 --tied --seed 1

Output: the settings, one line before training and one an epoch with the validation loss, its correlation with the
target, the mean training loss of the epoch and the positions trained a second:

    epoch  1  validation 0.00xxxx  correlation 0.9xxx  training 0.0xxxxx  xxxxxx positions/s

The start is A ~ N(0, 1/128), B = 0.1, C ~ N(0, 1/2K), d = 0, where the second argument of N is a variance;
`--start deviation` and `--start-c deviation` read it as a standard deviation instead.
The curve is a witness, not a reference to the bit: the order of the positions and the start come from torch's generator.
"""

import argparse
import math
import sys
import time

import numpy as np
import torch

FEATURES = 768
MAX_PIECES = 32
SCALE = 400.0
BATCH = 4096
RATE = 2e-3
DECAY = 0.01


def read(path):
    """A bulletformat file -> Chess768 lists [n, 32] of both perspectives, padded with 768, and the targets [n]."""
    raw = np.fromfile(path, dtype=np.uint8)
    if raw.size == 0 or raw.size % 32:
        sys.exit(f"{path}: {raw.size} bytes are not a whole number of 32-byte records")
    records = raw.reshape(-1, 32)
    own = np.full((len(records), MAX_PIECES), FEATURES, dtype=np.int32)
    other = own.copy()
    for begin in range(0, len(records), 65536):
        part = records[begin : begin + 65536]
        taken = np.unpackbits(part[:, :8], axis=1, bitorder="little").astype(bool)  # [n, 64], bit s = square s
        place = np.cumsum(taken, axis=1) - 1  # the how-many-th piece a square holds
        if place[:, -1].max() >= MAX_PIECES:
            sys.exit(f"{path}: a record with more than 32 pieces")
        nibbles = np.empty((len(part), 32), dtype=np.int64)
        nibbles[:, 0::2] = part[:, 8:24] & 15
        nibbles[:, 1::2] = part[:, 8:24] >> 4
        row, square = np.nonzero(taken)
        slot = place[row, square]
        piece = nibbles[row, slot]
        kind, enemy = piece & 7, piece >> 3
        if kind.max() > 5:
            sys.exit(f"{path}: a record with piece code {kind.max()}")
        own[begin + row, slot] = 384 * enemy + 64 * kind + square
        other[begin + row, slot] = 384 * (1 - enemy) + 64 * kind + (square ^ 56)
    score = records[:, 24:26].copy().view("<i2")[:, 0].astype(np.float64)
    target = 1.0 / (1.0 + np.exp(-score / SCALE))
    return torch.from_numpy(own), torch.from_numpy(other), torch.from_numpy(target.astype(np.float32))


class Net(torch.nn.Module):
    def __init__(self, hidden, tied, deviation_a, deviation_c):
        super().__init__()
        self.tied = tied
        bags, biases = [], []
        for _ in range(1 if tied else 2):
            bag = torch.nn.EmbeddingBag(FEATURES + 1, hidden, mode="sum", padding_idx=FEATURES)
            with torch.no_grad():
                bag.weight.normal_(0.0, deviation_a)
                bag.weight[FEATURES].zero_()
            bags.append(bag)
            biases.append(torch.nn.Parameter(torch.full((hidden,), 0.1)))
        self.a = torch.nn.ModuleList(bags)
        self.b = torch.nn.ParameterList(biases)
        self.c = torch.nn.Parameter(torch.randn(2 * hidden) * deviation_c)
        self.d = torch.nn.Parameter(torch.zeros(1))

    def forward(self, own, other):
        last = len(self.a) - 1
        z = torch.cat((self.a[0](own) + self.b[0], self.a[last](other) + self.b[last]), dim=1)
        # where, not clamp: the gradient is 1 at both ends
        h = torch.where(z < 0, torch.zeros_like(z), torch.where(z > 1, torch.ones_like(z), z))
        return h @ self.c + self.d


def validate(net, own, other, target):
    with torch.no_grad():
        p = torch.cat([torch.sigmoid(net(own[i : i + 16384], other[i : i + 16384])) for i in range(0, len(target), 16384)])
    p, t = p.double(), target.double()
    correlation = torch.corrcoef(torch.stack((p, t)))[0, 1].item()
    return ((p - t) ** 2).mean().item(), correlation


def main():
    parser = argparse.ArgumentParser(description="train the two-perspective network in PyTorch on the CPU")
    parser.add_argument("--data", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, help="threads for torch (its own choice unless given)")
    parser.add_argument("--start", choices=("variance", "deviation"), default="variance", help="what 1/128 is in A ~ N(0, 1/128)")
    parser.add_argument("--start-c", choices=("variance", "deviation"), default="variance", help="what 1/2K is in C ~ N(0, 1/2K)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    own, other, target = read(options.data)
    validation = read(options.validation)
    deviation_a, deviation_c = 1 / 128, 1 / (2 * options.hidden)
    if options.start == "variance":
        deviation_a = math.sqrt(deviation_a)
    if options.start_c == "variance":
        deviation_c = math.sqrt(deviation_c)
    net = Net(options.hidden, options.tied, deviation_a, deviation_c)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=DECAY)
    steps_an_epoch = -(-len(target) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=options.epochs * steps_an_epoch)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, seed {options.seed}; "
        f"{len(target)} positions, {len(validation[2])} for validation; hidden {options.hidden}, "
        f"{'tied' if options.tied else 'untied'}, {options.epochs} epochs; start: deviation of A {deviation_a:.6f}, of C {deviation_c:.6f}"
    )
    loss, correlation = validate(net, *validation)
    print(f"start     validation {loss:.6f}  correlation {correlation:.4f}", flush=True)

    for epoch in range(1, options.epochs + 1):
        order = torch.randperm(len(target))
        total, begun = 0.0, time.perf_counter()
        for i in range(0, len(target), BATCH):
            rows = order[i : i + BATCH]
            error = torch.sigmoid(net(own[rows], other[rows])) - target[rows]
            loss = (error * error).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(rows)
        seconds = time.perf_counter() - begun
        loss, correlation = validate(net, *validation)
        print(
            f"epoch {epoch:2}  validation {loss:.6f}  correlation {correlation:.4f}  "
            f"training {total / len(target):.6f}  {len(target) / seconds:.0f} positions/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
