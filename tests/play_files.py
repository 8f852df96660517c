"""Tables as people write them, for the page of `mapsto play`, and how the package reads and explains them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mapsto as mt
from mapsto.explanation import Explanation
from mapsto.tables import tablefile, target
from mapsto.tables.columns import Columns
from mapsto.tables.pairs import pair_columns, with_pairs_split


def _lines(rows: int, sign: str, header: list[str], *cells: Any, end: str = "\n") -> str:
    """Return a table whose cells are functions of the number of the row."""
    random = np.random.default_rng(len(header))
    lines = [header, *([cell(i, random) for cell in cells] for i in range(rows))]
    return end.join(sign.join(map(str, line)) for line in lines) + end


def _plain() -> str:
    moods = ('"calm, still"', "restless")
    return _lines(
        24, ",", ["dose", "ward", "mood", "fever", "well"], lambda i, r: i * 5 % 11,
        lambda i, r: "south" if i % 3 else "north", lambda i, r: moods[i % 2],
        lambda i, r: "" if i % 5 == 1 else 36 + i % 4 / 2,
        lambda i, r: "" if i % 7 == 5 else "yes" if i * 5 % 11 > 4 else "no",
    )  # fmt: skip


def _german() -> str:
    text = _lines(
        40, ";", ["Patient", "Aufnahme", "CRP", "Anteil", "Schmerz", "Raucher", "Befund"], lambda i, r: f"P{i:03}",
        lambda i, r: f"{1 + i % 28:02}.{1 + i % 12:02}.2021", lambda i, r: f"{r.gamma(2, 9):.1f}".replace(".", ","),
        lambda i, r: f"{5 + i * 7 % 60} %", lambda i, r: ("leicht", "mittel", "schwer", "keine")[i * i % 4],
        lambda i, r: ("ja", "nein", "Ja", "unbekannt")[i % 7 % 4],
        lambda i, r: "" if i % 9 == 4 else ("gut", "mittel", "schlecht")[(i * 7 % 60) // 20], end="\r\n",
    )  # fmt: skip
    lines = text.split("\r\n")
    return "\ufeff" + "\r\n".join(["Station 3, Herbst;;;;;;", *lines[:9], "", ";;;;;;", *lines[9:-1], "Ende der Liste"])


def _tabs() -> str:
    return _lines(
        36, "\t", ["when", "glucose", "ferritin", "cost", "stage", "hour", "flag", "code", "bp", "dead"],
        lambda i, r: f"{1 + i % 12}/{1 + i * 5 % 28}/2022" if i % 6 else "n/a",
        lambda i, r: f"{r.normal(5.6, 1):.1f} mmol/l" if i % 8 else "haemolysed" if i == 8 else "?",
        lambda i, r: "<5" if i % 10 == 3 else ">1500" if i % 10 == 7 else f"{r.gamma(2, 90):.0f}",
        lambda i, r: f"${1000 + i * 137:,}", lambda i, r: ("II", "IV", "I", "III")[i % 4],
        lambda i, r: f"{7 + i % 12}:{i * 13 % 60:02}", lambda i, r: f"{r.normal(100, 9):.0f}" + " H" * (i % 11 == 2),
        lambda i, r: f"{i % 5:02}" if i % 4 else "A1", lambda i, r: f"{110 + i}/{60 + i % 9}",
        lambda i, r: ("no", "yes")[i * 3 % 7 > 2] if i % 6 != 5 else "",
    )  # fmt: skip


def _wide(columns: int, classes: int = 2, rows: int = 30) -> str:
    names = [f"x{j}" for j in range(columns)]
    number = [lambda i, r: f"{r.normal():.4f}"] * columns
    return _lines(rows, ",", [*names, "group"], *number, lambda i, r: "" if i == 3 else f"g{i * 7 % classes}")


def _grades() -> str:
    steps = ("1 - low", "2 - mid", "3 - top")
    cells = (lambda i, r: i % 5, lambda i, r: steps[i % 3], lambda i, r: i % 4 + 1)
    return "sep=|\n" + _lines(24, "|", ["a", "b", "grade"], *cells)


def _spanish() -> str:
    return _lines(
        20, ",", ["fecha", "edad", "grupo", "sí"], lambda i, r: f"{2000 + i}-0{1 + i % 9}-1{i % 9}",
        lambda i, r: ("18-30", "31-50", ">50")[i % 3], lambda i, r: "Aa" if i % 2 else "AA",
        lambda i, r: "sí" if i % 3 else "no",
    )  # fmt: skip


def _two(cell: Any, outcome: Any, rows: int = 20) -> str:
    return _lines(rows, ",", ["a", "y"], lambda i, r: cell(i), lambda i, r: outcome(i))


FILES = {
    "plain": _plain(),
    "german": _german(),
    "tabs": _tabs(),
    "twelve": _wide(12),
    "ten_classes": _wide(2, 10, 60),
    "grades": _grades(),
    "spanish": _spanish(),
    "numbers": _two(lambda i: i, lambda i: i * 1.5),
    "alone": _two(lambda i: i, lambda i: "one"),
    "many": _two(lambda i: "x", lambda i: f"c{i % 12}", 40),
    "dated": _two(lambda i: "x", lambda i: f"2021-01-{1 + i:02}"),
    "ragged": "a,b,y\n" + "1,2,no\n" * 3 + "1,2,3,yes\n" + "2,2,yes\n" * 3,
    "twice": "a,a,y\n" + "1,2,no\n2,1,yes\n" * 5,
    "constant": "a,y\n" + "1,no\n1,yes\n" * 5,
    "prose": "Dear all,\nplease find the table attached.",
}
READ = ("plain", "german", "tabs", "twelve", "ten_classes", "grades", "spanish")
EXPLAINED = ("plain", "german", "tabs", "twelve", "ten_classes")
REFUSED = {
    "numbers": "numbers", "alone": "one_class", "many": "many_classes", "dated": "dates", "ragged": "uneven",
    "twice": "twice", "constant": "no_columns", "prose": "unreadable",
}  # fmt: skip


@dataclass(frozen=True)
class Read:
    """A file as the package reads it; the last column is the outcome."""

    table: pd.DataFrame
    y: pd.Series

    @property
    def labels(self) -> list[str | None]:
        """The outcomes as texts."""
        return [None if pd.isna(label) else str(label) for label in self.y]

    @property
    def classes(self) -> list[str]:
        """The sorted classes as texts."""
        return [str(name) for name in sorted(self.y.dropna().unique())]

    @property
    def columns(self) -> list[str]:
        """The columns beside the outcome."""
        return list(self.table.columns)

    @cached_property
    def _teaching(self) -> pd.DataFrame:
        return self.table[self.y.notna()]

    @cached_property
    def _read(self) -> Columns:
        return Columns().fit(self._teaching)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kind of each column."""
        return {column.name: column.kind for column in self._read}

    @cached_property
    def cells(self) -> dict[str, np.ndarray]:
        """The numbers of the teaching rows in the columns that vary."""
        numbers = self._read.read(self._teaching)[0]
        return {name: numbers[:, j] for j, name in enumerate(self.columns) if self._read.informative[j]}

    def explain(self, row: int) -> Explanation:
        """Return the explanation of a row without an outcome; the others teach."""
        clf = mt.TableClassifier().fit(self._teaching, self.y.dropna())
        return clf.explain(self.table.iloc[[row]])


def read(path: Path, name: str) -> Read:
    """Return a file as the package reads it."""
    path.write_bytes(FILES[name].encode())
    table = tablefile.read(path).table
    outcome = str(table.columns[-1])
    y = target.decided(table, outcome, name).read(table, outcome).y
    x = table.drop(columns=outcome)
    return Read(with_pairs_split(x, pair_columns(x[y.notna()])), y)
