"""What an invocation of each kernel does, for roofline.py: how often its loops run, and how many
loads wait for each other. The lengths of the loops come from the tables of compilers, and the
numbers of workgroups from traffic.tsv.

A rule gets a `Kernel` and a `Step` and returns a `Work`.
"""

import math
from dataclasses import dataclass

CHUNK = 1024  # samples of a row of sums, at most
BAND = 8  # features of a band


@dataclass
class Work:
    """Of an invocation, on average: `instructions`, and the `loads` whose addresses or uses wait
    for the load before. `longest` counts the loads of the invocation that has most of them, and
    `near` those that workgroup memory or the first cache serves."""

    instructions: float
    loads: float
    longest: float = 0.0
    near: float = 0.0


def loop_of(kernel, least=40):
    """The instructions of the first loop with at least this many: the one that computes."""
    return next((loop for loop in kernel.loops if loop >= least), max(kernel.loops, default=0))


def straight(kernel):
    """The instructions outside the innermost loops."""
    return max(0, kernel.instructions - sum(kernel.loops))


def plain(kernel, step):
    """Without a rule of its own: each loop adds up a workgroup in the steps of a binary tree."""
    steps = kernel.invocations.bit_length() - 1
    return Work(straight(kernel) + steps * sum(kernel.loops), 4)


def forward(kernel, step):
    """A trip for each feature of the position: an index, then a row."""
    return Work(straight(kernel) + step.pieces * kernel.loops[0], 2 * step.pieces)


def masked_rows(kernel, step):
    """An operation is the addition of a lane; an invocation has 32 lanes and every 16th sample."""
    trips = kernel.operations / 32 / kernel.all_invocations
    work = straight(kernel) + trips * loop_of(kernel)
    return Work(work, 2 * trips + 4, 2 * CHUNK / 16 + 4)


def masked_weights(kernel, step):
    """Two sums over chunks for each pair of a feature and a bucket, then the optimizer."""
    features = step.inputs * step.hidden / 4 / kernel.all_invocations
    sums = 2 * features * step.buckets
    # With several buckets the sums of both perspectives run at the same time.
    sums /= 2 if step.buckets > 1 else 1
    trips = sums * step.chunks_per_list
    body = sum(kernel.loops) if step.buckets > 1 else 2 * kernel.loops[0]
    work = straight(kernel) * features + trips * kernel.loops[0] + sums * body / 2
    return Work(work, 2 * sums + trips, 2 * sums + sums / features * step.most_chunks + trips)


def masked_head(kernel, step):
    """128 invocations share the bands and blocks of each bucket, four bands at a time, and join
    their sums in workgroup memory. Another workgroup sums the losses of the batch."""
    bands, blocks = step.inputs / BAND, step.batch / CHUNK / step.buckets
    trips = math.ceil(bands / 512) + math.ceil(blocks / 128)
    pairs = 2 * step.buckets
    longest = max(pairs * trips, step.batch / CHUNK)
    work = straight(kernel) + pairs * sum(kernel.loops)
    return Work(work, pairs * trips, longest, near=4 * pairs)


def decode_records(kernel, step):
    """Two loops over the pieces. Nothing waits for the atomic operations of the second."""
    return Work(straight(kernel) + step.pieces * sum(kernel.loops), 4)


def index_samples(kernel, step):
    """A trip for each word of bits, and one for each bit that is set."""
    words = max(1, step.batch / 32 / kernel.invocations)
    bits = step.entries / kernel.all_invocations
    work = straight(kernel) + words * kernel.loops[0] + (words + bits) * kernel.loops[-1]
    return Work(work, 2 * words, 2 * words)


def product(kernel):
    """The tiled products of `deep_first` and `deep_input` take 1.05 to 1.25 instructions for each
    operation in the assembly of their loops; a multiply-add is two operations."""
    return 1.2 * kernel.operations / kernel.all_invocations + straight(kernel)


def deep_first(kernel, step):
    """A wait for each 16 columns that go to workgroup memory."""
    return Work(product(kernel), step.hidden / 16)


def deep_input(kernel, step):
    """A wait for each sample, which has 32 multiply-adds twice."""
    return Work(product(kernel), kernel.operations / 128 / kernel.all_invocations)


def deep_layers(kernel, step):
    """A multiply-add for each trip of a loop over workgroup memory."""
    loop = sum(kernel.loops) / len(kernel.loops)
    trips = kernel.operations / 2 / kernel.all_invocations
    return Work(straight(kernel) + trips * loop, 4, near=trips)


def deep_rows(kernel, step):
    """A trip adds four samples of four lanes."""
    trips = kernel.operations / 16 / kernel.all_invocations
    return Work(straight(kernel) + trips * loop_of(kernel), 2 * trips + 4, 2 * CHUNK / 16 + 4)


def deep_weights(kernel, step):
    """A vector of one feature: its chunks in both perspectives, then the optimizer."""
    trips = 2 * step.chunks_per_list
    work = straight(kernel) + trips * kernel.loops[0]
    return Work(work, 4 + trips, 4 + 2 * step.most_chunks)


def deep_head(kernel, step):
    """The splits of a bucket for weights, of all buckets for biases, by eight invocations."""
    splits = step.batch / 128 / 8
    work = straight(kernel) + splits / step.buckets * sum(kernel.loops)
    return Work(work, 2 * splits / step.buckets, 2 * splits)


RULES = {
    "forward_sparse": forward,
    "forward_half": forward,
    "deep_forward": forward,
    "masked_rows": masked_rows,
    "masked_weights": masked_weights,
    "masked_head": masked_head,
    "decode_records": decode_records,
    "index_samples": index_samples,
    "deep_first": deep_first,
    "deep_input": deep_input,
    "deep_layers": deep_layers,
    "deep_rows": deep_rows,
    "deep_weights": deep_weights,
    "deep_head": deep_head,
}


def pieces_of(kernel, step):
    """The consecutive bytes of each gathered load and its share of the gathered bytes."""
    # Neighboring invocations load 16 bytes each.
    if kernel.name in ("forward_sparse", "forward_half"):
        return [(4 * 16, 1.0)]
    if kernel.name == "deep_forward":
        return [(min(step.hidden // 8, 32) * 16, 1.0)]
    if kernel.name == "masked_rows":
        # The gradient of the sample, and for 128 lanes its bits, or its slopes in four pieces.
        lanes = 64 if "screlu" in kernel.label else 16
        of_row = step.hidden * 4 if "screlu" in kernel.label else step.hidden / 8
        if "screlu" in kernel.label and step.half_slopes:
            lanes, of_row = lanes / 2, of_row / 2
        lane_groups = -(-step.hidden // 128)
        small = 4 * lane_groups
        return [(lanes, of_row / (of_row + 4)), (4, small / (of_row + 4))]
    if kernel.name == "deep_rows":
        return [(128 if step.half_state else 256, 1.0)]
    return [(4, 1.0)]
