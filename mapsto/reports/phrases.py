"""Sentences of a page in another language, by a table of phrases.

`phrases.json` maps English phrases with named placeholders to Chinese ones. A text is translated if it is a phrase
whose placeholders can be translated too, or a row of such sentences. A text without Latin letters is kept, except for
its marks. What a user wrote has no Latin letters here, see `private`.

The name of a placeholder says what it stands for: `n` a number, `name` and `cell` words of the user, `tally` numbers
each with such a word, `measure` small words; `user` words of the user with tags of HTML, `path` a file and `text`
anything, these three kept as they are; `rest` one or more sentences; all others a part of a sentence.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import NamedTuple

_PART = r"(?:(?![.:;!?]\s).)+?"
_USERS = r"(?:(?!,\s)[^A-Za-z<>]|&#?\w+;)+?"
_COUNTED = rf"\d[\d,]* {_USERS}"
_KINDS = {
    "n": r"\d[\d.,]*(?:e[+-]\d+)?",
    **{"name": _USERS, "cell": _USERS, "measure": r"[a-z ]+"},
    **{"tally": rf"{_COUNTED}(?:(?:, | and ){_COUNTED})*", "user": r"(?:(?!,\s)[^A-Za-z<>]|<[^>]*>|&#?\w+;)+?"},
    **{"path": r".+?\.\w{2,8}", "text": r".+?", "rest": r".+?"},
}
_KEPT = ("text", "path", "user")
_TALLIED = re.compile(r"(\d[\d,]*) (.+?)(?=, | and |$)")
_PLACE = re.compile(r"\{(([a-z]+)\d*)\}")

_NOT_WORDS = re.compile(r"<[^>]*>|&#?\w+;")
_LETTER = re.compile("[A-Za-z]")
_SENTENCE_END = re.compile(r"(?<=[.:;!?])\s+")
_MARKS = [
    (re.compile(r"(?<!\w)(['\"])(.*?)\1(?!\w)"), r"“\2”"),
    (re.compile(r", "), "、"),
    (re.compile(r"; "), "；"),
    (re.compile(r": "), "："),
    (re.compile(r" ?\(([^()]*)\)"), r"（\1）"),
    (re.compile(r"(?<=\d) %"), "%"),
]


class Phrase(NamedTuple):
    """A phrase as a regular expression, its longest words, which a text must have, and its translation."""

    pattern: re.Pattern[str]
    words: str
    translation: str


@functools.cache
def table() -> dict[str, str]:
    """Return the English phrases and their translations."""
    found: dict[str, str] = json.loads((Path(__file__).parent / "phrases.json").read_text(encoding="utf-8"))
    return found


@functools.lru_cache(maxsize=4096)
def translation(text: str) -> str | None:
    """Translate a text; None if there is no translation.

    >>> translation("3 rows"), translation("less than 3 rows"), translation("a text that no page has")
    ('3 行', '不到 3 行', None)
    """
    if not _has_words(text):
        return None if "<" in text else _punctuated(text)
    return _phrase(text) or _sentences(text)


def _punctuated(text: str) -> str:
    """Write the marks of a text without words as Chinese does: names in quotation marks, lists, brackets, per cent.

    >>> _punctuated("'收缩压', '12' (3.1 %)")
    '“收缩压”、“12”（3.1%）'
    """
    for mark, chinese in _MARKS:
        text = mark.sub(chinese, text)
    return text


def _phrase(text: str) -> str | None:
    for phrase in _phrases():
        if phrase.words in text and (found := phrase.pattern.fullmatch(text)):
            said = {name: _part(name, part) for name, part in found.groupdict().items()}
            if None not in said.values():
                return _filled(phrase.translation, said)
    return None


def _part(name: str, part: str) -> str | None:
    if name.startswith("tally"):
        return _TALLIED.sub(r"\2 \1", part).replace(", ", "、").replace(" and ", "、")
    return part if name.startswith(_KEPT) else translation(part)


def _filled(text: str, parts: dict[str, str | None]) -> str:
    return _PLACE.sub(lambda place: str(parts[place[1]]), text)


def _sentences(text: str) -> str | None:
    """Translate a phrase at the start of a text, and then the rest of the text."""
    for end in _SENTENCE_END.finditer(text):
        start = text[: end.start()]
        first = _phrase(start) if _has_words(start) else _punctuated(start)
        if first is not None and (rest := translation(text[end.end() :])) is not None:
            return first + rest
    return None


def _has_words(text: str) -> bool:
    return bool(_LETTER.search(_NOT_WORDS.sub("", text)))


@functools.cache
def _phrases() -> list[Phrase]:
    """Return the phrases, those with the most letters of their own first."""
    own = {english: len(_PLACE.sub("", english)) for english in table()}
    return [_compiled(english, table()[english]) for english in sorted(own, key=lambda english: -own[english])]


def _compiled(english: str, chinese: str) -> Phrase:
    pieces = re.split(r"\{\w+\}", english)
    places = [f"(?P<{name}>{_KINDS.get(kind, _PART)})" for name, kind in _PLACE.findall(english)]
    joined = "".join(a + b for a, b in zip(map(re.escape, pieces), [*places, ""], strict=True))
    return Phrase(re.compile(joined, re.DOTALL), max(pieces, key=len), chinese)
