"""Colours for values around a neutral zero, and for classes, which also differ by their marks.

Class colours are those of Okabe & Ito 2008, "Color Universal Design", which people with any common colour blindness can
tell apart; beyond seven classes they repeat with another mark.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from . import style

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

ZERO = "#f4f4f2"
_CLASSES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#6b5b95")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


@functools.cache
def around_zero(zero: str = ZERO) -> Colormap:
    """Return blue below zero, near white or another neutral colour at zero, orange above it; grey for no number."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("around_zero", [style.LOWER, zero, style.HIGHER], N=257)  # odd
    return colours.with_extremes(bad="#c3c9ce")


def of_class(c: int) -> tuple[str, str]:
    """Return the colour and the mark of class `c`.

    >>> of_class(0), of_class(7)
    (('#0072b2', 'o'), ('#0072b2', '<'))
    """
    return _CLASSES[c % len(_CLASSES)], _MARKS[c % len(_MARKS)]


def pale(colour: str, share: float = 0.65) -> tuple[float, float, float]:
    """Mix a colour with so much white."""
    from matplotlib.colors import to_rgb

    r, g, b = ((1 - share) * part + share for part in to_rgb(colour))
    return r, g, b
