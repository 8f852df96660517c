"""The report of `tradeoff.py`: a table of chosen weights, and accuracy against clarity for every weight."""

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mapsto.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSS = 1.0  # points of accuracy that clarity may cost on the validation rows
TITLES = {
    "tree": "decisions in a tree\nthat imitates the model",
    "decay": "decisions in a tree\n(weight decay, no penalty)",
    "hoyer": "active units\n(squared Hoyer measure)",
    "l1": "active units\n(L1 norm)",
    "stability": "relative change of the\ngradient under noise",
    "total variation": "total variation of the\ngradient of an image",
    "agreement": "disagreement of learned and\nleave-one-out reasons",
}
NAMES = {"planted": "planted table", "credit.g": "table credit.g", "spambase": "table spambase", "tasks": "MAML, tasks"}


class Point(NamedTuple):
    """The means over seeds for one weight."""

    weight: float
    validation: dict[str, float]
    test: dict[str, float]


def curves(lines: list[dict]) -> dict[tuple[str, str], list[Point]]:
    """Return the points of each case and penalty, by weight."""
    runs: dict[tuple[str, str], dict[float, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        runs[line["case"], line["penalty"]][line["weight"]].append(line)
    return {key: [point(weight, of[weight]) for weight in sorted(of)] for key, of in runs.items() if len(of) > 1}


def point(weight: float, runs: list[dict]) -> Point:
    """Return the means over the seeds of one weight."""

    def mean(split: str) -> dict[str, float]:
        return {key: float(np.mean([run[split][key] for run in runs])) for key in ("accuracy", "clarity")}

    return Point(weight, mean("validation"), mean("test"))


def chosen(points: list[Point]) -> Point:
    """Return the clearest model of those that cost at most `LOSS` points on the validation rows."""
    free = points[0].validation["accuracy"]
    allowed = [p for p in points if p.validation["accuracy"] >= free - LOSS]
    return min(allowed, key=lambda p: p.validation["clarity"])


def report(lines: Path, picture: Path) -> None:
    """Print the chosen weights with their test numbers as Markdown, and draw all curves."""
    of = curves([json.loads(line) for line in lines.read_text().splitlines()])
    print("| case | penalty | weight | accuracy without → with | clarity without → with | ratio |")
    print(6 * "|---" + "|")
    for (case, penalty), points in sorted(of.items()):
        free, best = points[0].test, chosen(points)
        ratio = best.test["clarity"] / free["clarity"]
        print(
            f"| {case} | {penalty} | {best.weight:g} | {free['accuracy']:.1f} → {best.test['accuracy']:.1f} % "
            f"| {free['clarity']:.3g} → {best.test['clarity']:.3g} | {ratio:.2f} |"
        )
    draw(of, picture)


def draw(of: dict[tuple[str, str], list[Point]], picture: Path) -> None:
    """Draw one panel for each case and penalty."""
    across = 3
    down = -(-len(of) // across)
    figure = style.canvas(2.9 * down + 0.6, 3.1 * across)
    panels = figure.subplots(down, across, squeeze=False).flatten()
    for axes, (key, points) in zip(panels, sorted(of.items()), strict=False):
        panel(style.quiet(axes), key, points)
    for axes in panels[len(of) :]:
        axes.set_axis_off()
    figure.suptitle(
        "Left is clearer, up is more accurate. Grey: no penalty. Each number is the weight of the penalty.\n"
        "Orange: the clearest model that costs at most 1 point of accuracy on validation rows. All points: test rows.",
        fontsize=9.5,
        color=style.INK,
    )
    figure.savefig(picture, dpi=130)


def panel(axes: "Axes", key: tuple[str, str], points: list[Point]) -> None:
    """Draw the test accuracy against the test clarity of each weight."""
    best = chosen(points)
    x, y = ([p.test[name] for p in points] for name in ("clarity", "accuracy"))
    axes.plot(x, y, color=style.LOWER, linewidth=1.0, alpha=0.5)
    for p in points:
        colour = style.NEUTRAL if p.weight == 0 else style.HIGHER if p is best else style.LOWER
        axes.plot(p.test["clarity"], p.test["accuracy"], "o", color=colour, markersize=7 if p is best else 5)
        axes.annotate(f"{p.weight:g}", (p.test["clarity"], p.test["accuracy"]), xytext=(4, 4),
                      textcoords="offset points", fontsize=7.5, color=style.MUTED)  # fmt: skip
    axes.set_xlim(0, 1.12 * max(x))
    axes.set_ylim(min(*y, max(y) - 5) - 1, max(y) + 1.5)
    axes.axvline(x[0] / 2, color=style.NEUTRAL, linewidth=0.8, linestyle=":")
    axes.annotate("half", (x[0] / 2, axes.get_ylim()[0]), xytext=(2, 3), textcoords="offset points", fontsize=7.5,
                  color=style.MUTED)  # fmt: skip
    axes.set_title(NAMES.get(key[0], key[0]), fontsize=9.5, color=style.INK)
    axes.set_xlabel(TITLES[key[1]], fontsize=8.5, color=style.INK)
    axes.set_ylabel("accuracy, %", fontsize=8.5, color=style.INK)
    axes.tick_params(labelsize=8)
