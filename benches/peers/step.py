#!/usr/bin/env python3
"""A training step of the two-perspective network, (N -> K) x 2 -> 1: wgrad beside PyTorch, burn and itself.

The programs take turns, so that a noisy machine meets all of them. Each rate is the median over the rounds, and a ratio is the
median of the rounds' ratios, wgrad's speed by the other's (above 1: wgrad is faster). Before the rounds each runs
once untimed. On cores that others use, two threads of PyTorch lose far more than their share: P wants a quiet machine.
Exit status: 0 whatever the ratios, 1 if a program fails.

    pip install torch numpy
    cargo build --release --features cli
    python benches/peers/step.py cpu --wgrad target/release/wgrad --data examples/data/chess_train.bin
    python benches/peers/step.py forms --wgrad target/release/wgrad --data examples/data/chess_train.bin
    python benches/peers/step.py linear --wgrad target/release/wgrad --device cpu
    python benches/peers/step.py train --wgrad target/release/wgrad --data examples/data/chess_train.bin
    python benches/peers/step.py cuda --wgrad target/release/wgrad --device vulkan:NVIDIA --seconds 0.5
    cargo build --release --manifest-path benches/peers/burn/Cargo.toml
    python benches/peers/step.py burn --wgrad target/release/wgrad --device vulkan:llvmpipe

cpu     P is PyTorch's rate, forward and backward of EmbeddingBag(mode="sum") without an optimizer, K=256, batch 4096, N=768, F=32,
        untied CReLU, 2 threads, with int64 lists and concatenated accumulators, as one writes it first. Beside it int32 lists
        and none concatenated, which is faster, and in brackets wgrad's speed by that. wgrad: the same shape, and with
        --data whole steps with AdamW on real positions. With --dense instead: dense inputs, PyTorch's Linear, batch 1024.
forms   whole steps with AdamW on real positions, batch 16384, 2 threads, of networks as engines have them: 8 output buckets
        against one, 10 mirrored king buckets with factorised inputs against 768 inputs, and (768 -> 1024) x 2, pairwise
        -> 16:crelu -> 32:crelu -> 1 x 8 against two forms of it in PyTorch, on random lists of 18 features.
linear  what a position costs at batch 65536 against 8192, a lane (a position / K) at K=2048 against 512, and a position at
        N=45056 against 768. 1 is linear cost. It needs no PyTorch.
cuda    K=128, 1024, 2048 at batch 16384 and 65536, without optimizer and with AdamW: wgrad on --device and on its CPU
        executor, PyTorch eager and compiled, of which the better one counts. 12 cases of 4 programs take long:
        --seconds, --hidden, --batch, --optimizer and --no-cpu make it less. Each case is printed as it ends.
train   `wgrad train` on --data, batch 16384, against the steps alone: what loader, log and files cost. It needs no PyTorch.
burn    one perspective's accumulator in burn (`burn/src/step.rs`, batch 2000: past 65,535 indices its gradient is wrong) against
        half the time of wgrad's whole step of two, batch 4096, which has the output layer besides; and dense steps of
        both, batch 1024. It needs no PyTorch.

The loss is mean (sigmoid(y) - t)^2. Lists are random, F distinct features for each sample and perspective; PyTorch's batch lies on
its device before the time starts, its gradients are dense (its default) and set to None before each step, and its products are
in plain f32 (its default). `wgrad bench` says what its own batch is (`source`).
--json prints one JSON object a program and case, with the rate of every round, instead of the table.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile

# Not measured here: bullet's retired CPU trainer, a native build on 2 cores of the same type of machine, positions/s.
BULLET = {(256, "crelu"): 1.36e6, (128, "screlu"): 2.53e6}
WARM_UP = 0.2
# 10 king buckets of the 32 squares of a mirrored board.
TEN_BUCKETS = "0,1,2,3,4,4,5,5,6,6,6,6,7,7,7,7,8,8,8,8,8,8,8,8,9,9,9,9,9,9,9,9"


@dataclasses.dataclass(frozen=True)
class Shape:
    hidden: int
    batch: int
    inputs: int = 768
    indices: int = 32
    activation: str = "crelu"
    tied: bool = False
    dense: bool = False
    optimizer: str = "none"
    data: str = None
    form: tuple = ()  # more options of `wgrad bench`

    def __str__(self):
        kind = "real positions" if self.data else "dense" if self.dense else f"F={self.indices}"
        tied = "tied" if self.tied else "untied"
        optimizer = {"none": "no optimizer"}.get(self.optimizer, self.optimizer)
        inputs = [] if "--inputs" in self.form else [f"N={self.inputs}"]
        form = [" ".join(self.form).replace("--", "").replace(TEN_BUCKETS, "10")] if self.form else []
        parts = [f"K={self.hidden}, batch {self.batch}", *inputs, kind, f"{tied} {self.activation}", optimizer, *form]
        return ", ".join(parts)

    def flags(self):
        flags = ["--hidden", self.hidden, "--batch", self.batch, "--activation", self.activation, "--optimizer", self.optimizer]
        if self.data:
            flags += ["--data", self.data]  # its features and lists are what they are
        else:
            flags += ["--inputs", self.inputs, *(["--dense"] if self.dense else ["--indices", self.indices])]
        return [str(flag) for flag in [*flags, *["--tied"] * self.tied, *self.form]]


def line_of(command):
    """The one JSON object that a bench program prints; ends this one if there is none."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.exit(f"{command[0]} does not start: {error}")
    if ended.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {ended.returncode}\n{ended.stderr.strip()}")
    try:
        lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
        if len(lines) == 1 and lines[0]["positions_per_second"] > 0:
            return lines[0]
    except (ValueError, KeyError, TypeError):
        pass
    sys.exit(f"{' '.join(command)}: not one JSON object with positions_per_second\n{ended.stdout}{ended.stderr.strip()}")


class Wgrad:
    warms = True

    def __init__(self, options, shape, device):
        self.name, self.shape, self.floors = f"wgrad on {device}", shape, []
        self.command = [options.wgrad, "bench", "--json", "--device", device, *shape.flags()]
        if device == "cpu" and options.threads:
            self.command += ["--threads", str(options.threads)]

    def __call__(self, seconds):
        line = line_of([*self.command, "--seconds", str(seconds)])
        for key in ("hidden", "batch", "activation", "tied", "dense", "optimizer"):  # another shape would make no ratio
            if line.get(key) != getattr(self.shape, key):
                sys.exit(f"{' '.join(self.command)}: measured {key} {line.get(key)}, not {getattr(self.shape, key)}")
        if line.get("share_of_floor") is not None:
            self.floors.append(line["share_of_floor"])
        return line["positions_per_second"]


class Training:
    """`wgrad train` from data to files on the CPU executor: loader, log and checkpoints included."""

    warms = True

    def __init__(self, options, shape):
        self.name, self.epochs = "wgrad train on cpu", options.epochs
        self.command = [options.wgrad, "train", "--json", "--device", "cpu", "--data", shape.data]
        self.command += ["--hidden", shape.hidden, "--batch", shape.batch, "--activation", shape.activation]
        self.command += ["--tied"] if shape.tied else []
        if options.threads:
            self.command += ["--threads", options.threads]

    def __call__(self, _):
        with tempfile.TemporaryDirectory() as out:
            command = [*self.command, "--epochs", self.epochs, "--out", f"{out}/run"]
            return line_of([str(part) for part in command])["positions_per_second"]


class Burn:
    name = "burn 0.22.1"
    warms = False  # each run of its program begins with 10 untimed ones

    def __init__(self, options, op, batch):
        adapter = options.device.partition(":")[2] or options.device
        self.command = [options.burn, op, "--adapter", adapter, "--repeat", str(options.repeat)]
        self.batch = batch

    def __call__(self, _):
        line = line_of(self.command)
        if line["batch"] != self.batch:
            sys.exit(f"{' '.join(self.command)}: batch {line['batch']}, not {self.batch}")
        return line["positions_per_second"]


def turns(options, contestants):
    """The rates of each contestant in every round."""
    for one in contestants:
        if one.warms:
            one(min(WARM_UP, options.seconds))
    rates = [[] for _ in contestants]
    for turn in range(options.rounds):
        order = range(len(contestants))
        for i in order if turn % 2 == 0 else reversed(order):  # nobody always runs after the same one
            rates[i].append(contestants[i](options.seconds))
    return rates


def ratio(ours, theirs):
    return statistics.median(a / b for a, b in zip(ours, theirs))


def show(options, case, name, rates, ratio=None, note="", **more):
    """A line of the table, or its JSON object, to which alone `more` goes."""
    rate = statistics.median(rates)
    if options.json:
        line = {"mode": options.mode, "case": str(case), "program": name, "positions_per_second": rate, "rounds": list(rates)}
        print(json.dumps(line | ({} if ratio is None else {"ratio": ratio}) | more), flush=True)
    else:
        shown = "" if ratio is None else f"{ratio:.2f}"
        print(f"  {name:62} {rate:12,.0f} {shown:>8}  {note}".rstrip(), flush=True)


def head(options, text, what="ratio"):
    if not options.json:
        print(f"\n{text}\n  {'':62} {'positions/s':>12} {what:>8}", flush=True)


def torch_step(options):
    from step_torch import Torch, torch  # only where PyTorch is needed

    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", file=sys.stderr)
    return Torch, torch


def cpu(options):
    Torch, _ = torch_step(options)
    shape = Shape(256, 1024, dense=True) if options.dense else Shape(256, 4096)
    forms = (("PyTorch, as written first", True), ("PyTorch, nothing concatenated", False))
    torches = [Torch(name, shape, "cpu", textbook) for name, textbook in forms]
    real = []
    if options.data:
        common = dict(batch=16384, tied=True, optimizer="adamw", data=options.data)
        real = [Shape(256, activation="crelu", **common), Shape(128, activation="screlu", **common)]
    ours = [Wgrad(options, one, "cpu") for one in [shape, *real]]
    rates = turns(options, torches + ours)
    p, faster = rates[: len(torches)]
    head(options, str(shape), "of P")
    show(options, shape, torches[0].name, p, note="P")
    show(options, shape, torches[1].name, faster, ratio(faster, p))
    targets = [{}] if options.dense else [{"target": 8, "goal": 12}, {"target": 12}, {"target": 20}]
    for one, its, target in zip(ours, rates[len(torches) :], targets + [{}] * len(real)):
        if one.shape.data:
            head(options, f"{one.shape}, whole steps", "of P")
        by_faster = ratio(its, faster)
        note = ", ".join([f"[{by_faster:.2f}]", *(f"{name} {value} P" for name, value in target.items())])
        show(options, one.shape, one.name, its, ratio(its, p), note, by_faster=by_faster, **target)
        if one.shape.data:
            constant = BULLET[one.shape.hidden, one.shape.activation]
            name = "bullet's retired CPU trainer: a published constant"
            beside = ratio(its, [constant] * len(its))
            show(options, one.shape, name, [constant], note=f"wgrad by it: {beside:.2f}", wgrad_by_it=beside, constant=True)


def forms(options):
    common = dict(batch=16384, tied=True, optimizer="adamw", data=options.data)
    outputs = ("--output-buckets", "material:8")
    kings = ("--inputs", "king-buckets-mirrored", "--buckets", TEN_BUCKETS, "--factorise", *outputs)
    pairs = [(512, "screlu", outputs, 0.85), (512, "crelu", outputs, None)]
    pairs += [(k, activation, kings, 0.6) for k in (128, 512) for activation in ("crelu", "screlu")]
    for hidden, activation, form, target in pairs:
        shapes = [Shape(hidden, activation=activation, form=form, **common), Shape(hidden, activation=activation, **common)]
        rates = turns(options, [Wgrad(options, shape, options.device) for shape in shapes])
        head(options, f"{shapes[0]}, whole steps", "of plain")
        note = f"target {target}" if target else ""
        show(options, shapes[0], "wgrad, this form", rates[0], ratio(*rates), note, target=target)
        show(options, shapes[1], "wgrad, plain", rates[1])
    torch_step(options)
    from step_torch import Torch, HeadByBucket, HeadOfAll

    deep = ("--pairwise", "--layers", "16:crelu,32:crelu", *outputs)
    shape = Shape(1024, activation="crelu", form=deep, **common)
    lists = dataclasses.replace(shape, data=None, indices=18)
    torches = [Torch(form.name, lists, "cpu", head=form(1024, lists.batch)) for form in (HeadOfAll, HeadByBucket)]
    rates = turns(options, [Wgrad(options, shape, options.device), *torches])
    head(options, f"{shape}, whole steps", "of P")
    best = max(rates[1:], key=statistics.median)
    show(options, shape, "wgrad", rates[0], ratio(rates[0], best), "P is the better one; target 8 P, goal 12 P", target=8)
    for one, its in zip(torches, rates[1:]):
        show(options, lists, one.name, its, ratio(its, best))


def linear(options):
    pairs = (
        ("a position, batch 65536 : 8192", Shape(256, 65536), Shape(256, 8192)),
        ("a lane, K 2048 : 512", Shape(2048, 16384), Shape(512, 16384)),
        ("a position, N 45056 : 768", Shape(256, 16384, inputs=45056), Shape(256, 16384)),
    )
    for name, large, small in pairs:
        rates = turns(options, [Wgrad(options, one, options.device) for one in (large, small)])
        # A lane's time is that of a position / K.
        per = [[rate * one.hidden if "lane" in name else rate for rate in its] for one, its in zip((large, small), rates)]
        head(options, f"cost of {name}, on {options.device}", "cost")
        for one, its, units, cost in zip((large, small), rates, per, (ratio(per[1], per[0]), None)):
            time = 1e9 / statistics.median(units)
            note = f"{time:.4g} ns" + ("" if cost is None else "; a cost of 1 is linear")
            program = f"wgrad on {options.device}" if options.json else str(one)
            show(options, one, program, its, cost, note, measure=f"cost of {name}", nanoseconds=time)


def train(options):
    for hidden, activation in ((256, "crelu"), (128, "screlu")):
        shape = Shape(hidden, 16384, activation=activation, tied=True, optimizer="adamw", data=options.data)
        whole, steps = turns(options, [Training(options, shape), Wgrad(options, shape, "cpu")])
        head(options, f"{shape}, whole steps", "by steps")
        show(options, shape, "wgrad train on cpu", whole, ratio(whole, steps), "target 0.9", target=0.9)
        show(options, shape, "wgrad on cpu, the steps alone", steps)


def cuda(options):
    Torch, torch = torch_step(options)
    place = options.torch
    if place == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no CUDA device")
    shapes = [
        Shape(hidden, batch, activation=options.activation, tied=options.tied, dense=options.dense, optimizer=optimizer)
        for hidden in options.hidden
        for batch in options.batch
        for optimizer in options.optimizer
    ]
    for shape in shapes:
        ours = Wgrad(options, shape, options.device)
        torches = [Torch(f"PyTorch {place}, eager", shape, place)]
        torch.compiler.reset()  # else it would compile the next shape for any shape
        compiled = Torch(f"PyTorch {place}, compiled", shape, place, compiled=True)
        try:
            compiled(0.0)
            torches.append(compiled)
        except Exception as error:  # torch.compile needs a C compiler, which is no reason to measure nothing
            print(f"{compiled.name}: not measured: {error}", file=sys.stderr)
        executor = [] if options.no_cpu else [Wgrad(options, shape, "cpu")]
        contestants = [ours, *torches, *executor]
        rates = turns(options, contestants)
        best = max(rates[1 : 1 + len(torches)], key=statistics.median)
        head(options, shape, "wgrad by")
        for one, its in zip(contestants, rates):
            note, more = "the better" if its is best else "", {"better": its is best} if one in torches else {}
            if one not in torches and one.floors:
                more["share_of_floor"] = statistics.median(one.floors)
                note = f"share of floor {more['share_of_floor']:.2f}"
            show(options, shape, one.name, its, None if one is ours else ratio(rates[0], its), note, **more)
        del torches, compiled, contestants
        torch.cuda.empty_cache()


def burn(options):
    sparse, dense = Shape(256, 4096), Shape(256, 1024, dense=True)
    ours, theirs = turns(options, [Wgrad(options, sparse, options.device), Burn(options, "embedding", 2000)])
    head(options, f"{sparse}; burn: one perspective's embedding, summed, and its gradient", "by burn")
    show(options, sparse, f"wgrad on {options.device}, whole step of two perspectives", ours, ratio(ours, theirs))
    half = [2 * rate for rate in ours]
    show(options, sparse, "wgrad, half the time of that step", half, ratio(half, theirs), "target 10", target=10)
    show(options, sparse, Burn.name, theirs)
    ours, theirs = turns(options, [Wgrad(options, dense, options.device), Burn(options, "dense", dense.batch)])
    head(options, dense, "by burn")
    show(options, dense, f"wgrad on {options.device}", ours, ratio(ours, theirs), "target 1", target=1)
    show(options, dense, Burn.name, theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("cpu", "forms", "linear", "train", "cuda", "burn"))
    parser.add_argument("--wgrad", required=True, help="the program")
    parser.add_argument("--burn", default="benches/peers/burn/target/release/burn-peer")
    parser.add_argument("--device", help="wgrad's, for all but cpu (cpu, vulkan:NVIDIA and vulkan:llvmpipe by mode)")
    parser.add_argument("--data", help="cpu: whole steps on this file too; forms, train: the positions")
    parser.add_argument("--threads", type=int, help="of PyTorch and of wgrad on the CPU (cpu, forms: 2, else their own choice)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one program in one round")
    parser.add_argument("--epochs", type=int, default=10, help="train: passes over the data a round")
    parser.add_argument("--repeat", type=int, default=5, help="burn: timed runs a round")
    parser.add_argument("--dense", action="store_true", help="cpu, cuda: dense inputs instead of lists")
    parser.add_argument("--tied", action="store_true", help="cuda: one accumulator for both perspectives")
    parser.add_argument("--activation", choices=("crelu", "screlu", "relu"), default="crelu", help="cuda")
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 1024, 2048], help="cuda")
    parser.add_argument("--batch", type=int, nargs="+", default=[16384, 65536], help="cuda")
    parser.add_argument("--optimizer", nargs="+", choices=("none", "adamw"), default=["none", "adamw"], help="cuda")
    parser.add_argument("--torch", choices=("cuda", "cpu"), default="cuda", help="cuda: cpu tries the script without a GPU")
    parser.add_argument("--no-cpu", action="store_true", help="cuda: leave out wgrad's CPU executor")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    if options.data and (options.mode not in ("cpu", "forms", "train") or options.dense):
        parser.error("--data goes with cpu, forms and train, without --dense")
    if options.mode in ("forms", "train") and not options.data:
        parser.error(f"{options.mode} needs --data")
    options.device = options.device or {"cuda": "vulkan:NVIDIA", "burn": "vulkan:llvmpipe"}.get(options.mode, "cpu")
    if options.mode in ("cpu", "forms"):
        options.threads = options.threads or 2
    {"cpu": cpu, "forms": forms, "linear": linear, "train": train, "cuda": cuda, "burn": burn}[options.mode](options)


if __name__ == "__main__":
    main()
