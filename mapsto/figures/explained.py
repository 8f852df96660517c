"""An `Explanation` as the arrays that pictures draw: the contributions to one target, and half their intervals' width.

If no target is named, pictures show the second of two classes. Of more classes, a picture of one row shows the class
that is predicted for it, and a picture of many rows the class with the largest total importance.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from .. import checks
from ..explanation import Explanation
from ..explanation.html import plural
from .unit import Amount, Probability, Unit

Target: TypeAlias = Any  # the name of a class; if a number is predicted, its name or its `Amount`


class Explained(NamedTuple):
    """The contributions of `d` columns to one target in `n` rows."""

    values: Float[np.ndarray, "n d"]
    bases: Float[np.ndarray, " n"]
    reach: Float[np.ndarray, "n d"] | None  # half the width of the 90 % intervals
    unit: Unit
    note: str  # why this class is shown, if nobody chose it

    def axis_of_changes(self, start: str) -> str:
        """Name the axis of contributions, in three lines if nobody chose the class."""
        return "\n".join(filter(None, (self.unit.axis_of_changes(start), self.note)))

    @property
    def uncertain(self) -> Bool[np.ndarray, "n d"] | None:
        """Which contributions have an interval that contains both signs."""
        return None if self.reach is None else self.reach > np.abs(self.values)


def explained(e: Explanation, target: Target) -> Explained:
    """Return the contributions to `target`; raise MapstoError if there is no row or no such target."""
    checks.expect(isinstance(e, Explanation), "e", f"a {type(e).__name__}", "an Explanation, such as clf.explain(X)",
                  "for results of mt.explainers, take mt.figures.draw")  # fmt: skip
    checks.expect(len(e) > 0, "e", "no rows", "at least one explained row", "explain some rows first")
    checks.expect(len(e.feature_names) > 0, "e", f"no {plural(e.noun)}", "at least one with a contribution")
    reach = None if e.errors is None or not np.isfinite(e.errors).all() else e.intervals(0.9)[1] - e.values
    if not len(e.class_names):
        return Explained(e.values, e.base_values, reach, _amount(target, e.values), "")
    c, note = _chosen(e) if target is None else (_place(e, target), "")
    values, name = e.values[:, :, c], str(e.class_names[c])
    unit = Probability(name) if e.of_probabilities else _amount(f"score of {name}", values)
    return Explained(values, e.base_values[:, c], None if reach is None else reach[:, :, c], unit, note)


def legend(e: Explanation, part: Explained) -> list[str]:
    """Say what the intervals of one row are, and how far its contributions can be trusted."""
    intervals = part.reach is not None and (part.unit.factor * part.reach >= part.unit.step / 2).any()
    return [
        "lines: 90 % intervals; hollow: the sign is not certain" if intervals else "",
        "" if e.trust is None else f"expected agreement with exact Shapley values: R² = {e.trust[0]:.2f}",
    ]


def _amount(target: Target, values: np.ndarray) -> Unit:
    """Return the unit of a number: given, or named by a text; the contributions decide how many digits are written."""
    if isinstance(target, Unit):
        return target
    named = target is None or isinstance(target, str)
    checks.expect(named, "target", repr(target), "the name of the predicted number, or its mapsto.figures.unit.Amount")
    return Amount(target or "outcome", spread=float(np.abs(values).max(initial=0)) or 1.0)


def _chosen(e: Explanation) -> tuple[int, str]:
    k = len(e.class_names)
    if k <= 2:
        return k - 1, ""
    if len(e) == 1:
        return int(e.predictions[0].argmax()), f"(the predicted class, of {k})"
    return int(e.importance.sum(0).argmax()), f"(the class that moves most, of {k})"


def _place(e: Explanation, target: Target) -> int:
    return checks.place([str(name) for name in e.class_names], target=str(target))
