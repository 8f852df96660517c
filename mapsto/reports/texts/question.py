"""A question about a column of texts: which texts are for training, which are explained, which measure the quality."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Bool

from ... import checks
from ...tables.cells import as_text
from ...tables.columns import listing
from ...tables.splits import split, training_rows
from ...tables.target import Classes
from ...texts.words import words
from ..table.question import NO_CHOICES, Choices, Question, of_rows, of_two_tables

MOST = 5000  # training texts


def of_texts(
    table: pd.DataFrame,
    target: str,
    text: str,
    train_rows: int | None,
    seed: int,
    name: str = "the table",
    choices: Choices = NO_CHOICES,
) -> Question:
    """Return the question of one table, whose column `target` holds the classes and whose column `text` the texts.

    Rows without a class are explained. If every row has one, a part of the rows teaches, see `splits.split`.

    Raises:
        MapstoError: if there is no such column, or there are too few rows with a text and a class.
    """
    kind = Classes(target, choices.missing)
    y, notes = kind.read(table, name)
    x = texts_of(table, target, text, name, choices)
    kept = has_text(x) | y.isna().to_numpy()
    notes += _left_out(int((~kept).sum()), "with a class but without a text")
    x, y = x[kept], y[kept]
    parts = split(y, train_rows, MOST, seed)
    if len(parts.test):
        notes.append(
            f"of {y.notna().sum()} texts with a class, {len(parts.train)} are used for training and {len(parts.test)} "
            f"for testing (a stratified split, seed {seed})."
        )
    empty = int((~has_text(x.iloc[parts.explain])).sum())
    notes += [f"{empty} row(s) without a text: every class is equally probable."] if empty else []
    labels = kind.labels(y.iloc[parts.train])
    return of_rows(kind, x.iloc[parts.train], labels, x, y, parts.explain, parts.test, seed, notes, choices)


def of_two_files(
    table: pd.DataFrame,
    train: pd.DataFrame,
    target: str,
    text: str,
    train_rows: int | None,
    seed: int,
    names: tuple[str, str] = ("the table", "the training table"),
    choices: Choices = NO_CHOICES,
) -> Question:
    """Return the question of a table whose classes, if it has any, are not used for training: `train` teaches.

    Raises:
        MapstoError: if a table lacks a column, or `train` has too few rows with a text and a class.
    """
    train_y, notes = Classes(target, choices.missing).read(train, names[1])
    train_x = texts_of(train, target, text, names[1], replace(choices, id=None))
    kept = has_text(train_x)
    notes += _left_out(
        int((~kept & train_y.notna().to_numpy()).sum()), f"of {names[1]} with a class but without a text"
    )
    taught = pd.concat([train_x, train_y.rename(target)], axis=1)[kept]
    used = training_rows(taught[target], train_rows, MOST, seed)
    x = texts_of(table, target, text, names[0], choices)
    rest = table[[target]].set_axis(x.index) if target in table.columns else x[[]]
    asked, chosen = pd.concat([x, rest], axis=1), replace(choices, id=None, outcome="classes")
    question = of_two_tables(asked, taught.iloc[used], target, None, MOST, seed, names, chosen)
    return replace(question, notes=[*notes, *question.notes])


def texts_of(table: pd.DataFrame, target: str, text: str, name: str, choices: Choices) -> pd.DataFrame:
    """Return the texts as a table of one column, whose rows have the names in the column `choices.id` if there is one.

    A number or a date in the column is a text too, and a missing cell is an empty one.
    """
    there = f"one of {listing([str(column) for column in table.columns], 8)}"
    checks.expect(text in table.columns, "text", f"{text!r}, which is no column of {name}", there)
    checks.expect(text != target, "text", f"{text!r}, which is the target too", "another column")
    known = choices.id is None or choices.id in table.columns
    checks.expect(known, "id", f"{choices.id!r}, which is no column of {name}", there)
    cells = ["" if pd.isna(cell) else as_text(cell) for cell in table[text]]
    ids = table.index if choices.id is None else [as_text(cell) for cell in table[choices.id]]
    return pd.DataFrame({text: cells}, index=pd.Index(ids, dtype=None if choices.id is None else object), dtype=object)


def has_text(x: pd.DataFrame) -> Bool[np.ndarray, " n"]:
    """Return whether each row has a word."""
    return np.array([bool(words(cell)) for cell in x.iloc[:, 0]], bool)


def _left_out(rows: int, which: str) -> list[str]:
    return [f"{rows} row(s) {which} are left out."] if rows else []
