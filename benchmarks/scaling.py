"""Training over several processes: measured with one and two here, and predicted for clusters by a model of the cost.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py                  every kind of work, on a quiet machine
    OMP_NUM_THREADS=1 python benchmarks/scaling.py --works sinusoid --ranks 8 1024
    OMP_NUM_THREADS=1 python benchmarks/scaling.py --works sinusoid --tasks 100 400 1600    from how many tasks it pays

Each process has one thread. A step of R processes that share a batch of n tasks takes, see docs/scaling.md,

    T(R) = draw·n + compute·⌈n/R⌉ + update + message(R, bytes)

These parts are processor time of one process: `draw` and `compute` are what a step of n tasks takes more than one of
n/2, and `update` is the rest. The steps of one and of two processes are time on the clock, so nothing else may run. The
message is one all-reduce of the gradient: by a ring 2(R−1)·latency + 2(R−1)/R · bytes/bandwidth, by a tree
2·log₂R·latency + 2·bytes/bandwidth; gloo has the ring, NCCL takes the faster. Latency and bandwidth of gloo on this
machine come from all-reduces of two processes. `--tiny` runs everything at a size that shows that it works and nothing
else.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch import Tensor

import mapsto as mt
from mapsto import processes
from mapsto.episodes import Episode, Examples
from mapsto.learners import Learner

WARM, SIZES = 5, [2**power for power in range(12, 27, 2)]  # steps not timed; bytes of the all-reduces
CONFIGS = Path(__file__).parents[1] / "configs"


class Work(NamedTuple):
    """What is trained: a function that makes a learner and its tasks, the batch, how many steps are timed, options."""

    make: Callable[[], tuple[Learner, Any]]
    batch: int
    steps: int
    options: dict[str, Any]


class Cluster(NamedTuple):
    """A network of processes, and how many times as fast as a core of this machine each of them computes."""

    name: str
    latency: float  # seconds a message
    bandwidth: float  # bytes a second
    speed: float = 1.0
    trees: bool = False


class Cost(NamedTuple):
    """Seconds of the parts of a step, and the bytes of its message."""

    draw: float  # a task
    compute: float  # a task
    update: float
    size: int


def main() -> None:
    """Measure and print the tables, or measure one cell in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--tasks", type=int, nargs="+", help="tasks in a step: default, those of each work")
    parser.add_argument("--ranks", type=int, nargs="+", default=[8, 64, 1024], help="processes to predict for")
    parser.add_argument("--gpu", type=float, default=50.0, help="how many of these cores a GPU is worth: assumed")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--one", nargs=3, metavar=("WORK", "BATCH", "DEVICES"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, batch, devices = args.one
        one(name, int(batch), int(devices), args.tiny)
        return
    print(f"torch {torch.__version__}, one thread a process\n")
    here = network(apart("message", 0, 2, args.tiny)["seconds"])
    clusters = [
        Cluster("CPUs, 10 Gbit/s Ethernet", 30e-6, 1.25e9), Cluster("CPUs, 100 Gbit/s", 5e-6, 12.5e9),
        Cluster("GPUs, 400 Gbit/s InfiniBand", 5e-6, 50e9, args.gpu, trees=True),
    ]  # fmt: skip
    print("| work | tasks | bytes | draw a task | compute a task | update | message | 1 process | 2 | times | model |")
    print("|---" * 11 + "|")
    for name in args.works if args.tasks else ():
        for tasks in args.tasks:
            measured(name, tasks, here, args.tiny)
    if args.tasks:
        return
    costs = {name: measured(name, 2 if args.tiny else WORKS[name].batch, here, args.tiny) for name in args.works}
    print(
        f"\nTasks a second as a multiple of one process; a GPU is assumed to compute as fast as {args.gpu:g} cores.\n"
    )
    print("| work | cluster | tasks | " + " | ".join(map(str, args.ranks)) + " |")
    print("|---" * (3 + len(args.ranks)) + "|")
    for (name, cost), cluster in ((item, cluster) for item in costs.items() for cluster in clusters):
        for per_rank in (False, True):
            cells = [f"{speed(cost, cluster, WORKS[name].batch, ranks, per_rank):.1f}" for ranks in args.ranks]
            tasks = f"{WORKS[name].batch}{' a process' if per_rank else ' in all'}"
            print(f"| {name} | {cluster.name} | {tasks} | {' | '.join(cells)} |")


def network(seconds: dict[str, float]) -> Cluster:
    """Return gloo between two processes here: 2·latency + bytes/bandwidth, by the smallest and the largest message."""
    (small, quick), *_, (large, slow) = ((int(size), value) for size, value in seconds.items())
    bandwidth = (large - small) / max(slow - quick, 1e-9)
    here = Cluster("here", max(quick - small / bandwidth, 0.0) / 2, bandwidth)
    sizes = ", ".join(f"{int(size) / 1024:g} KiB {1e3 * value:.2f} ms" for size, value in seconds.items())
    print(f"All-reduce of two processes, gloo: {sizes}.")
    print(f"Latency {1e6 * here.latency:.0f} µs, bandwidth {here.bandwidth / 1e9:.2f} GB/s.\n")
    return here


def measured(name: str, n: int, here: Cluster, tiny: bool) -> Cost:
    """Print the row of a work with `n` tasks in a step, and return the cost of its parts."""
    whole, half, two = (apart(name, batch, devices, tiny) for batch, devices in ((n, 1), (n // 2, 1), (n, 2)))
    draw, compute = (max(whole[part] - half[part], 0.0) / (n - n // 2) for part in ("draw", "work"))
    update = max(whole["draw"] + whole["work"] - (draw + compute) * n, 0.0)
    cost = Cost(draw, compute, update, whole["bytes"])
    times = [1e3 * value for value in (*cost[:3], message(here, cost.size, 2), whole["step"], two["step"])]
    cells = " | ".join(f"{value:.3f} ms" for value in times)
    ratio, model = whole["step"] / two["step"], step(cost, here, n, 1) / step(cost, here, n, 2)
    print(f"| {name} | {n} | {cost.size:,} | {cells} | {ratio:.2f} | {model:.2f} |", flush=True)
    return cost


def message(cluster: Cluster, size: int, ranks: int) -> float:
    """Return the seconds of an all-reduce."""
    ring = 2 * (ranks - 1) * cluster.latency + 2 * (ranks - 1) / ranks * size / cluster.bandwidth
    tree = 2 * math.log2(ranks) * cluster.latency + 2 * size / cluster.bandwidth
    return min(ring, tree) if cluster.trees and ranks > 1 else ring


def step(cost: Cost, cluster: Cluster, n: int, ranks: int) -> float:
    """Return the seconds of a step of `n` tasks."""
    computed = cost.compute * math.ceil(n / ranks) + cost.update
    return cost.draw * n + computed / cluster.speed + message(cluster, cost.size, ranks)


def speed(cost: Cost, cluster: Cluster, batch: int, ranks: int, per_rank: bool) -> float:
    """Return the tasks a second of `ranks` processes as a multiple of one, with `batch` tasks in all or in each."""
    n = batch * ranks if per_rank else batch
    return (n / step(cost, cluster, n, ranks)) / (batch / step(cost, cluster, batch, 1))


def apart(name: str, batch: int, devices: int, tiny: bool) -> dict[str, Any]:
    """Measure in processes of their own."""
    command = [sys.executable, __file__, "--one", name, str(batch), str(devices), *["--tiny"] * tiny]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=3600)
    return json.loads(done.stdout.splitlines()[-1])


def one(name: str, batch: int, devices: int, tiny: bool) -> None:
    """Measure one cell; the first process prints it."""
    torch.set_num_threads(1)
    group = processes.start(devices)
    if name == "message":
        found: dict[str, Any] = {"seconds": {size: all_reduce(group, size) for size in SIZES[: 2 if tiny else None]}}
    else:
        work = WORKS[name]
        steps = min(work.steps, max(20, work.steps * work.batch // batch))
        found = training(work, batch, devices, 2 if tiny else steps)
    if group.first:
        print(json.dumps(found))


def all_reduce(group: processes.Processes, size: int) -> float:
    """Return the median seconds of an all-reduce of so many bytes."""
    tensor, seconds = torch.ones(size // 4), []
    for _ in range(50):
        began = time.perf_counter()
        group.sum(tensor)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARM:])


def training(work: Work, batch: int, devices: int, steps: int) -> dict[str, Any]:
    """Return the seconds of a step, those of its parts that the processor works, and the bytes of the gradient."""
    torch.manual_seed(0)
    learner, tasks = work.make()
    at: list[tuple[float, float]] = []
    for _ in mt.train(learner, tasks, WARM + steps, batch, devices=devices, **work.options):
        at.append((time.perf_counter(), time.process_time()))
    clock, working = (end - begin for begin, end in zip(at[WARM - 1], at[-1], strict=True))
    began = time.process_time()
    for index in range(WARM, WARM + steps):
        tasks.batch(index, batch)
    drawn = time.process_time() - began
    size = sum(p.numel() * p.element_size() for p in learner.parameters() if p.requires_grad)
    return {"step": clock / steps, "work": (working - drawn) / steps, "draw": drawn / steps, "bytes": size}


class Noise(mt.tasks.Tasks):
    """Images of noise, 20 ways, 1 shot, 5 queries, in memory."""

    def __init__(self) -> None:
        self.images = torch.rand(64, 1, 28, 28)

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw images of which each is of a random class."""
        rows = torch.randint(64, (count, 120), generator=generator)
        x, y = self.images[rows], torch.arange(120).expand(count, 120) % 20
        support, query = ((x[:, part], y[:, part]) for part in (slice(20), slice(20, None)))
        return Episode(over(*support), over(*query))


def over(x: Tensor, y: Tensor) -> Examples:
    return Examples(x, y, torch.full(y.shape, 1 / y.shape[1]))


def sinusoid() -> tuple[Learner, Any]:
    return mt.learners.MAML(mt.models.MLP(1, 40, 40, 1), "mse", lr=0.01), mt.tasks.Sinusoids(shots=10, queries=10)


def prototypes() -> tuple[Learner, Any]:
    return mt.learners.PrototypicalNetwork(mt.models.Conv4(channels=1, hidden=64, norm="layer"), ways=20), Noise()


def tables() -> tuple[Learner, Any]:
    from mapsto.commands.configuration import objects_parser

    config = yaml.safe_load((CONFIGS / "tables.yaml").read_text())
    config["tasks"]["init_args"] |= {"rows": [64, 64], "columns": [10, 10], "numeric": 0.0, "cells": None}
    parser = objects_parser("scaling", "")
    objects = parser.make(parser.parse_args([f"--{name}={json.dumps(config[name])}" for name in ("learner", "tasks")]))
    return objects.learner, objects.tasks


WORKS = {
    "sinusoid": Work(sinusoid, 25, 1000, {}),
    "sinusoid, compiled": Work(sinusoid, 25, 3000, {"compile": True}),
    "Conv4 prototypes": Work(prototypes, 8, 20, {}),
    "tables, 64 × 10": Work(tables, 16, 40, {"optimizer": "muon", "clip": 1.0, "ema": 0.995}),
}

if __name__ == "__main__":
    main()
