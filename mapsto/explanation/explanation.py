"""Explanations of a table's predictions: how much each column raised or lowered each prediction.

A prediction is `base_values + values.sum(1)`. The base value is the prediction when every column is hidden, and each
value is the signed contribution of one column (Shapley 1953; Lundberg and Lee 2017, eq. 5, "local accuracy"). A missing
cell contributes 0. If classes are predicted, the contributions of a cell sum to 0 over the classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from .. import checks
from . import html

if TYPE_CHECKING:
    import shap

_SORTED = {"number", "date", "ordered"}
_OF_TABLES = _SORTED | {"category", "absent"}


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """The explanations of `n` predictions: the signed contribution of each of `d` columns to each prediction.

    If one of `k` classes is predicted, contributions are in probability (0.07 = 7 percentage points). If a number is
    predicted, there is no axis `k`, and contributions are in the unit of the predicted column. If images are explained,
    the columns are the patches of an image, and their cells are the mean ink, see `ImageClassifier.explain`.

    Args:
        values: the contributions, `[n, d, k]` or `[n, d]`.
        base_values: the predictions when every column is hidden, `[n, k]` or `[n]`.
        data: the original cells `[n, d]`: floats, or objects if a column holds text.
        feature_names: the names of the `d` columns.
        class_names: the names of the `k` classes; empty if a number is predicted.
        codes: the numbers `[n, d]` in place of the cells of `data`, such as days since 1970 of dates; plots colour
            points by these numbers. None if `data` is numeric.
        trust: how far each explanation can be trusted, `[n]`: the expected R² of its contributions to exact Shapley
            values, from 0 to 1. None if the model does not predict it.
        errors: the root mean squared error that is expected of each contribution, in the shape of `values`: the
            standard error of an estimate from random coalitions or, if a pretrained model predicts its own errors, the
            distance from the exact Shapley value. None if it is not known.
        ratios: the quantiles 0.01, 0.02, …, 0.99 of the absolute error divided by `errors`, measured on other data.
            None if the errors are normally distributed.
        kinds: what each of the `d` columns is: "number", "date", "ordered" (categories with an order) or "category"; of
            other data, what has a contribution, such as "patch" or "word". If None, cells that are numbers are numbers,
            and others categories.

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
    trust: Float[np.ndarray, " _n"] | None = None
    errors: Float[np.ndarray, "_n _d *_k"] | None = None
    ratios: Float[np.ndarray, "99"] | None = None
    kinds: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Check that the shapes of the fields fit together.

        Raises:
            MapstoError: if a field does not fit the shape of `values`.
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
        if self.trust is not None:
            checks.shape((n,), "one number for each row", trust=self.trust)
        if self.errors is not None:
            checks.shape(self.values.shape, "one error for each contribution", errors=self.errors)
        if self.kinds is not None:
            checks.expect(len(self.kinds) == d, "kinds", f"{len(self.kinds)} kinds", f"{d}, one for each column")

    def __repr__(self) -> str:
        n, d, *k = self.values.shape
        classes = f" to the probabilities of {k[0]} classes" if k and self.of_probabilities else ""
        classes = classes or (f" to {k[0]} scores" if k else " to a number")
        return f"<Explanation of {n} rows: contributions of {d} {html.plural(self.noun)}{classes}>"

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> "Explanation":
        """Return the explanations of selected rows; `rows` is a row number, a slice, a mask or a list of numbers."""
        rows = [int(rows)] if isinstance(rows, int | np.integer) else rows
        codes, trust, errors = (None if part is None else part[rows] for part in (self.codes, self.trust, self.errors))
        parts = self.values[rows], self.base_values[rows], self.data[rows]
        return Explanation(*parts, self.feature_names, self.class_names, codes, trust, errors, self.ratios, self.kinds)

    @property
    def predictions(self) -> Float[np.ndarray, "n *k"]:
        """The explained predictions: `base_values` plus the sum of `values` over the columns."""
        return self.base_values + self.values.sum(1)

    @property
    def importance(self) -> Float[np.ndarray, "d *k"]:
        """The mean absolute contribution of each column over the rows: `mean_n |values|`."""
        return np.abs(self.values).mean(0)

    @property
    def noun(self) -> str:
        """What has a contribution: a "column" of a table or, if `kinds` says so, a "patch", a "word" and the like."""
        kinds = set(self.kinds or ())
        return kinds.pop() if len(kinds) == 1 and not kinds & _OF_TABLES else "column"

    @property
    def shades(self) -> Shaped[np.ndarray, "n d"]:
        """The cells by which pictures sort and colour rows: numbers, or words of categories; None if one is missing.

        A number may be written as text, with a unit or as a date, and a category may have an order. In such columns,
        the numbers are those of `codes`.
        """
        cells = np.array(self.data, object)
        if self.codes is not None:
            for j, kind in enumerate(self.kinds or ["category"] * cells.shape[1]):
                if kind in _SORTED:
                    cells[:, j] = self.codes[:, j]
                cells[np.isnan(self.codes[:, j]), j] = None
        return cells

    @property
    def of_probabilities(self) -> bool:
        """Whether probabilities of classes are explained: the base values of each row are from 0 to 1 and sum to 1."""
        base = self.base_values
        return base.ndim == 2 and bool((base >= -1e-4).all() and np.allclose(base.sum(1), 1, atol=1e-4))

    def intervals(self, coverage: float = 0.9) -> tuple[Float[np.ndarray, "n d *k"], Float[np.ndarray, "n d *k"]]:
        """Return (lower, upper): bounds of intervals that contain the exact Shapley values with probability `coverage`.

        The probability is an average over contributions, such as those of many tables; it does not hold for all
        contributions of one table at once.

        Raises:
            MapstoError: if `errors` is None, or `coverage` is not above 0 and at most 0.99.

        >>> value, base, error = np.array([[1.0]]), np.array([0.0]), np.array([[0.1]])
        >>> e = Explanation(value, base, np.array([[37.5]]), ["age"], [], errors=error)
        >>> [float(bound.round(3).item()) for bound in e.intervals(0.95)]
        [0.804, 1.196]
        """
        remedy = "take TableClassifier, or Shapley values from random coalitions"
        checks.expect(self.errors is not None, "errors", "None", "the expected error of each contribution", remedy)
        checks.expect(0 < coverage <= 0.99, "coverage", coverage, "a number above 0 and at most 0.99")
        if self.ratios is None:
            reach = NormalDist().inv_cdf(0.5 + coverage / 2)
        else:
            reach = float(np.interp(coverage, np.arange(100) / 100, [0.0, *self.ratios]))
        assert self.errors is not None
        return self.values - reach * self.errors, self.values + reach * self.errors

    def _repr_html_(self) -> str:
        """Return the table that a notebook shows."""
        return html.table(self)

    def to_shap(self) -> "shap.Explanation":
        """Return the explanations as a `shap.Explanation`, which the functions in `shap.plots` can draw.

        Most plots show one class, for example class 1: `shap.plots.beeswarm(e.to_shap()[:, :, 1])`.

        Raises:
            ImportError: if shap is not installed.
        """
        try:
            from shap import Explanation as ShapExplanation
        except ImportError as error:
            raise ImportError(
                "to_shap: shap is not installed; run `pip install 'mapsto[plots]'` to use its plots."
            ) from error
        return ShapExplanation(
            values=self.values,
            base_values=self.base_values,
            data=self.data if self.codes is None else self.codes,
            display_data=self.data,
            feature_names=list(self.feature_names),
            output_names=[str(name) for name in self.class_names] or None,
            error_std=self.errors,
        )
