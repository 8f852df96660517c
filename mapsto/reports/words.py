"""The words that all pages share: lists, counts and durations as a person would say them."""

from __future__ import annotations

from collections.abc import Sequence


def listing(parts: Sequence[str]) -> str:
    """Join parts as a person would.

    >>> listing(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 2 else parts)


def count(number: int, noun: str, plural: str = "") -> str:
    """Count things; the plural is the noun with an s if none is given.

    >>> count(1, "row"), count(1200, "row"), count(2, "query", "queries")
    ('1 row', '1,200 rows', '2 queries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """Write a duration in the two units that matter.

    >>> duration(42.4), duration(150), duration(7260)
    ('42 s', '2 min 30 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def in_line(error: BaseException) -> str:
    """Return the message of an error on one line without its full stop, to continue a sentence with."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
