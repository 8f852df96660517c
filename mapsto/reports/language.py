"""The language of a page: it is made in English, and then translated block by block and picture by picture.

What has no translation stays English; what a user wrote stays as it is, see `private`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .. import checks
from .phrases import translation
from .private import hide, shown, shown_in_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LANGUAGES = {"en": "en", "zh": "zh-CN"}
"""The languages of pages, and what an HTML file calls them."""

_BLOCKS = (
    *("title", "main", "section", "article", "div", "h[1-4]", "p", "ul", "ol", "li", "dl", "dt", "dd", "details"),
    *("summary", "table", "caption", "thead", "tbody", "tr", "th", "td", "small", "figure", "figcaption", "img"),
)
_BLOCK = re.compile(rf"(<(?:/?(?:{'|'.join(_BLOCKS)})\b[^>]*|style\b.*?</style)>)", re.DOTALL)
_TAG = re.compile(r"(<[^>]*>)")
_SHOWN = re.compile(r'(?:(?<= alt=")|(?<= title="))[^"]*')
"""What a reader sees of a tag: the words in place of a picture, and those beside a pointer."""

_spoken: ContextVar[str] = ContextVar("language", default="en")


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Write pages in a language while the context lasts.

    Raises:
        MapstoError: if the language is not one of `LANGUAGES`.
    """
    refuse_unknown(language)
    before = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(before)


def refuse_unknown(language: str) -> None:
    """Raise MapstoError if pages cannot be written in this language."""
    checks.expect(language in LANGUAGES, "language", repr(language), "'en' or 'zh'")


def translating() -> bool:
    """Return whether pages are written in another language than English."""
    return _spoken.get() != "en"


def kept(text: str) -> str:
    """Return a user's text as it must stand on a page, so that no translation touches it."""
    return hide(text) if translating() else text


def page(text: str) -> str:
    """Translate the text of a page if it is not to be English."""
    if not translating():
        return text
    parts = _BLOCK.split(text.replace('<html lang="en">', f'<html lang="{LANGUAGES[_spoken.get()]}">', 1))
    parts[::2] = map(_block, parts[::2])
    parts[1::2] = map(_tag, parts[1::2])
    return shown_in_html("".join(parts))


def picture(figure: Figure) -> None:
    """Translate the words of a picture if they are not to be English."""
    from matplotlib.text import Text

    if not translating():
        return
    texts: Any = figure.findobj(Text)
    for text in texts:
        text.set_text(shown(_said(text.get_text())))
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        names = [label.get_text() for label in axis.get_ticklabels()]  # written anew whenever they are asked for
        if (translated := [shown(_said(name)) for name in names]) != names:
            axis.set_ticks(axis.get_ticklocs(), labels=translated)


def _block(text: str) -> str:
    """Translate the text between two tags of blocks; if it is no phrase, translate the parts between its other tags."""
    inner = text.strip()
    plain = inner.replace("&#39;", "'").replace("&#34;", '"')
    found = translation(plain)
    if found is None and _TAG.search(plain):
        parts = _TAG.split(plain)
        parts[::2] = map(_said, parts[::2])
        parts[1::2] = map(_tag, parts[1::2])
        found = "".join(parts)
    return text if found is None else text.replace(inner, found, 1)


def _tag(tag: str) -> str:
    return _SHOWN.sub(lambda text: html.escape(_said(html.unescape(text[0]))), tag)


def _said(text: str) -> str:
    """Translate a text; one without a translation is returned as it is."""
    found = translation(inner := text.strip())
    return text if found is None else text.replace(inner, found, 1)
