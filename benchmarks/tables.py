"""The shipped mapping on real tables: quality beside its baselines, agreement with exact Shapley values, and speed.

    python benchmarks/tables.py --out runs/tables.jsonl             # hours on two cores; interrupt and repeat at will
    python benchmarks/tables.py --out runs/tables.jsonl --report    # the result, as Markdown

`MAPSTO_DATA/tables` holds the tables (csv.gz with a column "target"); those of at most ten classes are used. Each
(table, rows, split, method) appends one JSON line to --out and is skipped where it stands there already.

A split draws two training rows of every class at random and the others from all rows at random; up to 200 of the rest
judge. Classes of fewer than six rows are left out; so is a size with less than two rows a class or under 20 rows to
judge. All columns are used. The methods, and how each gets the table, are in baselines.py. AUC is one class against the
rest, averaged over the classes that the judging rows hold; calibration error is the expected one in ten bins. Agreement
(attributions.py): ten random columns, categories as integer codes, 16 complete rows, three splits a size; beside
KernelExplainer on the first split of 32 rows. EBM: two splits, where interpret is installed.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tables_report
from attributions import judge, kernel_explainer
from baselines import METHODS, ebm
from sklearn.metrics import log_loss, roc_auc_score

import mapsto as mt
from mapsto.measures.evaluation.calibration import expected_calibration_error

ROWS, SPLITS, JUDGED, COLUMNS, EXPLAINED = (16, 32, 64, 128), 10, 200, 10, 16
Result = Mapping[str, float | str]


class Split(NamedTuple):
    """What a method gets to see, and what it is judged on; classes are 0 … k−1."""

    X: pd.DataFrame
    y: np.ndarray
    new: pd.DataFrame
    truth: np.ndarray


def read(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table's columns and its class indices, classes of fewer than six rows left out."""
    table = pd.read_csv(path)
    table = table[table.groupby("target")["target"].transform("size") >= 6].reset_index(drop=True)
    return table.drop(columns="target"), pd.factorize(table["target"], sort=True)[0]


def split(X: pd.DataFrame, y: np.ndarray, rows: int, seed: int) -> Split | None:
    """Draw the training rows: two of every class, the others from all; None where the table is too small."""
    classes = y.max() + 1
    if 2 * classes > rows or len(y) < rows + 20:
        return None
    order = np.random.default_rng([seed, rows]).permutation(len(y))
    first = np.concatenate([order[y[order] == k][:2] for k in range(classes)])
    rest = order[~np.isin(order, first)]
    more = rows - len(first)
    taught, judged = np.concatenate([first, rest[:more]]), rest[more : more + JUDGED]
    return Split(X.iloc[taught], y[taught], X.iloc[judged], y[judged])


def quality(build: Callable[[int], Any], s: Split) -> Result:
    """Fit, predict, judge."""
    start = time.perf_counter()
    model = build(len(s.y)).fit(s.X, s.y)
    fitted = time.perf_counter()
    p = np.asarray(model.predict_proba(s.new), float)
    done = time.perf_counter()
    return {
        "auc": auc(s.truth, p),
        "log_loss": float(log_loss(s.truth, p, labels=range(p.shape[1]))),
        "calibration_error": expected_calibration_error(p, s.truth, bins=10),
        "fit_ms": 1e3 * (fitted - start),
        "predict_ms_per_row": 1e3 * (done - fitted) / len(s.new),
    }


def auc(truth: np.ndarray, p: np.ndarray) -> float:
    """One class against the rest, averaged over the classes that some of the rows have and some have not."""
    judged = [k for k in range(p.shape[1]) if 0 < (truth == k).sum() < len(truth)]
    return float(np.mean([roc_auc_score(truth == k, p[:, k]) for k in judged]))


def ask(question: Callable[[Any, np.ndarray], Result], s: Split) -> Result:
    """Ask a question about the mapping's reasons on ten columns of numbers and 16 complete rows."""
    both = pd.concat([s.X, s.new]).apply(codes).to_numpy(float)
    drawn = np.random.default_rng(len(s.y)).permutation(both.shape[1])
    taught, judged = both[: len(s.y)], both[len(s.y) :]
    columns = [c for c in drawn if len(np.unique(taught[~np.isnan(taught[:, c]), c])) > 1][:COLUMNS]
    whole = judged[:, columns][~np.isnan(judged[:, columns]).any(1)][:EXPLAINED]
    if len(whole) < 4 or len(columns) < 2:
        return {"left_out": "fewer than four complete rows, or than two columns"}
    return question(mt.TableClassifier().fit(taught[:, columns], s.y), whole)


def codes(column: pd.Series) -> pd.Series:
    """Return numbers as they are, and other cells as codes."""
    if pd.api.types.is_numeric_dtype(column):
        return column.astype(float)
    return pd.Series(pd.factorize(column, sort=True)[0], index=column.index, dtype=float).replace(-1.0, np.nan)


def jobs(splits: int, sizes: tuple[int, ...]) -> Iterator[tuple[int, int, str, Callable[[Split], Result]]]:
    """Yield (split, rows, method, what to do), the first split of every size first."""
    for seed in range(splits):
        for rows in sizes:
            for name, build in METHODS.items():
                yield seed, rows, name, partial(quality, build)
            if seed < 2 and find_spec("interpret"):
                yield seed, rows, "ebm", partial(quality, ebm)
            if seed < 3:
                yield seed, rows, "agreement", partial(ask, judge)
            if seed == 0 and rows == 32:
                yield seed, rows, "kernel_explainer", partial(ask, kernel_explainer)


def run(folder: Path, out: Path, splits: int, sizes: tuple[int, ...], only: list[str] | None) -> None:
    """Do every job that has no line in `out` yet, and append its line."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.touch()
    whole = out.read_text().rpartition("\n")
    if whole[2]:  # the last run was killed while it wrote its last line
        out.write_text(whole[0] + whole[1])
    done = {(line["table"], line["rows"], line["split"], line["method"]) for line in tables_report.lines(out)}
    found = {path.name.removesuffix(".csv.gz"): read(path) for path in sorted(folder.glob("*.csv.gz"))}
    for seed, rows, method, job in jobs(splits, sizes):
        for name, (X, y) in found.items():
            if y.max() >= 10 or (name, rows, seed, method) in done or (only and method not in only):
                continue
            drawn = split(X, y, rows, seed)
            if drawn is None:
                continue
            try:
                result = job(drawn)
            except Exception as error:  # hours of other jobs should not be lost to one: the report lists it
                result = {"failed": f"{type(error).__name__}: {error}"}
            line = {"table": name, "rows": rows, "split": seed, "method": method, **result}
            with out.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)


def main() -> None:
    """Read the arguments, then run or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the file of JSON lines, added to")
    parser.add_argument("--report", action="store_true", help="print the result of the lines so far")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--methods", nargs="+", help="only these")
    args = parser.parse_args()
    if args.report and not args.out.is_file():
        parser.error(f"--out: got {args.out}, which is no file yet; run without --report first.")
    if args.report:
        print(tables_report.report(tables_report.lines(args.out)))
        return
    folder = Path(os.environ.get("MAPSTO_DATA", "data")) / "tables"
    if not folder.is_dir():
        parser.error(f"MAPSTO_DATA: got {folder}, which is no folder; set it to the one that holds tables/.")
    run(folder, args.out, args.splits, tuple(args.rows), args.methods)


if __name__ == "__main__":
    main()
