"""How far the functions that a trained neural process imagines from nothing spread, beside those it learned from.

    python benchmarks/imagined.py --steps 1500

Two neural processes learn draws of a Gaussian process: one with 3 to 47 support rows in a task, one with 0 to 47. Only
the second has seen empty contexts, which is what `Imagined` gives it to draw from its prior.
"""

import argparse
import sys

import torch

import mapsto as mt
from mapsto.learners import NP
from mapsto.models import MLP
from mapsto.tasks import GaussianProcesses, Imagined, Tasks, WithNoise

LATENTS, BATCH = 16, 16
SCALE, TASKS = 6.0, 2_000  # the standard deviation of the function values, and the drawn tasks


def main() -> None:
    """Train both processes and print the spread of their functions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print("| functions | standard deviation of targets | of a task's mean | within a task |\n|---|---|---|---|")
    print(row("the tasks", GaussianProcesses(scale=SCALE).test), flush=True)
    for least in (3, 0):
        tasks = GaussianProcesses(scale=SCALE, shots=(least, 47))
        process = trained(tasks, args.steps, args.seed)
        print(row(f"imagined, trained with {least} to 47 shots", Imagined(tasks, process).test), flush=True)


def trained(tasks: Tasks, steps: int, seed: int) -> NP:
    """Return a neural process after `steps` steps of training on the tasks."""
    torch.manual_seed(seed)
    process = NP(MLP(2, 64, 64, 2 * LATENTS, activation="silu"), MLP(1 + LATENTS, 64, 64, 2, activation="silu"))
    with_noise = WithNoise(tasks, (1, LATENTS))
    for step in mt.train(process, with_noise, steps, BATCH, 1e-3, schedule="cosine", warmup=100, clip=1.0, seed=seed):
        if step.step % 250 == 0:
            print(f"{step.step}: loss {step.metrics['loss']:.3f}, {step.seconds:.0f} s", file=sys.stderr)
    return process


def row(name: str, tasks: Tasks) -> str:
    """Return a row of the table: the spread of all targets, of the tasks' means, and within tasks."""
    y = tasks.batch(0, TASKS).query.y[..., 0]  # [T, n]
    spread = (y.std(), y.mean(1).std(), y.var(1).mean().sqrt())
    return f"| {name} | " + " | ".join(f"{float(each):.2f}" for each in spread) + " |"


if __name__ == "__main__":
    main()
