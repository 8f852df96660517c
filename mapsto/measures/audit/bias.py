"""A bias audit: whether a protected column drives predictions, directly or by proxies, and which groups its errors hit.

    change(H) = mean_i |p(x_i) − p_H(x_i)|,   p_H(x) = mean_b p(x with the columns H of row b)
    direct    = change({protected}),          with proxies = change({protected} ∪ proxies)
    gap(H)    = mean p_H over a group − mean p_H over all others,     and of errors: selection, true positives, …

p(x) is the predicted probability of the outcome for row x, and H is a set of hidden columns.

A column that the model uses is a proxy if the protected column can be predicted from it. The part of a gap that remains
when the protected column is hidden does not come directly from this column. The part that remains when the proxies are
hidden too does not come through them either. Hiding averages over the values of other rows (as interventional Shapley
values do, Janzing et al. 2020). Hidden columns take the values of one row together, so that they are consistent with
one another, but not with the shown columns.

Measures of a gap: demographic parity (selection rate) and equal opportunity (true positive rate; Hardt, Price & Srebro
2016, Definition 2.2), calibration within groups (Kleinberg et al. 2017), accuracy. Proxies by predictability: Feldman
et al. 2015. No number tells whether a gap is unfair: groups may differ in the causes of the outcome.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ... import checks
from ...estimate import Estimate, estimate
from ...explainers.rules.classifier import FEW, steady

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[[Any], np.ndarray]
"""Rows, as they were given (a data frame or an array) ↦ the probability of the outcome `[n]`."""
MOST_GROUPS, FOLDS = 10, 5


class Group(NamedTuple):
    """The results for one group of rows, with 95 % intervals; a mean over no rows is NaN."""

    rows: int
    probability: Estimate  # mean predicted probability of the outcome
    selected: Estimate  # fraction that is predicted to have the outcome
    true_positives: Estimate  # fraction selected, of those who have the outcome
    calibration: Estimate  # mean predicted probability, minus the fraction who have the outcome
    accuracy: Estimate


class Audit(NamedTuple):
    """The result of auditing one protected column; changes and gaps are in probability (0.07 = 7 percentage points)."""

    direct: Estimate  # mean absolute change of a prediction when the protected column is hidden
    used: dict[Any, Estimate]  # the same for each other column
    recoverable: Estimate  # AUC of predicting the protected column from all columns that the model uses; 0.5 is chance
    proxies: dict[Any, float]  # used columns that predict the protected column on their own, with their AUC
    with_proxies: Estimate  # mean absolute change when the protected column and its proxies are hidden
    groups: dict[Any, Group]  # by the value of the protected column
    gaps: dict[Any, Group]  # each group minus all others
    gaps_hidden: dict[Any, Estimate]  # gap in mean probability if the protected column is hidden
    gaps_without_proxies: dict[Any, Estimate]  # gap in mean probability if its proxies are hidden too

    def __str__(self) -> str:
        proxies = ", ".join(f"{name} (AUC {auc:.2f})" for name, auc in self.proxies.items()) or "none"
        lines = [
            f"hiding the column changes a prediction by {self.direct}",
            f"hiding its proxies too ({proxies}) by {self.with_proxies}",
            f"it can be told from the columns in use with AUC {self.recoverable}",
        ]
        for name, gap in self.gaps.items():
            lines.append(
                f"{name}: gap {gap.probability}, without the column {self.gaps_hidden[name]}, nor its proxies "
                f"{self.gaps_without_proxies[name]}; selection {gap.selected}, true positives {gap.true_positives}"
            )
        return "\n".join(lines)


def bias(
    predict: Predict,
    rows: "pd.DataFrame | np.ndarray",
    outcome: "Sequence[Any] | np.ndarray | pd.Series",
    protected: Any,
    threshold: float = 0.5,
    proxy_from: float = 0.6,
    draws: int = 16,
    seed: int = 0,
) -> Audit:
    """Audit whether a classifier's predictions and errors depend on a protected column, directly or by proxies.

    To measure the dependence, columns are hidden: their values are replaced with values from random rows. A proxy is a
    column that the model uses and that predicts the protected column. The result holds how much
    predictions change when columns are hidden, the proxies, and the differences between groups. A group is all rows
    with the same value of the protected column.

    Args:
        predict: a function that returns the predicted probability of the outcome for each row. It is called with rows
            in the same form as `rows`.
        rows: a DataFrame or an array. The columns of an array are named 0 … d−1.
        outcome: for each row, in the order of `rows`, 1 or True if the row has the outcome, else 0 or False.
        protected: the name of the protected column. It has 2 to 10 different values, each in at least 5 rows.
        threshold: a row counts as selected if its predicted probability is at least this number.
        proxy_from: the smallest AUC with which a column must predict the protected column to count as a proxy.
        draws: the number of random replacements over which a prediction with hidden columns is averaged.
        seed: the random seed of the replacements and of the cross-validation folds.

    Raises:
        MapstoError: if the protected column is unknown, constant or incomplete, has too many different values, or has a
            value with too few rows; or if outcomes are not 0 and 1, or predictions are not probabilities.
    """
    checks.between(0, 1, threshold=threshold, proxy_from=proxy_from)
    checks.count(draws=draws)
    table = _Table(predict, rows, protected, draws, seed)
    y = _binary(outcome, len(table.p))
    direct = table.change([protected])
    used = {name: table.change([name]) for name in table.others}
    active = [name for name, change in used.items() if change.mean > 1e-6]
    alone = {name: _auc(table, [name], seed).mean for name in active}
    proxies = {name: auc for name, auc in alone.items() if auc >= proxy_from}
    hidden = [protected, *proxies]
    members = {value: table.of(value) for value in table.values}
    return Audit(
        direct,
        used,
        _auc(table, active, seed) if active else Estimate(0.5, 0.0),
        proxies,
        table.change(hidden),
        {value: _group(table.p[inside], y[inside], threshold) for value, inside in members.items()},
        {value: _gap(table.p, y, inside, threshold) for value, inside in members.items()},
        {value: _difference(table.without([protected]), inside) for value, inside in members.items()},
        {value: _difference(table.without(hidden), inside) for value, inside in members.items()},
    )


class _Table:
    """A table and its predictions, also with some columns hidden."""

    def __init__(self, predict: Predict, rows: Any, protected: Any, draws: int, seed: int):
        import pandas as pd  # slow to import

        self.predict, self.array = predict, not isinstance(rows, pd.DataFrame)
        self.rows = pd.DataFrame(rows).reset_index(drop=True)
        listed = ", ".join(map(str, self.rows))
        checks.expect(protected in self.rows.columns, "protected", repr(protected), f"a column: {listed}")
        self.protected = protected
        self.codes, values = pd.factorize(self.rows[protected], sort=True)  # of an ordered categorical: in its order
        self.values = values.tolist()
        self._refuse_groups()
        self.others = [name for name in self.rows.columns if name != protected]
        generator = np.random.default_rng(seed)
        self.orders = [generator.permutation(len(self.rows)) for _ in range(draws)]
        steady("predict", predict, lambda: self._ask(self.rows[:FEW]))
        self.p = self._ask(self.rows)

    def of(self, value: Any) -> Bool[np.ndarray, " n"]:
        """Return which rows belong to the group with this value of the protected column."""
        return self.codes == self.values.index(value)

    def without(self, hidden: list[Any]) -> Float[np.ndarray, " n"]:
        """Return the predictions with some columns hidden, averaged over the draws."""
        total = np.zeros(len(self.rows))
        for order in self.orders:
            other = self.rows.copy()
            for name in hidden:
                other[name] = self.rows[name].iloc[order].array
            total += self._ask(other)
        return total / len(self.orders)

    def change(self, hidden: list[Any]) -> Estimate:
        """Return the mean absolute change of the predictions when some columns are hidden."""
        return estimate(np.abs(self.p - self.without(hidden)))

    def _refuse_groups(self) -> None:
        missing, counts = int((self.codes < 0).sum()), np.bincount(self.codes[self.codes >= 0])
        remedy = "leave those rows out, or make them a group of their own"
        checks.expect(missing == 0, "protected", f"no value in {missing} rows", "a value in each row", remedy)
        checks.expect(
            2 <= len(counts) <= MOST_GROUPS and int(counts.min()) >= FOLDS,
            "protected",
            f"{len(counts)} different value(s), the rarest in {counts.min(initial=len(self.rows))} row(s)",
            f"2 to {MOST_GROUPS} values with at least {FOLDS} rows each",
            "put the column's values in fewer groups",
        )

    def _ask(self, rows: "pd.DataFrame") -> Float[np.ndarray, " n"]:
        p = np.asarray(self.predict(rows.to_numpy() if self.array else rows), dtype=float)
        remedy = "one probability of the outcome for each row; pass the second column of a classifier's two"
        checks.shape((len(rows),), remedy, predict=p)
        _each("predict", p, (p >= 0) & (p <= 1), "a probability from 0 to 1 for each row")
        return p


def _auc(table: _Table, columns: list[Any], seed: int) -> Estimate:
    """Return the AUC of predicting the protected column from other columns, by cross-validation."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    x = np.column_stack([_numbers(table.rows[name]) for name in columns])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, early_stopping=False, random_state=seed)
    scoring = "roc_auc" if len(table.values) == 2 else "roc_auc_ovr"
    return estimate(cross_val_score(model, x, table.codes, cv=folds, scoring=scoring))


def _numbers(column: "pd.Series") -> Float[np.ndarray, " n"]:
    """Return a column as numbers; texts become codes."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column.to_numpy(dtype=float, na_value=np.nan)
    return pd.factorize(column)[0].astype(float)


def _group(p: np.ndarray, y: np.ndarray, threshold: float) -> Group:
    return Group(len(p), *(_mean(values) for values in _measures(p, y, threshold)))


def _gap(p: np.ndarray, y: np.ndarray, inside: np.ndarray, threshold: float) -> Group:
    ours, theirs = (_group(p[part], y[part], threshold) for part in (inside, ~inside))
    return Group(ours.rows, *(_less(a, b) for a, b in zip(ours[1:], theirs[1:], strict=True)))


def _measures(p: np.ndarray, y: np.ndarray, threshold: float) -> tuple[np.ndarray, ...]:
    """Return one value for each row that counts, in the order of `Group`; their means are the measures."""
    selected = (p >= threshold).astype(float)
    return p, selected, selected[y], p - y, (selected == y).astype(float)


def _difference(p: np.ndarray, inside: np.ndarray) -> Estimate:
    return _less(_mean(p[inside]), _mean(p[~inside]))


def _less(a: Estimate, b: Estimate) -> Estimate:
    """Return the difference of two independent means (Welch 1938)."""
    return Estimate(a.mean - b.mean, math.hypot(a.interval, b.interval))


def _mean(values: np.ndarray) -> Estimate:
    return estimate(values) if len(values) else Estimate(math.nan, math.nan)


def _binary(outcome: Any, n: int) -> Bool[np.ndarray, " n"]:
    import pandas as pd

    y = np.asarray(outcome)
    checks.shape((n,), "whether each row has it", outcome=y)
    _each("outcome", y, pd.Series(y).isin([0, 1]).to_numpy(), "0 or 1, whether the row has it; encode it so")
    return y.astype(bool)


def _each(argument: str, values: np.ndarray, right: Bool[np.ndarray, " n"], expected: str) -> None:
    checks.expect(bool(right.all()), argument, repr(next(iter(values[~right].tolist()), None)), expected)
