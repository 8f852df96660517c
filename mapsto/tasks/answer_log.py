"""A person's log of answers, read with care: who answered which item, about which skill, right or wrong, and when.

The answers of each pupil are in the order of their times. A row that names an item or a skill but has no answer is a
question: it asks how the pupil would answer next. A row with a pupil alone makes this pupil known.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .. import checks
from ..errors import MapstoError
from ..tables import cells, dates
from ..tables.tablefile import read

COLUMNS = ("pupil", "item", "skill", "correct", "time")
_RIGHT = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0}


@dataclass(frozen=True)
class AnswerLog:
    """The answers of a log and the questions that it asks.

    Attributes:
        answers: a row for each answer, with the columns pupil, item and skill (texts) and correct (0 or 1); the answers
            of a pupil are in the order of their times.
        questions: a row for each row that names an item or a skill but has no answer, with the columns pupil, item and
            skill, of which one may be None.
        pupils: the names of all pupils, in the order of the table, those without an answer too.
        notes: sentences about what was guessed, sorted or left out.
    """

    answers: pd.DataFrame
    questions: pd.DataFrame
    pupils: list[str]
    notes: list[str]


def read_log(log: Any, **columns: str | None) -> AnswerLog:
    """Return the answers in a table: a DataFrame, or the path of a file such as a CSV file.

    Args:
        log: the table, with one row for each answer.
        columns: the names of its columns: `pupil`, `item`, `skill`, `correct` and `time`. A name that is None or not
            given is the same word, such as "skill" for `skill`. Without a column of that name, the rows are in the
            order of time, all items are about one skill, and an item is known by its skill.

    Raises:
        MapstoError: if the file cannot be read, a column is missing, a pupil or a time is missing or not readable, an
            answer is neither 0 nor 1, or there is no answer at all.

    >>> table = pd.DataFrame({"who": ["ann", "ann"], "skill": ["sums", "sums"], "ok": [1, None]})
    >>> log = read_log(table, pupil="who", correct="ok")
    >>> log.answers["correct"].tolist(), log.questions["skill"].tolist()
    ([1], ['sums'])
    """
    file = read(log) if isinstance(log, str | Path) else None
    table = file.table if file else log
    checks.expect(isinstance(table, pd.DataFrame), "log", type(log).__name__, "a DataFrame or the path of a table")
    names = _names(table, columns)
    texts = {name: texts_of(table[column]) for name, column in names.items() if name != "time"}
    _refuse_missing(texts["pupil"], "pupil", "name the pupil in every row")
    texts.setdefault("skill", [None] * len(table))
    texts.setdefault("item", texts["skill"])
    correct = [_right(cell, i) for i, cell in enumerate(texts["correct"])]
    frame = pd.DataFrame(texts | {"correct": correct}, index=table.index, dtype=object)
    order, notes = _order(table, frame, names.get("time"))
    answered = frame["correct"].notna()
    every = frame.iloc[order][answered.to_numpy()[order]].assign(correct=lambda f: f["correct"].astype(int))
    checks.expect(len(every) > 0, "correct", "no answer", "0 or 1 in at least one row")
    pupils = [str(pupil) for pupil in dict.fromkeys(texts["pupil"])]
    notes = [*(file.notes if file else []), *notes, *_remarks(every, pupils, names)]
    asks = ~answered & (frame["item"].notna() | frame["skill"].notna())
    return AnswerLog(_named(every), frame[asks].drop(columns="correct"), pupils, notes)


def _names(table: pd.DataFrame, columns: dict[str, str | None]) -> dict[str, str]:
    """Return the column that holds each part of an answer; parts without a column are left out."""
    there = ", ".join(map(repr, table.columns[:8]))
    names = {}
    for part in COLUMNS:
        column, needed = columns.get(part) or part, part in ("pupil", "correct") or bool(columns.get(part))
        if column in table.columns:
            names[part] = column
        elif needed:
            raise MapstoError(f"{part}: got {column!r}, expected a column of the log; it has {there}.")
    known = "skill" in names or "item" in names
    checks.expect(
        known, "item", f"no column of items or skills among {there}", "the name of one", "pass item=NAME (--item NAME)"
    )
    return names


def texts_of(column: pd.Series) -> list[str | None]:
    """Return the cells of a column as texts, None for a missing one."""
    return [None if cell is None else cells.as_text(cell) for cell in cells.cells(column)]


def _refuse_missing(values: list[Any], name: str, remedy: str) -> None:
    if None in values:
        raise MapstoError(f"{name}: got an empty cell in row {values.index(None) + 1}, expected a value; {remedy}.")


def _right(cell: str | None, row: int) -> int | None:
    if cell is None:
        return None
    known = _RIGHT.get(cell.casefold())
    remedy = "write 1 for a right answer, 0 for a wrong one, and nothing for no answer"
    checks.expect(known is not None, "correct", f"{cell!r} in row {row + 1}", "0 or 1", remedy)
    return known


def _order(table: pd.DataFrame, frame: pd.DataFrame, column: str | None) -> tuple[list[int], list[str]]:
    """Return the positions of rows in the order of time, and a sentence if the order was another one."""
    if column is None:
        return list(range(len(table))), []
    texts = texts_of(table[column])
    answered = frame["correct"].notna().to_numpy()
    times = [_time(text, i) if answered[i] else 0.0 for i, text in enumerate(texts)]
    order = sorted(range(len(times)), key=times.__getitem__)
    late = {p for p, of in frame.assign(t=times)[answered].groupby("pupil")["t"] if not of.is_monotonic_increasing}
    sentence = f"time: the answers of {len(late)} pupil(s) were not in the order of their times; they are sorted."
    return order, [sentence] * bool(late)


def _time(text: str | None, row: int) -> float:
    """Return a time as a number: a number itself, or the days of a date."""
    try:
        time = float(text or "")
    except ValueError:
        time = dates.days(text or "")
    remedy = "write a number or a date such as 2026-01-31 10:15 in every row with an answer"
    checks.expect(math.isfinite(time), "time", f"{text!r} in row {row + 1}", "a time", remedy)
    return time


def _named(answers: pd.DataFrame) -> pd.DataFrame:
    """Return answers in which an item or a skill without a name is known by the other one's, or as "-"."""
    skill = answers["skill"].fillna("-")
    return answers.assign(skill=skill, item=answers["item"].fillna(skill))[["pupil", "item", "skill", "correct"]]


def _remarks(answers: pd.DataFrame, pupils: list[str], names: dict[str, str]) -> list[str]:
    """Return sentences about what the log does not say."""
    silent = len(set(pupils) - set(answers["pupil"]))
    return [
        *[f"{silent} pupil(s) have no answer yet: their predictions are those for a new pupil."] * bool(silent),
        *["skill: the log has no such column, so all items are about one skill."] * ("skill" not in names),
        *["time: the log has no such column, so its rows are taken in their order."] * ("time" not in names),
    ]
