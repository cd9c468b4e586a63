#!/usr/bin/env python3
"""The same training in PyTorch, as a witness for the loss curve of `wgrad train`.

A two-perspective network with CReLU accumulators (T = 1) on bulletformat files, with the defaults
of `wgrad train`: squared error of sigmoid(Y) against sigmoid(score / 400) (lambda 0), batches of
4096, AdamW (0.9, 0.999, 1e-8) at 2e-3 with a cosine to 0 over the whole run, decay 0.01 on all
parameters. It runs on the CPU. Inputs, output buckets and head have the options of `wgrad train`
and the definitions of docs/mathematics.md, 1.10 and 1.14 to 1.16.

    pip install torch numpy
    python benches/peers/train.py --data train.bin --validation validation.bin --epochs 20 \\
        --hidden 128 --tied --seed 1
    python benches/peers/train.py --data train.bin --validation validation.bin --epochs 20 \\
        --hidden 128 --tied --pairwise --layers 16:dual,32:crelu --output-buckets material:8

Output: the settings, one line before training and one per epoch with the validation loss, its
correlation with the target, the mean training loss of the epoch and the positions per second:

    epoch  1  validation 0.00xxxx  correlation 0.9xxx  training 0.0xxxxx  xxxxxx positions/s

The start is A ~ N(0, 1/128) with a shared part of 0, B = 0.1, the weights of a layer of the head
~ N(0, 1/inputs of the layer), such as 1/2K for C, and biases of 0. The second argument of N is a
variance; `--start deviation` and `--start-c deviation` read it as a standard deviation instead.
The curve is a witness, not a reference to the bit: the order of the positions and the start come
from torch's generator.
"""

import argparse
import math
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

FEATURES = 768  # of one king bucket
MAX_PIECES = 32
KING = 5
SCALE = 400.0
BATCH = 4096
RATE = 2e-3
DECAY = 0.01
ACTIVATIONS = ("crelu", "screlu", "relu", "dual", "dual-square")


class Inputs:
    """The features of a perspective (1.16). Without king buckets, one bucket holds every square."""

    def __init__(self, name, buckets):
        self.mirrored = name.endswith("-mirrored")
        squares = 32 if self.mirrored else 64
        if name.startswith("king-buckets"):
            table = numbers("--buckets", buckets, squares)
        elif buckets:
            sys.exit(f"--buckets does not go with --inputs {name}")
        else:
            table = np.zeros(squares, dtype=np.int64)
        self.table = table
        self.buckets = int(table.max()) + 1
        self.count = FEATURES * self.buckets

    def place(self, king, row, feature):
        """chess768 features of the records `row` -> features, for the own king on king [n]."""
        flip = np.where(self.mirrored & (king % 8 >= 4), 7, 0)
        square = king ^ flip
        bucket = self.table[square // 8 * 4 + square % 8 if self.mirrored else square]
        return FEATURES * bucket[row] + (feature ^ flip[row])


def numbers(option, text, count):
    """A table of `count` numbers from 0 on without gaps, as `0,0,1`."""
    try:
        table = np.array([int(number) for number in (text or "").split(",")])
    except ValueError:
        sys.exit(f"{option} takes {count} numbers with commas, not {text}")
    if len(table) != count or set(table) != set(range(table.max() + 1)):
        sys.exit(f"{option} takes {count} numbers from 0 on without gaps, not {text}")
    return table


def output_table(text):
    """The output bucket of each number of pieces, [33]."""
    if text == "1":
        return np.zeros(MAX_PIECES + 1, dtype=np.int64)
    if not text.startswith("material:"):
        return numbers("--output-buckets", text, MAX_PIECES + 1)
    count = text.removeprefix("material:")
    if count.isdecimal() and int(count) > 0:
        table = np.maximum(np.arange(MAX_PIECES + 1) - 2, 0) // -(-MAX_PIECES // int(count))
        if table.max() + 1 == int(count):
            return table
    sys.exit(f"--output-buckets {text}: N of material:N is 1 to 8, 11 or 16")


@dataclass
class Positions:
    """Feature lists of both perspectives [n, 32] (padded), output buckets [n] and targets [n]."""

    own: torch.Tensor
    other: torch.Tensor
    bucket: torch.Tensor
    target: torch.Tensor

    def __len__(self):
        return len(self.target)

    def rows(self, rows):
        return Positions(self.own[rows], self.other[rows], self.bucket[rows], self.target[rows])


def read(path, inputs, output_buckets):
    """The positions of a bulletformat file. The padding of a list is the number of features."""
    raw = np.fromfile(path, dtype=np.uint8)
    if raw.size == 0 or raw.size % 32:
        sys.exit(f"{path}: {raw.size} bytes are not a whole number of 32-byte records")
    records = raw.reshape(-1, 32)
    own = np.full((len(records), MAX_PIECES), inputs.count, dtype=np.int32)
    other = own.copy()
    pieces = np.empty(len(records), dtype=np.int64)
    for begin in range(0, len(records), 65536):
        part = records[begin : begin + 65536]
        # [n, 64], bit s = square s
        taken = np.unpackbits(part[:, :8], axis=1, bitorder="little").astype(bool)
        place = np.cumsum(taken, axis=1) - 1  # the how-many-th piece a square holds
        if place[:, -1].max() >= MAX_PIECES:
            sys.exit(f"{path}: a record with more than 32 pieces")
        pieces[begin : begin + len(part)] = place[:, -1] + 1
        nibbles = np.empty((len(part), 32), dtype=np.int64)
        nibbles[:, 0::2] = part[:, 8:24] & 15
        nibbles[:, 1::2] = part[:, 8:24] >> 4
        row, square = np.nonzero(taken)
        slot = place[row, square]
        piece = nibbles[row, slot]
        kind, enemy = piece & 7, piece >> 3
        if kind.max() > KING:
            sys.exit(f"{path}: a record with piece code {kind.max()}")
        # For the other perspective the ranks are reversed and the colors swapped.
        for lists, side, seen in ((own, enemy, square), (other, 1 - enemy, square ^ 56)):
            is_king = (kind == KING) & (side == 0)
            if not np.array_equal(row[is_king], np.arange(len(part))):
                sys.exit(f"{path}: a record without exactly one king a side")
            feature = 384 * side + 64 * kind + seen
            lists[begin + row, slot] = inputs.place(seen[is_king], row, feature)
    score = records[:, 24:26].copy().view("<i2")[:, 0].astype(np.float64)
    target = (1.0 / (1.0 + np.exp(-score / SCALE))).astype(np.float32)
    return Positions(*map(torch.from_numpy, (own, other, output_buckets[pieces], target)))


def crelu(z):
    # where, not clamp: the gradient is 1 at both ends
    return torch.where(z < 0, torch.zeros_like(z), torch.where(z > 1, torch.ones_like(z), z))


def activate(z, activation):
    if activation == "relu":
        return torch.relu(z)
    h = crelu(z)
    if activation == "dual":
        return torch.cat((h, h * h), dim=1)
    if activation == "dual-square":
        return torch.cat((h, torch.where(z.abs() > 1, torch.ones_like(z), z * z)), dim=1)
    return h * h if activation == "screlu" else h


def normal(deviation, *shape):
    return torch.nn.Parameter(torch.randn(*shape) * deviation)


def constant(value, *shape):
    return torch.nn.Parameter(torch.full(shape, value))


class Accumulator(torch.nn.Module):
    """Z = A·X + B from feature lists. A may have a part that all king buckets share (1.15)."""

    def __init__(self, inputs, hidden, factorise, deviation):
        super().__init__()
        self.buckets = inputs.buckets
        self.a = normal(deviation, inputs.count, hidden)
        self.shared = constant(0.0, FEATURES, hidden) if factorise else None
        self.b = constant(0.1, hidden)

    def forward(self, lists):
        a = self.a
        if self.shared is not None:
            a = a + self.shared.repeat(self.buckets, 1)
        padding = len(a)
        a = torch.nn.functional.pad(a, (0, 0, 0, 1))
        z = torch.nn.functional.embedding_bag(lists, a, mode="sum", padding_idx=padding)
        return z + self.b


class BucketedLinear(torch.nn.Module):
    """y[s] = W[b_s]·x[s] + c[b_s] (4.11), from the outputs of all buckets."""

    def __init__(self, inputs, outputs, buckets, deviation):
        super().__init__()
        self.w = normal(deviation, buckets, outputs, inputs)
        self.c = constant(0.0, buckets, outputs)

    def forward(self, x, bucket):
        buckets, outputs, inputs = self.w.shape
        y = x @ self.w.view(buckets * outputs, inputs).T + self.c.view(-1)
        if buckets == 1:
            return y
        index = bucket.view(-1, 1, 1).expand(-1, 1, outputs)
        return y.view(-1, buckets, outputs).gather(1, index)[:, 0]


class Net(torch.nn.Module):
    """Accumulators and head (1.14). `layers` has the width and activation of each hidden layer."""

    def __init__(self, inputs, output_buckets, layers, options):
        super().__init__()
        hidden, self.pairwise, self.skip = options.hidden, options.pairwise, options.skip
        deviation = math.sqrt(1 / 128) if options.start == "variance" else 1 / 128
        self.accumulators = torch.nn.ModuleList(
            Accumulator(inputs, hidden, options.factorise, deviation)
            for _ in range(1 if options.tied else 2)
        )
        self.activations = [activation for _, activation in layers]
        self.layers = torch.nn.ModuleList()
        size, first = (hidden if self.pairwise else 2 * hidden), 0
        for width, activation in [*layers, (1, None)]:
            if activation is None and self.skip:
                size += first
            deviation = 1 / size if options.start_c == "deviation" else math.sqrt(1 / size)
            self.layers.append(BucketedLinear(size, width, output_buckets, deviation))
            size = 2 * width if activation.startswith("dual") else width
            first = first or size

    def forward(self, positions):
        halves = []
        for accumulator, lists in (
            (self.accumulators[0], positions.own),
            (self.accumulators[-1], positions.other),
        ):
            h = crelu(accumulator(lists))
            if self.pairwise:
                one, two = h.chunk(2, dim=1)
                h = one * two
            halves.append(h)
        x, first = torch.cat(halves, dim=1), None
        for layer, activation in zip(self.layers, self.activations):
            x = activate(layer(x, positions.bucket), activation)
            first = x if first is None else first
        if self.skip:
            x = torch.cat((first, x), dim=1)
        return self.layers[-1](x, positions.bucket)[:, 0]


def validate(net, positions):
    with torch.no_grad():
        parts = (slice(i, i + 16384) for i in range(0, len(positions), 16384))
        p = torch.cat([torch.sigmoid(net(positions.rows(part))) for part in parts])
    p, t = p.double(), positions.target.double()
    correlation = torch.corrcoef(torch.stack((p, t)))[0, 1].item()
    return ((p - t) ** 2).mean().item(), correlation


def arguments():
    parser = argparse.ArgumentParser(
        description="train the two-perspective network in PyTorch on the CPU"
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--inputs",
        choices=("chess768", "chess768-mirrored", "king-buckets", "king-buckets-mirrored"),
        default="chess768",
    )
    parser.add_argument("--buckets", help="the king bucket of each square, 64 numbers or 32")
    parser.add_argument("--output-buckets", default="1", help="1, material:N or 33 numbers")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--pairwise", action="store_true")
    parser.add_argument("--layers", default="", help="hidden layers, such as 16:dual,32:crelu")
    parser.add_argument("--skip", action="store_true")
    parser.add_argument("--factorise", "--factorize", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, help="threads for torch (its own choice if absent)")
    readings = ("variance", "deviation")
    parser.add_argument(
        "--start", choices=readings, default="variance", help="what 1/128 is in A ~ N(0, 1/128)"
    )
    parser.add_argument(
        "--start-c", choices=readings, default="variance", help="the same for the head's weights"
    )
    return parser, parser.parse_args()


def layers_of(parser, options):
    layers = []
    for text in filter(None, options.layers.split(",")):
        width, _, activation = text.partition(":")
        if not width.isdecimal() or int(width) == 0 or activation not in ACTIVATIONS:
            parser.error(f"--layers takes WIDTH:ACTIVATION of {', '.join(ACTIVATIONS)}, not {text}")
        layers.append((int(width), activation))
    if options.skip and len(layers) < 2:
        parser.error("--skip takes at least 2 layers")
    if options.pairwise and options.hidden % 2:
        parser.error("--pairwise takes an even --hidden")
    return layers


def main():
    parser, options = arguments()
    layers = layers_of(parser, options)
    inputs, table = Inputs(options.inputs, options.buckets), output_table(options.output_buckets)
    if options.factorise and inputs.buckets == 1:
        parser.error("--factorise goes with several king buckets")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    data = read(options.data, inputs, table)
    validation = read(options.validation, inputs, table)
    net = Net(inputs, int(table.max()) + 1, layers, options)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=DECAY
    )
    steps = options.epochs * -(-len(data) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    form = [options.inputs, f"hidden {options.hidden}", "tied" if options.tied else "untied"]
    form += [name for name in ("pairwise", "skip", "factorise") if getattr(options, name)]
    form += [options.layers] if layers else []
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, seed {options.seed}; "
        f"{len(data)} positions, {len(validation)} for validation; {options.epochs} epochs; "
        f"{' '.join(form)}, {inputs.buckets} king buckets, {int(table.max()) + 1} output buckets, "
        f"{sum(one.numel() for one in net.parameters())} parameters; "
        f"start: {options.start} of A 1/128, {options.start_c} of the head 1/inputs"
    )
    loss, correlation = validate(net, validation)
    print(f"start     validation {loss:.6f}  correlation {correlation:.4f}", flush=True)

    for epoch in range(1, options.epochs + 1):
        order = torch.randperm(len(data))
        total, begun = 0.0, time.perf_counter()
        for i in range(0, len(data), BATCH):
            batch = data.rows(order[i : i + BATCH])
            error = torch.sigmoid(net(batch)) - batch.target
            loss = (error * error).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        seconds = time.perf_counter() - begun
        loss, correlation = validate(net, validation)
        print(
            f"epoch {epoch:2}  validation {loss:.6f}  correlation {correlation:.4f}  "
            f"training {total / len(data):.6f}  {len(data) / seconds:.0f} positions/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
