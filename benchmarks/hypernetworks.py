"""A data set ↦ the parameters of a classifier, beside logistic regression whose penalty is tuned on other tasks.

    python benchmarks/hypernetworks.py linear                    a linear classifier; the log-odds are a plane
    python benchmarks/hypernetworks.py linear --shots 16 16      trained for one size only
    python benchmarks/hypernetworks.py linear --body moments     the body is that of the regression
    python benchmarks/hypernetworks.py curved                    a small MLP; the log-odds are a parabola

Each prints the log loss on test tasks with 16, 32 and 64 support rows. The rivals are fitted to each task by Newton's
method. Their penalties are tuned for each size on validation tasks: one for the coefficients, one for the intercept,
and for the centred rivals the common value to which the slopes shrink. The parabola is logistic regression on x and x².
Resumable: runs go to `--out` (runs/hypernetworks). `--split validation` compares recipes without the test tasks.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from processes import once, seconds_of, train
from torch import Tensor, nn
from torch.nn import functional as F

from mapsto.episodes import Episode, first_tasks, over_tasks
from mapsto.learners import Hypernetwork
from mapsto.measures import estimate
from mapsto.models import MLP, MomentNetwork, NewtonNetwork
from mapsto.tasks import Logistic, Tasks

FEATURES, SIZES, QUERIES = 8, (16, 32, 64), 64
EPISODES, TUNING, AT_ONCE = 2_000, 500, 100
PENALTIES, OF_INTERCEPT, CENTRES = (
    (0.2, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0),
    (1e-3, 1.0, 4.0, 12.0),
    (0.0, 0.5, 1.0),
)
Recipe = dict[str, Any]


def main() -> None:
    """Print one row a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--out", type=Path, default=Path("runs/hypernetworks"))
    parser.add_argument("--body", choices=("newton", "moments"), default="newton", help="of the linear part")
    parser.add_argument("--shots", nargs=2, type=int, default=(min(SIZES), max(SIZES)), help="in training")
    parser.add_argument("--centre", type=float, default=1.0, help="the mean of the tasks' slopes")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="of training, instead of the recipe's")
    parser.add_argument("--lr", type=float, help="learning rate, instead of the recipe's")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="test tasks of each size")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    if args.tiny:
        args.out, args.steps, args.episodes, args.seeds = args.out / "tiny", 6, 20, [0]
    table(args)


def table(args: argparse.Namespace) -> None:
    """Train once a seed, and print the log losses beside those of the rivals on the same tasks."""
    runs = [one_hypernetwork(args, seed) for seed in args.seeds]
    print(f"{sum(run['seconds'] for run in runs) / 60:.1f} minutes of training of {len(runs)} seeds\n")
    rivals = RIVALS if args.part == "curved" else RIVALS[:2]
    names = ["rows", "hypernetwork", *(name for name, _ in rivals), "the truth", "above the first rival", "each seed"]
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for size in (size for size in SIZES if args.shots[0] <= size <= args.shots[1]):
        tasks = tasks_of(args, size).of(args.split)
        losses = np.array([run["losses"][str(size)] for run in runs])  # [seeds, tasks]
        of_rivals = [rival(args, size, squares, centres) for _, (squares, centres) in rivals]
        mean = losses.mean(0)
        cells = [str(estimate(values)) for values in (mean, *of_rivals)]
        bayes = float(np.mean([tasks.bayes(i, AT_ONCE) for i in range(max(args.episodes // AT_ONCE, 1))]))
        above = 100 * np.array(estimate(mean - of_rivals[0])) / of_rivals[0].mean()
        seeds = ", ".join(f"{value:.4f}" for value in losses.mean(1))
        print(
            f"| {size} | {' | '.join(cells)} | {bayes:.4f} | {above[0]:.1f} ± {above[1]:.1f} % | {seeds} |", flush=True
        )


def tasks_of(args: argparse.Namespace, shots: int | tuple[int, int]) -> Logistic:
    curvature = 1.0 if args.part == "curved" else 0.0
    return Logistic(FEATURES, shots, QUERIES, centre=args.centre, curvature=curvature)


# The hypernetwork


def one_hypernetwork(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train with random numbers of rows, and return the log loss of each task of the split, for each size."""
    build, recipe = PARTS[args.part]
    recipe = recipe | {name: value for name, value in {"steps": args.steps, "lr": args.lr}.items() if value}
    recipe["warmup"] = min(recipe["warmup"], recipe["steps"] // 10)
    low, high = args.shots
    run = args.out / f"{args.part}-{args.body}-{low}-{high}-{args.centre:g}-{recipe['steps']}-{recipe['lr']:g}-{seed}"

    def measure() -> dict[str, Any]:
        torch.manual_seed(seed)
        learner = build(args.body)
        train(learner, tasks_of(args, (low, high)), run, argparse.Namespace(**vars(args) | {"seed": seed}), **recipe)
        losses = {size: losses_of(learner, tasks_of(args, size).of(args.split), args.episodes) for size in SIZES}
        return {"seconds": seconds_of(run), "losses": losses}

    return once(run.with_name(f"{run.name}-{args.split}-{args.episodes}.json"), measure)


@torch.no_grad()
def losses_of(learner: Hypernetwork, tasks: Tasks, episodes: int) -> list[float]:
    losses = over_tasks(learner.query_loss)
    return torch.cat([losses(batch) for batch in first_tasks(tasks, episodes, AT_ONCE, 0)]).tolist()


def linear(body: str) -> Hypernetwork:
    reads = NewtonNetwork(FEATURES, 2) if body == "newton" else MomentNetwork(FEATURES, layers=8)
    return Hypernetwork(reads, nn.Linear(FEATURES, 2), loss="cross_entropy")


def curved(body: str) -> Hypernetwork:
    """Build a body that classifies on learned features and writes a small MLP."""
    child, features = MLP(FEATURES, 32, 2, activation="silu"), 24
    size = sum(parameter.numel() for parameter in child.parameters())
    basis, write = MLP(FEATURES, 32, features, activation="silu"), nn.Linear(2 * (features + 1), size)
    return Hypernetwork(NewtonNetwork(features, 2, basis, write, layers=4), child, loss="cross_entropy")


PARTS: dict[str, tuple[Callable[[str], Hypernetwork], Recipe]] = {
    "linear": (linear, {"steps": 1_000, "batch": 64, "lr": 0.03, "warmup": 0}),
    "curved": (curved, {"steps": 3_000, "batch": 32, "lr": 0.01, "warmup": 100}),
}


# Penalised logistic regression

RIVALS: tuple[tuple[str, tuple[bool, tuple[float, ...]]], ...] = (
    ("logistic regression", (False, (0.0,))),
    ("centred logistic regression", (False, CENTRES)),
    ("centred parabola", (True, CENTRES)),
)


def rival(args: argparse.Namespace, size: int, squares: bool, centres: tuple[float, ...]) -> np.ndarray:
    """Return the log loss of each task of the split, for the penalties that are best on validation tasks."""
    tasks = tasks_of(args, size)
    tuning = tasks.validation.batch(0, args.episodes if args.tiny else TUNING, seed=1)
    grid = itertools.product(PENALTIES, OF_INTERCEPT, centres)
    best = min(grid, key=lambda choice: float(of_choice(tuning, squares, *choice).mean()))
    batches = first_tasks(tasks.of(args.split), args.episodes, AT_ONCE, 0)
    return torch.cat([of_choice(batch, squares, *best) for batch in batches]).numpy()


def of_choice(batch: Episode, squares: bool, penalty: float, of_intercept: float, centre: float) -> Tensor:
    """Return the log loss of penalised logistic regression on each task of a batch."""
    x, at = (columns(part.x, squares) for part in batch[:2])
    ridge, mean = torch.full((x.shape[-1],), penalty).double(), torch.zeros(x.shape[-1]).double()
    ridge[-1], mean[:FEATURES] = of_intercept, centre
    fit = logistic(x, batch.support.y.double(), ridge, mean)
    return F.binary_cross_entropy_with_logits(scores(at, fit), batch.query.y.double(), reduction="none").mean(1)


def columns(x: Tensor, squares: bool) -> Tensor:
    parts = [x, (x.square() - 1) / math.sqrt(2)] if squares else [x]
    return torch.cat([*parts, torch.ones_like(x[..., :1])], -1).double()


def scores(x: Tensor, fit: Tensor) -> Tensor:
    return torch.einsum("tnq,tq->tn", x, fit)


def logistic(x: Tensor, y: Tensor, ridge: Tensor, mean: Tensor) -> Tensor:
    """Return the minimum of −Σ log p(y_i | x_i) + ½·Σ_j ridge_j (fit_j − mean_j)² for each task, by Newton's method.

    A step is halved while it does not go down.
    """

    def objective(fit: Tensor) -> Tensor:
        losses = F.binary_cross_entropy_with_logits(scores(x, fit), y, reduction="none").sum(1)
        return losses + ((fit - mean).square() @ ridge) / 2

    fit = mean.expand(len(x), -1)
    for _ in range(50):
        p = scores(x, fit).sigmoid()
        gradient = torch.einsum("tnq,tn->tq", x, y - p) - ridge * (fit - mean)
        if gradient.abs().max() < 1e-7:
            break
        step = torch.linalg.solve(torch.einsum("tnq,tn,tnr->tqr", x, p * (1 - p), x) + ridge.diag(), gradient)
        before = objective(fit)
        for _ in range(10):
            step = torch.where((objective(fit + step) > before)[:, None], step / 2, step)
        fit = fit + step
    return fit


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - began:.0f} s in all")
