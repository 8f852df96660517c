"""The course of a training in words and pictures, from the steps that it logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..figures.curve import learning_curve
from ..figures.numbers import is_number, significant
from . import page, words

Metrics = Sequence[Mapping[str, Any]]
"""The logged steps, each with `step` and some numbers."""


def quantities(metrics: Metrics) -> list[str]:
    """Name the quantities that a run logged as numbers, losses and validation first, without steps and seconds.

    >>> quantities([{"step": 1, "seconds": 0.3, "lr": 0.1, "loss": 0.5}, {"step": 2, "acc": 0.7, "validation": 0.6}])
    ['loss', 'validation', 'lr', 'acc']
    """
    names = dict.fromkeys(k for line in metrics for k, v in line.items() if is_number(v))
    rest = [name for name in names if name not in ("step", "seconds")]
    return sorted(rest, key=lambda name: ("loss" not in name, "validation" not in name))


def series(metrics: Metrics, name: str) -> tuple[list[int | float], list[float]]:
    """Return the steps at which the quantity `name` was logged, and its values."""
    lines = [(i, line) for i, line in enumerate(metrics) if is_number(line.get(name))]
    return [line.get("step", i) for i, line in lines], [float(line[name]) for _, line in lines]


def course(metrics: Metrics) -> list[str]:
    """Describe a training in sentences."""
    names = quantities(metrics)
    if not names:
        return ["Nothing was logged: the training stopped before its first logged step."]
    steps, y = series(metrics, names[0])
    seconds = [line["seconds"] for line in metrics if is_number(line.get("seconds"))]
    took = f", in {words.duration(seconds[-1])}" if seconds else ""
    sentences = [f"The run logged {words.count(len(metrics), 'line')}, up to step {max(steps):,}{took}."]
    finite = np.isfinite(y)
    if not finite.all():
        first = f"{steps[int((~finite).argmax())]:,}"
        gaps = words.count(int((~finite).sum()), "logged step")
        sentences.append(f"{names[0]} was not finite at {gaps}, first at {first}.")
    if finite.any():
        best = int(np.nanargmin(np.where(finite, y, np.nan)))
        lowest = f"its lowest was {significant(y[best])}, at step {steps[best]:,}"
        ends = f"{significant(y[0])} at step {steps[0]:,} and {significant(y[-1])} at the end"
        sentences.append(f"{names[0]} was {ends}; {lowest}.")
    return sentences


def curve(metrics: Metrics, name: str) -> dict[str, Any]:
    """Draw the learning curve of the quantity `name`."""
    steps, y = series(metrics, name)
    first, last = (f"{significant(y[i])} at step {steps[i]:,}" for i in (0, -1))
    alt = f"Learning curve of {name}: {first}, {last}."
    return {"name": name, "picture": page.picture(learning_curve(steps, y, name), alt)}
