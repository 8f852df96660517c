"""Units of predictions: how a picture or a page measures, names and writes the contributions to one prediction.

A probability is drawn in per cent and its contributions in percentage points. A number is drawn in the unit of the
outcome, such as days, with about two digits of its standard deviation.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from . import numbers, style


class Unit(ABC):
    """The unit of a prediction, and the words for it.

    Attributes:
        factor: drawn values are predictions times this factor.
        range: the least and the largest value that may be drawn.
        step: the smallest drawn change that is worth seeing.
    """

    factor: ClassVar[float]
    range: ClassVar[tuple[float, float]]
    step: float

    @abstractmethod
    def amount(self, prediction: float) -> str:
        """Write a prediction."""

    @abstractmethod
    def change(self, contribution: float) -> str:
        """Write a contribution with its sign."""

    @abstractmethod
    def size(self, contribution: float) -> str:
        """Write the size of a contribution that is not negative, without its unit."""

    @property
    @abstractmethod
    def measure(self) -> str:
        """The words that end "measured in"."""

    @property
    @abstractmethod
    def how_much(self) -> str:
        """The words that begin "by how many ..."."""

    @property
    @abstractmethod
    def head(self) -> str:
        """The head of a column of contributions."""

    @abstractmethod
    def outcome(self, limit: int = 40) -> str:
        """Return the name of the prediction, such as "the probability of ill" (the outcome cut to `limit` letters)."""

    @abstractmethod
    def axis(self) -> str:
        """Name the axis of predictions."""

    @abstractmethod
    def axis_of_changes(self, start: str) -> str:
        """Name the axis of contributions in two lines; `start` is a noun with "to" or "on"."""

    def within(self, contribution: float, reach: float) -> str:
        """Write a contribution with the half-width of its interval; without it if it would be written as 0.

        >>> Probability("ill").within(0.123, 0.0148), Probability("ill").within(0.123, 0.0004)
        ('+12.3 ± 1.5', '+12.3')
        """
        negligible = self.factor * reach < self.step / 2
        return self.change(contribution) if negligible else f"{self.change(contribution)} ± {self.size(reach)}"

    def small(self, contribution: float) -> str:
        """Write a contribution; one that `change` would write as 0 has one significant digit."""
        zero = contribution and self.factor * abs(contribution) < self.step / 2
        return numbers.significant(self.factor * contribution, 1, signed=True) if zero else self.change(contribution)


@dataclass(frozen=True)
class Probability(Unit):
    """The probability of a class."""

    name: str
    factor: ClassVar[float] = 100.0
    range: ClassVar[tuple[float, float]] = (0.0, 100.0)
    step: float = 0.1
    measure: ClassVar[str] = "percentage points"
    how_much: ClassVar[str] = "by how many percentage points of probability"

    @property
    def head(self) -> str:
        """The name of the class."""
        return self.name

    def size(self, contribution: float) -> str:
        """Write the size of a contribution in percentage points."""
        return f"{100 * contribution:.1f}"

    def amount(self, prediction: float) -> str:
        """Write a prediction.

        >>> Probability("ill").amount(0.123), Probability("ill").change(0.123)
        ('12.3 %', '+12.3')
        """
        return numbers.percent(prediction)

    def change(self, contribution: float) -> str:
        """Write a contribution with its sign."""
        return numbers.points(contribution)

    def outcome(self, limit: int = 40) -> str:
        """Return the name of the prediction."""
        return f"the probability of {style.shorten(self.name, limit)}"

    def axis(self) -> str:
        """Name the axis of predictions, in two lines if the class has a long name."""
        line = "\n" if style.width(self.name) > 16 else " "
        return f"probability of{line}{style.label(self.name, 28)}, in per cent"

    def axis_of_changes(self, start: str) -> str:
        """Name the axis of contributions."""
        if start.startswith("push"):
            return f"{start} the probability of {style.label(self.name, 18)},\nin percentage points"
        return f"{start} the probability of\n{style.label(self.name, 24)}, in percentage points"


@dataclass(frozen=True)
class Amount(Unit):
    """A number, such as a length of stay.

    Attributes:
        name: the name of the outcome.
        unit: its unit, such as "days"; empty if it is not known.
        spread: the standard deviation of the outcome, which decides how many digits are written.
    """

    name: str
    unit: str = ""
    spread: float = 1.0
    factor: ClassVar[float] = 1.0
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    @property
    def step(self) -> float:  # type: ignore[override]
        """The last digit that is written."""
        return 10.0**-self._digits

    @property
    def measure(self) -> str:
        """The words that end "measured in"."""
        return self.unit or f"the unit of {style.shorten(self.name, 24)}"

    @property
    def how_much(self) -> str:
        """The words that begin "by how many ..."."""
        return f"by how many {self.unit}" if self.unit else f"by how much, in {self.measure},"

    @property
    def head(self) -> str:
        """The name and the unit of the outcome."""
        return f"{self.name}, in {self.unit}" if self.unit else self.name

    def size(self, contribution: float) -> str:
        """Write the size of a contribution."""
        return self.number(contribution)

    def amount(self, prediction: float) -> str:
        """Write a prediction with its unit.

        >>> days = Amount("stay", "days", spread=4.0)
        >>> days.amount(7.123), days.change(-1.26), Amount("price", spread=6000.0).amount(13950.4)
        ('7.1 days', '−1.3', '13,950')
        """
        return f"{self.number(prediction)} {self.unit}".rstrip()

    def number(self, value: float, signed: bool = False) -> str:
        """Write a number without its unit."""
        if not 1e-5 <= abs(self.spread) < 1e9:
            return numbers.significant(value, 3, signed)
        rounded = round(float(value), self._digits) or 0.0
        return f"{rounded:{'+' if signed and rounded else ''},.{max(self._digits, 0)}f}".replace("-", "−")

    def change(self, contribution: float) -> str:
        """Write a contribution with its sign."""
        return self.number(contribution, signed=True)

    def outcome(self, limit: int = 40) -> str:
        """Return the name of the prediction."""
        return f"the predicted {style.shorten(self.name, limit)}"

    def axis(self) -> str:
        """Name the axis of predictions."""
        return style.label(self.name, 28) + (f", in {style.label(self.unit, 16)}" if self.unit else "")

    def axis_of_changes(self, start: str) -> str:
        """Name the axis of contributions."""
        return f"{start} the predicted\n{self.axis()}"

    @property
    def _digits(self) -> int:
        """The digits after the point: a third of the standard deviation has two digits."""
        size = abs(self.spread) / 3
        return max(0, 1 - math.floor(math.log10(size))) if 1e-6 < size < 1e9 else 0


def of_target(target: str | Unit) -> Unit:
    """Return a unit as it is; the name of a class stands for its probability."""
    return target if isinstance(target, Unit) else Probability(target)
