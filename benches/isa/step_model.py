"""The model of roofline.py: the time of each kernel of a step on a card is that of the part of the
card which needs longest for it.

The parts are the issue of instructions, the first cache of a core, the last cache (L2), memory, and
latency, when loads wait for each other and too few invocations fill the time. Between two kernels
there is the time of a launch. The host works at the same time as the card.
"""

import csv
import math
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from kernel_work import CHUNK, RULES, pieces_of, plain

HERE = Path(__file__).parent
# The output buckets of each form of network, as `isa --traffic` records it.
FORMS = {"F1": 1, "F2": 8, "F4": 8}
COUNTS = ["workgroups", "read", "written", "gathered_issued", "gathered_distinct", "operations"]
SECTOR = 32  # bytes that the last cache delivers at least
# The limits that depend on the instructions of a compiler, which the efficiency applies to. The
# rates of caches and memory in cards.toml are rates that programs reach, or lookups.
OF_CODE = ["issue", "latency"]


class Missing(Exception):
    """An input that is missing or wrong."""


@dataclass
class Card:
    """The numbers of a card, by the names of cards.toml."""

    name: str
    numbers: dict

    def __getattr__(self, key):
        try:
            return self.numbers[key]
        except KeyError:
            raise Missing(f"cards.toml, {self.name}: expected {key}, found none") from None

    def rate(self, per_clock):
        """Of all cores in a microsecond, from what a core does in a clock."""
        return per_clock * self.cores * self.clock_ghz * 1e3


@dataclass
class Step:
    """The shape of a step, with what its positions say about it."""

    form: str
    hidden: int
    batch: int
    activation: str
    half_weights: bool = False
    half_slopes: bool = False
    inputs: int = 768
    buckets: int = 1
    pieces: float = 0.0  # of a position
    entries: float = 0.0  # of both perspectives
    chunks_per_list: float = 0.0
    most_chunks: float = 0.0

    @property
    def half_state(self):
        """Whether the step of F4 stores Z and its gradient in 16 bits."""
        return self.half_slopes and self.form == "F4"

    def with_positions(self, positions):
        shares = positions.shares()
        each = self.batch / self.buckets
        lists = [math.ceil(share * each / CHUNK) for share in shares]
        return replace(self, buckets=FORMS[self.form], pieces=positions.pieces,
                       entries=2 * positions.pieces * self.batch,
                       chunks_per_list=sum(lists) / len(lists), most_chunks=max(lists))


@dataclass
class Kernel:
    """A dispatch: its counts from traffic.tsv, and what a compiler made of it."""

    label: str
    workgroups: float
    read: float
    written: float
    gathered_issued: float
    gathered_distinct: float
    operations: float
    invocations: int = 0
    instructions: int = 0
    loops: list = field(default_factory=list)
    resident: float = 0.0  # invocations that a core holds

    @property
    def name(self):
        return self.label.split(".")[0]

    @property
    def all_invocations(self):
        return self.workgroups * self.invocations


def rows_of(path):
    """The rows of a table of tab-separated values, whose comments begin with #."""
    try:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    except OSError as error:
        raise Missing(f"{path.name}: {error.strerror}; README.md says how to write it") from None
    return list(csv.DictReader(lines, delimiter="\t"))


def read_cards(path):
    """The host and the cards, without the sources."""
    tables = tomllib.loads(path.read_text())
    values = lambda table: {key: entry["value"] for key, entry in table.items()}
    cards = {name: Card(name, values(table)) for name, table in tables["cards"].items()}
    return Card("host", values(tables["host"])), cards


def read_traffic(path):
    """For each form, K and activation: the counts of the kernels, by batch size."""
    steps = defaultdict(dict)
    for row in rows_of(path):
        key = row["form"], int(row["hidden"]), row["activation"]
        counts = row["kernel"], [float(row[column]) for column in COUNTS]
        steps[key].setdefault(int(row["batch"]), []).append(counts)
    return steps


def at_batch(by_batch, batch):
    """The counts at another batch size, on the line through the two that are recorded."""
    (low, first), (high, second) = sorted(by_batch.items())
    if [label for label, _ in first] != [label for label, _ in second]:
        raise Missing("traffic.tsv: expected the same kernels at both batch sizes, found others")
    along = (batch - low) / (high - low)
    return [(label, [a + along * (b - a) for a, b in zip(one, two)])
            for (label, one), (_, two) in zip(first, second)]


def read_compiled(name, card):
    """What the compiler of a card made of each kernel: invocations, instructions, loops and the
    invocations that a core holds."""
    file, chip = name.split()
    compiled = {}
    for row in rows_of(HERE / file):
        if row.get("arch", row.get("chip")) != chip:
            continue
        loops = [] if row["loops"] == "-" else [int(loop) for loop in row["loops"].split("+")]
        if "warps" in row:
            resident = 32 * float(row["warps"])
        else:  # waves of a SIMD, of which 16 fill a core
            resident = card.threads * float(row["waves"]) / 16
        compiled[row["kernel"]] = (int(row["invocations"]), int(row["instructions"]), loops,
                                   min(resident, card.threads))
    if not compiled:
        raise Missing(f"{file}: expected rows of {chip}, found none")
    return compiled


def lanes_of(kernel):
    """The lanes of an invocation of a forward kernel."""
    if kernel.name == "deep_forward":
        return 8
    return 16 if kernel.label.endswith(".16_lanes") else 32


class Model:
    """The times of steps on the cards."""

    def __init__(self, cards, traffic, positions, host):
        self.cards, self.traffic, self.positions, self.host = cards, traffic, positions, host
        self.compiled = {name: read_compiled(card.table, card) for name, card in cards.items()}
        self.efficiency = 1.0

    def kernels(self, card, step):
        """The dispatches of a step, and the bytes of its uploads."""
        form = step.form + (".half" if step.half_state else "")
        by_batch = self.traffic.get((form, step.hidden, step.activation))
        if not by_batch:
            return None, 0
        kernels, uploads = [], 0
        for label, counts in at_batch(by_batch, step.batch):
            if label == "(uploads)":
                uploads += counts[COUNTS.index("written")]
                continue
            kernels.append(Kernel(label, *counts))
        if step.half_weights:
            weights = step.inputs * step.hidden
            copy = Kernel("half_weights", weights / 256, 4 * weights, 2 * weights, 0, 0, weights)
            kernels.insert(0, copy)
        for kernel in kernels:
            self.take_variant(card, kernel, step)
            self.halve(kernel, step)
            try:
                made = self.compiled[card.name][kernel.label]
            except KeyError:
                raise Missing(f"{card.table}: expected {kernel.label}, found none") from None
            kernel.invocations, kernel.instructions, kernel.loops, kernel.resident = made
        return kernels, uploads

    def take_variant(self, card, kernel, step):
        """Takes the variant of this card and these options in place of the recorded one."""
        if kernel.label.startswith("masked_weights") and kernel.label.endswith(".registers"):
            kernel.label = kernel.label.replace(".registers", ".buckets")
            kernel.workgroups *= math.ceil(step.hidden / 32) / math.ceil(step.hidden / 256)
        kernel.label = kernel.label.replace(".registers", ".shared").removesuffix(".8_slots")
        is_forward = kernel.name == "forward_sparse"
        if is_forward and card.wave == 64:  # AMD, and Intel in its place
            kernel.label = kernel.label.replace(".32_lanes", ".16_lanes")
            kernel.workgroups *= 2
        if step.half_weights:
            kernel.label = kernel.label.replace("forward_sparse", "forward_half")
            kernel.label = kernel.label.replace(".f32_weights", ".f16_weights")
        if step.half_slopes and step.form != "F4" and (is_forward or kernel.name == "masked_rows"):
            kernel.label = kernel.label.replace(".screlu", ".screlu_16_bits")

    def halve(self, kernel, step):
        """Halves the bytes that an option halves."""
        if step.half_weights and kernel.name in ("forward_half", "deep_forward"):
            kernel.gathered_issued /= 2
            kernel.gathered_distinct /= 2
        if step.half_slopes and step.activation == "screlu" and step.form != "F4":
            if kernel.name in ("forward_sparse", "forward_half"):
                kernel.written -= step.batch * 2 * step.hidden * 2
            if kernel.name == "masked_rows":
                slopes = 2 * (step.entries + 2 * step.batch) * step.hidden
                kernel.gathered_issued -= slopes
                kernel.gathered_distinct -= 2 * step.batch * step.hidden * 2

    def hits(self, card, kernel, step):
        """The shares of the gathered rows that the first and the last cache of a card hold."""
        first, last = card.first_kb * 1024, card.l2_mb * 2**20
        if kernel.name in ("forward_sparse", "forward_half", "deep_forward"):
            row = step.hidden * (2 if step.half_weights else 4)
            together = kernel.resident / (2 * step.hidden / lanes_of(kernel))
            return self.positions.weight_hits(first / row, together), 1.0
        if kernel.name in ("masked_rows", "deep_rows"):
            row = kernel.gathered_distinct / (2 * step.batch)
            part = min(row, 256) if kernel.name == "deep_rows" else row
            own = self.positions.sample_hits(first / part, step.batch, card.cores)
            return own, self.positions.sample_hits(last / part, step.batch)
        return 0.0, 1.0

    def time(self, card, kernel, step, spilled):
        """The microseconds that each part of a card needs for a dispatch. `spilled` is the share of
        the bytes in order that the last cache does not hold."""
        work = RULES.get(kernel.name, plain)(kernel, step)
        waves = math.ceil(kernel.invocations / card.wave) * card.wave / kernel.invocations
        per_core = kernel.workgroups / card.cores
        idle = math.ceil(per_core) / per_core  # the core with most workgroups decides
        issued = work.instructions * kernel.all_invocations * waves * idle
        rounds = max(1.0, kernel.all_invocations / (card.cores * kernel.resident))

        first_hits, last_hits = self.hits(card, kernel, step)
        looked_up = sectors = 0.0
        for size, share in pieces_of(kernel, step):
            gathered = kernel.gathered_issued * share
            looked_up += gathered * max(1.0, card.first_piece / size)
            sectors += gathered * max(1.0, SECTOR / size) * (1 - first_hits)
        in_order = kernel.read + kernel.written
        far = in_order * spilled + kernel.gathered_issued * (1 - first_hits) * (1 - last_hits)

        code = self.efficiency * card.clock_ghz * 1e3
        load = first_hits * card.first_clocks + (1 - first_hits) * card.l2_clocks
        beside = work.near * card.first_clocks + work.instructions * card.alu_clocks
        average, longest = work.loads * load + beside, work.longest * load + beside
        return {
            "issue": issued / card.rate(card.lanes) / self.efficiency,
            "first": (looked_up + in_order) * idle / card.rate(card.first_bytes),
            "L2": (sectors + in_order) / (card.l2_tb * 1e6),
            "memory": far / (card.memory_tb * 1e6),
            "latency": max(rounds * average, longest) / code,
        }

    def gpu(self, card, step, without=()):
        """Microseconds of each dispatch as (name, limit, time), and the bytes of the uploads."""
        kernels, uploads = self.kernels(card, step)
        if kernels is None:
            return None, 0
        unique = sum(one.read + one.written + one.gathered_distinct for one in kernels)
        spilled = max(0.0, 1 - card.l2_mb * 2**20 / unique)
        rows = []
        for kernel in kernels:
            if kernel.name not in without:
                parts = self.time(card, kernel, step, spilled)
                limit = max(parts, key=parts.get)
                rows.append((kernel.name, limit, parts[limit]))
        return rows, uploads

    def predict(self, card, step, residual):
        """Positions per second in millions with their range, and what limits them."""
        rows, uploads = self.gpu(card, step)
        if rows is None:
            return None
        by_limit = defaultdict(float)
        for _, limit, time in rows:
            by_limit[limit] += time
        by_limit["launches"] = card.launch_us * (len(rows) + 2)  # the copy and the read of the loss
        gpu = sum(by_limit.values())
        host = self.host.fixed_us + uploads / (self.host.copy_gb * 1e3)
        factor = card.range * residual
        slow = max(gpu * factor, host * self.host.range)
        fast = max(gpu / factor, host / self.host.range)
        rates = [step.batch / time for time in (max(gpu, host), slow, fast)]
        most = max(by_limit, key=by_limit.get)
        return {"card": card.name, "form": step.form, "hidden": step.hidden, "batch": step.batch,
                "activation": step.activation, "gpu_us": gpu, "host_us": host,
                "million_per_second": rates[0], "low": rates[1], "high": rates[2],
                "limit": "host" if host > gpu else most,
                "share": 1.0 if host > gpu else by_limit[most] / gpu,
                "kernels": [{"kernel": name, "limit": limit, "us": us} for name, limit, us in rows]}
