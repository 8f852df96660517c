"""A question about a table: the rows for training, the rows to explain, and the rows that measure the quality.

Rows without an outcome are the ones to predict and explain. If every row has one, a seeded stratified sample teaches
and the other rows are explained, so that the quality can be measured on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Shaped

from ... import checks
from ...errors import MapstoError
from ...figures.unit import Amount
from ...tables.amounts import unit_of_name
from ...tables.cells import as_text
from ...tables.columns import listing
from ...tables.groups import divided_note, group_names, shared_note
from ...tables.pairs import pair_columns, with_pairs_split
from ...tables.splits import split, training_rows
from ...tables.target import Numbers, Target, decided
from .source import Source


@dataclass(frozen=True)
class Choices:
    """What a person decides about a table.

    Attributes:
        missing: words that stand for a missing cell.
        types: the kind of a column, by its name.
        order: the levels of an ordered column, by its name.
        drop: columns that are left out.
        id: the column that names the rows; it is left out of the predictions.
        positive: the class that pictures and stories are about.
        group: the column of the rows that belong together, such as those of one patient; it is left out of the
            predictions.
        outcome: "numbers" or "classes"; if None, the outcome's cells decide.
        max_memory: the memory in gigabytes that the estimator may take; a quarter of the machine's if None.
    """

    missing: Sequence[str] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    order: Mapping[str, Sequence[str]] = field(default_factory=dict)
    drop: Sequence[str] = ()
    id: str | None = None
    positive: str | None = None
    group: str | None = None
    outcome: str | None = None
    max_memory: float | None = None


NO_CHOICES = Choices()


@dataclass(frozen=True, eq=False)
class Question:
    """A table: training rows with their labels, rows to predict and explain, and further rows to measure the quality.

    `outcomes` and `other_outcomes` are labels of the training rows; an unknown outcome is None. `groups` is the group
    of each training row, such as the patient whose visit it is, and `test_groups` that of each of `test_rows`; if None,
    rows are independent. `places` are positions of `rows`, and `train_places` those of `train`, among the rows of their
    tables. `source` holds the files from which the tables were read. `amount` is the unit of the outcome if numbers are
    predicted; if None, classes are predicted.
    """

    train: pd.DataFrame
    labels: Shaped[np.ndarray, " n_train"]
    rows: pd.DataFrame
    outcomes: Shaped[np.ndarray, " n"]
    others: pd.DataFrame
    other_outcomes: Shaped[np.ndarray, " m"]
    seed: int = 0
    notes: list[str] = field(default_factory=list)
    choices: Choices = NO_CHOICES
    groups: Shaped[np.ndarray, " n_train"] | None = None
    test_groups: Shaped[np.ndarray, " j"] | None = None
    places: Int[np.ndarray, " n"] | None = None
    train_places: Int[np.ndarray, " n_train"] | None = None
    source: Source | None = None
    amount: Amount | None = None

    @cached_property
    def has_outcome(self) -> Bool[np.ndarray, " n"]:
        """Whether the outcome of each explained row is known."""
        return np.array([outcome is not None for outcome in self.outcomes], bool)

    @cached_property
    def test_rows(self) -> pd.DataFrame:
        """All rows with a known outcome that were not used for training, the explained ones first."""
        if not len(self.others):
            return self.rows if self.has_outcome.all() else self.rows[self.has_outcome]
        return pd.concat([self.rows[self.has_outcome], self.others]) if self.has_outcome.any() else self.others

    @property
    def independent_tests(self) -> int:
        """The number of `test_rows`, or of their groups."""
        return len(self.truth) if self.test_groups is None else len(set(self.test_groups.tolist()))

    @cached_property
    def truth(self) -> Shaped[np.ndarray, " j"]:
        """The outcomes of the `test_rows`."""
        return np.array([*self.outcomes[self.has_outcome], *self.other_outcomes], self.labels.dtype)


def of_table(
    table: pd.DataFrame,
    target: str,
    train_rows: int | None,
    limit: int,
    seed: int,
    name: str = "the table",
    choices: Choices = NO_CHOICES,
) -> Question:
    """Return the question of one table, whose column `target` holds the outcome; see `splits.split`.

    Raises:
        MapstoError: there is no such column, no other column, too few outcomes, or no row left to explain.
    """
    kind = decided(table, target, name, choices.missing, choices.outcome)
    y, notes = kind.read(table, name)
    x = _features(table, target, name, choices)
    groups = _groups(table, name, choices)
    parts = split(kind.strata(y), train_rows, limit, seed, groups)
    x = with_pairs_split(x, pairs := pair_columns(x.iloc[parts.train]))
    notes += _pairs_note(pairs)
    if len(parts.test):
        notes.append(
            f"of {y.notna().sum()} rows with an outcome, {len(parts.train)} are used for training and "
            f"{len(parts.test)} for testing (a stratified split, seed {seed})."
        )
    train, labels = x.iloc[parts.train], kind.labels(y.iloc[parts.train])
    if groups is not None:
        notes.append(divided_note(str(choices.group), groups[parts.train], groups[parts.test]))
    question = of_rows(kind, train, labels, x, y, parts.explain, parts.test, seed, notes, choices, groups)
    return replace(question, train_places=parts.train, groups=None if groups is None else groups[parts.train])


def of_two_tables(
    table: pd.DataFrame,
    train: pd.DataFrame,
    target: str,
    train_rows: int | None,
    limit: int,
    seed: int,
    names: tuple[str, str] = ("the table", "the training table"),
    choices: Choices = NO_CHOICES,
) -> Question:
    """Return the question of a table whose outcomes, if it has any, are not used for teaching: `train` teaches.

    Raises:
        MapstoError: `train` has no column `target`, no other column or too few outcomes, or `table` lacks a column.
    """
    kind = decided(train, target, names[1], choices.missing, choices.outcome)
    train_y, notes = kind.read(train, names[1])
    groups = _groups(train, names[1], choices)
    used = training_rows(kind.strata(train_y), train_rows, limit, seed, groups)
    sampled = f"{len(used)} of the {len(train)} rows of {names[1]} are used for training."
    notes += [] if len(used) == len(train) else [sampled]
    train_x, labels = _features(train, target, names[1], choices).iloc[used], kind.labels(train_y.iloc[used])
    if target in table.columns:
        (y, later), x = kind.read(table, names[0]), _features(table, target, names[0], choices)
        notes += [f"{names[0]}: {sentence}" for sentence in later if sentence not in notes]
    else:
        y, x = pd.Series(None, table.index, dtype=object), _chosen(table, names[0], choices)
    x, note = _columns_of(x, list(train_x.columns), names)
    pairs = pair_columns(train_x)
    train_x, x = with_pairs_split(train_x, pairs), with_pairs_split(x, pairs)
    notes += _pairs_note(pairs)
    tested, unknown = np.flatnonzero(y.notna()), np.flatnonzero(y.isna())
    explain = unknown if len(unknown) else tested
    others = None
    if groups is not None and choices.group in table.columns:
        others = group_names(table, str(choices.group), names[0])
        notes += shared_note(str(choices.group), groups[used], others, names[0])
    question = of_rows(kind, train_x, labels, x, y, explain, tested, seed, [*notes, *note], choices, others)
    return replace(question, train_places=used, groups=None if groups is None else groups[used])


def of_rows(
    kind: Target,
    train: pd.DataFrame,
    labels: Shaped[np.ndarray, " n_train"],
    x: pd.DataFrame,
    y: pd.Series,
    explain: Int[np.ndarray, " n"],
    tested: Int[np.ndarray, " m"],
    seed: int,
    notes: Sequence[str] = (),
    choices: Choices = NO_CHOICES,
    groups: Shaped[np.ndarray, " x"] | None = None,
) -> Question:
    """Return the question that explains the rows `explain` of `x` and measures the quality on the rows `tested`.

    `kind` says how outcomes `y` belong to the labels of the training rows. `groups` is the group of each row of `x`.
    """
    label_of, new = kind.known(y, labels, tested)
    elsewhere = np.array([i for i in np.setdiff1d(tested, explain) if label_of[i] is not None], int)
    used = np.isin(explain, tested)
    outcome = np.array([label_of[i] if there else None for i, there in zip(explain, used, strict=True)], object)
    others, other_outcomes = x.iloc[elsewhere], label_of[elsewhere].astype(labels.dtype)
    amount = _amount(kind, labels, choices)
    rows, notes = x.iloc[explain], [*notes, *new]
    known = explain[[part is not None for part in outcome]]
    of_test = None if groups is None else groups[np.concatenate([known, elsewhere])]
    question = Question(train, labels, rows, outcome, others, other_outcomes, seed, notes, choices)
    return replace(question, places=explain, amount=amount, test_groups=of_test)


def _amount(kind: Target, labels: Shaped[np.ndarray, " n"], choices: Choices) -> Amount | None:
    """Return the unit of a numeric outcome, None if classes are predicted."""
    if not isinstance(kind, Numbers):
        return None
    checks.expect(choices.positive is None, "positive", repr(choices.positive), "nothing", "the outcome has no classes")
    name, unit = unit_of_name(kind.amounts.name)
    return Amount(name if unit == kind.amounts.unit else kind.amounts.name, kind.amounts.unit, float(labels.std()))


def _groups(table: pd.DataFrame, name: str, choices: Choices) -> Shaped[np.ndarray, " n"] | None:
    return None if choices.group is None else group_names(table, choices.group, name)


def _features(table: pd.DataFrame, target: str, name: str, choices: Choices) -> pd.DataFrame:
    for argument, column in (("group", choices.group), ("id", choices.id)):
        checks.expect(column != target, argument, f"{target!r}, which is the target", "another column")
    checks.expect(target not in choices.drop, "drop", f"{target!r}, which is the target", "other columns")
    x, left = _chosen(table.drop(columns=target), name, choices), len(table.columns) - 1
    got = f"{name}, which has no column besides {target!r}" + (f" but {left} that are left out" if left else "")
    checks.expect(len(x.columns) > 0, "table", got, "some to predict it from")
    return x


def _chosen(x: pd.DataFrame, name: str, choices: Choices) -> pd.DataFrame:
    """Return the columns that are not dropped; the column `id` names the rows."""
    for argument, columns in (("drop", choices.drop), ("id", [choices.id] if choices.id else [])):
        unknown = [column for column in columns if column not in x.columns]
        remedy = f"one of {listing([str(column) for column in x.columns], 8)}"
        checks.expect(not unknown, argument, f"{listing(unknown)}, which is no column of {name}", remedy)
    if choices.id:
        names = [str(i) if pd.isna(cell) else as_text(cell) for i, cell in zip(x.index, x[choices.id], strict=True)]
        x = x.set_axis(pd.Index(names, dtype=object))
    out = {*choices.drop, choices.id, choices.group}
    return x.drop(columns=[column for column in x.columns if column in out])


def _pairs_note(pairs: dict[str, list[str]]) -> list[str]:
    return [
        f"column {name!r} holds pairs of numbers; read as two columns, {listing(two)}." for name, two in pairs.items()
    ]


def _columns_of(x: pd.DataFrame, columns: list[str], names: tuple[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns of the training table, in their order, and a note about those that are left out."""
    lacking = [name for name in columns if name not in x.columns]
    if lacking:
        raise MapstoError(f"table: {names[0]} lacks {listing(lacking)}, which {names[1]} has; add or rename columns.")
    extra = [name for name in x.columns if name not in columns]
    notes = [f"{names[0]} has {listing(extra)}, which {names[1]} lacks; left out."] if extra else []
    return x[columns], notes
