"""Shapley values from few looks at the model: one pass and looks together, beside BayesianShapley and Shapley.

    MAPSTO_DATA=... python benchmarks/looks.py

Twelve random columns of each shared table that has as many, 64 training rows, eight complete rows; the exact values
are from 4,096 looks. All methods ask the same model about the same game: v(S) is the mapping's prediction for a row of
which only the columns S are not missing. The error of a row is ‖φ̂ − φ‖² / ‖φ‖², over one of two classes, or all.
"""

import argparse
from functools import partial

import numpy as np
import torch
from intervals import shared
from tables import codes, split

import mapsto as mt
from mapsto.explainers import BayesianShapley, Shapley
from mapsto.games import Game
from mapsto.reports.table.exact import exact_values

COLUMNS, ROWS, EXPLAINED = 12, 64, 8


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare values from few looks with exact ones.")
    parser.add_argument("--looks", type=int, default=50)
    args = parser.parse_args()
    errors: dict[str, list[np.ndarray]] = {}
    for name, X, y in shared():
        if y.dtype != float and X.shape[1] >= COLUMNS:
            for method, error in compared(X, y, args.looks).items():
                errors.setdefault(method, []).append(error)
            print(name, {method: float(np.median(parts[-1])) for method, parts in errors.items()}, flush=True)
    for method, parts in errors.items():
        rows = np.concatenate(parts)
        print(f"| {method} | {np.median(rows):.5f} | {rows.mean():.5f} | {len(rows)} rows |")


def compared(X, y, looks: int) -> dict[str, np.ndarray]:
    """Return the error of each row, for each method."""
    sample = split(X, y, ROWS, 0)
    if sample is None:
        return {}
    chosen = np.random.default_rng(0).permutation(X.shape[1])[:COLUMNS]
    cells = X.iloc[:, chosen].apply(codes)
    taught, judged = cells.loc[sample.X.index], cells.loc[sample.new.index].dropna().iloc[:EXPLAINED]
    clf = mt.TableClassifier().fit(taught, sample.y)
    if len(judged) < EXPLAINED or len(clf.used_) < COLUMNS:
        return {}
    exact = exact_values(clf, judged, clf.used_.tolist())
    values = {"one pass": clf.explain(judged).values, f"one pass and {looks} looks": clf.explain(judged, looks).values}
    x = clf._tensor(judged.to_numpy(float))
    games = [Game(partial(_played, clf, row), COLUMNS) for row in x]
    for name, method in {"BayesianShapley": BayesianShapley(looks), "Shapley": Shapley(looks)}.items():
        values[f"{name}, {looks} looks"] = np.stack([method(game).numpy() for game in games])
    return {name: np.square(each - exact).sum((1, 2)) / np.square(exact).sum((1, 2)) for name, each in values.items()}


@torch.no_grad()
def _played(clf: mt.TableClassifier, row: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    rows = torch.where(masks.bool(), row, torch.nan)
    return clf.mapping_.predict(clf.state_, rows.reshape(-1, COLUMNS)).exp().reshape(*masks.shape[:-1], -1).double()


if __name__ == "__main__":
    main()
