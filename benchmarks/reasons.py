"""Which explanation to use: every method on tasks whose reasons are known, for three learners.

    python benchmarks/reasons.py                         every family and learner; a few minutes each
    python benchmarks/reasons.py --families syn1 syn2    some of them
    python benchmarks/reasons.py --report                the table of what has been measured

Tables: `Planted` with labels that follow the rule exactly (with the published Bernoulli labels no learner can be
accurate), and `XAITris`, images of 8 × 8 pixels as rows; 2,048 teaching rows, 64 explained rows of each of three tables
with shuffled columns (the shipped mapping, which reads rows in context: 256 and 32). A method explains how far class 1
is ahead of class 0; its values' sizes are held against the columns that decide the row (AUROC a row, mean over rows and
tables ± 95 % interval over tables). Hidden columns are those of 32 teaching rows, one after the other; for the mapping,
which knows missing cells, missing.
Cost: how often the model is asked for a row, counted while it happens (a gradient counts as one more), and seconds,
against the gradient in the same run.
Baselines that know nothing of the model: random values, the input's magnitude, and the edges of an image.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional as F

import mapsto as mt
from mapsto.adaptation.inner import Adam
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
    ShapleyInteractions,
    Smooth,
    ViewExplainer,
)
from mapsto.joint import SelfExplaining

FAMILIES: dict[str, Callable[[int], mt.tasks.Tasks]] = {
    **{
        f"syn{i}": partial(mt.tasks.Planted, f"syn{i}", queries=64, sharpness=float("inf"))  # type: ignore[arg-type]
        for i in range(1, 7)
    },
    **{
        f"xai-tris {scenario}": partial(mt.tasks.XAITris, scenario, queries=64)
        for scenario in ("linear", "multiplicative", "rigid", "xor")
    },
}
TABLES, BACKGROUND = 3, 32


class Products(nn.Module):
    """Each column, its size and square, and all products of two: what a rule of two columns is linear in."""

    def forward(self, x: Tensor) -> Tensor:
        """Expand rows `[n, d]`."""
        i, j = torch.triu_indices(x.shape[-1], x.shape[-1])
        return torch.cat([x, x.abs(), x[..., i] * x[..., j]], -1)


class Reader(NamedTuple):
    """A learner of rows `[n, d]`, how many rows teach it and how many are explained, and whether it knows absence."""

    make: Callable[[int], mt.learners.Learner]
    taught: int = 2048
    explained: int = 64
    missing: bool = False


READERS = {
    "MAML": Reader(lambda d: mt.learners.MAML(mt.models.MLP(d, 64, 64, 2), lr=0.01, steps=200, optimizer=Adam())),
    "ProtoNet": Reader(lambda d: mt.learners.PrototypicalNetwork(Products(), ways=2)),
    "InContext": Reader(lambda d: mt.weights.load(members=2), taught=256, explained=32, missing=True),
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


class Case(NamedTuple):
    """What is explained: rows x `[n, ...]` of a learner that has adapted, by one score of each; and how parts hide."""

    learner: mt.learners.Learner
    support: mt.episodes.Examples
    link: Callable[[Tensor], Tensor]
    view: View
    x: Tensor
    hide: Callable[[View, Tensor], mt.views.Game]
    spread: Callable[[Tensor], Tensor] = torch.Tensor.contiguous  # values of parts ↦ those of entries

    @property
    def background(self) -> Tensor:
        """Rows that stand for what is usual."""
        return self.support.x[:BACKGROUND]


Method = Callable[[Case], Tensor]  # ↦ values [n, d]


def moved(make: Callable[[Tensor], ViewExplainer]) -> Method:
    """Explain by moving the columns; `make` is given the background rows."""
    return lambda case: make(case.background).over(case.view, case.x, chunk_size=16)


def hidden(explainer: GameExplainer | ShapleyInteractions) -> Method:
    """Explain by hiding parts."""
    return lambda case: case.spread(explainer.over(lambda x: case.hide(case.view, x), case.x, chunk_size=1))


def random(case: Case) -> Tensor:
    """Return values that know nothing."""
    return torch.rand(case.x.shape, generator=torch.Generator().manual_seed(0))


def edges(case: Case) -> Tensor:
    """Return how far a pixel is from the mean of its four neighbours; of square images only."""
    side = math.isqrt(case.x[0].numel())
    image = F.pad(case.x.view(-1, 1, side, side), (1, 1, 1, 1), mode="replicate")
    around = image[..., :-2, 1:-1] + image[..., 2:, 1:-1] + image[..., 1:-1, :-2] + image[..., 1:-1, 2:]
    return (image[..., 1:-1, 1:-1] - around / 4).view(case.x.shape)


def its_own(case: Case) -> Tensor:
    """Ask a learner that explains itself: what each column gave class 1, in one call."""
    assert isinstance(case.learner, SelfExplaining)
    Counted.asked += len(case.x)
    return case.learner.explain(case.learner.adapt(case.support), case.x)[0][..., 1]


METHODS: dict[str, Method] = {
    "random": random,
    "input's magnitude": lambda case: case.x.abs(),
    "edges": edges,
    "Gradient": moved(lambda background: Gradient()),
    "InputXGradient": moved(lambda background: InputXGradient()),
    "IntegratedGradients": moved(lambda background: IntegratedGradients(32)),
    "SmoothGrad": moved(lambda background: Smooth(Gradient(), samples=16, noise=0.3)),
    "ExpectedGradients": moved(lambda background: ExpectedGradients(background, steps=4)),
    "Occlusion": hidden(Occlusion()),
    "LIME, 256 coalitions": hidden(LIME(256)),
    "Shapley, 256 coalitions": hidden(Shapley(256)),
    "PermutationShapley, 8 pairs": hidden(PermutationShapley(8)),
    "Shapley, exact": hidden(Shapley()),
    "its own, learned": its_own,
}


def methods_for(family: str, learner: str) -> list[str]:
    """Leave out what does not fit: edges of a table, too many coalitions, the reasons of one that gives none."""
    image = not family.startswith("syn")
    left_out = {"edges": not image, "Shapley, exact": image, "its own, learned": learner != "InContext"}
    return [method for method in METHODS if not left_out.get(method)]


def main() -> None:
    """Measure what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--learners", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--out", type=Path, default=Path("runs/reasons.jsonl"))
    parser.add_argument("--report", action="store_true", help="print what has been measured and measure nothing")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    found = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    done = {(row["learner"], row["family"], row["method"]) for row in found}
    for name, family in [] if args.report else [(n, f) for n in args.learners for f in args.families]:
        fit = [method for method in methods_for(family, name) if method in args.methods]
        missing = [method for method in fit if (name, family, method) not in done]
        for row in measured(name, family, missing) if missing else ():
            with args.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            found.append(row)
            print(json.dumps(row), flush=True)
    report(found)


def measured(name: str, family: str, methods: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what each method finds of the reasons of some tables that one learner has read."""
    tables = [read(READERS[name], FAMILIES[family], table) for table in range(TABLES)]
    accuracy = [float(((vmap(case.view)(case.x) > 0) == y).double().mean()) for case, y, _ in tables]
    for method in methods:
        found = np.array([judged(METHODS[method], case, truth) for case, _, truth in tables]).T.tolist()
        row = {"learner": name, "family": family, "method": method, "accuracy": float(np.mean(accuracy))}
        yield row | dict(zip(("auroc", "asked", "seconds"), found, strict=True))


def read(reader: Reader, family: Callable[..., mt.tasks.Tasks], table: int) -> tuple[Case, Tensor, Tensor]:
    """Return the case of one table, the classes of its rows and the columns that decide them."""
    tasks = family(shots=reader.taught)
    episode = mt.episodes.unstack(tasks.batch(table, 1))[0]
    support, query = episode.support, episode.query
    support, x = support._replace(x=support.x.flatten(1)), query.x.flatten(1)[: reader.explained]
    truth = tasks.truth(table, 1).query[0].flatten(1)  # type: ignore[attr-defined]
    torch.manual_seed(table)
    learner = reader.make(x.shape[1]).requires_grad_(False)
    view = mt.views.query(learner, support, link=lead)
    usual = {"baseline": x.new_tensor(torch.nan)} if reader.missing else {"background": support.x[:BACKGROUND]}
    hide = lambda view, point: mt.views.game(view, point, **usual)  # noqa: E731
    return Case(learner, support, lead, view, x, hide), query.y[: len(x)], truth[: len(x)]


def lead(scores: Tensor) -> Tensor:
    """Return how far class 1 is ahead of class 0."""
    return scores[1] - scores[0]


def judged(method: Method, case: Case, truth: Tensor) -> tuple[float, float, float]:
    """Return the mean AUROC of the rows, how often the model was asked for one, and the seconds it took."""
    values, asked, seconds = costed(method, case)
    return float(mt.measures.auroc(values.abs().double(), truth).mean()), asked, seconds


def costed(method: Method, case: Case) -> tuple[Tensor, int, float]:
    """Return the values, how often the model was asked for the first row, and the seconds a row took."""
    Counted.asked = 0
    method(case._replace(view=lambda point: case.view(Counted.apply(point, 1)), x=case.x[:1]))
    asked, start = Counted.asked, time.perf_counter()
    values = method(case)
    return values, asked, (time.perf_counter() - start) / len(case.x)


def report(found: list[dict[str, Any]]) -> None:
    """Print a row a method, a column a learner and family."""
    pairs = list(dict.fromkeys((row["learner"], row["family"]) for row in found))
    by = {(row["learner"], row["family"], row["method"]): row for row in found}
    print("| method | asked a row | time | " + " | ".join(f"{learner}, {family}" for learner, family in pairs) + " |")
    print("|---" * (3 + len(pairs)) + "|")
    accuracy = [next(row["accuracy"] for row in found if (row["learner"], row["family"]) == pair) for pair in pairs]
    print("| *the learner's accuracy* | | | " + " | ".join(f"*{100 * a:.1f} %*" for a in accuracy) + " |")
    for method in dict.fromkeys(row["method"] for row in found):
        rows = [by.get((*pair, method)) for pair in pairs]
        one = next(row for row in rows if row)
        unit = by.get((one["learner"], one["family"], "Gradient"), one)["seconds"]
        cells = [told(row["auroc"]) if row else "" for row in rows]
        cost = np.mean(one["seconds"]) / np.mean(unit)
        print(f"| {method} | {np.mean(one['asked']):,.0f} | {cost:.1f}× | " + " | ".join(cells) + " |")


def told(auroc: list[float]) -> str:
    """Write the mean over tables and its 95 % interval."""
    found = mt.measures.estimate(np.array(auroc))
    return f"{found.mean:.3f} ± {found.interval:.3f}"


if __name__ == "__main__":
    main()
