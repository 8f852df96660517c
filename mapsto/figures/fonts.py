"""The installed fonts that can draw a text, so that a column named in Chinese or Arabic is drawn, not boxed.

The default font has most scripts. For other characters the first installed family that has them is used. A text with a
character that no installed font has stays a text in an SVG, so that the browser draws it with the reader's fonts.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

DEFAULT = "DejaVu Sans"  # ships with matplotlib


def drawable(text: str) -> str:
    """Replace control characters, and others that are no letter of any script, by □.

    >>> drawable("Größe µ ≥ 3\x07")
    'Größe µ ≥ 3□'
    """
    return "".join(c if c.isprintable() else "□" for c in text)


def missing(text: str) -> str:
    """Return the characters of `text` that no installed font has, each once.

    >>> missing("Größe µ ≥ 3")
    ''
    """
    return "".join(c for c in dict.fromkeys(text) if c.isprintable() and not family(c))


def families(texts: Iterable[str]) -> list[str]:
    """List the installed font families that `texts` need, the default one first."""
    needed = (family(c) for c in dict.fromkeys("".join(texts)) if c.isprintable())
    return list(dict.fromkeys([DEFAULT, *filter(None, needed)]))


@functools.lru_cache(maxsize=4096)
def family(character: str) -> str | None:
    """Name the first installed family that has `character`, or None."""
    from matplotlib import font_manager

    for path, name in _installed():
        if font_manager.get_font(path).get_char_index(ord(character)):
            return name
    return None


@functools.cache
def _installed() -> tuple[tuple[str, str], ...]:
    """List (file, family) of the upright regular fonts, the default one first."""
    from matplotlib import font_manager

    fonts = font_manager.fontManager.ttflist
    regular = [f for f in fonts if f.style == "normal" and f.weight in (400, "normal") and "LastResort" not in f.fname]
    default = (font_manager.findfont(DEFAULT), DEFAULT)
    return tuple(dict.fromkeys([default, *((f.fname, f.name) for f in regular if f.name != DEFAULT)]))
