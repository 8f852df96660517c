"""A bias audit: does a protected column drive the predictions, directly or through proxies, and who bears the errors?

    change(H) = mean_i |p(x_i) − p_H(x_i)|,   p_H(x) = mean_b p(x with the columns H of row b)
    direct    = change({protected}),          with proxies = change({protected} ∪ proxies)
    gap(H)    = mean p_H over a group − mean p_H over all others,     and of errors: selection, true positives, …

A column that the model uses is a proxy where the protected column can be told from it. What remains of a gap when the
protected column is hidden does not come from it directly; what remains when its proxies are hidden too does not come
through them. Hiding averages over other rows' values (as interventional Shapley values do, Janzing et al. 2020),
hidden columns of one row together, so that they stay consistent with one another, not with those that are shown.

Measures of a gap: demographic parity (selection rate) and equal opportunity (true positive rate; Hardt, Price & Srebro
2016, Definition 2.2), calibration within groups (Kleinberg et al. 2017), accuracy. Proxies by predictability: Feldman
et al. 2015. Whether a gap is unfair, no number says: groups may differ in what the outcome depends on.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ..errors import MapstoError
from ..estimate import Estimate, estimate
from ..explainers.rules.classifier import FEW, steady, whole

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[[Any], np.ndarray]
"""Rows, as they were given (a data frame or an array) ↦ the probability of the outcome `[n]`."""
MOST_GROUPS, FOLDS = 10, 5


class Group(NamedTuple):
    """How one group of rows fares, each rate with its 95 % interval (mean nan where the group has no such row)."""

    rows: int
    probability: Estimate  # mean prediction
    selected: Estimate  # share that is predicted to have the outcome
    true_positives: Estimate  # share selected, of those who have the outcome
    calibration: Estimate  # mean prediction less the share who have the outcome
    accuracy: Estimate


class Audit(NamedTuple):
    """What an audit of one protected column found; changes and gaps are in probability (0.07 = 7 points)."""

    direct: Estimate  # change of a prediction when the protected column is hidden
    used: dict[Any, Estimate]  # change when each other column is hidden
    recoverable: Estimate  # AUC of telling the protected column from the used ones, over folds; 0.5 is chance
    proxies: dict[Any, float]  # used columns from which alone it can be told, with that AUC
    with_proxies: Estimate  # change when it and its proxies are hidden
    groups: dict[Any, Group]
    gaps: dict[Any, Group]  # of each group, less all others
    gaps_hidden: dict[Any, Estimate]  # gap in probability without the protected column …
    gaps_without_proxies: dict[Any, Estimate]  # … and without its proxies either

    def __str__(self) -> str:
        told = ", ".join(f"{name} (AUC {auc:.2f})" for name, auc in self.proxies.items()) or "none"
        lines = [
            f"hiding the column changes a prediction by {self.direct}",
            f"hiding its proxies too ({told}) by {self.with_proxies}",
            f"it can be told from the columns in use with AUC {self.recoverable}",
        ]
        for name, gap in self.gaps.items():
            lines.append(
                f"{name}: gap {gap.probability}, without the column {self.gaps_hidden[name]}, nor its proxies "
                f"{self.gaps_without_proxies[name]}; selection {gap.selected}, true positives {gap.true_positives}"
            )
        return "\n".join(lines)


def audit(
    predict: Predict,
    rows: "pd.DataFrame | np.ndarray",
    outcome: Sequence[Any] | np.ndarray,
    protected: Any,
    threshold: float = 0.5,
    proxy_from: float = 0.6,
    draws: int = 16,
    seed: int = 0,
) -> Audit:
    """Audit a row classifier for one protected column of a table.

    Args:
        predict: rows ↦ probability of the outcome.
        rows: a data frame, or an array whose columns are named 0 … d−1.
        outcome: whether each row has it (0 or 1, False or True).
        protected: the column's name; at most 10 different values.
        threshold: the probability from which a row is selected.
        proxy_from: the AUC from which a column in use is called a proxy.
        draws: values that a hidden cell is averaged over.
        seed: of the draws and of the folds.

    Raises:
        MapstoError: an unknown or constant protected column, one of too many values, too few rows a value or missing
            ones; outcomes that are not 0 and 1, or predictions that are no probabilities.
    """
    _share(threshold=threshold, proxy_from=proxy_from)
    whole(("draws", draws, 1))
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
    """Rows to be predicted with some columns hidden."""

    def __init__(self, predict: Predict, rows: Any, protected: Any, draws: int, seed: int):
        import pandas as pd  # slow to import

        self.predict, self.array = predict, not isinstance(rows, pd.DataFrame)
        self.rows = pd.DataFrame(rows).reset_index(drop=True)
        if protected not in self.rows.columns:
            raise MapstoError(f"protected: got {protected!r}, expected a column: {', '.join(map(str, self.rows))}.")
        self.protected = protected
        self.codes, values = pd.factorize(self.rows[protected], sort=True)  # of an ordered categorical: in its order
        self.values = values.tolist()
        self._refuse_groups()
        self.others = [name for name in self.rows.columns if name != protected]
        generator = np.random.default_rng(seed)
        self.drawn = [generator.permutation(len(self.rows)) for _ in range(draws)]
        steady("predict", predict, lambda: self._ask(self.rows[:FEW]))
        self.p = self._ask(self.rows)

    def of(self, value: Any) -> Bool[np.ndarray, " n"]:
        """Return which rows belong to a group."""
        return self.codes == self.values.index(value)

    def without(self, hidden: list[Any]) -> Float[np.ndarray, " n"]:
        """Return the predictions with columns hidden, averaged over the draws."""
        total = np.zeros(len(self.rows))
        for order in self.drawn:
            other = self.rows.copy()
            for name in hidden:
                other[name] = self.rows[name].iloc[order].array
            total += self._ask(other)
        return total / len(self.drawn)

    def change(self, hidden: list[Any]) -> Estimate:
        """Return the mean change of a prediction when columns are hidden."""
        return estimate(np.abs(self.p - self.without(hidden)))

    def _refuse_groups(self) -> None:
        missing, counts = int((self.codes < 0).sum()), np.bincount(self.codes[self.codes >= 0])
        if missing:
            raise MapstoError(
                f"protected: column {self.protected!r} has no value in {missing} rows, expected one in each; leave "
                "those rows out, or make them a group of their own."
            )
        if not 2 <= len(counts) <= MOST_GROUPS or counts.min() < FOLDS:
            raise MapstoError(
                f"protected: column {self.protected!r} has {len(counts)} different value(s), the rarest in "
                f"{counts.min(initial=len(self.rows))} row(s), expected 2 to {MOST_GROUPS} with at least {FOLDS} rows "
                "each; put its values in fewer groups."
            )

    def _ask(self, rows: "pd.DataFrame") -> Float[np.ndarray, " n"]:
        p = np.asarray(self.predict(rows.to_numpy() if self.array else rows), dtype=float)
        if p.shape != (len(rows),):
            raise MapstoError(
                f"predict: got shape {p.shape} for {len(rows)} rows, expected ({len(rows)},): one probability a row, "
                "of the outcome; of a classifier's two, pass the second."
            )
        _each("predict", p, (p >= 0) & (p <= 1), "a probability from 0 to 1 for each row")
        return p


def _auc(table: _Table, columns: list[Any], seed: int) -> Estimate:
    """Return the AUC of telling the protected column from others, each row by a model that did not see its fold."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    x = np.column_stack([_numbers(table.rows[name]) for name in columns])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, early_stopping=False, random_state=seed)
    scoring = "roc_auc" if len(table.values) == 2 else "roc_auc_ovr"
    return estimate(cross_val_score(model, x, table.codes, cv=folds, scoring=scoring))


def _numbers(column: "pd.Series") -> Float[np.ndarray, " n"]:
    """Return a column as numbers, text as codes."""
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
    """Return one value a row whose means are the measures, in the order of `Group`."""
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
    if y.shape != (n,):
        raise MapstoError(f"outcome: got shape {y.shape}, expected ({n},): whether each row has it.")
    _each("outcome", y, pd.Series(y).isin([0, 1]).to_numpy(), "0 or 1, whether the row has it; encode it so")
    return y.astype(bool)


def _each(argument: str, values: np.ndarray, right: Bool[np.ndarray, " n"], expected: str) -> None:
    if not right.all():
        raise MapstoError(f"{argument}: got {values[~right].tolist()[0]!r}, expected {expected}.")


def _share(**settings: float) -> None:
    for name, value in settings.items():
        if not 0 <= value <= 1:
            raise MapstoError(f"{name}: got {value}, expected a number from 0 to 1.")
