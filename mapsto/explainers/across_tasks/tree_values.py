"""Exact Shapley values of a tree ensemble over background rows, by the package shap where it is installed.

    φ_j = 1/b · Σ_r Σ_leaves share of j in the leaf that x reaches with some cells of row r

For a sum of trees, these are the values of the game whose hidden cells are those of background rows (interventional
TreeSHAP; Lundberg et al. 2020), in polynomial time for any number of columns. shap's values of a *probability* of
boosted trees are a rescaled approximation, so only outputs that are sums over trees are taken: the probabilities of
forests, and the numbers of regressors. That they are such sums is checked: the base is the model's mean score of the
background, and values and base of each row add up to the model's own score.

Trees of scikit-learn compare numbers of single precision with thresholds of double precision. Where a cell is close to
a threshold, shap can decide otherwise. So it gets the number of thresholds of its column that lie below a cell instead.
"""

import importlib.util
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...views.of_model import ModelView

_KINDS = ("Forest", "ExtraTree", "DecisionTree", "GradientBoosting", "XGB", "LGBM")
_CLOSE = 1e-6  # of the largest score


class TreeValues:
    """The exact values of rows under a tree ensemble, or None if shap cannot give those of the view's game.

    Args:
        model: any model; a tree ensemble of scikit-learn, XGBoost or LightGBM has values.
        view: the view of the model, of one score or all.
        background: the rows `[b, d]`.
    """

    def __init__(self, model: Any, view: ModelView, background: Float[Tensor, "b d"]):
        self.view, self.explainer = view, None
        known = any(kind in type(model).__name__ for kind in _KINDS)
        if known and hasattr(model, "predict") and importlib.util.find_spec("shap"):
            ours = type(model).__module__.startswith("sklearn.")
            self.ranks: _Ranks | None = None
            self.rounded = ours and "Hist" not in type(model).__name__
            self.explainer = _explainer(model, self._cells(background))
            if ours and self.explainer is not None:
                self.ranks = _Ranks(self.explainer, self._cells(background))
            self.base = torch.func.vmap(view)(background).double().mean(0)

    def __call__(self, rows: Float[Tensor, "n d"]) -> Float[Tensor, "n d ..."] | None:
        """Return the values `[n, d]`, or `[n, d, k]` of all scores; None if they are not those of the view."""
        if self.explainer is None:
            return None
        scores = torch.func.vmap(self.view)(rows).double()  # [n] or [n, k]
        try:
            values = np.asarray(self.explainer.shap_values(self._cells(rows), check_additivity=False))
        except NotImplementedError:  # trees of XGBoost that split categories
            return None
        base = np.asarray(self.explainer.expected_value)
        target = self.view.target
        if isinstance(target, int) and values.ndim == 3:
            values, base = values[..., target], base[target]
        total = torch.as_tensor(values.sum(1) + (base if values.ndim == 3 else base.item()))
        same = _same(total, scores) and _same(torch.as_tensor(base).view(self.base.shape), self.base)
        return torch.as_tensor(values).to(rows.dtype) if same else None

    def _cells(self, rows: Tensor) -> np.ndarray:
        cells = (rows.float() if self.rounded else rows).double().cpu().numpy()
        return cells if self.ranks is None else self.ranks(cells)


class _Ranks:
    """The thresholds of each column in order; a cell becomes the number of those below it, a threshold its place."""

    def __init__(self, explainer: Any, background: Float[np.ndarray, "b d"]):
        trees = explainer.model
        inner = trees.children_left >= 0
        of_columns = [inner & (trees.features == j) for j in range(background.shape[1])]
        self.thresholds = [np.unique(trees.thresholds[mine]) for mine in of_columns]
        for mine, known in zip(of_columns, self.thresholds, strict=True):
            trees.thresholds[mine] = np.searchsorted(known, trees.thresholds[mine])
        explainer.data = self(background)

    def __call__(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        codes = [np.searchsorted(known, rows[:, j]) for j, known in enumerate(self.thresholds)]
        return np.where(np.isnan(rows), np.nan, np.stack(codes, 1))


def _same(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and bool((found - expected).abs().max() <= _CLOSE * expected.abs().max())


def _explainer(model: Any, background: np.ndarray) -> Any:
    import shap

    rows = shap.maskers.Independent(background, max_samples=len(background))
    try:
        return shap.TreeExplainer(model, rows, feature_perturbation="interventional", model_output="raw")
    except Exception:  # a kind of tree or of loss that shap does not read: values are computed as of any model
        return None
