"""Sentences about rows that are not independent: the same row twice, and the same person in several rows.

Rows of coarse columns are equal by chance. If two rows agree in column j with the probability s_j, N pairs of rows
agree in the three finest columns about N · s₁ · s₂ · s₃ times; repeated rows are told if there are ten times as many.
"""

import shlex
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from . import key_names
from .column import Column
from .identifiers import looks_like

_FINEST, _TIMES = 3, 10
_ROWS, _COLUMNS = 3000, 100  # of a large table, in which persons are looked for
_CONSTANT, _COARSE = 0.95, 0.5  # two rows of a person agree at least so often, two rows of the table at most so often
_BITS = {"person": 0.0, "key": 3.0, "other": 8.0}  # what rows of one value must have in common beyond chance
_VALUES = {"person": 3, "key": 5, "other": 8}  # the least number of different values


_ADVICE = "delete rows that were entered twice, and keep rows of one patient together (--group COLUMN)."


def repeated_rows(columns: Sequence[Column], train: Float[np.ndarray, "n d"]) -> list[str]:
    """Return a sentence about training rows that repeat another one in every column."""
    same, chance, width = _same(columns, train)
    n, pairs = len(train), _pairs(same)
    if pairs <= _TIMES * chance * n * (n - 1) / 2:
        return []
    again = n - len(np.unique(same))
    return [f"training rows that repeat another one in all {width} columns: {again} of {n}; {_ADVICE}"]


def known_rows(
    columns: Sequence[Column], train: Float[np.ndarray, "n d"], test: Float[np.ndarray, "m d"], names: Sequence[str]
) -> list[str]:
    """Return a sentence about rows for testing that equal a training row in every column; `names` are their names."""
    same, chance, width = _same(columns, np.concatenate([train, test]))
    n = len(train)
    known = np.isin(same[n:], same[:n])
    if np.bincount(same[:n], minlength=len(same))[same[n:]].sum() <= _TIMES * chance * n * len(test):
        return []
    some = ", ".join(np.asarray(names, object)[known][:5]) + (", ..." if known.sum() > 5 else "")
    return [
        f"rows for testing that equal a training row in all {width} columns: {known.sum()} of {len(test)} (row "
        f"{some}), so quality is measured too high; {_ADVICE}"
    ]


def _same(columns: Sequence[Column], rows: Float[np.ndarray, "n d"]) -> tuple[Int[np.ndarray, " n"], float, int]:
    """Return a number that equal rows share, the probability that two rows are equal, and the number of columns.

    Identifiers are left out.
    """
    compared = [j for j, c in enumerate(columns) if _varies(rows[:, j]) and not looks_like(c, rows[:, j])]
    if not compared:
        return np.arange(len(rows)), 1.0, 0
    rows = rows[:, compared]
    same = _numbered(rows)
    chance = float(np.prod(np.sort([_agreement(column) for column in rows.T])[:_FINEST]))
    return same, chance, len(compared)


def persons(columns: Sequence[Column], rows: Float[np.ndarray, "n d"]) -> list[str]:
    """Return a sentence about the column that looks most like the name of a person with several rows, if there is one.

    Rows of one person agree in other columns, such as age and sex, more often than rows of different persons.
    """
    columns, rows = columns[:_COLUMNS], rows[:_ROWS, :_COLUMNS]
    every, rows = rows, rows[np.unique(_numbered(rows), return_index=True)[1]]  # equal rows agree in everything
    same = np.array([_agreement(values) for values in rows.T])
    compared = [i for i, share in enumerate(same) if share <= _COARSE and _varies(rows[:, i])]
    best = (0, 0.0, "")
    for j, column in enumerate(columns):
        if column.kind == "absent" or not _few_each(rows[:, j], kind := _kind(column.name)):
            continue
        agree = [i for i in compared if i != j and _constant(rows[:, i], rows[:, j])]
        bits = -float(np.log2(same[agree]).sum())
        rank = (list(_BITS)[::-1].index(kind), bits, _sentence(column, every[:, j], [columns[i].name for i in agree]))
        if bits >= _BITS[kind] and (kind != "other" or len(agree) > 1):
            best = max(best, rank)
    return [best[2]] if best[2] else []


def same_names(column: str, names: Sequence[str]) -> list[str]:
    """Return a sentence if the column that names the rows names several of them alike."""
    different = len(set(names))
    if different == len(names):
        return []
    return [
        f"column {column!r} names {len(names)} rows by {different} different names; if rows of one name are of one "
        f"patient, keep them together (--group {shlex.quote(column)})."
    ]


def _kind(name: str) -> str:
    return "person" if key_names.is_person(name) else "key" if key_names.is_key(name) else "other"


def _sentence(column: Column, values: Float[np.ndarray, " n"], agree: list[str]) -> str:
    known = values[~np.isnan(values)]
    shared = f", and rows of one value agree in {', '.join(repr(name) for name in agree[:3])}" if agree else ""
    return (
        f"column {column.name!r}: {len(np.unique(known))} different values in {len(known)} rows{shared}, as if one "
        "value were one patient with several rows. If so, quality is measured too high, because training rows are of "
        f"the tested patients too; keep the rows of a patient together (--group {shlex.quote(column.name)})."
    )


def _few_each(values: Float[np.ndarray, " n"], kind: str) -> bool:
    """Return whether many values occur, and a few times each."""
    known = values[~np.isnan(values)]
    _, counts = np.unique(known, return_counts=True)
    several = counts[counts > 1]
    least = max(_VALUES[kind], 0 if kind == "person" else len(known) / 15)
    some = len(several) >= 3 and several.sum() >= 0.2 * len(values)
    return bool(some and len(counts) >= least and counts.max() <= len(known) / 3)


def _constant(values: Float[np.ndarray, " n"], person: Float[np.ndarray, " n"]) -> bool:
    """Return whether values agree within persons and differ between them."""
    known = ~(np.isnan(values) | np.isnan(person))
    _, who = np.unique(person[known], return_inverse=True)
    _, value = np.unique(values[known], return_inverse=True)
    _, both = np.unique(who * (len(value) + 1) + value, return_inverse=True)
    pairs = _pairs(who)
    return pairs >= 3 and _pairs(both) >= _CONSTANT * pairs


def _numbered(rows: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
    """Return a number for each row that equal rows share; missing cells are equal."""
    filled = np.ascontiguousarray(np.where(np.isnan(rows), np.inf, rows + 0.0))
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in filled], int)


def _agreement(values: Float[np.ndarray, " n"]) -> float:
    """Return the share of pairs of rows with the same value, counted as at least one pair."""
    _, code = np.unique(values[~np.isnan(values)], return_inverse=True)
    return max(_pairs(code), 1) / max(len(code) * (len(code) - 1) / 2, 1)


def _pairs(code: Int[np.ndarray, " n"]) -> float:
    counts = np.bincount(code)
    return float((counts * (counts - 1)).sum() / 2)


def _varies(values: Float[np.ndarray, " n"]) -> bool:
    return len(np.unique(values[~np.isnan(values)])) > 1
