"""The words and the patterns by which the package reads a person's table, for the scripts of the page.

The scripts hold no pattern of their own: each one is translated from Python's dialect of regular expressions, whose
`\\d`, `\\w` and `\\s` know the digits, letters and blanks of all scripts, to that of JavaScript.
"""

import re
import sys
import unicodedata
from typing import Any

from ..tables import columns, date_kind, dates, grid, layout, level_kind, naming, number_kind, pairs, spelling, sums
from ..tables import words as words_of_tables

_BLANKS = r"\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # those of str.isspace
_LETTERS = r"\p{L}\p{Nl}\p{No}"  # \w without digits and the underscore
_CLASSES = {r"[^\W\d_]": f"[{_LETTERS}]", r"[^\W\d]": f"[{_LETTERS}_]"}
_INSIDE = {r"\d": r"\p{Nd}", r"\w": r"\p{L}\p{N}_", r"\s": _BLANKS}  # inside square brackets
_TOKEN = re.compile(r"\[\^\\W\\d_?\]|\(\?P<|\\.|.", re.DOTALL)
_PLAIN = set("\"' %&#~=<>:;,@!`/-")  # signs that JavaScript does not let a pattern escape
_UNKNOWN = re.compile(r"\\[bBSWDAZ]|\(\?(?!P<|[:=!])|[+*?]\+")  # what JavaScript reads otherwise, or not at all
_BY_HAND = (level_kind._MORE,)  # levels.js has it in its own words
_MODULES = (columns, dates, grid, layout, level_kind, naming, number_kind, pairs, spelling, words_of_tables)


def reading() -> dict[str, Any]:
    """Return everything that the scripts need, as JSON can hold it."""
    words = words_of_tables
    sets = {"signs": words.SIGNS, "words": words.WORDS, "kept": words.KEPT, "positive": words.POSITIVE}
    return {
        **{name: sorted(part) for name, part in sets.items()},
        "scales": words.SCALES, "pairs": words.PAIRS, "roman": words._ROMAN, "nothing": sorted(level_kind._NOTHING),
        "flags": sorted(spelling._FLAGS), "months": dates._MONTHS, "near": date_kind._DATES,
        "summaries": [[sorted(some), summary.__name__] for some, summary in sums._SUMMARIES],
        "patterns": patterns(), "folds": _folds(), "zeros": _zeros(), "blanks": _BLANKS,
    }  # fmt: skip


def patterns() -> dict[str, dict[str, list[str]]]:
    """Return the patterns of each module of `mapsto.tables` by their names, each with its flags."""
    return {module.__name__.rpartition(".")[2]: dict(_of_module(module)) for module in _MODULES}


def _of_module(module: Any) -> list[tuple[str, list[str]]]:
    named = [(name.strip("_"), value) for name, value in vars(module).items()]
    named += [
        (f"{name} {key}", part) for name, value in named if isinstance(value, dict) for key, part in value.items()
    ]
    single = [(name, value) for name, value in named if isinstance(value, re.Pattern) and value not in _BY_HAND]
    return [(name, [javascript(value.pattern), "ui" if value.flags & re.IGNORECASE else "u"]) for name, value in single]


def javascript(pattern: str) -> str:
    """Return a pattern of Python in the dialect of JavaScript, for its flag u.

    >>> javascript(r"(?P<day>\\d+)-[^\\W\\d_]{3}")
    '(?<day>[\\\\p{Nd}]+)-[\\\\p{L}\\\\p{Nl}\\\\p{No}]{3}'
    """
    unknown = _UNKNOWN.search(re.sub(r"\[\^\\W|\\[^bBSWDAZ]", " ", pattern))
    assert not unknown, f"{unknown} of {pattern} has no translation"
    parts, inside = [], False
    for token in _TOKEN.findall(pattern):
        if token in _CLASSES:
            parts.append(_CLASSES[token])
        elif token in _INSIDE:
            parts.append(_INSIDE[token] if inside else f"[{_INSIDE[token]}]")
        elif token == "(?P<":
            parts.append("(?<")
        elif token == "." and not inside:
            parts.append(r"[^\n]")
        elif token[0] == "\\" and token[1] in _PLAIN and not (inside and token[1] == "-"):
            parts.append(token[1])
        else:
            parts.append(token)
        inside = token == "[" or (inside and token != "]")
    return "".join(parts)


def _folds() -> dict[str, str]:
    """Return the letters that `str.casefold` changes otherwise than `str.lower`, such as ß."""
    letters = map(chr, range(sys.maxunicode + 1))
    return {letter: letter.casefold() for letter in letters if letter.casefold() != letter.lower()}


def _zeros() -> list[int]:
    """Return the code point of the zero of each script's digits."""
    return [code for code in range(sys.maxunicode + 1) if unicodedata.decimal(chr(code), -1) == 0]
