"""Which explanation to use: every method on tasks whose reasons are known, for three learners.

    python benchmarks/reasons.py                         every table family and learner; a few minutes each
    python benchmarks/reasons.py --rules syn1 syn2       some of them
    python benchmarks/reasons.py --report                the table of what has been measured

Tables: `Planted` with labels that follow the rule exactly (with the published Bernoulli labels no learner can be
accurate), 2,048 teaching rows, 64 explained rows of each of three tables with shuffled columns. A method explains how
far class 1 is ahead of class 0; its values' sizes are held against the columns that decide the row (AUROC a row, mean
over rows and tables ± 95 % interval over tables).
Cost: how often the model is asked for a row, counted while it happens (a gradient counts as one more), and seconds,
against the gradient in the same run.
Baselines that know nothing of the model: random values, and the input's magnitude.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap

import mapsto as mt
from mapsto.explainers import (
    LIME,
    ExpectedGradients,
    GameExplainer,
    Gradient,
    InputXGradient,
    IntegratedGradients,
    Occlusion,
    PermutationShapley,
    Shapley,
    Smooth,
    ViewExplainer,
)
from mapsto.learners.inner import Adam

RULES = ("syn1", "syn2", "syn3", "syn4", "syn5", "syn6")
TABLES, TEACH, EXPLAIN, BACKGROUND = 3, 2048, 64, 32


class Products(nn.Module):
    """Each column, its size and square, and all products of two: what a rule of two columns is linear in."""

    def forward(self, x: Tensor) -> Tensor:
        """Expand rows `[n, d]`."""
        i, j = torch.triu_indices(x.shape[-1], x.shape[-1])
        return torch.cat([x, x.abs(), x[..., i] * x[..., j]], -1)


LEARNERS: dict[str, Callable[[], mt.learners.Learner]] = {
    "MAML": lambda: mt.learners.MAML(mt.models.MLP(11, 64, 64, 2), lr=0.01, steps=200, optimizer=Adam()),
    "ProtoNet": lambda: mt.learners.PrototypicalNetwork(Products(), ways=2),
    "InContext": lambda: mt.weights.load(members=2),
}


class Counted(torch.autograd.Function):
    """The identity; counts the rows that pass it, under any number of `vmap`, and the slopes that come back."""

    asked = 0

    @staticmethod
    def forward(x: Tensor, times: int) -> Tensor:
        """Count `times` rows."""
        Counted.asked += times
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        """Remember how many rows there were."""
        ctx.times = inputs[1]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        """Count as many gradients."""
        return Counted.apply(slope, ctx.times), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, None], x: Tensor, times: int) -> tuple[Tensor, int | None]:
        """Count a row for each of the batch."""
        return Counted.apply(x, times * info.batch_size), in_dims[0]


View = Callable[[Tensor], Tensor]
Method = Callable[[View, Tensor, Tensor], Tensor]  # (view, points [n, d], background [b, d]) ↦ values [n, d]


def moved(make: Callable[[Tensor], ViewExplainer]) -> Method:
    """Explain by moving the columns; `make` is given the background rows."""
    return lambda view, x, background: make(background).over(view, x, chunk_size=16)


def hidden(explainer: GameExplainer) -> Method:
    """Explain by hiding columns, in whose place stand those of background rows, one after the other."""
    return lambda view, x, background: explainer.over(
        lambda point: mt.views.game(view, point, background=background), x, chunk_size=4
    )


def random(view: View, x: Tensor, background: Tensor) -> Tensor:
    """Return values that know nothing."""
    return torch.rand(x.shape, generator=torch.Generator().manual_seed(0))


METHODS: dict[str, Method] = {
    "random": random,
    "input's magnitude": lambda view, x, background: x.abs(),
    "Gradient": moved(lambda background: Gradient()),
    "InputXGradient": moved(lambda background: InputXGradient()),
    "IntegratedGradients": moved(lambda background: IntegratedGradients(32)),
    "SmoothGrad": moved(lambda background: Smooth(Gradient(), samples=16, noise=0.3)),
    "ExpectedGradients": moved(lambda background: ExpectedGradients(background, steps=4)),
    "Occlusion": hidden(Occlusion()),
    "LIME, 256 coalitions": hidden(LIME(256)),
    "Shapley, 256 coalitions": hidden(Shapley(256)),
    "PermutationShapley, 8 pairs": hidden(PermutationShapley(8)),
}


def main() -> None:
    """Measure what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", nargs="+", choices=RULES, default=RULES)
    parser.add_argument("--learners", nargs="+", choices=LEARNERS, default=list(LEARNERS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path("runs/reasons.jsonl"))
    parser.add_argument("--report", action="store_true", help="print what has been measured and measure nothing")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    found = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    done = {(row["learner"], row["rule"], row["method"]) for row in found}
    for name, rule in [] if args.report else [(n, r) for n in args.learners for r in args.rules]:
        missing = [method for method in args.methods if (name, rule, method) not in done]
        for row in measured(name, rule, missing) if missing else []:
            with args.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            found.append(row)
            print(json.dumps(row), flush=True)
    report(found)


def measured(name: str, rule: Any, methods: list[str]) -> list[dict[str, Any]]:
    """Return what each method finds of the reasons of some tables that one learner has read."""
    tasks = mt.tasks.Planted(rule, shots=TEACH, queries=EXPLAIN, sharpness=float("inf"))
    rows: dict[str, list[tuple[float, float, float]]] = {method: [] for method in methods}
    accuracy = []
    for table in range(TABLES):
        episode, truth = mt.episodes.unstack(tasks.batch(table, 1))[0], tasks.truth(table, 1).query[0]
        torch.manual_seed(table)
        learner = LEARNERS[name]().requires_grad_(False)
        support, x = episode.support, episode.query.x
        view = mt.views.query(learner, support, link=lambda scores: scores[1] - scores[0])
        accuracy.append(float(((vmap(view)(x) > 0) == episode.query.y).double().mean()))
        for method in methods:
            rows[method].append(judged(METHODS[method], view, x, support.x[:BACKGROUND], truth))
    return [
        {"learner": name, "rule": rule, "method": method, "accuracy": float(np.mean(accuracy))}
        | dict(zip(("auroc", "asked", "seconds"), np.array(values).T.tolist(), strict=True))
        for method, values in rows.items()
    ]


def judged(method: Method, view: View, x: Tensor, background: Tensor, truth: Tensor) -> tuple[float, float, float]:
    """Return the mean AUROC of the rows, how often the model was asked for one, and the seconds it took."""
    Counted.asked = 0
    method(lambda point: view(Counted.apply(point, 1)), x, background)
    start = time.perf_counter()
    values = method(view, x, background)
    seconds = (time.perf_counter() - start) / len(x)
    return float(mt.measures.auroc(values.abs().double(), truth).mean()), Counted.asked / len(x), seconds


def report(found: list[dict[str, Any]]) -> None:
    """Print a row a method, a column a learner and family."""
    pairs = list(dict.fromkeys((row["learner"], row["rule"]) for row in found))
    by = {(row["learner"], row["rule"], row["method"]): row for row in found}
    print("| method | asked a row | time | " + " | ".join(f"{learner}, {rule}" for learner, rule in pairs) + " |")
    print("|---" * (3 + len(pairs)) + "|")
    accuracy = [next(row["accuracy"] for row in found if (row["learner"], row["rule"]) == pair) for pair in pairs]
    print("| *the learner's accuracy* | | | " + " | ".join(f"*{100 * a:.1f} %*" for a in accuracy) + " |")
    for method in dict.fromkeys(row["method"] for row in found):
        rows = [by.get((*pair, method)) for pair in pairs]
        one = next(row for row in rows if row)
        unit = by.get((one["learner"], one["rule"], "Gradient"), one)["seconds"]
        cells = [told(row["auroc"]) if row else "" for row in rows]
        cost = np.mean(one["seconds"]) / np.mean(unit)
        print(f"| {method} | {np.mean(one['asked']):,.0f} | {cost:.1f}× | " + " | ".join(cells) + " |")


def told(auroc: list[float]) -> str:
    """Write the mean over tables and its 95 % interval."""
    found = mt.measures.estimate(np.array(auroc))
    return f"{found.mean:.3f} ± {found.interval:.3f}"


if __name__ == "__main__":
    main()
