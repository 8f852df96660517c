"""One HTML file that needs nothing else: pictures embedded, user text escaped, written whole or not at all.

A picture becomes an SVG inside an `<img>`, sharp at every size and unable to run anything; the page's own policy
forbids the browser to fetch whatever it might be tricked into naming.
"""

from __future__ import annotations

import base64
import io
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MapstoError
from ..files import atomically
from . import fonts, style

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure


def render(template: str, **context: Any) -> str:
    """Fill `template` (a file of this folder); every value is escaped, and a value it lacks is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from .. import __version__

    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=style.percent, points=style.points, cell=style.cell, short=short)
    return environment.get_template(template).render(version=__version__, **context) + "\n"


def plain_style() -> AbstractContextManager[None]:
    """Draw with matplotlib's defaults: a person's dark notebook theme must not reach the page."""
    from matplotlib import style as matplotlib_style

    return matplotlib_style.context("default")


def short(text: object, limit: int = 32) -> Markup:
    """Write user text, ellipsised to `limit` characters, with the whole of it in `title`.

    >>> str(short("<b>", 10)), str(short("a long name", 6))
    ('&lt;b&gt;', '<abbr title="a long name">a lon…</abbr>')
    """
    from markupsafe import Markup, escape

    whole = " ".join(str(text).split())
    cut = style.shorten(whole, limit)
    return escape(cut) if cut == whole else Markup('<abbr title="{}">{}</abbr>').format(whole, cut)


def picture(figure: Figure, alt: str) -> Markup:
    """Embed `figure` as SVG; `alt` is what a reader who cannot see it is told."""
    from markupsafe import Markup

    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    source = base64.b64encode(svg(figure)).decode()
    tag = '<img src="data:image/svg+xml;base64,{}" width="{}" height="{}" alt="{}">'
    return Markup(tag).format(source, width, height, alt)


def svg(figure: Figure) -> bytes:
    """Draw `figure` as SVG: letters as outlines, the same bytes for the same figure."""
    import matplotlib
    from matplotlib.text import Text

    texts = [text.get_text() for text in figure.findobj(Text)]
    settings: Any = {"svg.fonttype": "path", "svg.hashsalt": "mapsto", "font.sans-serif": fonts.families(texts)}
    buffer = io.BytesIO()
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format="svg", dpi=220, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def write(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` to `path` under a temporary name, then rename it; raises `MapstoError` where that is impossible."""
    path = Path(path)
    try:
        atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise MapstoError(
            f"report: got {str(path)!r}, which cannot be written ({reason}); name a file in a folder that exists and"
            " that you may write to."
        ) from error
    return path
