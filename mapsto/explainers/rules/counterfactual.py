"""Counterfactuals: the smallest plausible change of one row that changes its class.

    minimise Σ_j |row'_j − row_j| / MAD_j + sparsity·#{j : row'_j ≠ row_j}   such that classifier(row') is a wanted
    class

(Wachter, Mittelstadt & Russell 2017, with their distance: differences divided by the median absolute deviation of the
column in the background, MAD_j.) The constraint itself replaces their penalty λ and its gradient ascent, so that any
classifier will do. The change must be plausible: a number stays within its observed range, an integer stays whole, a
category becomes another observed one (distance 1), a missing cell stays missing, and `immutable` columns stay.

The search has three steps:

1. It starts from background rows of a wanted class, as in Brughmans, Leyman & Martens 2023, and from changes of one
   column.
2. It puts columns back to the row's values, one after the other, while the class stays a wanted one (the feature
   selection of growing spheres, Laugel et al. 2018, Algorithm 2). It then bisects the remaining changes.
3. It pushes one column of the best row further, so that others can come back, as long as this lowers the cost. This
   step is new.

The result is a local optimum: a smaller change may exist, for example if the class comes and goes along a column.
Nothing is found if neither a change of one column nor any background row, with its immutable columns put back, has a
wanted class.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import numpy as np
from jaxtyping import Bool, Float, Int

from ... import checks
from ...tables.plausibility import Columns
from .classifier import Classifier, Inquiry, TableExplainer

_HALVINGS = 14


class Change(NamedTuple):
    """A counterfactual: a row of another class near the given one, with what was changed.

    Args:
        row: the changed row, in the form of the background (for a DataFrame, a frame of one row). If `found` is False,
            the given row.
        columns: the numbers of the changed columns.
        distance: the sum of the columns' differences, in median absolute deviations.
        found: whether a change of the class was found.
        label: the class of `row`.
        scores: the score of the class `label` before and after the change.
        nearest: the background row of a wanted class that is nearest to the given row; None if there is none.
        nearest_distance: its distance; NaN if there is none.
        text: the change in words.
        evaluations: the number of rows that the classifier evaluated.
    """

    row: Any
    columns: tuple[int, ...]
    distance: float
    found: bool
    label: int
    scores: tuple[float, float]
    nearest: Any
    nearest_distance: float
    text: str
    evaluations: int

    def __str__(self) -> str:
        return self.text


@final
class Counterfactual(TableExplainer):
    """Find the smallest plausible change to a row such that its predicted class changes.

    A wanted class is the class `target` of the call or, if that is None, any class other than the explained row's. The
    search starts from rows of a wanted class. One by one, it sets the columns of these rows back to the explained row's
    values, as long as the class stays a wanted one. The module docstring describes every step.

    Args:
        background: rows of the table: a tensor, an array or a DataFrame. Some of these rows are starting points of the
            search. All of them determine which values are plausible, such as the range of a number.
        names: the names of the columns. If None, they are the column names of the DataFrame or, for other backgrounds,
            x0, x1, ...
        categorical: the names or positions of the columns whose numbers are mere labels.
        immutable: the names or positions of the columns that must not change.
        sparsity: the cost of each changed column. The cost of a change is its size, in median absolute deviations, plus
            `sparsity` for each changed column.
        starts: the number of rows from which the search starts. Candidates are the background rows, with immutable
            columns set to the explained row's values, and copies of the explained row with one changed column. The
            search starts from the candidates that have a wanted class and cost least.
        orders: the number of random orders in which the columns of each starting row are set back.
        grid: the number of quantiles of each numeric column that are tried as its new value. A few values near the
            row's own value are also tried.
        rounds: the largest number of final rounds. A round changes one column of the best row to another plausible
            value, and then tries to set other columns back.
        seed: the random seed.
        chunk_size: the largest number of rows in one call of the classifier.

    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> change = Counterfactual(X, names=["age", "bmi", "dose"])(lambda x: x[:, 0] + x[:, 1] / 2 > 1, np.zeros(3))
    >>> change.columns, change.row.round(3)
    ((0,), array([1., 0., 0.]))
    """

    def __init__(
        self,
        background: Any,
        names: Sequence[str] | None = None,
        categorical: Sequence[str | int] = (),
        immutable: Sequence[str | int] = (),
        sparsity: float = 0.1,
        starts: int = 8,
        orders: int = 4,
        grid: int = 6,
        rounds: int = 10,
        seed: int = 0,
        chunk_size: int = 8192,
    ):
        super().__init__(background, names, categorical, seed, chunk_size)
        checks.at_least(0, sparsity=sparsity)
        checks.count(starts=starts, orders=orders)
        checks.count(2, grid=grid)
        checks.count(0, rounds=rounds)
        self.immutable = self.background.columns(immutable, "immutable")
        changeable = len(self.immutable) < len(self.background.names)
        checks.expect(changeable, "immutable", "every column", "at least one that may change")
        self.sparsity, self.starts, self.orders, self.grid, self.rounds = sparsity, starts, orders, grid, rounds

    def __call__(self, classifier: Classifier, row: Any, target: int | None = None) -> Change:
        """Return the smallest change found that gives `row` the class `target`, or any other class if `target` is None.

        Raises:
            MapstoError: if the row does not fit the background, if it already has the class `target`, if the classifier
                returns neither class indices `[n]` nor scores `[n, k]`, or if the classifier has no class `target`. A
                classifier that returns class indices must have returned `target` for some row.
        """
        return _Search(self, classifier, self.background.row(row), target).change()


class _Search:
    """The search for one row's counterfactual; all its candidates `[m, d]` have a wanted class."""

    def __init__(self, settings: Counterfactual, classifier: Classifier, row: np.ndarray, target: int | None):
        self.settings, self.row, self.target = settings, row, target
        self.inquiry = Inquiry(classifier, settings.background, settings.chunk_size)
        self.before = int(self.inquiry(row[None]).classes[0])
        checks.expect(target != self.before, "target", f"{target}, the row's own class", "another class")
        self.columns = Columns(settings.background)
        fixed = [j in settings.immutable for j in range(len(row))]
        self.free = ~np.array(fixed) & ~np.isnan(row) & (self.columns.spread > 0)
        self.generator = np.random.default_rng(settings.seed)

    def change(self) -> Change:
        """Search, and return the result."""
        nearest = self._unlike(self.settings.background.values)
        starts = np.concatenate([self._unlike(self._moves(self.row)), self._others()])
        if not len(starts):
            self._refuse_target()
            return self._result(None, nearest)
        best = self._best(self._shortened(self._best(starts, self.settings.starts)))
        for _ in range(self.settings.rounds):
            better = self._exchanged(best[0])
            if self._cost(better)[0] >= self._cost(best)[0] * (1 - 1e-6):
                break
            best = better
        return self._result(best[0], nearest)

    def _refuse_target(self) -> None:
        classes = ", ".join(map(str, sorted(self.inquiry.seen)))
        possible = self.target is None or self.target in self.inquiry.seen
        checks.expect(possible, "target", repr(self.target), f"a class that the classifier returns: {classes}")

    def _others(self) -> Float[np.ndarray, "m d"]:
        """Return the background rows that have a wanted class when the columns that may not change are put back."""
        rows = self.settings.background.values
        return self._unlike(np.where(self.free & ~np.isnan(rows), rows, self.row))

    def _unlike(self, rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "u d"]:
        return rows[self._wanted(rows)]

    def _wanted(self, rows: Float[np.ndarray, "m d"]) -> Bool[np.ndarray, " m"]:
        if not len(rows):
            return np.zeros(0, bool)
        classes = self.inquiry(rows).classes
        return classes != self.before if self.target is None else classes == self.target

    def _cost(self, rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        return self._distance(rows) + self.settings.sparsity * (rows != self.row)[:, self.free].sum(1)

    def _distance(self, rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        return self.columns.steps(rows, self.row)[:, self.free].sum(1)

    def _best(self, rows: Float[np.ndarray, "m d"], count: int = 1) -> Float[np.ndarray, "c d"]:
        rows = np.unique(rows, axis=0)
        return rows[self._cost(rows).argsort(kind="stable")[:count]]

    def _moves(self, row: Float[np.ndarray, " d"]) -> Float[np.ndarray, "m d"]:
        """Return copies of `row` with one column at another plausible value, for each column and some of its values."""
        candidates = []
        for j in np.flatnonzero(self.free):
            values = self.columns.values(int(j), float(row[j]), self.settings.grid)
            moved = np.repeat(row[None], len(values), 0)
            moved[:, j] = values
            candidates.append(moved[values != row[j]])
        return np.concatenate(candidates) if candidates else np.empty((0, len(row)))

    def _shortened(self, rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "c d"]:
        """Put columns back in several random orders; then bisect the remaining changes, again in random orders."""
        rows = np.repeat(rows, self.settings.orders, 0)
        sparse = np.unique(self._back(rows, self._order(rows), halvings=0), axis=0)
        rows = np.repeat(sparse, self.settings.orders, 0)
        return self._back(rows, self._order(rows), _HALVINGS)

    def _exchanged(self, row: Float[np.ndarray, " d"]) -> Float[np.ndarray, "1 d"]:
        """Push one column further and let the others come back, then the pushed one; return the best result."""
        moves = self._unlike(self._moves(row))
        if not len(moves):
            return row[None]
        keys = self.generator.random(moves.shape) + 2 * (moves != row)  # so that the pushed column comes last
        rough = self._best(self._back(moves, _ordered(keys, moves != self.row), _HALVINGS // 2), self.settings.starts)
        fine = self._back(rough, self._order(rough), _HALVINGS)
        return self._best(np.concatenate([fine, row[None]]))

    def _order(self, rows: Float[np.ndarray, "m d"]) -> Int[np.ndarray, "m s"]:
        return _ordered(self.generator.random(rows.shape), rows != self.row)

    def _back(self, rows: Float[np.ndarray, "m d"], order: np.ndarray, halvings: int) -> Float[np.ndarray, "m d"]:
        """Bring one column after the other back to the row's value, or as near to it as `halvings` bisections allow."""
        for columns in order.T:  # [m]
            rows = self._one_back(rows, columns, halvings)
        return rows

    def _one_back(self, rows: Float[np.ndarray, "m d"], columns: np.ndarray, halvings: int) -> Float[np.ndarray, "m d"]:
        each = np.arange(len(rows))
        far, home = rows[each, columns], self.row[columns]
        open_ = np.flatnonzero((far != home) & self.free[columns])
        kept = self._with(rows, open_, columns, home)
        open_ = open_[(kept[open_, columns[open_]] != home[open_]) & self.columns.ordered[columns[open_]]]
        low, high = np.zeros(len(rows)), np.ones(len(rows))
        for _ in range(halvings):
            middle = (low + high) / 2
            values = self.columns.plausible(columns, home + middle * (far - home))
            tried = self._with(kept, open_, columns, values)
            moved = tried[each, columns] == values
            kept, low, high = tried, np.where(moved, low, middle), np.where(moved, middle, high)
        return kept

    def _with(self, rows: np.ndarray, which: np.ndarray, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Set `columns` of the rows `which` to `values`, except in rows that would lose the wanted class."""
        tried = rows.copy()
        tried[which, columns[which]] = values[which]
        changed = which[(tried != rows)[which].any(1)] if len(which) else which
        refused = changed[~self._wanted(tried[changed])]
        tried[refused] = rows[refused]
        return tried

    def _result(self, best: np.ndarray | None, unlike: Float[np.ndarray, "u d"]) -> Change:
        row = self.row if best is None else best
        both = self.inquiry(np.stack([self.row, row]))
        label = int(both.classes[1])
        changed = tuple(int(j) for j in np.flatnonzero((row != self.row) & self.free))
        gaps = np.nansum(self.columns.steps(unlike, self.row), 1)
        near, form = (unlike[[gaps.argmin()]] if len(gaps) else None), self.settings.background.form
        before, after = both.score(label)
        return Change(
            row=form.single(row[None]),
            columns=changed,
            distance=float(self._distance(row[None])[0]),
            found=best is not None,
            label=label,
            scores=(float(before), float(after)),
            nearest=None if near is None else form.single(near),
            nearest_distance=float(gaps.min()) if len(gaps) else float("nan"),
            text=self._text(row, changed) if best is not None else "no plausible change found that changes the class",
            evaluations=self.inquiry.evaluations,
        )

    def _text(self, row: np.ndarray, changed: tuple[int, ...]) -> str:
        b = self.settings.background
        parts = [f"{b.names[j]} from {b.text(j, self.row[j])} to {b.text(j, row[j])}" for j in changed]
        return " and ".join(parts)


def _ordered(keys: Float[np.ndarray, "m d"], changed: Bool[np.ndarray, "m d"]) -> Int[np.ndarray, "m s"]:
    """Return each row's changed columns sorted by their keys; unchanged ones come last."""
    return np.where(changed, keys, np.inf).argsort(1)[:, : int(changed.sum(1).max(initial=0))]
