"""One HTML file that needs nothing else: pictures embedded, user text escaped, written whole or not at all.

A picture becomes an SVG inside an `<img>`, sharp at every size and unable to run anything; the page's own policy
forbids the browser to fetch whatever it might be tricked into naming.
"""

from __future__ import annotations

import base64
import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import checks
from ..errors import MapstoError
from ..figures import numbers, style
from ..figures.svg import svg
from ..files import atomically
from . import language

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

_OVERRIDES = dict.fromkeys(range(0x202A, 0x202F), "□")  # a letter among them would turn the numbers behind it around
_REMEDY = "name a file in a folder that exists and that you may write to"


def render(template: str, **context: Any) -> str:
    """Fill a file of `templates/`; every value is escaped, and a missing value is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from .. import __version__

    folder = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_safe
    )
    environment.filters.update(
        percent=numbers.percent, points=numbers.points, cell=numbers.cell, short=short, whole=whole
    )
    return language.page(environment.get_template(template).render(version=__version__, **context) + "\n")


def short(text: object, limit: int = 32) -> Markup:
    """Write user text, ellipsised to `limit` characters, with the whole of it in `title`.

    >>> str(short("<b>", 10)), str(short("a long name", 6))
    ('&lt;b&gt;', '<abbr title="a long name">a lon…</abbr>')
    """
    from markupsafe import Markup

    line = _line(text)
    cut = style.shorten(line, limit)
    shown = _isolated(cut)
    return shown if cut == line else Markup('<abbr title="{}">{}</abbr>').format(line, shown)


def whole(text: object, limit: int = 32) -> Markup:
    """Write user text whole; one of more than `limit` characters is wrapped, so that a cell gets no wider than these.

    >>> str(whole("<b>", 10)), str(whole("a long name", 6))
    ('&lt;b&gt;', '<span class="long" style="width: 6ch">a long name</span>')
    """
    from markupsafe import Markup

    line = _line(text)
    shown = _isolated(line)
    return (
        shown
        if style.width(line) <= limit
        else Markup('<span class="long" style="width: {}ch">{}</span>').format(limit, shown)
    )


def _line(text: object) -> str:
    return " ".join(str(text).translate(_OVERRIDES).split())


def _isolated(line: str) -> Markup:
    """Escape a line; one from right to left leaves the text around it as it is."""
    from markupsafe import Markup, escape

    return Markup("<bdi>{}</bdi>").format(line) if _right_to_left(line) else escape(line)


def _safe(value: Any) -> Any:
    """Replace characters that override the direction of the letters after them; markup was made here and stays."""
    return value.translate(_OVERRIDES) if type(value) is str else value


def _right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)


def picture(figure: Figure, alt: str) -> Markup:
    """Embed `figure` as SVG; `alt` describes it to a reader who cannot see it."""
    from markupsafe import Markup

    language.picture(figure)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    source = base64.b64encode(svg(figure)).decode()
    tag = '<img src="data:image/svg+xml;base64,{}" width="{}" height="{}" alt="{}">'
    return Markup(tag).format(source, width, height, alt)


def refuse_unwritable(path: str | os.PathLike[str]) -> None:
    """Raise MapstoError if no file can be written at `path`, before any work is done."""
    folder = Path(path).absolute().parent
    reason = "" if folder.is_dir() else "its folder does not exist"
    reason = "it is a folder" if Path(path).is_dir() else reason
    reason = reason or ("" if os.access(folder, os.W_OK | os.X_OK) else "permission denied")
    checks.expect(not reason, "path", f"{str(path)!r}, which cannot be written ({reason})", "a file", _REMEDY)


def write(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` to `path` under a temporary name, then rename it; raises MapstoError if that is impossible."""
    path = Path(path)
    try:
        atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        got = f"path: got {str(path)!r}, which cannot be written ({reason})"
        raise MapstoError(f"{got}, expected a file; {_REMEDY}.") from error
    return path
