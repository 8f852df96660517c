"""The look of every picture: colours that survive colour blindness and print, a canvas, and texts cut to fit.

Blue means lower, orange means higher, grey means missing or neutral. Nothing here touches `pyplot`: a picture is a
`matplotlib.figure.Figure` that draws itself, so that a report can be made in a server, a thread or a notebook alike.
"""

from __future__ import annotations

import functools
import itertools
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .fonts import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1b2733", "#55616b", "#e3e8ec"
HIGHER, LOWER, NEUTRAL = "#d9720b", "#2166ac", "#8b959d"
DARK, LIGHT = "#1b2734", "#fefefe"
"""Letters on coloured cells, which keep their colour on a dark page; `INK` and white are exchanged there."""
WIDTH = 4.5
"""Inches. Narrow on purpose: shrunk to a phone's width, a label of 10 points can still be read."""


def canvas(height: float, width: float = WIDTH) -> Figure:
    """Make an empty white figure of `width` by `height` inches that lays itself out."""
    from .shown import Picture

    return Picture(figsize=(width, height), facecolor="white", layout="constrained")


def quiet(axes: Axes) -> Axes:
    """Remove the frame, and draw a light vertical grid behind the data and dark text."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(NEUTRAL)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="both", length=0, labelsize=9.5, colors=INK)
    return axes


def caption(figure: Figure, *lines: str) -> Figure:
    """Write lines, of which some may be empty, below a figure that grows to hold them."""
    told = [line for line in lines if line]
    if told:
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + 0.15 * len(told) + 0.05)
        figure.supxlabel("\n".join(told), fontsize=8.5, color=MUTED)
    return figure


def rows(axes: Axes, labels: Sequence[str]) -> Axes:
    """Name the rows of `axes` from top to bottom; row `i` lies at height `i`."""
    axes.set_yticks(range(len(labels)), labels=labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    return axes


@functools.cache
def low_to_high() -> LinearSegmentedColormap:
    """Return blue ↦ mauve ↦ orange: no grey on the way, since grey says *missing*."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("low_to_high", [LOWER, "#a0618f", "#ec8f1f"])


def direction(change: float) -> str:
    """Return the colour of a change: orange up, blue down, grey for none."""
    return HIGHER if change > 0 else LOWER if change < 0 else NEUTRAL


def shorten(text: object, limit: int = 24) -> str:
    """Cut `text` to the width of `limit` letters, the last one being an ellipsis, on one line.

    >>> shorten("mean concave points of the nucleus", 14), shorten("收缩压测量值", 8)
    ('mean concave…', '收缩压…')
    """
    line = " ".join(str(text).split())
    if width(line) <= limit:
        return line
    widths = itertools.accumulate(map(width, line))
    return line[: sum(total < limit for total in widths)].rstrip() + "…"


def width(text: str) -> int:
    """Return the width of a text in letters: Chinese, Japanese and Korean characters are twice as wide."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def distinct(names: Sequence[object], limit: int = 24) -> list[str]:
    """Shorten names so that they differ: if two would look alike, their common beginning is cut.

    >>> distinct(["blood pressure at rest, first visit", "blood pressure at rest, second visit", "age"], 20)
    ['bloo…first visit', 'bloo…second visit', 'age']
    """
    whole = [" ".join(str(name).split()) for name in names]
    alike: dict[str, list[str]] = {}
    for name in whole:
        alike.setdefault(shorten(name, limit), []).append(name)
    return [_tail(name, alike[shorten(name, limit)], limit) for name in whole]


def _tail(name: str, group: Sequence[str], limit: int) -> str:
    """Cut the beginning that `name` shares with the names that look like it, back to the start of a word."""
    pairs = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*group, strict=False))
    common = "".join(letters[0] for letters in pairs)
    if len(set(group)) == 1 or len(common) < 6:
        return shorten(name, limit)
    start = common.rfind(" ") + 1 if common.rfind(" ") > 4 else len(common)
    return f"{name[:4]}…{shorten(name[start:], limit - 1 - width(name[:4]))}"


def label(text: object, limit: int = 24) -> str:
    r"""Make a user's text safe to draw: shortened, and with `$` taken literally instead of as mathematics.

    >>> label("cost in $ or in $100")
    'cost in \\$ or in \\$100'
    """
    return drawable(shorten(text, limit)).replace("$", r"\$")
