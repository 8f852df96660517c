"""Reasons for the predictions of a table: a signed share for each row and column, and for each class if there are any.

`base_values + values.sum(1)` is the prediction, `base_values` the prediction with every column absent (Shapley 1953;
Lundberg and Lee 2017, eq. 5, "local accuracy"). A missing cell has value 0; a cell's values sum to 0 over the classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

if TYPE_CHECKING:
    import shap


@dataclass(frozen=True, eq=False)
class Explanation:
    """The reasons for `n` predictions over `d` columns and `k` classes, in probability (0.07 = 7 percentage points).

    The reasons for predicted numbers have no last axis: values [n, d] and base values [n], in units of the outcome.
    `data` holds the cells as they were given (floats, or objects where some column holds text); `codes` the numbers
    that the model read for them, for pictures that colour by value (None: `data` itself is numeric).

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
        """Refuse parts that do not belong together.

        Raises:
            ValueError: a part has another shape than `values` asks for.
        """
        n, d, *k = self.values.shape
        _expect("base_values", self.base_values.shape, (n, *k))
        _expect("data", self.data.shape, (n, d))
        _expect("feature_names", (len(self.feature_names),), (d,))
        _expect("class_names", (len(self.class_names),), (*k, 0)[:1])
        if self.codes is not None:
            _expect("codes", self.codes.shape, (n, d))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> "Explanation":
        """Return the reasons for some of the rows: a slice, a mask or a list of positions."""
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
        """How far each column moved the predictions, on average: `mean_n |values|`."""
        return np.abs(self.values).mean(0)

    def to_shap(self) -> "shap.Explanation":
        """Return the same reasons as a `shap.Explanation` with values `[n, d, k]`, for `shap.plots`.

        Pick a class for the plots that show one: `shap.plots.beeswarm(e.to_shap()[:, :, 1])`.

        Raises:
            ImportError: shap is not installed.
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


def _expect(name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if got != expected:
        raise ValueError(f"{name}: got shape {got}, expected {expected}, as `values` has [rows, columns, classes].")
