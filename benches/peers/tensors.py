#!/usr/bin/env python3
"""Matrix products and a training step of a perceptron: wgrad beside PyTorch on the CPU, and beside burn on one wgpu adapter.

The programs take turns, so that a noisy machine meets all of them; each figure is the median over the rounds, and a ratio is
the median of the rounds' ratios, wgrad's speed by the other's (above 1: wgrad is faster).

    pip install torch
    cargo bench --no-run --bench tensors            # prints the program's place: target/release/deps/tensors-...
    python benches/peers/tensors.py cpu --wgrad target/release/deps/tensors-...
    cargo build --release --manifest-path benches/peers/burn/Cargo.toml
    python benches/peers/tensors.py adapter --wgrad target/release/deps/tensors-... --adapter llvmpipe

The perceptron is 64-128-64-10 with batch normalisation and ReLU, batch 64: forward, cross-entropy, backward and
AdamW (and with `--wide` 768-1024-1024-10, batch 1024). burn 0.22.1 is the `wgpu` feature with its defaults.
Output, on two cores (an EPYC; cpu, then adapter):

                                           wgrad   PyTorch   ratio
    matmul 256, GFLOP/s                    176.7     182.4    0.97
    matmul 512, GFLOP/s                    187.0     192.2    0.97
    matmul 1024, GFLOP/s                   200.5     173.9    1.13
    mlp 64-128-64-10, steps/s             2149.4     810.0    2.65
    mlp 768-1024-1024-10, steps/s           15.0      14.7    1.05

                                           wgrad      burn   ratio
    matmul 256, GFLOP/s                     17.4       6.7    2.40
    matmul 512, GFLOP/s                     18.3       9.4    2.02
    matmul 1024, GFLOP/s                    15.4      10.3    1.51
    mlp 64-128-64-10, steps/s              156.3      63.0    2.33
"""

import argparse
import json
import statistics
import subprocess
import time

SIZES = (256, 512, 1024)
SMALL = ((64, 128, 64, 10), 64)
WIDE = ((768, 1024, 1024, 10), 1024)


def lines(command):
    """The JSON objects a program prints; its other words are not wanted."""
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


def key(line):
    """What was timed, and its rate: GFLOP/s of a product, steps a second of the perceptron."""
    if line["op"] == "matmul":
        return f"matmul {line['n']}, GFLOP/s", line["gflops_median"]
    return f"mlp {'-'.join(map(str, line.get('sizes', SMALL[0])))}, steps/s", 1.0 / line["seconds_median"]


def program(command, mlps, repeat):
    """The rates of one run of a bench program."""
    work = [["matmul", *map(str, SIZES)]]
    for sizes, batch in mlps:
        work.append(["mlp", "--sizes", ",".join(map(str, sizes)), "--batch", str(batch)])
    if "burn-peer" in command[0]:
        work = [work[0], ["mlp"]]
    return dict(key(line) for one in work for line in lines([*command, "--repeat", str(repeat), *one]))


def timed(work, repeat):
    for _ in range(3):
        work()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def torch_rates(mlps, repeat, threads):
    import torch

    torch.set_num_threads(threads)
    rates = {}
    for n in SIZES:
        a, b = torch.rand(n, n) * 2 - 1, torch.rand(n, n) * 2 - 1
        rates[f"matmul {n}, GFLOP/s"] = 2e-9 * n**3 / timed(lambda: a @ b, repeat)
    for sizes, batch in mlps:
        layers = []
        for inside, outside in zip(sizes[:-2], sizes[1:-1]):
            layers += [torch.nn.Linear(inside, outside), torch.nn.BatchNorm1d(outside), torch.nn.ReLU()]
        network = torch.nn.Sequential(*layers, torch.nn.Linear(*sizes[-2:]))
        optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.01)
        x, classes = torch.rand(batch, sizes[0]) * 2 - 1, torch.arange(batch) % sizes[-1]

        def step():
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x), classes).backward()
            optimizer.step()

        rates[f"mlp {'-'.join(map(str, sizes))}, steps/s"] = 1.0 / timed(step, repeat)
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", choices=("cpu", "adapter"))
    parser.add_argument("--wgrad", required=True, help="the program that `cargo bench --no-run --bench tensors` names")
    parser.add_argument("--burn", default="benches/peers/burn/target/release/burn-peer")
    parser.add_argument("--adapter", default="llvmpipe", help="part of the adapter's name")
    parser.add_argument("--wide", action="store_true", help="a wide perceptron too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=21)
    options = parser.parse_args()

    mlps = [SMALL] + ([WIDE] if options.wide else [])
    wgrad = [options.wgrad, "--threads", str(options.threads), "--device"]
    if options.place == "cpu":
        other, name = (lambda: torch_rates(mlps, options.repeat, options.threads)), "PyTorch"
        wgrad += ["cpu"]
    else:
        burn = [options.burn, "--adapter", options.adapter]
        other, name = (lambda: program(burn, mlps, options.repeat)), "burn"
        wgrad += [f"vulkan:{options.adapter}"]
    rounds = [(program(wgrad, mlps, options.repeat), other()) for _ in range(options.rounds)]
    print(f"{'':34} {'wgrad':>9} {name:>9} {'ratio':>7}")
    for what in rounds[0][1]:
        ours = [one[what] for one, _ in rounds]
        theirs = [one[what] for _, one in rounds]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        print(f"{what:34} {statistics.median(ours):9.1f} {statistics.median(theirs):9.1f} {ratio:7.2f}")


if __name__ == "__main__":
    main()
