#!/usr/bin/env python3
"""Writes a network of wgrad as the file that bullet would save, byte for byte.

An independent implementation: it reads the safetensors file with `struct` and `json`, and shares no
code with wgrad. Weights are scaled in 64-bit floats and then rounded to the nearest integer, halves
away from zero, or cut toward zero with --truncate. A number that does not fit its type ends the
program with exit status 1, names the tensor, and nothing is written. The end of the file is filled
up to a multiple of 64 bytes with the letters of `bullet`, again and again. The layouts, with K
accumulators, N inputs and Z output buckets:

    flat      i16 A [N][K] and B [K] times QA, C [Z][2K] times QB, d [Z] times QA * QB.
              --native writes C as [2K][Z], the order of bullet without `transpose`.
    integer   i16 A [N][K] and B [K] times QA; i8 W1 [K][Z][outputs] times Q1; i32 c1 [Z][outputs]
              times 64, W2 [inputs][Z][outputs] times 64, c2 times 64^3, W3 [inputs][Z] times 64,
              c3 [Z] times 64^4, as Hobbes reads it
    float     i16 A [N][K] and B [K] times QA; i8 W1 [Z][outputs][K] times Q1; c1, W2 (as
              [Z][outputs][inputs]), c2, W3 and c3 as 32-bit floats, as Integral reads it

If the network has a shared part, each king bucket of A is the sum of its own and the shared
weights, in 32-bit floats as in bullet's own example. In `integer` the products of activations make
the first layer (255/256)^2 of what it should be; --gain 1.00785852 scales W1 to make up for it.

    pip install numpy
    python benches/peers/quantised.py flat network.safetensors quantised.bin
    python benches/peers/quantised.py flat network.safetensors quantised.bin --qa 181 --truncate
    python benches/peers/quantised.py integer network.safetensors quantised.bin
    python benches/peers/quantised.py float network.safetensors quantised.bin
    cmp quantised.bin exported.bin

Output: one line a tensor with its type, its number of values and their range, then the length of
the file. Compare the file with the one that wgrad wrote.
"""

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np

FILL = b"bullet"
ALIGNMENT = 64
Q = 64  # of the later layers of `integer`


def read_safetensors(path):
    """The tensors of 32-bit floats by name, and the metadata."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] != "F32":
            continue
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        values = np.frombuffer(data[start:end], dtype="<f4")
        tensors[name] = values.reshape(entry["shape"])
    return tensors, metadata


class Writer:
    """The bytes of the file, tensor by tensor."""

    def __init__(self, truncate):
        self.truncate = truncate
        self.parts = []

    def report(self, name, kind, values):
        ends = (f"{end:.6f}".rstrip("0").rstrip(".") for end in (values.min(), values.max()))
        print(f"{name:3} {kind:3} {values.size:9}  {' to '.join(ends)}")

    def integers(self, name, values, kind, scale):
        scaled = values.astype(np.float64) * float(scale)
        size = np.abs(scaled)
        # The product of a 32-bit float and a scale of 16 bits is exact, so adding a half is too.
        whole = np.floor(size) if self.truncate else np.floor(size + 0.5)
        whole = np.copysign(whole, scaled)
        limits = np.iinfo(kind)
        wrong = ~((whole >= limits.min) & (whole <= limits.max))
        if wrong.any():
            worst = scaled.flat[np.argmax(np.where(wrong, np.abs(scaled), -1))]
            bits = 8 * np.dtype(kind).itemsize
            sys.exit(
                f"{name}: {wrong.sum()} of {wrong.size} values do not fit {bits} bits at a scale "
                f"of {scale}, the worst is {worst:g}"
            )
        self.report(name, f"i{8 * np.dtype(kind).itemsize}", whole)
        self.parts.append(np.ascontiguousarray(whole).astype(kind).tobytes())

    def floats(self, name, values):
        self.report(name, "f32", values)
        self.parts.append(np.ascontiguousarray(values).astype("<f4").tobytes())

    def bytes(self, fill):
        data = b"".join(self.parts)
        missing = -len(data) % ALIGNMENT if fill else 0
        return data + (FILL * ALIGNMENT)[:missing]


def merged_inputs(tensors):
    """A [N][K]: the weights of each input, with the shared part added to each king bucket."""
    weights = tensors["A1"]
    if "A1f" in tensors:
        shared = tensors["A1f"]
        weights = weights + np.tile(shared, (1, weights.shape[1] // shared.shape[1]))
    return weights.T


def flat(out, tensors, options):
    out.integers("A", merged_inputs(tensors), "<i2", options.qa)
    out.integers("B", tensors["B1"], "<i2", options.qa)
    head = tensors["C"].reshape(tensors["d"].size, -1)
    out.integers("C", head.T if options.native else head, "<i2", options.qb)
    out.integers("d", tensors["d"], "<i4" if options.wide_bias else "<i2", options.qa * options.qb)


def integer(out, tensors, options):
    out.integers("A", merged_inputs(tensors), "<i2", options.qa)
    out.integers("B", tensors["B1"], "<i2", options.qa)

    def by_input(name):
        return tensors[name].transpose(2, 0, 1)

    out.integers("W1", by_input("W1"), "i1", options.q1 * options.gain)
    out.integers("c1", tensors["c1"], "<i4", Q)
    out.integers("W2", by_input("W2"), "<i4", Q)
    out.integers("c2", tensors["c2"], "<i4", Q**3)
    out.integers("W3", by_input("W3"), "<i4", Q)
    out.integers("c3", tensors["c3"], "<i4", Q**4)


def floating(out, tensors, options):
    out.integers("A", merged_inputs(tensors), "<i2", options.qa)
    out.integers("B", tensors["B1"], "<i2", options.qa)
    out.integers("W1", tensors["W1"], "i1", options.q1 * options.gain)
    for name in ("c1", "W2", "c2", "W3", "c3"):
        out.floats(name, tensors[name])


LAYOUTS = {"flat": flat, "integer": integer, "float": floating}


def check(layout, tensors, metadata):
    """Ends the program if the layout cannot hold the network."""
    if metadata.get("tied") != "true":
        sys.exit("the network has weights of its own for each perspective")
    head = json.loads(metadata.get("head", "{}"))
    if float(metadata.get("clip", 1)) != 1:
        sys.exit("the activation is not clipped at 1")
    wanted = {"flat": ["screlu", "crelu"], "integer": ["crelu"], "float": ["crelu"]}[layout]
    if metadata.get("activation") not in wanted:
        sys.exit(f"the activation is {metadata.get('activation')}, not {' or '.join(wanted)}")
    if layout == "flat":
        if head.get("pairwise") or head.get("layers"):
            sys.exit("the network has a pairwise product or more layers")
        return
    if not head.get("pairwise") or len(head.get("layers", [])) != 2 or head.get("skip"):
        sys.exit("the network has no pairwise product, no two hidden layers, or a skip connection")
    doubled = 2 if layout == "integer" else 1
    if tensors["W2"].shape[2] != doubled * tensors["W1"].shape[1]:
        sys.exit(f"the second layer has not {doubled} inputs for each output of the first")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("layout", choices=LAYOUTS)
    parser.add_argument("network", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--qa", type=int, default=255)
    parser.add_argument("--qb", type=int, default=64)
    parser.add_argument("--q1", type=int, default=128)
    parser.add_argument("--gain", type=float, default=1)
    parser.add_argument("--truncate", action="store_true", help="cut toward zero")
    parser.add_argument("--native", action="store_true", help="C of `flat` as [2K][Z]")
    parser.add_argument("--wide-bias", action="store_true", help="d of `flat` in 32 bits")
    parser.add_argument("--no-fill", action="store_true", help="end after the last tensor")
    options = parser.parse_args()
    tensors, metadata = read_safetensors(options.network)
    check(options.layout, tensors, metadata)
    out = Writer(options.truncate)
    LAYOUTS[options.layout](out, tensors, options)
    data = out.bytes(not options.no_fill)
    options.out.write_bytes(data)
    print(f"{len(data)} bytes")


if __name__ == "__main__":
    main()
