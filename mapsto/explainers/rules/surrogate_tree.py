"""Surrogate trees: a small decision tree that imitates a classifier, and the fraction of rows on which both agree.

    tree = argmin_T Σ_rows ‖scores(row) − T(row)‖²,   pruned to the T that maximises R²(T) − cost·leaves(T)

(Craven & Shavlik 1996: a tree is fitted to a network's answers, also for synthetic rows, and is judged by its fidelity
to the network, not to the labels.) The tree is CART (Breiman et al. 1984), and the candidates for T are the trees of
its weakest-link pruning (§3.3).

There are three departures from Craven & Shavlik. The tree is fitted to scores, not classes. It is grown by plain CART
instead of best-first m-of-n splits. And a synthetic row mixes the cells of two background rows instead of coming from
kernel densities, so that the types of the columns are kept. Fidelity is measured on background rows that were used
neither to fit nor to prune the tree.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
from jaxtyping import Float

from ... import checks
from ...tables.background import Background
from .classifier import Answers, Classifier, Inquiry, TableExplainer
from .predicates import Predicate, Sign, predicate, sentence

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeRegressor


class Fidelity(NamedTuple):
    """How closely a tree agrees with the classifier on background rows that were held out.

    Args:
        agreement: the fraction of rows to which the tree and the classifier give the same class.
        majority: the same fraction for a constant answer, the class that the classifier gives most often.
        r2: 1 − (squared error of the tree's scores) / (variance of the classifier's); 0 for a tree that returns the
            mean.
        rows: the number of rows.
    """

    agreement: float
    majority: float
    r2: float
    rows: int


class Leaf(NamedTuple):
    """A leaf of the tree: the scores of all rows that meet `conditions`.

    `share` is the fraction of such rows among those that the tree was fitted to.
    """

    conditions: tuple[Predicate, ...]
    scores: Float[np.ndarray, " k"]
    share: float

    def __str__(self) -> str:
        scores = ", ".join(f"{score:.3g}" for score in self.scores)
        return f"{sentence(self.conditions) or 'any row'}: class {self.scores.argmax()} ({scores})"


class Surrogate:
    """A fitted decision tree that stands for the classifier.

    `fidelity` tells how closely the tree agrees with the classifier, and `leaves` are the tree's rules. `tree` is the
    fitted scikit-learn regressor, which reads categories as their rank.
    """

    def __init__(self, tree: "DecisionTreeRegressor", fidelity: Fidelity, background: Background):
        self.tree, self.fidelity, self.background = tree, fidelity, background
        self._leaves = dict(_leaves(tree, background, 0, ()))
        self.leaves = tuple(self._leaves.values())

    def scores(self, rows: Any) -> Float[np.ndarray, "n k"]:
        """Return the tree's scores for rows in the form of the background; this method is itself a classifier."""
        return _scores(self.tree, self.background.encode(rows, "rows"))

    def path(self, row: Any) -> Leaf:
        """Return the leaf, with its rule, that decides for `row`, which has the form of the background's rows."""
        node = self.tree.apply(self.background.row(row)[None])[0]
        return self._leaves[int(node)]

    def __str__(self) -> str:
        return "\n".join(str(leaf) for leaf in self.leaves)


@final
class SurrogateTree(TableExplainer):
    """Fit a small decision tree that imitates a classifier, as a readable summary of the whole classifier.

    The background rows are divided at random into three parts. Three fifths are used to fit the tree, together with
    synthetic rows; each cell of a synthetic row comes from one of two random rows of this part. One fifth is used to
    prune the tree. On the last fifth, the agreement of the tree with the classifier is measured.

    Args:
        background: rows of the table, at least 10: a tensor, an array or a DataFrame.
        names: the names of the columns. If None, they are the column names of the DataFrame or, for other backgrounds,
            x0, x1, ...
        categorical: the names or positions of the columns whose numbers are mere labels.
        depth: the largest depth of the tree.
        rows: the number of synthetic rows.
        cost: the penalty for each leaf. Pruning maximises R² − `cost` · leaves, where R² is the fraction of the
            variance of the classifier's scores that the tree explains.
        seed: the random seed.
        chunk_size: the largest number of rows in one call of the classifier.

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
        checks.count(depth=depth)
        checks.count(0, rows=rows)
        checks.at_least(0, cost=cost)
        size = len(self.background.values)
        checks.expect(size >= 10, "background", f"{size} rows", "at least 10, some of them to test the tree")
        self.depth, self.rows, self.cost = depth, rows, cost

    def __call__(self, classifier: Classifier) -> Surrogate:
        """Return the pruned tree that agrees best with `classifier`, given the cost of its leaves.

        Raises:
            MapstoError: if the classifier returns neither class indices `[n]` from 0 nor finite scores `[n, k]`.
        """
        rng, rows = np.random.default_rng(self.seed), self.background.values
        ask = Inquiry(classifier, self.background, self.chunk_size)
        n = len(rows)
        fit, prune, test = np.split(rows[rng.permutation(n)], [3 * n // 5, 4 * n // 5])
        fit = np.concatenate([fit, _mixed(fit, self.rows, rng)])
        answers = ask(np.concatenate([fit, prune, test]))
        scores = _table(answers)
        ends = [len(fit), len(fit) + len(prune)]
        (fit_scores, prune_scores, test_scores), classes = np.split(scores, ends), answers.classes[ends[1] :]
        trees = self._trees(fit, fit_scores)
        tree = max(trees, key=lambda t: _r2(t, prune, prune_scores) - self.cost * t.get_n_leaves())
        predicted = _scores(tree, test).argmax(1)
        majority = np.bincount(answers.classes[: ends[1]]).argmax()
        agreement, by_majority = float((predicted == classes).mean()), float((classes == majority).mean())
        return Surrogate(
            tree, Fidelity(agreement, by_majority, _r2(tree, test, test_scores), len(test)), self.background
        )

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
    """Return synthetic rows, each of whose cells comes from one of two background rows at random."""
    first, second = rows[rng.integers(len(rows), size=(2, count))]
    return np.where(rng.random(first.shape) < 0.5, first, second)


def _table(answers: Answers) -> Float[np.ndarray, "n k"]:
    """Return the scores, or 0 and 1 for class indices; raise MapstoError for answers that have no mean."""
    if answers.scores is not None:
        finite = bool(np.isfinite(answers.scores).all())
        remedy = "pass predict_proba, not its logarithm"
        checks.expect(finite, "classifier", "infinite scores", "finite ones", remedy)
        return answers.scores
    least = int(answers.classes.min())
    checks.expect(least >= 0, "classifier", f"class {least}", "classes counted from 0", "pass predict_proba")
    return np.eye(max(2, int(answers.classes.max()) + 1))[answers.classes]


def _scores(tree: "DecisionTreeRegressor", rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
    return tree.predict(rows).reshape(len(rows), -1)


def _r2(tree: "DecisionTreeRegressor", rows: Float[np.ndarray, "n d"], scores: Float[np.ndarray, "n k"]) -> float:
    """Return 1 − error/variance over all scores; if nothing varies, 1 if nothing is wrong, else 0."""
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
        others = [c for c in so_far if (c.column, c.sign) != (column, sign)]  # the new condition is tighter
        yield from _leaves(tree, background, int(child), (*others, question))
