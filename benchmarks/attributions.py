"""One-pass attributions held against exact Shapley values of the same model, and timed beside shap's KernelExplainer.

    φ_j = Σ_{S ∌ j} |S|!·(d−|S|−1)!/d! · (v(S ∪ {j}) − v(S)),      v(S) = predict_proba(row with NaN outside S)

(Shapley 1953), enumerated from outside, through `predict_proba` alone. KernelExplainer plays the same game, its
background being one row of NaN, with twice as many coalitions each time until it agrees at least as well.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mapsto.explainers import coalitions
from mapsto.measures import agreement

Predict = Callable[[np.ndarray], np.ndarray]  # [n, d] ↦ [n, k], NaN = absent


def shapley(predict: Predict, X: np.ndarray) -> np.ndarray:
    """Return exact Shapley values `[n, d, k]` of complete rows `X` `[n, d]` by asking about all `2^d` subsets."""
    n, d = X.shape
    masks, weights = (part.numpy() for part in coalitions.exact(d, dtype=torch.float64))  # [c, d], [d, c]
    cells = np.where(masks[:, None] > 0.5, X, np.nan)  # [c, n, d]
    v = predict(cells.reshape(-1, d)).reshape(len(masks), n, -1)  # [c, n, k]
    return np.einsum("dc,cnk->ndk", weights, v)


def judge(model: Any, X: np.ndarray) -> dict[str, float]:
    """Explain complete rows in one pass and score the values."""
    reasons, ms = one_pass(model, X)
    found = agreement(reasons.values, shapley(model.predict_proba, X))
    gap = np.abs(reasons.base_values + reasons.values.sum(1) - model.predict_proba(X)).max()
    told = {"columns": X.shape[1], "explained": len(X), "ms_per_row": ms, "additive": float(gap)}
    return told | found._asdict()


def one_pass(model: Any, X: np.ndarray) -> tuple[Any, float]:
    """Return the reasons and the milliseconds a row, after a first call that pays for warming up."""
    model.explain(X)
    start = time.perf_counter()
    reasons = model.explain(X)
    return reasons, 1e3 * (time.perf_counter() - start) / len(X)


def kernel_explainer(model: Any, X: np.ndarray) -> dict[str, float]:
    """Return what shap's KernelExplainer needs, in coalitions and time a row, to agree as well as one pass does."""
    import shap

    exact = shapley(model.predict_proba, X)
    reasons, one_pass_ms = one_pass(model, X)
    wanted = agreement(reasons.values, exact).r2
    explainer = shap.KernelExplainer(model.predict_proba, np.full((1, X.shape[1]), np.nan))
    for count in (2**i for i in range(4, X.shape[1] + 5)):
        start = time.perf_counter()
        values = explainer.shap_values(X, nsamples=count, l1_reg=0, silent=True)
        ms = 1e3 * (time.perf_counter() - start) / len(X)
        reached = agreement(values, exact).r2
        if reached >= wanted:
            break
    kernel = {"coalitions": count, "kernel_ms_per_row": ms, "kernel_r2": reached}
    return {"columns": X.shape[1], "explained": len(X), "ms_per_row": one_pass_ms, "r2": wanted, **kernel}
