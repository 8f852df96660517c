"""Does attention tell which teaching example counts? The shipped mapping, beside exact Shapley values of the examples.

    OMP_NUM_THREADS=1 python benchmarks/reasons_attention.py

Ten rows of a table of scikit-learn's (iris without setosa, wine's first two classes, breast cancer's first ten columns)
teach the mapping, which predicts one more; sixteen tasks a table. What each example did to the probability of the
predicted class is its Shapley value over all 2¹⁰ sets of examples. Spearman's correlation of its size with what a
method says of how much each example counts: mean over tasks ± 95 % interval.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from torch import Tensor

import mapsto as mt
from mapsto.episodes import Examples, examples
from mapsto.explainers import BayesianShapley, InputXGradient, Occlusion, Shapley, attention_rollout
from mapsto.learners import InContext

TABLES = {
    "iris": (load_iris, (1, 2)),
    "wine": (load_wine, (0, 1)),
    "breast cancer": (load_breast_cancer, (0, 1)),
}
TASKS, SHOTS = 16, 5

Asked = tuple[InContext, Examples, Tensor, int]  # the learner, what teaches it, the row, the class it predicts


def tasks(table: str) -> Iterator[tuple[Examples, Tensor]]:
    """Yield ten teaching rows, five of each class, and a row of either."""
    load, classes = TABLES[table]
    x, y = load(return_X_y=True)
    rng = np.random.default_rng(0)
    for _ in range(TASKS):
        rows = [rng.choice(np.flatnonzero(y == c), SHOTS + 1, replace=False) for c in classes]
        taught = np.concatenate([one[:SHOTS] for one in rows])
        asked = rows[rng.integers(2)][SHOTS]
        support = examples(torch.tensor(x[taught, :10]).float(), torch.tensor(y[taught] == classes[1]).long())
        yield support, torch.tensor(x[asked, :10]).float()


def game(asked: Asked) -> mt.views.Game:
    """Play the teaching examples, for the probability of the predicted class."""
    learner, support, x, target = asked
    return mt.views.support_game(learner, support, x, target, link=torch.exp)


def slope(asked: Asked) -> Tensor:
    """Return what an example adds to first order: its weight times the slope."""
    learner, support, x, target = asked
    return InputXGradient()(mt.views.weights(learner, support, x, target, link=torch.exp), support.w)


def at_random(asked: Asked) -> Tensor:
    """Draw values that are a function of the row, so that a run is repeatable."""
    return torch.rand(len(asked[1].w), generator=torch.Generator().manual_seed(int(1e4 * asked[2].sum())))


def rollout(asked: Asked) -> Tensor:
    """Return how much of each example is in what is made of the row, its null row and the row itself left out."""
    return attention_rollout(asked[0].attentions(asked[1], asked[2]))[-1, 1:-1]


METHODS: dict[str, Callable[[Asked], Tensor]] = {
    "random": at_random,
    "last layer's attention": lambda asked: asked[0].attentions(asked[1], asked[2])[-1, -1, 1:-1],
    "attention rollout": rollout,
    "weight × slope": slope,
    "leave-one-out": lambda asked: Occlusion(16)(game(asked)),
    "BayesianShapley, 102 adaptations": lambda asked: BayesianShapley(102, asked[1].y.tolist(), 16)(game(asked)),
}


def main() -> None:
    """Print a row a method, a column a table."""
    learner = mt.weights.load(members=2).learner  # which answers; the reasons it learned are not asked
    found: dict[str, list[list[float]]] = {method: [] for method in METHODS}
    for table in TABLES:
        cases = [(learner, *task, prediction(learner, *task)) for task in tasks(table)]
        truth = [Shapley(chunk_size=16)(game(case)).detach().abs() for case in cases]
        for method, values in METHODS.items():
            said = [values(case).detach().abs() for case in cases]
            found[method].append([spearmanr(one, true).statistic for one, true in zip(said, truth, strict=True)])
    print("| method | " + " | ".join(TABLES) + " |\n|---" + "|---" * len(TABLES) + "|")
    for method, columns in found.items():
        print(f"| {method} | " + " | ".join(str(mt.measures.estimate(np.array(one))) for one in columns) + " |")


def prediction(learner: InContext, support: Examples, x: Tensor) -> int:
    """Return the class that the learner finds most probable."""
    return int(learner.predict(learner.adapt(support), x[None])[0].argmax())


if __name__ == "__main__":
    main()
