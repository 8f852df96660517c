"""What the report of a run is told about one of its test tasks, as NumPy arrays; `task_sections` draws it.

`m` queries that were not taught, `n` teaching examples, `k` classes or outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped

from ..measures.faithfulness.trust import Trust

if TYPE_CHECKING:
    from ..seeing.film import Film


@dataclass(frozen=True, eq=False)
class Taught:
    """What the teaching examples did to the score of one query."""

    query: int
    cells: Float[np.ndarray, "n ..."] | None  # what each of their entries gave it, through adaptation
    examples: Float[np.ndarray, " n"]  # what each as a whole gave it
    by_leaving_out: bool  # `examples`: the loss when it is left out, or the slope in its weight


@dataclass(frozen=True, eq=False)
class Reasons:
    """What each method gives the entries of each query, and how far it can be trusted."""

    values: Mapping[str, Float[np.ndarray, "m ..."]]
    about: Mapping[str, str]  # in one sentence
    trusted: Mapping[str, Mapping[str, Trust]]
    left_out: Mapping[str, str]  # of the methods that cannot: why


@dataclass(frozen=True, eq=False)
class TaskFacts:
    """One test task, what the adapted model says of it, and why. `outputs` are probabilities where there are classes.

    Each part that could not be had is None, and `missing` says in a sentence why.
    """

    name: str
    learner: str
    x: Float[np.ndarray, "m ..."]
    y: Shaped[np.ndarray, "m ..."]
    outputs: Float[np.ndarray, "m k"]
    support_x: Float[np.ndarray, "n ..."]
    support_y: Shaped[np.ndarray, "n ..."]
    classes: Sequence[str] | None  # None: numbers are predicted
    columns: Sequence[str]  # of a table's rows; empty for images
    curve: tuple[Float[np.ndarray, "g 1"], Float[np.ndarray, "g k"]] | None = None
    reasons: Reasons | None = None
    taught: Taught | None = None
    film: Film | None = None
    missing: Mapping[str, str] = field(default_factory=dict)  # of "reasons", "taught", "film": why there is none

    @property
    def images(self) -> bool:
        """Whether rows are images `[c, h, w]`."""
        return self.x.ndim == 4

    @property
    def scores(self) -> Float[np.ndarray, " m"]:
        """What is explained of each query: the probability of the predicted class, or the mean output."""
        return self.outputs.mean(1) if self.classes is None else self.outputs.max(1)

    @property
    def unit(self) -> str:
        """What a change of the score is measured in."""
        return "units of output" if self.classes is None else "percentage points"

    @property
    def scale(self) -> float:
        """How many units a score of 1 has."""
        return 1.0 if self.classes is None else 100.0

    def answer(self, i: int) -> str:
        """Say what the model says of query `i`, in a few words."""
        if self.classes is None:
            return format(self.scores[i], ".3g").replace("-", "−")
        return f"{self.classes[int(self.outputs[i].argmax())]}, {100 * self.outputs[i].max():.0f} %"

    def truth(self, i: int) -> str:
        """Say what is true of query `i`."""
        if self.classes is None:
            return format(float(np.mean(self.y[i])), ".3g").replace("-", "−")
        return self.classes[int(self.y[i])]
