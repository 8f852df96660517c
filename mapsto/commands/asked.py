"""What a person asks with a table, and perhaps another one to learn from: who teaches, who is explained, who judges."""

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int

from ..errors import MapstoError
from ..estimators import MAX_ROWS
from ..tables.columns import listing
from ..tables.splits import split, teachers
from ..tables.tablefile import outcomes, read_table
from .answer import Question


def asked(args: argparse.Namespace) -> Question:
    """Read the table `args.what` (and `args.train`, where given) and share out its rows."""
    try:
        table = _numbered(args.what)
        return _of_one(args, table) if args.train is None else _of_two(args, table, _numbered(args.train))
    except MapstoError as error:
        option = re.sub(r"^(target|train_rows):", lambda match: f"--{match[1].replace('_', '-')}:", str(error))
        raise MapstoError(option) from error


def _of_one(args: argparse.Namespace, table: pd.DataFrame) -> Question:
    y, x = outcomes(table, args.target, str(args.what)), _features(table, args.target, args.what)
    chosen = split(y, args.train_rows, MAX_ROWS, args.seed)
    notes = []
    if len(chosen.judge):
        notes.append(
            f"of {y.notna().sum()} rows with an outcome, {len(chosen.teach)} teach and {len(chosen.judge)} judge "
            f"(a stratified split, seed {args.seed})."
        )
    train, labels = x.iloc[chosen.teach], _values(y.iloc[chosen.teach])
    return _question(train, labels, x, y, chosen.explain, chosen.judge, args.seed, notes)


def _of_two(args: argparse.Namespace, table: pd.DataFrame, other: pd.DataFrame) -> Question:
    taught = outcomes(other, args.target, str(args.train))
    teach = teachers(taught, args.train_rows, MAX_ROWS, args.seed)
    notes = [] if len(teach) == len(other) else [f"{len(teach)} of the {len(other)} rows of {args.train} teach."]
    train, labels = _features(other, args.target, args.train).iloc[teach], _values(taught.iloc[teach])
    if args.target in table.columns:
        y, x = outcomes(table, args.target, str(args.what)), _features(table, args.target, args.what)
    else:
        y, x = pd.Series(None, table.index, dtype=object), table
    x, unread = _columns_of(args, x, list(train.columns))
    notes += unread
    judge, unknown = np.flatnonzero(y.notna()), np.flatnonzero(y.isna())
    return _question(train, labels, x, y, unknown if len(unknown) else judge, judge, args.seed, notes)


def _question(
    train: pd.DataFrame,
    labels: np.ndarray,
    x: pd.DataFrame,
    y: pd.Series,
    explain: Int[np.ndarray, " n"],
    judge: Int[np.ndarray, " m"],
    seed: int,
    notes: list[str],
) -> Question:
    """Leave out the judges whose outcome no training row has, for nothing could predict it; that is said."""
    classes = {str(label): label for label in labels}
    truth = y.iloc[judge].astype(str)
    able = truth.isin(list(classes)).to_numpy()
    if not able.all():
        new = ", ".join(sorted(set(truth[~able])))
        notes = [*notes, f"{(~able).sum()} rows with an outcome that no training row has ({new}) do not judge."]
    rows = x.iloc[explain]
    judges = rows if able.all() and np.array_equal(explain, judge) else x.iloc[judge[able]]
    known = np.array([classes[text] for text in truth[able]], labels.dtype)
    return Question(train, labels, rows, judges, known, seed, notes)


def _numbered(path: Path) -> pd.DataFrame:
    """Read a table and name its rows by their number from 1."""
    table = read_table(path)
    return table.set_axis(range(1, len(table) + 1))


def _features(table: pd.DataFrame, target: str, path: Path) -> pd.DataFrame:
    if len(table.columns) == 1:
        raise MapstoError(f"file: {path} has no column besides {target!r}, expected some to predict it from.")
    return table.drop(columns=target)


def _columns_of(args: argparse.Namespace, x: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns that teach, in their order; others are left out, and that is said."""
    lacking = [name for name in names if name not in x.columns]
    if lacking:
        raise MapstoError(f"file: {args.what} lacks {listing(lacking)}, which {args.train} has; add or rename columns.")
    extra = [name for name in x.columns if name not in names]
    said = [f"{args.what} has {listing(extra)}, which {args.train} lacks; left out."] if extra else []
    return x[names], said


def _values(y: pd.Series) -> np.ndarray:
    return y.to_numpy(int) if pd.api.types.is_integer_dtype(y) else y.to_numpy()
