"""How many planted identifiers and leaks the notes of `fit` name, and how many clean tables they accuse wrongly.

    python benchmarks/doubts.py             # the result, as Markdown; a minute on one core
    python benchmarks/doubts.py --develop   # the tables and seeds on which the thresholds were chosen

Twenty tables hold one planted column each: ten kinds of identifiers and ten kinds of columns that are written down only
when the outcome is known. Twenty clean tables are samples of 30 to 300 rows of public tables (`MAPSTO_DATA/tables` and
scikit-learn's). A planted column is found if a note names it; an alarm is a note about an identifier or a leak in a
clean table; the identifiers that two public tables have are taken out first. The thresholds were chosen on one half of
the tables and seeds; the result is that of the other half.
"""

import argparse
import os
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from tables import read

from mapsto.tables import doubts
from mapsto.tables.columns import Columns

ROWS, DRAWS = (30, 60, 100, 200, 300), 10
OWN = {"backache": "id", "zoo": "animal"}  # identifiers of the public tables
Planted = Callable[[np.random.Generator, np.ndarray], tuple[str, Any]]


class Table(NamedTuple):
    """A table, its outcome, and the name of the planted column."""

    X: pd.DataFrame
    y: np.ndarray
    planted: str = ""


def _hospital_number(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "Krankenhauskennung", r.choice(np.arange(10**7, 10**8), len(y), replace=False)


def _padded(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "dossier", [f"{k:06d}" for k in r.permutation(len(y)) + 417]


def _letters(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "token", ["".join(r.choice(list(string.ascii_lowercase), 9)) for _ in y]


def _gaps(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "Fall-Nr.", np.cumsum(r.integers(1, 40, len(y))) + 5000


def _by_site(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "kod", r.permutation([1000 * (1 + k % 3) + k // 3 for k in range(len(y))])


def _sorted_by_outcome(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "subject", np.argsort(np.argsort(y + r.uniform(0, 0.5, len(y)))) + 1


def _admission_times(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "registered", pd.Timestamp("2019-03-01") + pd.to_timedelta(np.cumsum(r.uniform(1, 90, len(y))), unit="h")


def _tens(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "slot", r.permutation(10 * np.arange(len(y)) + 10)


def _some_missing(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "n_registro", np.where(r.uniform(size=len(y)) < 0.1, np.nan, r.permutation(len(y)) + 80000.0)


def _few_repeats(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    numbers = r.permutation(len(y)) + 2200
    numbers[:1] = numbers[-1]
    return "case number", numbers


def _destination(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "transferred to", np.where(y == 1, "funeral home", r.choice(["home", "rehab", "nursing home"], len(y)))


def _day_of_event(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    days = pd.Timestamp("2022-01-01") + pd.to_timedelta(r.integers(0, 700, len(y)), unit="D")
    return "Sterbedatum", pd.Series(days).where(y == 1)


def _spelled(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "résultat", np.where(y == 1, "décédé", "vivant")


def _score_with_noise(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "posterior", (3.2 * y + r.normal(0, 0.9, len(y))).round(3)


def _days_of_therapy(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "days of chemotherapy", np.where(y == 1, r.integers(3, 30, len(y)), 0)


def _codes(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "billing", np.where(y == 1, r.choice([2, 5], len(y)), r.choice([1, 3, 4, 7], len(y)))


def _almost(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    wrong = np.zeros(len(y), bool)
    wrong[r.choice(len(y), max(1, len(y) // 150), replace=False)] = True
    return "autopsy", np.where((y == 1) ^ wrong, "yes", "no")


def _filled_often(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "grade", pd.Series(np.where(y == 1, r.integers(5, 10, len(y)), r.integers(0, 4, len(y)))).where(
        r.uniform(size=len(y)) > 0.2
    )


def _stage(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "staging", np.where(y == 1, r.choice(["IIIB", "IV"], len(y)), r.choice(["I", "IIA", "IIB"], len(y)))


def _money(r: np.random.Generator, y: np.ndarray) -> tuple[str, Any]:
    return "Rückzahlung", np.where(y == 1, 0.0, r.lognormal(7, 1, len(y)).round(2))


IDENTIFIERS: tuple[Planted, ...] = (
    *(_hospital_number, _padded, _letters, _gaps, _by_site),
    *(_sorted_by_outcome, _admission_times, _tens, _some_missing, _few_repeats),
)
LEAKS: tuple[Planted, ...] = (
    *(_destination, _day_of_event, _spelled, _score_with_noise, _days_of_therapy),
    *(_codes, _almost, _filled_often, _stage, _money),
)


def planted(plant: Planted, seed: int) -> Table:
    """Return a generated table of weak to strong columns, one of them planted."""
    r = np.random.default_rng([seed, (IDENTIFIERS + LEAKS).index(plant)])
    n = int(r.choice([50, 80, 120, 200]))
    y = (r.uniform(size=n) < r.uniform(0.25, 0.5)).astype(int)
    strength = r.uniform(0, 1.2, 8)
    X = pd.DataFrame({
        "age": (55 + 16 * r.normal(size=n) + 8 * strength[0] * y).round(),
        "sodium": (139 + 4 * r.normal(size=n) - 3 * strength[1] * y).round(),
        "lactate": np.exp(0.5 * r.normal(size=n) + strength[2] * y / 2).round(1),
        "weight": (75 + 14 * r.normal(size=n) + 9 * strength[3] * y).round(1),
        "smoker": np.where(r.uniform(size=n) < 0.3 + 0.3 * strength[4] * y, "yes", "no"),
        "ward": r.choice(["north", "south", "icu"], n),
        "score": r.poisson(3 + 2 * strength[5] * y),
        "platelets": (240 + 70 * r.normal(size=n) - 30 * strength[6] * y).round(),
    })  # fmt: skip
    name, values = plant(r, y)
    X.insert(
        int(r.integers(0, 9)), name, np.asarray(values) if not isinstance(values, pd.Series) else values.to_numpy()
    )
    return Table(X, y, name)


def clean(develop: bool) -> list[tuple[str, pd.DataFrame, np.ndarray]]:
    """Return one half of the public tables."""
    folder = Path(os.environ.get("MAPSTO_DATA", "data")) / "tables"
    tables = [(path.name.removesuffix(".csv.gz"), *read(path)) for path in sorted(folder.glob("*.csv.gz"))]
    tables = [(name, X.drop(columns=OWN.get(name, [])), y) for name, X, y in tables]
    for load in (load_breast_cancer, load_wine, load_iris, load_diabetes):
        data = load(as_frame=True)
        tables.append((load.__name__, data.data, data.target.to_numpy()))
    return tables[0 if develop else 1 :: 2]


def sample(X: pd.DataFrame, y: np.ndarray, seed: int) -> Table:
    """Return 30 to 300 rows of a table."""
    r = np.random.default_rng([seed, len(y)])
    rows = np.sort(r.permutation(len(y))[: int(r.choice(ROWS))])
    return Table(X.iloc[rows].reset_index(drop=True), y[rows])


def notes(table: Table) -> list[str]:
    """Return the notes about identifiers and leaks that `fit` would give."""
    columns = Columns().fit(table.X)
    y = table.y if table.y.dtype.kind == "f" else np.unique(table.y, return_inverse=True)[1]
    names = [] if y.dtype.kind == "f" else [str(c) for c in range(y.max() + 1)]
    sentences = [*doubts.of_columns(columns.columns, columns.transform(table.X), y, names), *columns.notes]
    words = ("looks like", "alone tells", "in other words", "an identifier?")
    return [sentence for sentence in sentences if any(word in sentence for word in words)]


def main() -> None:
    """Print the share of planted columns found and of clean tables accused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--develop", action="store_true", help="the half on which the thresholds were chosen")
    develop = parser.parse_args().develop
    first = 0 if develop else 2000
    print("| tables | of the first draw | of all draws |\n|---|---|---|")
    for title, kinds in (("identifiers found", IDENTIFIERS), ("leaks found", LEAKS)):
        draws = [[_found(planted(kind, first + draw), kind) for kind in kinds] for draw in range(DRAWS)]
        print(f"| {title} | {sum(draws[0])} of {len(kinds)} | {np.sum(draws)} of {np.size(draws)} |")
    tables = clean(develop)
    places = [(k % len(tables), first + k // len(tables)) for k in range(20 * DRAWS)]
    alarms = [_alarm(tables[t][0], sample(*tables[t][1:], seed)) for t, seed in places]
    print(f"| clean tables accused | {sum(alarms[:20])} of 20 | {sum(alarms)} of {len(alarms)} |")


def _found(table: Table, kind: Planted) -> bool:
    named = [note for note in notes(table) if note.startswith(f"column {table.planted!r}")]
    others = [note for note in notes(table) if note not in named]
    if not named or others:
        print(f"<!-- {kind.__name__}, {len(table.y)} rows: {'found' if named else 'missed'} {others or ''} -->")
    return bool(named)


def _alarm(name: str, table: Table) -> bool:
    sentences = notes(table)
    for sentence in sentences:
        print(f"<!-- {name}, {len(table.y)} rows: {sentence} -->")
    return bool(sentences)


if __name__ == "__main__":
    main()
