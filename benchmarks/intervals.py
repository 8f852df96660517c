"""Error bars of reasons: do 90 % intervals hold 90 % of the exact Shapley values of the same model, on real tables?

    python benchmarks/intervals.py --own                    # the tables of scikit-learn, for choosing
    MAPSTO_DATA=... python benchmarks/intervals.py          # the shared tables, classes and numbers

Of each table, up to eight random columns, 32, 64 and 128 training rows (two of each class at least) and 16 complete
rows; the exact values are asked from outside, by emptying cells. Two classes count once. A table's share is that of its
values inside their intervals. Trust: the rows of all tables in ten bins of `Explanation.trust`; true agreement is the
R² of a row's values, at least 0.
"""

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn import datasets
from tables import codes, read, split

import mapsto as mt
from mapsto.reports.table.exact import exact_values

COLUMNS, EXPLAINED, SIZES = 8, 16, (32, 64, 128)
OWN = ("breast_cancer", "wine", "iris", "digits", "diabetes", "linnerud")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the intervals of reasons against exact values.")
    parser.add_argument("--own", action="store_true", help="scikit-learn's tables only")
    parser.add_argument("--splits", type=int, default=1)
    args = parser.parse_args()
    fits = [
        measured(table, rows, seed)
        for table in (own() if args.own else shared())
        for seed in range(args.splits)
        for rows in SIZES
    ]
    report([fit for fit in fits if fit is not None])


def own() -> Iterator[tuple[str, pd.DataFrame, np.ndarray]]:
    """Yield the names, the columns and the outcomes of scikit-learn's tables."""
    for name in OWN:
        table = getattr(datasets, f"load_{name}")(as_frame=True)
        y = table.target if isinstance(table.target, pd.Series) else table.target.iloc[:, 0]
        yield name, table.data, y.to_numpy(float if name in ("diabetes", "linnerud") else int)


def shared() -> Iterator[tuple[str, pd.DataFrame, np.ndarray]]:
    """Yield the shared tables: those of classes, then those of numbers."""
    folder = Path(os.environ["MAPSTO_DATA"])
    for path in sorted((folder / "tables").glob("*.csv.gz")):
        X, y = read(path)
        if y.max() < 10:
            yield path.stem, X, y
    for path in sorted((folder / "tables-regression").glob("*.csv.gz")):
        table = pd.read_csv(path).dropna(subset="target")
        yield path.stem, table.drop(columns="target"), table["target"].to_numpy(float)


def measured(table: tuple[str, pd.DataFrame, np.ndarray], rows: int, seed: int) -> dict[str, Any] | None:
    """Fit to one split of a table, and hold every value against its interval and against the exact one."""
    name, X, y = table
    generator = np.random.default_rng([seed, rows])
    if y.dtype == float:
        if len(y) < rows + 20:
            return None
        order = generator.permutation(len(y))
        taught, judged, Estimator = order[:rows], order[rows : rows + 200], mt.TableRegressor
    else:
        sample = split(pd.DataFrame({"row": np.arange(len(y))}), y, rows, seed)
        if sample is None:
            return None
        taught, judged, Estimator = sample.X["row"].to_numpy(), sample.new["row"].to_numpy(), mt.TableClassifier
    columns = generator.permutation(X.shape[1])[:COLUMNS]
    cells = X.iloc[:, columns].apply(codes)
    whole = cells.iloc[judged].dropna().iloc[:EXPLAINED]
    if len(whole) < 4:
        return None
    model = Estimator().fit(cells.iloc[taught], y[taught])
    if len(model.used_) < 2:
        return None
    start = time.perf_counter()
    e = model.explain(whole)
    seconds = time.perf_counter() - start
    scale = float(y[taught].std()) if y.dtype == float else 1.0
    exact = exact_values(model, whole, model.used_.tolist()) / scale
    low, high = (bound[:, model.used_].reshape(exact.shape) / scale for bound in e.intervals(0.9))
    values = (low + high) / 2
    once = slice(0, 1 if exact.shape[2] == 2 else None)
    inside = (low <= exact + 1e-6) & (exact - 1e-6 <= high)
    agreement = 1 - np.square(exact - values).sum((1, 2)) / np.maximum(
        np.square(exact - exact.mean(1, keepdims=True)).sum((1, 2)), 1e-12
    )
    half, error = ((high - low) / 2)[..., once].ravel(), np.abs(exact - values)[..., once].ravel()
    return {
        "name": name, "rows": rows, "share": inside[..., once].mean(), "half": half, "error": error,
        "trust": e.trust, "agreement": agreement.clip(0), "ms": 1e3 * seconds / len(whole),
        "r2": 1 - np.square(exact - values).sum() / np.square(exact - exact.mean(1, keepdims=True)).sum(),
    }  # fmt: skip


def report(fits: list[dict[str, Any]]) -> None:
    """Print the claims."""
    share = np.array([fit["share"] for fit in fits])
    half, error = (np.concatenate([fit[name] for fit in fits]) for name in ("half", "error"))
    within = [spearmanr(fit["half"], fit["error"])[0] for fit in fits]
    trust, agreement = (np.concatenate([fit[name] for fit in fits]) for name in ("trust", "agreement"))
    bins = np.clip((10 * trust).astype(int), 0, 9)
    gaps = [abs(trust[bins == b].mean() - agreement[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    ratio = [2 * fit["half"].mean() / fit["error"].mean() for fit in fits]
    rows = {
        f"share of exact values in 90 % intervals, mean of {len(fits)} fits": share.mean(),
        "share of fits below 75 %": (share < 0.75).mean(),
        "Spearman of width and absolute error, all values": spearmanr(half, error)[0],
        "the same within a fit, median": np.median(within),
        "mean width / mean absolute error": 2 * half.mean() / error.mean(),
        "the same, median of fits": np.median(ratio),
        f"trust of {len(trust)} rows, calibration error in ten bins": sum(gaps),
        "trust, Spearman with the true agreement": spearmanr(trust, agreement)[0],
        "R² of the values, mean of fits": np.mean([fit["r2"] for fit in fits]),
        "R² of the values, worst fit": min(fit["r2"] for fit in fits),
    }
    for name, value in rows.items():
        print(f"| {name} | {value:.3f} |")
    for fit in sorted(fits, key=lambda fit: fit["share"])[:8]:
        print(f"  {fit['name']:24} {fit['rows']:4} rows: {100 * fit['share']:.0f} %")


if __name__ == "__main__":
    main()
