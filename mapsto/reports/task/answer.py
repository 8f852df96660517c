"""The answer to a question about a test task: answers, reasons, the effect of teaching examples, the film, and trust.

    reasons = each method on x ↦ score             teaching cells    = Integrated Gradients of D.x ↦ score
    film    = the inner steps, if there are any    teaching examples = score − score without the example

A part that the learner or the task cannot give is left out, and a sentence says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from ...figures.numbers import significant
from ...measures.faithfulness.trust import Trust
from ..answer import Answer
from . import sections
from .reasons import MEASURES

if TYPE_CHECKING:
    from ...seeing.film import Film
    from .regimes import Regime


@dataclass(frozen=True, eq=False)
class Reasons:
    """The values of each method for the entries of each query, and how far it can be trusted."""

    values: Mapping[str, Float[np.ndarray, "m ..."]]
    about: Mapping[str, str]  # what the method does, in one sentence
    trust: Mapping[str, Mapping[str, Trust]]
    left_out: Mapping[str, str]  # the reason why a method has no values


@dataclass(frozen=True, eq=False)
class Teaching:
    """The effect of the teaching examples on the score of one query."""

    query: int
    cells: Float[np.ndarray, "n ..."] | None  # the effect of each entry, through adaptation
    examples: Float[np.ndarray, " n"]  # the effect of each example as a whole
    by_leaving_out: bool  # whether an effect is the loss without the example, or the slope in its weight


@dataclass(frozen=True, eq=False)
class TaskAnswer(Answer):
    """The answers of an adapted model to `m` queries of a task with `n` teaching examples, and the reasons for them.

    `outputs` are probabilities if there are classes. A part that could not be made is None, and `missing` says why.
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
    curve: Float[np.ndarray, "g 2"] | None = None  # (input, mean output) if rows have one input and no class
    reasons: Reasons | None = None
    teaching: Teaching | None = None
    film: Film | None = None
    regimes: Sequence[Regime] = ()  # how well each learned explainer explains, by how it was trained
    own_trust: Mapping[str, Float[np.ndarray, " m"]] = field(default_factory=dict)  # of each learned explainer
    choices: Sequence[str] = ()  # of each learned explainer: whether the parts that it chooses tell the answer
    at_chance: str = ""  # a sentence if the model does not clearly beat guessing on this task
    missing: Mapping[str, str] = field(default_factory=dict)  # of a part that is None, by its name: the reason

    @property
    def images(self) -> bool:
        """Whether rows are images `[c, h, w]`."""
        return self.x.ndim == 4

    @property
    def scores(self) -> Float[np.ndarray, " m"]:
        """The explained score of each query: the probability of the predicted class, or the mean output."""
        return self.outputs.mean(1) if self.classes is None else self.outputs.max(1)

    @property
    def unit(self) -> str:
        """The unit of a change of the score."""
        return "units of output" if self.classes is None else "percentage points"

    @property
    def scale(self) -> float:
        """How many units a score of 1 has."""
        return 1.0 if self.classes is None else 100.0

    def answer(self, i: int) -> str:
        """Return the model's answer to query `i` in a few words."""
        if self.classes is None:
            return significant(self.scores[i], 3)
        return f"{self.classes[int(self.outputs[i].argmax())]}, {100 * self.outputs[i].max():.0f} %"

    def truth(self, i: int) -> str:
        """Return the true class or number of query `i`."""
        return significant(np.mean(self.y[i]), 3) if self.classes is None else self.classes[int(self.y[i])]

    def about(self) -> str:
        """Describe the task, and the success of the model on its queries."""
        return sections.about(self)

    def sections(self) -> dict[str, Any]:
        """Return all that the page shows of the task; call it within `plain_style()`."""
        return sections.sections(self)

    def summary(self) -> dict[str, Any]:
        """Return the answers, and how far each method can be trusted, for a machine."""
        reasons = self.reasons
        methods = {} if reasons is None else reasons.trust
        return {
            "name": self.name,
            "answers": [{"says": self.answer(i), "true": self.truth(i)} for i in range(len(self.x))],
            "trust": {name: {key: of[key]._asdict() for key in MEASURES if of} for name, of in methods.items()},
            "left_out": {} if reasons is None else dict(reasons.left_out),
            "missing": dict(self.missing),
        }
