"""Reasons for predictions of a table: a signed contribution for each row, column and, if there are any, class.

`base_values` is the prediction with every column absent, and `base_values + values.sum(1)` is the prediction (Shapley
1953; Lundberg and Lee 2017, eq. 5, "local accuracy"). A missing cell has the value 0. The values of a cell sum to 0
over the classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from . import checks

if TYPE_CHECKING:
    import shap


@dataclass(frozen=True, eq=False)
class Explanation:
    """The reasons for `n` predictions over `d` columns and `k` classes, in probability (0.07 = 7 percentage points).

    If the outcome is a number, there is no axis of classes: values are [n, d] and base values [n], in the unit of the
    outcome. `data` holds the original cells (floats, or objects if a column holds text). `codes` holds these cells as
    the numbers that the model reads, by which pictures colour them; if `data` is numeric, `codes` is None.

    >>> e = Explanation(np.array([[[-0.2, 0.2]]]), np.array([[0.6, 0.4]]), np.array([[37.5]]), ["fever"], ["no", "yes"])
    >>> e.predictions.round(6)
    array([[0.4, 0.6]])
    >>> e.importance.round(6)
    array([[0.2, 0.2]])
    """

    values: Float[np.ndarray, "_n _d *_k"]
    base_values: Float[np.ndarray, "_n *_k"]
    data: Shaped[np.ndarray, "_n _d"]
    feature_names: Sequence[str]
    class_names: Sequence[Any]
    codes: Float[np.ndarray, "_n _d"] | None = None

    def __post_init__(self) -> None:
        """Check that the fields fit together.

        Raises:
            MapstoError: if the shape of a field does not fit the shape of `values`.
        """
        n, d, *k = self.values.shape
        remedy = "`values` has [rows, columns, classes]"
        checks.shape((n, *k), remedy, base_values=self.base_values)
        checks.shape((n, d), remedy, data=self.data)
        features, classes = len(self.feature_names), len(self.class_names)
        checks.expect(features == d, "feature_names", f"{features} names", f"{d}, one for each column")
        checks.expect(classes == (*k, 0)[0], "class_names", f"{classes} names", f"{(*k, 0)[0]}, one for each class")
        if self.codes is not None:
            checks.shape((n, d), remedy, codes=self.codes)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> "Explanation":
        """Return the reasons for some rows, chosen by a slice, a mask or a list of positions."""
        rows = [int(rows)] if isinstance(rows, int | np.integer) else rows
        codes = None if self.codes is None else self.codes[rows]
        parts = self.values[rows], self.base_values[rows], self.data[rows]
        return Explanation(*parts, self.feature_names, self.class_names, codes)

    @property
    def predictions(self) -> Float[np.ndarray, "n *k"]:
        """The predictions that the values explain: `base_values + Σ_j values`."""
        return self.base_values + self.values.sum(1)

    @property
    def importance(self) -> Float[np.ndarray, "d *k"]:
        """The mean absolute contribution of each column: `mean_n |values|`."""
        return np.abs(self.values).mean(0)

    def to_shap(self) -> "shap.Explanation":
        """Return the same reasons as a `shap.Explanation` with values `[n, d, k]`, for `shap.plots`.

        For plots of one class, choose the class: `shap.plots.beeswarm(e.to_shap()[:, :, 1])`.

        Raises:
            ImportError: if shap is not installed.
        """
        try:
            from shap import Explanation as ShapExplanation
        except ImportError as error:
            raise ImportError("to_shap: shap is not installed; run `pip install shap` to use its plots.") from error
        return ShapExplanation(
            values=self.values,
            base_values=self.base_values,
            data=self.data if self.codes is None else self.codes,
            display_data=self.data,
            feature_names=list(self.feature_names),
            output_names=[str(name) for name in self.class_names] or None,
        )
