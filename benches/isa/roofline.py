"""Predicts the speed of a training step on cards that nobody has measured, and says what limits it.

    cargo run --release -p isa -- --traffic        # after a change of kernels: writes traffic.tsv
    python benches/isa/roofline.py
    python benches/isa/roofline.py --check
    python benches/isa/roofline.py --card "RTX 4090" --half-weights --json

The inputs are files: instructions and occupancy of each kernel (nvrtc.tsv, radv.tsv), its bytes,
operations and workgroups (traffic.tsv), the numbers of the cards (cards.toml), positions, for which
the caches are simulated, and measured times (history.csv), from which one factor comes. README.md
says how to read the result. Exit status: 0; 1 if a self-check fails; 2 for wrong usage or input.
"""

import argparse
import csv
import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

from gathers import Cache, Positions, features_of
from step_model import (FORMS, HERE, Card, Missing, Model, Step, at_batch, read_cards,
                        read_compiled, read_traffic)

HIDDEN = [128, 256, 512, 1024, 2048]
BATCHES = [16384, 65536]
ACTIVATIONS = ["crelu", "screlu"]
# The kernels that a step on index lists does not have.
RECORD_KERNELS = ["decode_records", "index_chunks", "index_samples"]
# The GPU limits a measured step that takes so many times as long as the smallest K of its kind.
ABOVE_HOST = 1.25
# What the history calls forward, head, rows and weights. Forward and rows did not change since.
TIMED = ["forward_sparse", "masked_head", "masked_rows", "masked_weights"]
UNCHANGED = [0, 2]


def read_measured(path):
    """The measured times on GPUs, as (step, card, whole, kernels): of steps with the times of the
    kernels forward, head, rows and weights, and, without them, of those steps of the bench that the
    GPU limited. Times are microseconds."""
    timed = re.compile(r"GPU time of a step, (\w+) Vulkan, K=(\d+), (\w+), batch (\d+), µs")
    bench = re.compile(r"bench, (\w+) Vulkan, real step, K=(\d+), batch (\d+), (\w+): positions/s")
    # The first row of a batch size and an activation has the smallest K.
    with_kernels, whole_steps, smallest = [], [], {}
    with path.open(newline="") as lines:
        for row in csv.reader(lines):
            metric, rest = (row[3], ",".join(row[8:])) if len(row) > 8 else ("", "")
            after, host = re.search(r"after ([\d./]+)", rest), re.search(r"host (\d+) µs", rest)
            if (found := timed.fullmatch(metric)) and after:
                card, hidden, activation, batch = found.groups()
                times = [float(time) for time in after.group(1).split("/")]
                step = Step("F1", int(hidden), int(batch), activation.lower())
                with_kernels.append((step, card, float(row[4]), times))
            elif (found := bench.fullmatch(metric)) and host:
                card, hidden, batch, activation = found.groups()
                step = Step("F1", int(hidden), int(batch), activation.lower())
                whole = step.batch / float(row[4]) * 1e6
                least = smallest.setdefault((step.batch, step.activation), whole)
                if whole > max(ABOVE_HOST * least, float(host.group(1))):
                    whole_steps.append((step, card, whole, None))
    if not with_kernels:
        raise Missing(f"{path.name}: expected times of the kernels of a GPU, found none")
    return with_kernels, whole_steps


def modelled(model, step, card):
    """Limit and time of each kernel of a step on index lists, and the time beside them."""
    step = step.with_positions(model.positions)
    rows, _ = model.gpu(model.cards[card], step, without=RECORD_KERNELS)
    kernels = {kernel: (limit, time) for kernel, limit, time in rows}
    return kernels, model.cards[card].launch_us * (len(rows) + 2)


def calibrate(model, measured):
    """Finds the efficiency, the only factor that comes from measurements: it makes the geometric
    mean of modelled ÷ measured 1, over the steps whose kernels were timed and the kernels that did
    not change since. Returns the largest factor between a measured and a modelled step, and the
    comparison."""
    with_kernels, whole_steps = measured

    def error():
        logs = []
        for step, card, _, times in with_kernels:
            kernels, _ = modelled(model, step, card)
            mine = sum(kernels[TIMED[i]][1] for i in UNCHANGED)
            logs.append(math.log(mine / sum(times[i] for i in UNCHANGED)))
        return sum(logs)

    low, high = 0.05, 2.0
    for _ in range(30):
        model.efficiency = math.sqrt(low * high)
        low, high = (model.efficiency, high) if error() > 0 else (low, model.efficiency)

    lines = ["| step | part | measured | model | ratio | limit |",
             "| --- | --- | --- | --- | --- | --- |"]
    residual = 1.0

    def add(title, part, measured, model, limit):
        times = f"{measured:,.0f} µs | {model:,.0f} µs | {model / measured:.2f}"
        lines.append(f"| {title} | {part} | {times} | {limit} |")

    for step, card, whole, times in with_kernels + whole_steps:
        kernels, beside = modelled(model, step, card)
        total = sum(time for _, time in kernels.values()) + beside
        residual = max(residual, total / whole, whole / total)
        title = f"{card}, K = {step.hidden:,}, {step.activation}, {step.batch:,}"
        add(title, "whole", whole, total, "")
        for name, time in zip(TIMED, times or []):
            add("", name, time, kernels[name][1], kernels[name][0])
    lines += ["", f"Efficiency of instruction issue and latency: {model.efficiency:.2f}. It is the "
              f"one factor from these times,", f"of forward and rows in the first "
              f"{len(with_kernels)} steps. The largest error of a step is a factor of "
              f"{residual:.2f}."]
    return residual, lines


def short(number):
    """Two digits or more."""
    return f"{number:.0f}" if number >= 10 else f"{number:.1f}"


def cell(found):
    if found is None:
        return "-"
    rate, low, high = (short(found[key]) for key in ("million_per_second", "low", "high"))
    return f"{rate} [{low}–{high}] {found['limit']}"


def tables(model, cards, residual, options):
    """The predictions as tables with a column per card, and as data."""
    lines, data = [], []
    for form in FORMS:
        for activation in ACTIVATIONS:
            for batch in BATCHES:
                lines += ["", f"{form}, {activation}, batch {batch:,}:", "",
                          "| K | " + " | ".join(card.name for card in cards) + " |",
                          "| --- |" + " --- |" * len(cards)]
                for hidden in HIDDEN:
                    step = Step(form, hidden, batch, activation, **options)
                    step = step.with_positions(model.positions)
                    found = [model.predict(card, step, residual) for card in cards]
                    data += [one for one in found if one]
                    cells = " | ".join(cell(one) for one in found)
                    lines.append(f"| {hidden:,} | {cells} |")
    return lines, data


def changes(model, cards, residual):
    """What the options in 16 bits change, one after another, at the smaller batch."""
    lines = ["| card | step | today | and f16 weights | and 16-bit slopes or Z |",
             "| --- | --- | --- | --- | --- |"]
    shapes = [("F1", 256, "screlu"), ("F1", 1024, "screlu"), ("F1", 1024, "crelu"),
              ("F4", 1024, "crelu")]
    for card in cards:
        for form, hidden, activation in shapes:
            today = Step(form, hidden, BATCHES[0], activation).with_positions(model.positions)
            weights = replace(today, half_weights=True)
            steps = [today, weights, replace(weights, half_slopes=True)]
            found = [model.predict(card, step, residual) for step in steps]
            cells = " | ".join(cell(one) for one in found)
            lines.append(f"| {card.name} | {form}, {hidden:,}, {activation} | {cells} |")
    return lines


def selftest():
    """Checks the simulated cache, the decoder, the parsers and the units."""
    cache = Cache(2)
    touches = [cache.touch(row) for row in (1, 2, 1, 3, 2, 1)]
    assert touches == [False, False, True, False, False, False], touches
    assert not any(Cache(0).touch(row) for row in (1, 1)), "a cache without room holds nothing"
    # The own king on e1 and the other king on e8 are alike from both views.
    record = ((1 << 4) | (1 << 60)).to_bytes(8, "little") + bytes([5 | 13 << 4]) + bytes(23)
    assert features_of(record) == ([324, 764], [764, 324]), features_of(record)
    card = Card("test", {"cores": 10, "clock_ghz": 2.0})
    assert card.rate(32) == 640_000, "32 bytes a clock of 10 cores at 2 GHz are 0.64 TB/s"
    counts = at_batch({10: [("a", [1.0, 100.0])], 20: [("a", [1.0, 200.0])]}, 40)
    assert counts == [("a", [1.0, 400.0])], counts
    host, cards = read_cards(HERE / "cards.toml")
    assert host.copy_gb > 0
    for card in cards.values():
        compiled = read_compiled(card.table, card)
        assert 0 < min(made[3] for made in compiled.values()) <= card.threads, card.name
    positions = Positions(data_file(), 500)
    assert 2 <= positions.pieces <= 32
    assert positions.weight_hits(768, 4) > 0.9, "a cache for all rows misses each row once"
    assert positions.weight_hits(0, 4) == 0
    assert positions.weight_hits(64, 4) <= positions.weight_hits(256, 4)
    print("selftest: passed")


def data_file():
    return HERE.parent.parent / "examples" / "data" / "chess_train.bin"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--card", action="append", help="only this card of cards.toml")
    parser.add_argument("--data", type=Path, default=data_file(), help="positions")
    parser.add_argument("--samples", type=int, default=4096, help="positions to simulate")
    parser.add_argument("--half-weights", action="store_true",
                        help="with f16 copies of the weights for the forward pass")
    parser.add_argument("--half", action="store_true",
                        help="with 16-bit slopes of SCReLU; F4 stores Z in 16 bits")
    parser.add_argument("--json", action="store_true", help="print an object per prediction")
    parser.add_argument("--check", action="store_true", help="only compare with measured times")
    parser.add_argument("--selftest", action="store_true", help="check this script")
    return parser.parse_args()


def main():
    options = arguments()
    if options.selftest:
        return selftest()
    host, cards = read_cards(HERE / "cards.toml")
    measured = read_measured(HERE.parent / "history.csv")
    unknown = [name for name in options.card or [] if name not in cards]
    if unknown:
        raise Missing(f"--card: expected one of {', '.join(cards)}, found {unknown[0]}")
    positions = Positions(options.data, options.samples)
    model = Model(cards, read_traffic(HERE / "traffic.tsv"), positions, host)
    residual, check = calibrate(model, measured)
    if options.check:
        return print("\n".join(check))
    known = {card for _, card, *_ in measured[0]}
    chosen = [cards[name] for name in options.card or cards if options.card or name not in known]
    halves = {"half_weights": options.half_weights, "half_slopes": options.half}
    lines, data = tables(model, chosen, residual, halves)
    if options.json:
        return print("\n".join(json.dumps(one) for one in data))
    print("\n".join(check + ["", "Predicted millions of positions per second [range] and limit."]
                    + lines + ["", "One change after another, batch 16,384:", ""]
                    + changes(model, chosen, residual)))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AssertionError as error:
        sys.exit(f"selftest: {error}")
    except (Missing, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
