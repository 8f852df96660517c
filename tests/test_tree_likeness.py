"""The penalty on models that no small tree imitates: its closed form, its gradient, and shorter paths by training."""

import numpy as np
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from torch.func import grad, vmap

import mapsto as mt
from mapsto.adaptation.tree_likeness import TreeLikeness
from mapsto.learners import Fixed, Regularised

R = torch.Generator().manual_seed(0)
X, W = torch.randn(12, 2, generator=R), torch.rand(12, generator=R)


def read(rows):
    return {"output": torch.stack([rows[:, 0].sin() * 3, rows[:, 1] * rows[:, 0]], 1)}


def by_hand(x: torch.Tensor, w: torch.Tensor, leaves: int) -> float:
    s = read(x)["output"].double().numpy()
    tree = DecisionTreeRegressor(max_leaf_nodes=leaves, random_state=0).fit(x.numpy(), s, w.numpy())
    mean = np.average(s, axis=0, weights=w.numpy())
    return float((w.numpy() @ ((s - tree.predict(x.numpy())) ** 2).sum(1)) / (w.numpy() @ ((s - mean) ** 2).sum(1)))


def test_it_is_the_unexplained_share_of_the_tree() -> None:
    assert float(TreeLikeness(3)(read, X, W)) == pytest.approx(by_hand(X, W, 3), rel=1e-4)
    assert by_hand(X, W, 3) > by_hand(X, W, 6) > 0


def test_a_model_that_is_a_tree_costs_nothing() -> None:
    step = lambda rows: {"output": torch.where(rows[:, :1] > 0, 2.0, -1.0)}  # noqa: E731
    assert TreeLikeness(2)(step, X, W) == 0
    assert TreeLikeness(2)(lambda rows: {"output": torch.ones(len(rows), 1)}, X, W) == 0


def test_each_task_of_a_batch_has_its_own_tree() -> None:
    x = torch.stack([X, 2 * X.flip(1)])
    together = vmap(lambda rows: TreeLikeness(3)(read, rows, W))(x)
    torch.testing.assert_close(together, torch.tensor([by_hand(rows, W, 3) for rows in x]), rtol=1e-4, atol=0)


def test_the_tree_is_a_constant_for_the_gradient() -> None:
    scores = read(X)["output"]
    tree = DecisionTreeRegressor(max_leaf_nodes=3, random_state=0).fit(X.numpy(), scores.numpy(), W.numpy())
    told = torch.from_numpy(tree.predict(X.numpy())).float()
    mean = (W @ scores) / W.sum()
    error, spread = W @ (scores - told).square().sum(1), W @ (scores - mean).square().sum(1)
    expected = 2 * W[:, None] * ((scores - told) - (scores - mean) * error / spread) / spread
    slope = grad(lambda s: TreeLikeness(3)(lambda rows: {"output": s}, X, W))(scores)
    torch.testing.assert_close(slope, expected, rtol=1e-4, atol=1e-5)


def path_length(classes: np.ndarray, x: np.ndarray) -> float:
    """Return the mean number of decisions of the smallest tree that gives the classes of 97 % of the rows."""
    for leaves in range(2, len(x)):
        tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0).fit(x, classes)
        if tree.score(x, classes) >= 0.97:
            return float(tree.decision_path(x).sum(1).mean() - 1)
    return np.inf


@pytest.mark.usefixtures("unchecked")
def test_paths_become_shorter_at_no_cost() -> None:
    """Two of six columns decide the class; a tenth of the labels is wrong, and the free network learns them by heart."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(600, 6, generator=generator)
    y = ((x[:, 0] > 0) & (x[:, 1] > -0.3)) ^ (torch.rand(600, generator=generator) < 0.1)
    data = mt.tasks.Minibatches(x.numpy(), y.long().numpy(), size=210)
    fresh = torch.randn(2000, 6, generator=generator)
    truth = ((fresh[:, 0] > 0) & (fresh[:, 1] > -0.3)).numpy()
    nothing = mt.Examples(x[:0], torch.empty(0, dtype=torch.long), torch.empty(0))
    length, right = [], []
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        learner = Regularised(Fixed(mt.models.MLP(6, 32, 2)), TreeLikeness(4), weight)
        for _ in mt.train(learner, data, steps=200, batch=1, lr=1e-2):
            pass
        classes = learner.predict(learner.adapt(nothing), fresh).argmax(1).numpy()
        length.append(path_length(classes, fresh.numpy()))
        right.append((classes == truth).mean())
    assert length[1] < 0.5 * length[0] and right[1] > right[0]


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named() -> None:
    with pytest.raises(mt.MapstoError, match=r"^leaves: "):
        TreeLikeness(1)
    with pytest.raises(mt.MapstoError, match=r"^layer: "):
        TreeLikeness(layer="9")(read, X, W)
