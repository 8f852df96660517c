"""Estimated influence of training rows beside exact influence, on the shared tables.

    MAPSTO_DATA=... python benchmarks/influence.py --rows 64 128

For ten new rows of each table: the correlation of estimated with exact influence over all training rows, the mean
absolute error in units of the mean absolute influence, and the fraction of rows whose most influential training row,
and whose four most influential ones, are among the eight largest estimates. `--time N D` instead measures the CPU time
of ten rows' influence for N training rows with D columns, in adaptations of the model.
"""

import argparse
import resource
import time

import numpy as np
import torch
from intervals import shared
from sklearn.datasets import make_classification
from tables import codes, split

import mapsto as mt
from mapsto.attention import fused

NEW, AGAIN, SHOWN = 10, 8, 4


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare estimated with exact influence.")
    parser.add_argument("--rows", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--time", type=int, nargs=2, metavar=("N", "D"))
    args = parser.parse_args()
    if args.time:
        timed(*args.time)
        return
    for rows in args.rows:
        parts: dict[str, list[np.ndarray]] = {"two classes": [], "more classes": []}
        for name, X, y in shared():
            part = None if y.dtype == float else compared(X, y, rows)
            if part is not None:
                parts["two classes" if len(np.unique(y)) == 2 else "more classes"].append(part)
                print(rows, name, *np.round(np.median(part, 0), 3), flush=True)
        for classes, some in parts.items():
            each = np.concatenate(some)
            low = np.quantile(each[:, 0], 0.05)
            print(
                f"| {rows} rows, {classes}, {len(some)} tables | correlation {np.median(each[:, 0]):.3f}, of 95 % "
                f"above {low:.3f} | error {np.median(each[:, 1]):.2f} | the first found "
                f"{each[:, 2].mean():.1%} | all {SHOWN} found {each[:, 3].mean():.1%} |"
            )


def compared(X, y, rows: int):
    """Return the four measures of each new row, `[new, 4]`; None if the table is too small."""
    sample = split(X, y, rows, 0)
    if sample is None:
        return None
    cells = X.apply(codes)
    new = cells.loc[sample.new.index].iloc[:NEW]
    clf = mt.TableClassifier().fit(cells.loc[sample.X.index], sample.y)
    exact = clf.influence(new)
    one = [clf.influence(new.iloc[[i]], exact=0) for i in range(len(new))]
    return np.stack([_measured(e, *a) for e, a in zip(exact, one, strict=True)])


def _measured(exact: np.ndarray, estimated: np.ndarray) -> list[float]:
    top, found = (np.argsort(-np.abs(part).max(-1), kind="stable") for part in (exact, estimated))
    return [
        np.corrcoef(exact.ravel(), estimated.ravel())[0, 1],
        np.abs(exact - estimated).mean() / np.abs(exact).mean(),
        top[0] in found[:AGAIN],
        set(top[:SHOWN]) <= set(found[:AGAIN]),
    ]


def timed(n: int, d: int) -> None:
    X, y = make_classification(n + NEW, d, n_informative=min(8, d), random_state=0)
    clf = mt.TableClassifier().fit(X[:n], y[:n])
    with torch.no_grad(), fused():
        one = _cpu(lambda: clf.mapping_.adapt(clf.support_))
    for exact in (0, AGAIN):
        each = _cpu(lambda: clf.influence(X[n:], exact=exact))  # noqa: B023
        print(f"exact={exact}: {each:.1f} s of CPU, {each / one:.0f} adaptations of {n} needed for all exact")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB, {torch.get_num_threads()} threads")


def _cpu(function) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


if __name__ == "__main__":
    main()
