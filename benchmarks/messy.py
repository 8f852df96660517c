"""The quality on messy exports of one table beside the quality on the same cells, rewritten cleanly by hand.

    python benchmarks/messy.py    # the result, as Markdown; two minutes on one core

`MAPSTO_DATA/messy` holds exports of one small table. Exports differ from `00_clean.csv` in their content as well: some
have further columns, holes, other outcomes or other rows. So two differences are measured on the same five stratified
splits (two thirds of the rows teach, the others judge):

- reading: the export as mapsto reads it, minus its counterpart, the same rows and columns as plain numbers and texts,
  made by pandas with each export's own options;
- content: the counterpart, minus the columns of `00_clean.csv` in the same rows with the same outcome.

AUC, or R² of the lengths of stay. Every export with the right reading has a reading difference of at most 0.01.
"""

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score, roc_auc_score

from mapsto.estimators import TableClassifier, TableRegressor
from mapsto.reports.table.question import Choices, Question, of_table
from mapsto.tables.tablefile import read

SPLITS, LIMIT = 5, 1000
PLAIN = ["age", "sex", "bmi", "crp", "creatinine", "smoker", "ward"]
NA = ["", "NA", "n/a", "-", ".", "?", "k.A.", "#N/A", "missing", "unbekannt"]


class Export(NamedTuple):
    """An export: its clean counterpart, its outcome, and a group column.

    `own` are the columns to compare the counterpart with, if its rows are not those of `00_clean.csv`.
    """

    name: str
    clean: Callable[[Path], pd.DataFrame]
    target: str = "dead"
    own: list[str] | None = None
    group: str | None = None


def as_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Return a file by pandas."""
    return pd.read_csv(path, **options)


def _as_clean(path: Path) -> pd.DataFrame:
    return as_csv(path.with_name("00_clean.csv"))


def _german(path: Path) -> pd.DataFrame:
    table = as_csv(path, sep=";", decimal=",", encoding="cp1252", dtype={"Leukozyten": str})
    table["Leukozyten"] = table["Leukozyten"].str.replace(".", "").astype(float)
    table["Aufnahme"] = _days(table["Aufnahme"], "%d.%m.%Y")
    return table.drop(columns="Patientennr.")


def _thousands(path: Path) -> pd.DataFrame:
    return as_csv(path, sep=";", decimal=",", thousands=".")


def _units(path: Path) -> pd.DataFrame:
    table = as_csv(path)
    return table.assign(age=table.age.str.removesuffix(" y").astype(float), crp=_without(table.crp, " mg/l"))


def _dates(path: Path) -> pd.DataFrame:
    table = as_csv(path)
    formats = {"adm_iso": "%Y-%m-%d", "adm_de": "%d.%m.%Y", "adm_us": "%m/%d/%Y", "adm_mon": "%d-%b-%Y"}
    days = {name: _days(table[name], form) for name, form in formats.items()}
    clock = table["time"].str.split(":", expand=True).astype(float)
    return table.assign(**days, time=clock[0] + clock[1] / 60)


def _below(path: Path) -> pd.DataFrame:
    """Cells below a limit of detection lie at half of it, and so below every other value."""
    table = as_csv(path)
    for name in ("crp", "trop"):
        numbers = pd.to_numeric(table[name], errors="coerce")
        table[name] = numbers.fillna(numbers.min() / 2)
    return table


def _pressure(path: Path) -> pd.DataFrame:
    table = as_csv(path)
    two = table["bp"].str.split("/", expand=True).astype(float)
    return table.drop(columns="bp").assign(systolic=two[0], diastolic=two[1])


def _outcome_text(path: Path) -> pd.DataFrame:
    table = as_csv(path)
    return table.assign(dead=table.dead.str.strip().str.lower())


def _days(column: pd.Series, form: str) -> pd.Series:
    return (pd.to_datetime(column, format=form) - pd.Timestamp(0)).dt.days.astype(float)


def _without(column: pd.Series, unit: str) -> pd.Series:
    return column.str.removesuffix(unit).astype(float)


EXPORTS = [
    Export("00_clean.csv", as_csv),
    Export("01_german.csv", _german, "Tod"),
    Export("05_x.xlsx", _as_clean),
    Export("07_x.sav", _as_clean),
    Export("09_units.csv", _units),
    Export("10_dates.csv", _dates),
    Export("11_below.csv", _below),
    Export("12_nawords.csv", partial(as_csv, na_values=NA)),
    Export("12b_dash.csv", partial(as_csv, na_values=NA)),
    Export("15_id_sorted.csv", as_csv, own=PLAIN),
    Export("18b_gbk.csv", partial(as_csv, encoding="gbk"), "死亡"),
    Export("19b_header3.csv", partial(as_csv, skiprows=2)),
    Export("19c_unitrow.csv", partial(as_csv, skiprows=[1])),
    Export("20b_repeated_patients.csv", as_csv, own=PLAIN, group="pid"),
    Export("22_outcome_text.csv", _outcome_text),
    Export("23_los_int.csv", as_csv, "los"),
    Export("25_leak.csv", as_csv),
    Export("27_few.csv", as_csv),
    Export("30_total.csv", partial(as_csv, skipfooter=1, engine="python")),
    Export("32b_tab_decimal_comma.tsv", partial(as_csv, sep="\t", decimal=",")),
    Export("33_german_thousands.csv", _thousands),
    Export("34_pipe.csv", partial(as_csv, sep="|")),
    Export("36_bp.csv", _pressure),
    Export("44_comment.csv", partial(as_csv, skiprows=1)),
    Export("60_dash_int.csv", partial(as_csv, na_values=NA), own=["score", "age"]),
]


def scores(folder: Path, export: Export) -> np.ndarray:
    """Return the quality of the export, of its counterpart and of its columns in `00_clean.csv`, `[splits, 3]`."""
    path = folder / export.name
    table, clean = read(path).table, export.clean(path)
    plain = _as_clean(path)[PLAIN] if export.own is None else clean[export.own]
    if len(table) != len(clean):
        raise SystemExit(f"{export.name}: read {len(table)} rows, expected {len(clean)}.")
    clean = clean.drop(columns=[export.target, *([export.group] if export.group else [])])
    return np.array([_of_split(table, clean, plain, export, seed) for seed in range(SPLITS)])


def _of_split(table: pd.DataFrame, clean: pd.DataFrame, plain: pd.DataFrame, export: Export, seed: int) -> list[float]:
    question = of_table(table, export.target, None, LIMIT, seed, export.name, Choices(group=export.group))
    train, test = question.train_places, question.places
    assert train is not None and test is not None
    parts = [(question.train, question.rows)]
    parts += [(x.iloc[train], x.iloc[test]) for x in (clean, plain)]
    return [quality(question, *part) for part in parts]


def quality(question: Question, train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Return the AUC, or R² if the outcome is a number."""
    if len(set(question.labels)) > 2:
        predicted = TableRegressor().fit(train, question.labels).predict(test)
        return float(r2_score(question.truth.astype(float), predicted))
    p = TableClassifier().fit(train, question.labels).predict_proba(test)[:, 1]
    return float(roc_auc_score(question.truth == max(set(question.labels)), p))


def main() -> None:
    """Print the table."""
    folder = Path(os.environ["MAPSTO_DATA"]) / "messy"
    warnings.simplefilter("ignore")
    print("| export | quality | counterpart | reading | largest of a split | content |\n|---|---|---|---|---|---|")
    for export in EXPORTS:
        read_, clean, plain = scores(folder, export).T
        worst = np.abs(read_ - clean).max()
        numbers = [read_.mean(), clean.mean(), (read_ - clean).mean(), worst, (clean - plain).mean()]
        print(f"| {export.name} | " + " | ".join(f"{number:.3f}" for number in numbers) + " |", flush=True)


if __name__ == "__main__":
    main()
