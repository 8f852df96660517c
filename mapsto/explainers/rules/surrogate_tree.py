"""Surrogate trees: a small decision tree that says what the classifier says, with the share of cases in which it does.

    tree = argmin_T Σ_rows ‖scores(row) − T(row)‖²,   pruned to the T that maximises R²(T) − cost·leaves(T)

(Craven & Shavlik 1996: a tree is fitted to a network's answers, also about rows made up, and judged by its fidelity to
the network, not by the labels.) The tree is CART (Breiman et al. 1984), the candidates are those of its weakest-link
pruning (§3.3). We depart in fitting scores, not classes, by plain CART instead of best-first m-of-n splits, and in
making up rows by mixing the cells of two background rows instead of from kernel densities, so that types are kept.
Fidelity is measured on background rows that neither the fit nor the pruning saw.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
from jaxtyping import Float

from ...errors import MapstoError
from ...tables.background import Background
from .classifier import Answers, Classifier, Inquiry, TableExplainer, at_least, whole
from .predicates import Predicate, Sign, predicate, sentence

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeRegressor


class Fidelity(NamedTuple):
    """How well a tree stands in for the classifier, on `rows` background rows held out.

    `agreement` is the share that get the same class from both, `majority` the share that the classifier's most frequent
    class would reach; `r2` is 1 − (squared error of the scores) / (their variance), 0 for the mean scores.
    """

    agreement: float
    majority: float
    r2: float
    rows: int


class Leaf(NamedTuple):
    """The rows that meet `conditions` get these scores; `share` is how many of the rows of the fit do."""

    conditions: tuple[Predicate, ...]
    scores: Float[np.ndarray, " k"]
    share: float

    def __str__(self) -> str:
        scores = ", ".join(f"{score:.3g}" for score in self.scores)
        return f"{sentence(self.conditions) or 'any row'}: class {self.scores.argmax()} ({scores})"


class Surrogate:
    """A tree in the classifier's place; no attribution. `fidelity` says how far it can be trusted.

    `leaves` are its rules, `tree` is the fitted scikit-learn regressor, which reads categories as their rank.
    """

    def __init__(self, tree: "DecisionTreeRegressor", fidelity: Fidelity, background: Background):
        self.tree, self.fidelity, self.background = tree, fidelity, background
        self._leaves = dict(_leaves(tree, background, 0, ()))
        self.leaves = tuple(self._leaves.values())

    def scores(self, rows: Any) -> Float[np.ndarray, "n k"]:
        """Return the tree's scores for rows of the background's form; usable as a classifier itself."""
        return _scores(self.tree, self.background.encode(rows, "rows"))

    def path(self, row: Any) -> Leaf:
        """Return the rule that decides for `row`, a row of the background's form."""
        node = self.tree.apply(self.background.row(row)[None])[0]
        return self._leaves[int(node)]

    def __str__(self) -> str:
        return "\n".join(str(leaf) for leaf in self.leaves)


@final
class SurrogateTree(TableExplainer):
    """Fit a decision tree of at most `depth` questions to what a classifier says of all rows.

    The tree learns from three fifths of the background and `rows` rows mixed from it, is pruned on a fifth, each leaf
    having to earn `cost` of R², and judged on the last fifth.

    >>> X = np.random.default_rng(0).normal(size=(500, 3)).round(1)
    >>> surrogate = SurrogateTree(X, names=["age", "bmi", "dose"])(lambda x: x[:, 1] > 0.35)
    >>> print(surrogate)
    bmi <= 0.35: class 0 (1, 0)
    bmi > 0.35: class 1 (0, 1)
    >>> surrogate.fidelity.agreement
    1.0
    """

    def __init__(
        self,
        background: Any,
        names: Sequence[str] | None = None,
        categorical: Sequence[str | int] = (),
        depth: int = 4,
        rows: int = 2000,
        cost: float = 0.002,
        seed: int = 0,
        chunk_size: int = 8192,
    ):
        super().__init__(background, names, categorical, seed, chunk_size)
        whole(("depth", depth, 1), ("rows", rows, 0))
        at_least(("cost", cost, 0))
        if len(self.background.values) < 10:
            raise MapstoError(
                f"background: got {len(self.background.values)} rows, expected at least 10: some fit, others judge."
            )
        self.depth, self.rows, self.cost = depth, rows, cost

    def __call__(self, classifier: Classifier) -> Surrogate:
        """Return the tree that stands in for `classifier` best, for its number of leaves.

        Raises:
            MapstoError: the classifier returns neither class indices `[n]` from 0 nor finite scores `[n, k]`.
        """
        rng, known = np.random.default_rng(self.seed), self.background.values
        ask = Inquiry(classifier, self.background, self.chunk_size)
        n = len(known)
        fit, prune, judge = np.split(known[rng.permutation(n)], [3 * n // 5, 4 * n // 5])
        fit = np.concatenate([fit, _mixed(fit, self.rows, rng)])
        answers = ask(np.concatenate([fit, prune, judge]))
        scores = _table(answers)
        ends = [len(fit), len(fit) + len(prune)]
        (fitted, pruning, judging), classes = np.split(scores, ends), answers.classes[ends[1] :]
        tree = max(self._trees(fit, fitted), key=lambda t: _r2(t, prune, pruning) - self.cost * t.get_n_leaves())
        told = _scores(tree, judge).argmax(1)
        majority = np.bincount(answers.classes[: ends[1]]).argmax()
        agreement, by_majority = float((told == classes).mean()), float((classes == majority).mean())
        return Surrogate(tree, Fidelity(agreement, by_majority, _r2(tree, judge, judging), len(judge)), self.background)

    def _trees(self, rows: Float[np.ndarray, "n d"], scores: Float[np.ndarray, "n k"]) -> "list[DecisionTreeRegressor]":
        """Return the trees of weakest-link pruning, the smallest first."""
        from sklearn.tree import DecisionTreeRegressor  # slow to import

        def fitted(alpha: float) -> DecisionTreeRegressor:
            grown = DecisionTreeRegressor(max_depth=self.depth, random_state=self.seed, ccp_alpha=alpha)
            return grown.fit(rows, scores)

        whole = DecisionTreeRegressor(max_depth=self.depth, random_state=self.seed)
        alphas = whole.cost_complexity_pruning_path(rows, scores).ccp_alphas.clip(0)
        return [fitted(alpha) for alpha in alphas[::-1]]


def _mixed(rows: Float[np.ndarray, "n d"], count: int, rng: np.random.Generator) -> Float[np.ndarray, "count d"]:
    """Make up rows, each taking every cell from one of two rows at random."""
    one, other = rows[rng.integers(len(rows), size=(2, count))]
    return np.where(rng.random(one.shape) < 0.5, one, other)


def _table(answers: Answers) -> Float[np.ndarray, "n k"]:
    """Return the scores, 0 and 1 of at least two classes where there are classes only; refuse what has no mean."""
    if answers.scores is not None and not np.isfinite(answers.scores).all():
        raise MapstoError(
            "classifier: got infinite scores, expected finite ones; pass predict_proba, not its logarithm."
        )
    if answers.scores is not None:
        return answers.scores
    if (answers.classes < 0).any():
        raise MapstoError(
            f"classifier: got class {answers.classes.min()}, expected classes counted from 0; pass predict_proba, or "
            "number them so."
        )
    return np.eye(max(2, int(answers.classes.max()) + 1))[answers.classes]


def _scores(tree: "DecisionTreeRegressor", rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
    return tree.predict(rows).reshape(len(rows), -1)


def _r2(tree: "DecisionTreeRegressor", rows: Float[np.ndarray, "n d"], scores: Float[np.ndarray, "n k"]) -> float:
    """Return 1 − error/variance over all scores; where nothing varies, 1 if nothing is wrong, else 0."""
    error, variance = np.square(scores - _scores(tree, rows)).sum(), np.square(scores - scores.mean(0)).sum()
    return float(1 - error / variance) if variance > 1e-12 else float(error <= 1e-12)


def _leaves(
    tree: "DecisionTreeRegressor", background: Background, node: int, so_far: tuple[Predicate, ...]
) -> Iterator[tuple[int, Leaf]]:
    """Yield each leaf below `node` with its number, the left ones first."""
    t = tree.tree_
    if t.children_left[node] == t.children_right[node]:
        yield node, Leaf(so_far, t.value[node, :, 0].copy(), float(t.n_node_samples[node] / t.n_node_samples[0]))
        return
    column, to_left = int(t.feature[node]), bool(t.missing_go_to_left[node])
    gaps = np.isnan(background.values[:, column]).any()
    before = [c for c in so_far if c.column == column]
    sides: tuple[tuple[Sign, int, bool], ...] = (
        ("<=", t.children_left[node], to_left),
        (">", t.children_right[node], not to_left),
    )
    for sign, child, missing in sides:
        missing = bool(gaps) and missing and all(c.missing for c in before)
        question = predicate(background, column, sign, float(t.threshold[node]), missing)
        told = [c for c in so_far if (c.column, c.sign) != (column, sign)]  # the new one is tighter
        yield from _leaves(tree, background, int(child), (*told, question))
