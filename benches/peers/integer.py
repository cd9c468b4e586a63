#!/usr/bin/env python3
"""The evaluation of quantized networks in integers, position by position, as engines compute it.

An independent implementation of what engines do with the files that wgrad exports: the features
from the records, the accumulators, and the arithmetic up to the raw evaluation in centipawns for
the side to move, before any scale by material or by moves without progress. It shares no code with
wgrad. All of it is NumPy in integers of 64 bits, which are then held against the width that an
engine has. The layouts:

    flat      one hidden layer: i16 weights [768 * king buckets][H], biases [H], output weights
              [buckets][2H] (or [2H][buckets] with --native), output biases [buckets]; as bullet's
              examples, Publius and tcheran (no buckets), akimbo and Renegade (king buckets)
    integer   pairwise product and two more layers in integers, as Hobbes
    float     the same with the later layers in 32-bit floats, as Integral

    pip install numpy
    python benches/peers/integer.py flat network.bin data.bin --hidden 256
    python benches/peers/integer.py flat network.bin data.bin --hidden 256 --activation crelu
    python benches/peers/integer.py flat network.bin data.bin --hidden 1024 \\
        --kings 0x2,1x2,2x4,3x24
    python benches/peers/integer.py flat network.bin data.bin --hidden 1600 --buckets 8 \\
        --kings 0,1,2,3,4,5,6,7,8x2,9x2,10x2,11x2,10x2,11x2,12x2,13x2,12x2,13x2,12x2,13x2 \\
        --limit 30999
    python benches/peers/integer.py integer network.bin data.bin --hidden 1536 --buckets 8 \\
        --kings 0,1,2,3,4,5,6,7,8x2,9x2,10x2,11x2,12x2,13x2,12x2,13x2,14x2,15x2,14x2,15x2
    python benches/peers/integer.py float network.bin data.bin --hidden 1536 --buckets 8 \\
        --kings 0,1,2,3,4,5,6,7,8x2,9x2,10x8,11x12 --scale 200

The data are in bulletformat. The output is one integer a position, in the order of the file. A sum
that leaves the width of an engine's register ends the program with exit status 1 and names it:
engines would go on with a wrong number. Two things of the vector code of engines are not here,
because they change nothing while weights are small: 16-bit products of activation and weight in
`flat` (exact for weights up to 128), and 16-bit sums of four products in the first layer of
`integer` and `float`, which saturate or wrap beyond 32,767. Engines that multiply and add floats in
one instruction agree with `float --fused` to the bit, others without --fused.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

SQUARES = 64
KINDS = 6
FEATURES = 2 * KINDS * SQUARES  # of one king bucket
KING, OTHER_KING = 5, 13  # codes in a record
EMPTY = -1
MOST_PIECES = 32
BLOCK = 1024  # positions at a time


def fits(values, bits, what):
    """The same values, which must fit a signed integer of so many bits."""
    limit = 1 << (bits - 1)
    if values.size and (values.min() < -limit or values.max() >= limit):
        sys.exit(f"{what}: {values.min()} to {values.max()} does not fit {bits} bits")
    return values


def quotient(dividend, divisor):
    """Division as in C and Rust: the quotient is cut toward zero."""
    return np.sign(dividend) * (np.abs(dividend) // divisor)


# Positions


def boards(records):
    """The code of the piece on each square [n, 64], a1 = 0 and h8 = 63, or EMPTY.

    A record has a 64-bit board of the occupied squares, and for each of them, by ascending square,
    a code of 4 bits (the lower half of a byte first): the kind, 0 for pawn to 5 for king, plus 8
    for a piece of the opponent. The side to move plays upwards.
    """
    occupied = np.unpackbits(records[:, :8], axis=1, bitorder="little").astype(bool)
    halves = np.stack([records[:, 8:24] & 15, records[:, 8:24] >> 4], axis=2)
    codes = halves.reshape(len(records), MOST_PIECES).astype(np.int64)
    if occupied.sum(axis=1).max() > MOST_PIECES:
        sys.exit("a position has more than 32 pieces")
    place = np.maximum(np.cumsum(occupied, axis=1) - 1, 0)
    board = np.where(occupied, np.take_along_axis(codes, place, axis=1), EMPTY)
    if np.any((board >= 0) & (board % 8 > KING)):
        sys.exit("a position has a piece of an unknown kind")
    for king in (KING, OTHER_KING):
        if np.any((board == king).sum(axis=1) != 1):
            sys.exit("a position has not one king for each side")
    if np.any(np.argmax(board == KING, axis=1) != records[:, 27]):
        sys.exit("a record names another square for the king of the side to move")
    if np.any(np.argmax(board == OTHER_KING, axis=1) ^ 56 != records[:, 28]):
        sys.exit("a record names another square for the king of the opponent")
    return board


def seen_by_opponent(board):
    """The same board for the opponent: turned upside down, with the colors swapped."""
    turned = board[:, np.arange(SQUARES) ^ 56]
    return np.where(turned == EMPTY, EMPTY, turned ^ 8)


def king_view(board, kings):
    """The bucket [n] and the bits to flip in each square [n], by the own king's square.

    `kings` has 32 entries, a1 to d1, a2 to d2 and so on, for a board that is mirrored if the king
    is on one of the files e to h, or 64 entries, a1 to h1 and so on, for one that never is.
    """
    king = np.argmax(board == KING, axis=1)
    if len(kings) == SQUARES:
        return kings[king], np.zeros_like(king)
    flip = np.where(king % 8 >= 4, 7, 0)
    king ^= flip
    return kings[king // 8 * 4 + king % 8], flip


def accumulators(board, kings, weights, biases):
    """[n, H]: the biases and one row of the weights for each piece, in 16 bits."""
    bucket, flip = king_view(board, kings)
    sums = np.repeat(biases.astype(np.int32)[np.newaxis], len(board), axis=0)
    for square in range(SQUARES):
        here = np.flatnonzero(board[:, square] != EMPTY)
        code = board[here, square]
        feature = FEATURES * bucket[here] + (square ^ flip[here])
        feature += SQUARES * (code % 8) + KINDS * SQUARES * (code // 8)
        sums[here] += weights[feature]
    return fits(sums, 16, "accumulator")


# Networks


class Tensors:
    """The tensors of a file, one after the other."""

    def __init__(self, path):
        self.bytes = path.read_bytes()
        self.at = 0

    def read(self, kind, *shape):
        count = int(np.prod(shape))
        end = self.at + count * np.dtype(kind).itemsize
        if end > len(self.bytes):
            sys.exit(f"the network file has {len(self.bytes)} bytes, but the layout has more")
        values = np.frombuffer(self.bytes, dtype=kind, count=count, offset=self.at)
        self.at = end
        return values.reshape(shape)

    def finish(self):
        if len(self.bytes) - self.at > 64:
            sys.exit(f"the network file has {len(self.bytes)} bytes, but the layout {self.at}")


class Flat:
    """One hidden layer, then the output."""

    def __init__(self, file, options, inputs):
        hidden, buckets = options.hidden, options.count
        self.options = options
        self.weights = file.read("<i2", inputs, hidden)
        self.biases = file.read("<i2", hidden)
        if options.native:
            output = file.read("<i2", 2 * hidden, buckets).T
        else:
            output = file.read("<i2", buckets, 2 * hidden)
        self.output = output.astype(np.int64)
        self.bias = file.read("<i4" if options.wide_bias else "<i2", buckets).astype(np.int64)

    def evaluate(self, own, other, bucket):
        qa, qb, scale = self.options.qa, self.options.qb, self.options.scale
        active = np.clip(np.concatenate([own, other], axis=1), 0, qa).astype(np.int64)
        if self.options.activation == "screlu":
            # The squares bring in QA once more, and the first division takes it out.
            total = fits((active * active * self.output[bucket]).sum(axis=1), 32, "output sum")
            total = quotient(total, qa) + self.bias[bucket]
        else:
            total = (active * self.output[bucket]).sum(axis=1) + self.bias[bucket]
        raw = quotient(fits(fits(total, 32, "output sum") * scale, 32, "scaled output"), qa * qb)
        limit = self.options.limit
        return raw if limit is None else np.clip(raw, -limit, limit)


def pairwise(own, other, qa):
    """The bytes [n, H]: products of the clipped halves, first those of the side to move."""
    parts = []
    for sums in (own, other):
        first, second = np.split(np.clip(sums, 0, qa).astype(np.int64), 2, axis=1)
        parts.append(first * second >> 9)
    return np.concatenate(parts, axis=1)


def by_bucket(inputs, weights, bucket):
    """The sums of products [n, outputs], with the weights [bucket][outputs][inputs] of each row."""
    sums = np.zeros((len(inputs), weights.shape[1]), dtype=np.int64)
    for number in np.unique(bucket):
        rows = bucket == number
        sums[rows] = inputs[rows] @ weights[number].T
    return sums


class IntegerTail:
    """Pairwise product, dual layer, clipped layer, output; all in powers of Q = 64."""

    def __init__(self, file, options, inputs):
        hidden, count, second, third = options.hidden, options.count, options.second, options.third
        self.options = options
        self.weights = file.read("<i2", inputs, hidden)
        self.biases = file.read("<i2", hidden)

        def stored_by_input(kind, inputs, outputs):
            """[inputs][bucket][outputs] in the file, [bucket][outputs][inputs] here."""
            return file.read(kind, inputs, count, outputs).transpose(1, 2, 0).astype(np.int64)

        self.w1 = stored_by_input("i1", hidden, second)
        self.b1 = file.read("<i4", count, second).astype(np.int64)
        self.w2 = stored_by_input("<i4", 2 * second, third)
        self.b2 = file.read("<i4", count, third).astype(np.int64)
        self.w3 = stored_by_input("<i4", third, 1)
        self.b3 = file.read("<i4", count, 1).astype(np.int64)

    def evaluate(self, own, other, bucket):
        q = 64
        inputs = pairwise(own, other, self.options.qa)
        # Both shifts round down. The bias comes after the shift.
        z = (fits(by_bucket(inputs, self.w1, bucket), 32, "first layer") >> 8) + self.b1[bucket]
        # The square is of z before it is clipped: negative z have one too.
        square = fits(z * z, 32, "square in the first layer")
        inputs = np.concatenate([np.clip(z, 0, q) * q, np.clip(square, 0, q * q)], axis=1)
        y = fits(by_bucket(inputs, self.w2, bucket) + self.b2[bucket], 32, "second layer")
        y = np.clip(y, 0, q**3)
        total = fits(by_bucket(y, self.w3, bucket) + self.b3[bucket], 32, "output sum")
        return quotient(total[:, 0] * self.options.scale, q**4)


def fused(a, b, c):
    """a * b + c of 32-bit floats with a single rounding.

    The product is exact in 64 bits. The sum is rounded to odd there: if it is inexact, its last bit
    is made 1, and then the rounding to 32 bits cannot meet a false tie.
    """
    product = a.astype(np.float64) * b.astype(np.float64)
    addend = np.broadcast_to(c, product.shape).astype(np.float64)
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)
    bits = total.view(np.int64)
    inexact = (error != 0) & (bits & 1 == 0)
    # The neighbor on the side of the error: larger bits are further from zero.
    bits = bits + np.where(inexact, np.where((error > 0) == (total > 0), 1, -1), 0)
    return bits.view(np.float64).astype(np.float32)


class FloatTail:
    """Pairwise product in integers, then three layers in 32-bit floats, in a fixed order."""

    def __init__(self, file, options, inputs):
        hidden, count, second, third = options.hidden, options.count, options.second, options.third
        if third != 32:
            sys.exit("--third: the order of the sums of `float` is that of 32 inputs")
        self.options = options
        self.weights = file.read("<i2", inputs, hidden)
        self.biases = file.read("<i2", hidden)
        self.w1 = file.read("i1", count, second, hidden).astype(np.int64)
        self.b1 = file.read("<f4", count, second)
        self.w2 = file.read("<f4", count, third, second)
        self.b2 = file.read("<f4", count, third)
        self.w3 = file.read("<f4", count, third)
        self.b3 = file.read("<f4", count)

    def evaluate(self, own, other, bucket):
        zero, one = np.float32(0), np.float32(1)
        qa, q1 = self.options.qa, self.options.q1
        inputs = pairwise(own, other, qa)
        sums = fits(by_bucket(inputs, self.w1, bucket), 32, "first layer").astype(np.float32)
        unit = np.full((1, 1), np.float32(512) / np.float32(qa * qa * q1), dtype=np.float32)
        if self.options.fused:
            x = fused(sums, unit, self.b1[bucket])
        else:
            x = sums * unit + self.b1[bucket]
        x = np.clip(x, zero, one)
        if self.options.plain:
            return self.plain_tail(x, bucket)
        y = self.b2[bucket]
        for at in range(x.shape[1]):
            y = fused(x[:, at : at + 1], self.w2[bucket, :, at], y)
        y = np.clip(y, zero, one)
        # 16 sums of two products, then halves are added to halves.
        weights = self.w3[bucket]
        lanes = fused(y[:, :16], weights[:, :16], zero)
        lanes = fused(y[:, 16:], weights[:, 16:], lanes)
        while lanes.shape[1] > 1:
            half = lanes.shape[1] // 2
            lanes = lanes[:, :half] + lanes[:, half:]
        output = (lanes[:, 0] + self.b3[bucket]) * np.float32(self.options.scale)
        return np.trunc(output).astype(np.int64)


    def plain_tail(self, x, bucket):
        """The same sums, each from its bias on in the order of the inputs, rounded at every step."""
        y = self.b2[bucket]
        for at in range(x.shape[1]):
            y = y + x[:, at : at + 1] * self.w2[bucket, :, at]
        y = np.clip(y, np.float32(0), np.float32(1))
        total = self.b3[bucket]
        for at in range(y.shape[1]):
            total = total + y[:, at] * self.w3[bucket, at]
        return np.trunc(total * np.float32(self.options.scale)).astype(np.int64)


LAYOUTS = {"flat": Flat, "integer": IntegerTail, "float": FloatTail}


# Options


def table(text):
    """Numbers with commas. `2x4` stands for `2,2,2,2`."""
    numbers = []
    for entry in text.split(","):
        number, _, count = entry.partition("x")
        numbers += [int(number)] * int(count or 1)
    return np.array(numbers, dtype=np.int64)


def output_buckets(text):
    """The bucket of each number of pieces [33]: a number of buckets, or 33 numbers with commas."""
    numbers = table(text)
    if len(numbers) == 1:
        width = -(-MOST_PIECES // numbers[0])
        return np.maximum(np.arange(MOST_PIECES + 1) - 2, 0) // width
    return numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("layout", choices=LAYOUTS)
    parser.add_argument("network", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--hidden", type=int, required=True, help="H")
    parser.add_argument("--kings", type=table, help="32 (mirrored) or 64 bucket numbers")
    parser.add_argument("--buckets", type=output_buckets, default=output_buckets("1"))
    parser.add_argument("--activation", choices=["screlu", "crelu"], default="screlu")
    parser.add_argument("--native", action="store_true", help="output weights [2H][buckets]")
    parser.add_argument("--wide-bias", action="store_true", help="output biases of 32 bits")
    parser.add_argument("--qa", type=int, default=255)
    parser.add_argument("--qb", type=int, default=64)
    parser.add_argument("--q1", type=int, default=128, help="scale of the first layer of `float`")
    parser.add_argument("--scale", type=int, default=400)
    parser.add_argument("--limit", type=int, help="the largest evaluation of `flat`")
    parser.add_argument("--second", type=int, default=16)
    parser.add_argument("--third", type=int, default=32)
    parser.add_argument("--fused", action="store_true", help="no rounding between product and sum")
    parser.add_argument("--plain", action="store_true", help="sums of `float` in plain order")
    parser.add_argument("--positions", type=int, default=-1, help="only so many, from the start")
    options = parser.parse_args()
    kings = np.zeros(SQUARES, dtype=np.int64) if options.kings is None else options.kings
    if len(kings) not in (32, SQUARES):
        parser.error("--kings takes 32 or 64 numbers")
    if len(options.buckets) != MOST_PIECES + 1:
        parser.error("--buckets takes one number or 33")
    options.count = int(options.buckets.max()) + 1

    file = Tensors(options.network)
    network = LAYOUTS[options.layout](file, options, FEATURES * (int(kings.max()) + 1))
    file.finish()
    records = np.fromfile(options.data, dtype=np.uint8)
    if records.size == 0 or records.size % 32:
        sys.exit(f"{options.data}: {records.size} bytes are not a whole number of records")
    records = records.reshape(-1, 32)
    if options.positions >= 0:
        records = records[: options.positions]
    for start in range(0, len(records), BLOCK):
        board = boards(records[start : start + BLOCK])
        bucket = options.buckets[(board != EMPTY).sum(axis=1)]
        own, other = (
            accumulators(view, kings, network.weights, network.biases)
            for view in (board, seen_by_opponent(board))
        )
        print("\n".join(map(str, network.evaluate(own, other, bucket).tolist())))


if __name__ == "__main__":
    main()
