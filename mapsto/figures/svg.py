"""A picture as SVG, the same bytes for the same picture, whatever style a notebook has set.

A reader whose browser asks for dark pages sees the neutral colours of the picture exchanged: light ink on dark paper.
Colours that mean something stay, and so does print.
"""

from __future__ import annotations

import functools
import io
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from . import fonts, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_DARK = {"#ffffff": "#14191f", style.INK: "#e4e9ee", style.MUTED: "#a7b2bc", style.GRID: "#36414b"}
"""The neutral colours of pictures, and what they are on a dark page."""


def svg(figure: Figure) -> bytes:
    """Draw `figure` as SVG, its letters as outlines, or as text where no installed font has a letter."""
    import matplotlib
    from matplotlib.text import Text

    settings: Any = {"svg.fonttype": "path", "svg.hashsalt": "mapsto"}
    buffer = io.BytesIO()
    with matplotlib.rc_context(settings), warnings.catch_warnings(), _as_texts(figure.findobj(Text)):
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="svg", dpi=220, metadata={"Date": None, "Creator": None})
    return re.sub(rb"<defs>", b"<defs>" + _dark_style(), buffer.getvalue(), count=1)


@contextmanager
def _as_texts(texts: Iterable[Any]) -> Iterator[None]:
    """Write the texts that no installed font can draw as text elements while the context lasts."""
    import matplotlib

    def draw(text: Any, renderer: Any) -> None:
        with matplotlib.rc_context({"svg.fonttype": "none"}):
            type(text).draw(text, renderer)

    undrawable = [text for text in texts if fonts.missing(text.get_text())]
    for text in undrawable:
        text.draw = functools.partial(draw, text)
    try:
        yield
    finally:
        for text in undrawable:
            del text.draw


def _dark_style() -> bytes:
    """Return the rules for a dark page; a shape without a colour of its own is black, the ink of some labels."""
    rules = "".join(
        f'[style*="{part}: {light}"]{{{part}:{dark} !important}}'
        for light, dark in _DARK.items()
        for part in ("fill", "stroke")
    )
    black = f"svg{{fill:{_DARK[style.INK]}}}"
    return f"<style>@media screen and (prefers-color-scheme: dark){{{black}{rules}}}</style>".encode()


def plain_style() -> AbstractContextManager[None]:
    """Draw with matplotlib's defaults while the context lasts: a dark notebook theme must not reach a page."""
    from matplotlib import style as matplotlib_style

    return matplotlib_style.context("default")
