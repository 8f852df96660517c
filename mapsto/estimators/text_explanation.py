"""The explanation of predictions about texts: each text has its own words or sentences, and each of these a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..explanation import Explanation


class Reasons(NamedTuple):
    """The contributions of the parts of one text, their standard errors, the base value, and the number of looks."""

    values: Float[np.ndarray, "p k"]
    errors: Float[np.ndarray, "p k"]
    base: Float[np.ndarray, " k"]
    looks: int


@dataclass(frozen=True, eq=False)
class TextExplanation(Explanation):
    """The explanations of the predictions for `n` texts: the signed contribution of each part of each text.

    The parts of a text are its words or its sentences. `values` has shape `[n, d, k]`, in which d is the largest number
    of parts; shorter texts are padded with values of 0. `data` `[n, d]` holds the parts, and None as padding.

    Args:
        units: what the parts of each text are: "words" or "sentences".
        looks: the number of versions of each text about which the classifier was asked. If all selections of parts
            were asked about, the values are exact and their `errors` are 0.
    """

    units: Sequence[str] = ()
    looks: Sequence[int] = ()

    @property
    def parts(self) -> list[list[str]]:
        """The words or sentences of each text, in their order; `values[i, :len(parts[i])]` are their values."""
        return [[part for part in row if part is not None] for row in self.data]

    def __getitem__(self, rows: Any) -> "TextExplanation":
        """Return the explanations of selected texts; `rows` is a number, a slice, a mask or a list of numbers."""
        rows = [int(rows)] if isinstance(rows, int | np.integer) else rows
        errors = None if self.errors is None else self.errors[rows]
        units, looks = (np.asarray(part, object)[rows].tolist() for part in (self.units, self.looks))
        parts = self.values[rows], self.base_values[rows], self.data[rows], self.feature_names, self.class_names
        return TextExplanation(*parts, errors=errors, kinds=self.kinds, units=units, looks=looks)

    def extract(self, row: int, target: int | None = None, count: int = 3) -> list[str]:
        """Return the `count` parts of a text that raise the probability of a class most, in the order of the text.

        `target` is the index of the class; if None, it is the predicted one. Parts that do not raise the probability
        are left out.
        """
        target = int(self.predictions[row].argmax()) if target is None else target
        values = self.values[row, :, target]
        strongest = sorted(j for j in np.argsort(-values, kind="stable")[:count] if values[j] > 0)
        return [self.data[row, j] for j in strongest]


def padded(
    parts: Sequence[Sequence[str]], units: Sequence[str], reasons: Sequence[Reasons], classes: Sequence[Any]
) -> TextExplanation:
    """Return the explanation of several texts, padded to the largest number of parts."""
    most = max(map(len, parts))
    data = np.full((len(parts), most), None, object)
    for i, of_text in enumerate(parts):
        data[i, : len(of_text)] = of_text
    values, errors = (
        np.stack([_pad(part, most) for part in column]) for column in list(zip(*reasons, strict=True))[:2]
    )
    unit = units[0].removesuffix("s") if len(set(units)) == 1 else "part"
    names = [f"{unit} {j + 1}" for j in range(most)]
    base, looks = np.stack([of_text.base for of_text in reasons]), [of_text.looks for of_text in reasons]
    kinds = [unit] * most
    return TextExplanation(values, base, data, names, classes, errors=errors, kinds=kinds, units=units, looks=looks)


def _pad(part: Float[np.ndarray, "p k"], most: int) -> Float[np.ndarray, "d k"]:
    return np.pad(part, ((0, most - len(part)), (0, 0)))
