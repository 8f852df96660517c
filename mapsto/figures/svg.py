"""A picture as SVG, the same bytes for the same picture, whatever style a notebook has set."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from . import fonts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def svg(figure: Figure) -> bytes:
    """Draw `figure` as SVG, its letters as outlines."""
    import matplotlib
    from matplotlib.text import Text

    texts = [text.get_text() for text in figure.findobj(Text)]
    settings: Any = {"svg.fonttype": "path", "svg.hashsalt": "mapsto", "font.sans-serif": fonts.families(texts)}
    buffer = io.BytesIO()
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format="svg", dpi=220, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def plain_style() -> AbstractContextManager[None]:
    """Draw with matplotlib's defaults while the context lasts: a dark notebook theme must not reach a page."""
    from matplotlib import style as matplotlib_style

    return matplotlib_style.context("default")
