"""Check reasons from outside: exact Shapley values by asking about every pattern of missing cells.

    φ_j = Σ_S |S|! (d − |S| − 1)! / d! · (v(S ∪ j) − v(S)),    v(S) = prediction for the row with only S left in it

Shapley (1953). None of the model's own reasons is used, so anyone who has the public class can repeat the check.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from ...explainers import coalitions
from ...explanation import Explanation
from ...measures import agreement

if TYPE_CHECKING:
    import pandas as pd

    from ...estimators.table import TableEstimator

COLUMNS = 10
"""The most columns that are checked: each row has `2^d` patterns."""

_ROUNDING = 1e-5  # of predictions in single precision

ROWS = 16
"""How many explanations are checked; fewer if there are many training rows or classes."""

UNCHECKED: dict[str, Any] = {"r2": None, "cosine": None, "covered": None, "rows": 0, "columns": 0}
"""The result of `check` if nothing is checked."""


def exact_values(
    estimator: "TableEstimator", rows: "pd.DataFrame", players: list[int]
) -> Float[np.ndarray, "n players k"]:
    """Return the exact Shapley values of `estimator.outputs` for each of `rows`, played by some of its columns.

    The other columns keep their cells: they should be empty, or change no prediction.
    """
    n = len(rows)
    design = coalitions.exact(len(players), dtype=torch.float64)
    masks = np.ones((len(design.masks), rows.shape[1]), bool)  # [2^players, d]
    masks[:, players] = design.masks.numpy() > 0.5
    cells = rows.iloc[np.repeat(np.arange(n), len(masks))].reset_index(drop=True)
    v = estimator.outputs(cells.where(np.tile(masks, (n, 1))))
    return (design.weights @ torch.from_numpy(v).view(n, len(masks), -1)).numpy()


def check(
    estimator: "TableEstimator", rows: "pd.DataFrame", reasons: Explanation, scale: float = 1.0
) -> dict[str, Any]:
    """Return the agreement of one-pass reasons with exact values: `r2`, `cosine`, and the `rows` and `columns` checked.

    `covered` is the fraction of the exact values that lie within the 90 % intervals of the reasons.

    In a wide table all but the ten columns that move predictions most are left empty. Values are compared in units of
    `scale`: 1 for probabilities, the standard deviation of the outcome for numbers.
    """
    cells = estimator.n_rows_ * max(len(estimator.used_), COLUMNS)
    work = cells * estimator.mapping_.ways / (128 * COLUMNS)  # of one row; 1 for 64 training rows of two classes
    rows, players = rows.iloc[: round(ROWS / min(max(work, 1), 8))], estimator.used_.tolist()
    reasons = reasons[: len(rows)]
    if len(players) > COLUMNS:
        strongest = np.sort(np.argsort(-reasons.importance.reshape(rows.shape[1], -1).sum(1), kind="stable")[:COLUMNS])
        players = strongest.tolist()
        rows = rows.where(np.tile(np.isin(np.arange(rows.shape[1]), strongest), (len(rows), 1)))
        reasons = estimator.explain(rows)
    unmeasured = {**UNCHECKED, "rows": len(rows), "columns": len(players)}
    if not players:
        return unmeasured
    exact = exact_values(estimator, rows, players)
    measures = agreement(reasons.values[:, players].reshape(exact.shape) / scale, exact / scale)
    if math.isnan(measures.r2) or math.isnan(
        measures.cosine
    ):  # no cell moves a prediction: there is nothing to agree on
        return unmeasured
    low, high = (bound[:, players].reshape(exact.shape) for bound in reasons.intervals(0.9))
    rounding = _ROUNDING * scale
    covered = float(((low - rounding <= exact) & (exact <= high + rounding)).mean())
    return {**unmeasured, "r2": measures.r2, "cosine": measures.cosine, "covered": covered}
