"""Sentences about the columns of a training table that a statistician would doubt, each with what to do about it.

Identifiers, columns that decide the outcome alone, columns that hardly vary, mostly empty columns, and rare classes.
"""

import shlex
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Shaped

from . import cells
from .column import Column
from .identifiers import looks_like
from .leaks import Leak, deciding

_FEW = 10  # rows of a class
_SAME, _ENOUGH = 0.95, 20  # the share of equal cells in a column that hardly varies, and its least number of cells
_EMPTY = 0.5  # the share of missing cells in a mostly empty column
_MOST = 2000  # rows that are looked at for columns that decide alone
_SHOWN = 5


def of_columns(
    columns: Sequence[Column],
    numbers: Float[np.ndarray, "n d"],
    outcome: Shaped[np.ndarray, " n"],
    classes: Sequence[str] = (),
) -> list[str]:
    """Return sentences about doubtful columns of the training rows `numbers`, NaN for a missing cell.

    `outcome` holds indices of `classes`, or floating-point numbers if the outcome is a number.
    """
    rows = np.random.default_rng(0).permutation(len(numbers))[:_MOST]
    leaks = deciding(columns, numbers[rows], outcome[rows])
    keys = {j: looks_like(column, numbers[:, j]) for j, column in enumerate(columns)}
    notes = [identifier_sentence(columns[j], said, leaks.get(j)) for j, said in keys.items() if said]
    notes += [
        _leak_sentence(columns[j], leak, numbers[:, j], outcome, classes)
        for j, leak in leaks.items()
        if keys[j] is None
    ]
    read = [(c, v) for j, (c, v) in enumerate(zip(columns, numbers.T, strict=True)) if j not in leaks and _varies(v)]
    return [*notes, *_hardly_varying(read), *_mostly_empty(read)]


def of_classes(names: Sequence[str], labels: Int[np.ndarray, " n"]) -> list[str]:
    """Return a sentence about the classes of two to nine training rows, and one about each class of a single row.

    >>> of_classes(["well", "ill"], np.array([0] * 20 + [1] * 3))[0][:42]
    "few training rows: class 'ill' (3 rows). W"
    """
    counts = dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))
    single = [
        f"class {name!r}: a single training row, so its probabilities rest on one example."
        for name, count in counts.items()
        if count == 1
    ]
    few = [f"class {name!r} ({count} rows)" for name, count in counts.items() if 1 < count < _FEW]
    advice = "With fewer than ten rows, what is said about a class rests on single rows; add rows or join classes."
    return [*single, *([f"few training rows: {', '.join(few)}. {advice}"] if few else [])]


def identifier_sentence(column: Column, said: str, leak: Leak | None = None) -> str:
    """Return a sentence about a column that looks like an identifier; `said` is the reason."""
    decides = f", which here tells the outcome alone ({_strength(leak)})" if leak else ""
    kind = "the order of the rows" if column.kind == "date" else "an identifier"
    name = shlex.quote(column.name)
    return (
        f"column {column.name!r}: {said}, so it looks like {kind}{decides}; leave it out by {absent(column.name)} "
        f"(--drop {name}, or --id {name} to name the rows by it)."
    )


def absent(name: str) -> str:
    """Write the argument that leaves a column out."""
    return f"types={{{name!r}: 'absent'}}"


def _leak_sentence(
    column: Column, leak: Leak, values: Float[np.ndarray, " n"], y: Shaped[np.ndarray, " n"], classes: Sequence[str]
) -> str:
    name = f"column {column.name!r}:"
    remedy = f"{absent(column.name)} (--drop {shlex.quote(column.name)})"
    words = _in_other_words(column, values, y, classes)
    if words:
        return f"{name} it says the outcome in other words ({words}); leave it out by {remedy}."
    how = f"whether its cell is filled ({_filled(values, y, classes)})" if leak.missing else "it"
    return (
        f"{name} {how} alone tells the outcome ({_strength(leak)}); if that is known only once the outcome is, leave "
        f"the column out by {remedy}."
    )


def _strength(leak: Leak) -> str:
    return f"{leak.measure} {leak.strength:.3f}"


def _in_other_words(
    column: Column, values: Float[np.ndarray, " n"], y: Shaped[np.ndarray, " n"], classes: Sequence[str]
) -> str:
    """Write which value stands for which class, if each class has one value of its own; else nothing."""
    known = ~np.isnan(values)
    pairs = sorted(set(zip(y[known].tolist(), values[known].tolist(), strict=True)))
    if not classes or not len({c for c, _ in pairs}) == len({v for _, v in pairs}) == len(pairs) == len(classes):
        return ""
    return ", ".join(f"{cells.as_text(column.write(value))!r} for {classes[c]!r}" for c, value in pairs)


def _filled(values: Float[np.ndarray, " n"], y: Shaped[np.ndarray, " n"], classes: Sequence[str]) -> str:
    known = ~np.isnan(values)
    counts = [f"{known[y == c].sum()} of {(y == c).sum()} rows of {name!r}" for c, name in enumerate(classes)]
    return ", ".join(counts[:_SHOWN])


def _varies(values: Float[np.ndarray, " n"]) -> bool:
    return len(np.unique(values[~np.isnan(values)])) > 1


def _hardly_varying(columns: Sequence[tuple[Column, Float[np.ndarray, " n"]]]) -> list[str]:
    same = []
    for column, values in columns:
        counts = Counter(values[~np.isnan(values)].tolist())
        value, count = counts.most_common(1)[0]
        if counts.total() >= _ENOUGH and count >= _SAME * counts.total():
            cell = cells.as_text(column.write(value))
            same.append((column.name, f"{cell!r} in {count} of {counts.total()} rows"))
    return _together("hardly varying", same, "What is learned from it rests on the few other rows.")


def _mostly_empty(columns: Sequence[tuple[Column, Float[np.ndarray, " n"]]]) -> list[str]:
    empty = [
        (column.name, f"{np.isnan(values).sum()} of {len(values)} cells")
        for column, values in columns
        if np.isnan(values).mean() >= _EMPTY
    ]
    return _together("mostly empty", empty, "A missing cell says nothing here, even if there is a reason for it.")


def _together(what: str, columns: list[tuple[str, str]], consequence: str) -> list[str]:
    """Return one sentence about columns of one kind, and a remedy; no sentence if there are none."""
    if not columns:
        return []
    listed = ", ".join(f"column {name!r} ({seen})" for name, seen in columns[:_SHOWN])
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    name = columns[0][0]
    return [f"{what}: {listed}{more}. {consequence} {absent(name)} (--drop {shlex.quote(name)}) leaves it out."]
