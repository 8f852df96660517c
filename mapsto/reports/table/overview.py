"""The parts of the page that tell of all rows: the summary, and the columns that moved the predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...figures import style
from ...figures.beeswarm import beeswarm, ranking, reach
from .. import page
from ..words import count, listing
from . import words
from .base import TableAnswer


def overview(answer: TableAnswer) -> list[str]:
    """Say the whole page in a few sentences."""
    taught = count(len(answer.question.labels), "row")
    learned = f"The model learned from {taught} with a known outcome ({answer.taught()})"
    others, columns = count(len(answer.outputs), "other row"), count(len(answer.used), "column")
    predicted = f"and then predicted {others} from {columns}."
    return [f"{learned} {predicted}", *answer.in_short(), _strongest_columns(answer)]


def _strongest_columns(answer: TableAnswer) -> str:
    means, unit = np.abs(answer.values[:, :, answer.targets]).mean((0, 2)), answer.unit(answer.targets[0])
    strong = [j for j in np.argsort(-means, kind="stable")[:3] if means[j] > 0]
    if not strong:
        return "No column moved any prediction: every row was given the starting value."
    columns = listing([f"{style.shorten(answer.columns[j], 40)} ({unit.size(means[j])})" for j in strong])
    return f"The predictions were moved most by {columns}; in brackets, {unit.how_much} on average, up or down."


def swarms(answer: TableAnswer) -> list[dict[str, Any]]:
    """Draw the beeswarm of each target, all to one scale and in one order of columns."""
    factor = answer.unit(answer.targets[0]).factor
    limits = reach(answer.values[:, :, answer.targets], factor)
    order = ranking(np.abs(answer.values[:, answer.used]).mean(2))
    return [_swarm(answer, c, limits, order) for c in answer.targets]


def _swarm(answer: TableAnswer, c: int, limits: tuple[float, float], order: np.ndarray) -> dict[str, Any]:
    used, unit = answer.used, answer.unit(c)
    values, names = answer.values[:, used, c], [answer.columns[j] for j in used]
    uncertain = answer.reach[:, used, c] > np.abs(values)
    figure = beeswarm(values, answer.shades[:, used], names, unit, limits=limits, order=order, uncertain=uncertain)
    means = np.abs(values).mean(0)
    first = listing([f"{style.shorten(names[j], 40)} {unit.size(means[j])}" for j in order[:3]])
    alt = (
        f"Beeswarm: contributions of {count(len(names), 'column')} to {unit.outcome(60)} in "
        f"{count(len(values), 'row')}. Mean movement in {unit.measure}: {first}."
    )
    return {"heading": f"What moved {unit.outcome(60)}", "picture": page.picture(figure, alt)}


def moved(answer: TableAnswer) -> dict[str, Any]:
    """Tabulate the mean movement of every column that is used, with its direction if there is one."""
    values, shown = answer.values, answer.targets
    rows = [
        {
            "name": answer.columns[j],
            "means": [answer.unit(c).size(np.abs(values[:, j, c]).mean()) for c in shown],
            "trend": _trend(answer, int(j)) if answer.directed else "",
        }
        for j in np.array(answer.used, int)[ranking(np.abs(values[:, answer.used]).mean(2))]
    ]
    heads = [answer.unit(c).head for c in shown]
    return {"heads": heads, "rows": rows, "trends": answer.directed}


def _trend(answer: TableAnswer, j: int) -> str:
    c = answer.targets[0]
    return words.trend(answer.values[:, j, c], answer.shades[:, j], answer.unit(c))
