"""Penalties that make a model easier to explain: closed forms, derivatives, and what training with them changes."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from torch import nn
from torch.func import functional_call, grad, vmap

import mapsto as mt
from mapsto.cli import main
from mapsto.episodes import Episode, examples, unstack
from mapsto.explainers.learned import AmortisedShapley, Columns
from mapsto.learners import MAML, Fixed, PrototypicalNetwork, Regularised
from mapsto.penalties import Sparsity, Stability, TotalVariation, TreeLikeness
from mapsto.penalties.penalty import AdaptedModel

W = torch.tensor([0.25, 0.75])
F64 = torch.float64


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def model(scores, of_classes: bool = True) -> AdaptedModel:
    return AdaptedModel(lambda x: {"inner": x}, scores, of_classes)


class TestSparsity:
    def test_hoyer_is_the_fraction_of_equally_active_units(self) -> None:
        a = torch.tensor([[3.0, 0.0, -3.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
        assert Sparsity("inner")(model(None), a, torch.tensor([1.0, 0.0])) == 0.5
        assert Sparsity("inner")(model(None), a, torch.tensor([0.0, 1.0])) == 0  # no unit is active

    def test_both_measures_by_definition(self) -> None:
        a = numbers(2, 3, 2)
        size = a.flatten(1).abs()
        hoyer = sum(W[i] * size[i].sum() ** 2 / (6 * (size[i] ** 2).sum()) for i in range(2))
        torch.testing.assert_close(Sparsity("inner")(model(None), a, W), hoyer)
        torch.testing.assert_close(Sparsity("inner")(model(None), 5 * a, W), hoyer)
        torch.testing.assert_close(Sparsity("inner", "l1")(model(None), 5 * a, W), 5 * W @ size.mean(1))


class TestGradients:
    def test_a_linear_model_is_stable(self) -> None:
        assert Stability(0.5)(model(lambda x: x @ torch.ones(3, 2)), numbers(2, 3), W) == 0

    def test_a_quadratic_model_has_a_known_instability(self) -> None:
        """The gradient is 2x, so that it changes by 2ε."""
        x, w = numbers(1, 3).expand(50_000, 3), torch.full((50_000,), 1 / 50_000)
        expected = 3 * 0.5**2 / x[0].square().sum()
        for scale in (1.0, 10.0):
            quadratic = model(lambda x, scale=scale: scale * x.square().sum(1, keepdim=True))
            torch.testing.assert_close(Stability(0.5)(quadratic, x, w), expected, rtol=0.03, atol=0)

    def test_the_largest_score_is_explained(self) -> None:
        """The smaller score is quadratic, and has no effect."""
        scores = lambda x: torch.stack([x.sum(1), -100 - x.square().sum(1)], 1)  # noqa: E731
        assert Stability(0.5)(model(scores), numbers(2, 3), W) == 0

    def test_total_variation_by_definition(self) -> None:
        g, x = numbers(3, 4), numbers(2, 1, 3, 4, seed=1)
        down, right = (g[1:] - g[:-1]).abs().sum(), (g[:, 1:] - g[:, :-1]).abs().sum()
        for scale in (1.0, -7.0):
            linear = model(lambda x, scale=scale: scale * (x * g).flatten(1).sum(1, keepdim=True))
            torch.testing.assert_close(TotalVariation()(linear, x, W), (down + right) / g.abs().sum())


class TestTreeLikeness:
    x, w = numbers(12, 2), numbers(12, seed=1).abs()

    @staticmethod
    def scores(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, 0].sin() * 3, x[:, 1] * x[:, 0]], 1)

    def by_hand(self, x: torch.Tensor, leaves: int, of_classes: bool = True) -> float:
        s, w = self.scores(x.double()), self.w.double()
        p = s.softmax(1) if of_classes else s
        tree = DecisionTreeRegressor(max_leaf_nodes=leaves, random_state=0).fit(x.numpy(), p.numpy(), self.w.numpy())
        leaf, total = torch.from_numpy(tree.apply(x.numpy())), 0.0
        for rows in (leaf == node for node in leaf.unique()):
            mean = (w[rows] @ p[rows]) / w[rows].sum()
            cost = p[rows] * (p[rows] / mean).log() if of_classes else (p[rows] - mean).square()
            total += float(w[rows] @ cost.sum(1))
        return total

    @pytest.mark.parametrize("of_classes", [True, False])
    def test_it_is_the_cost_of_knowing_the_leaf_only(self, of_classes: bool) -> None:
        costs = [float(TreeLikeness(k)(model(self.scores, of_classes), self.x, self.w)) for k in (2, 3, 6)]
        assert costs == pytest.approx([self.by_hand(self.x, k, of_classes) for k in (2, 3, 6)], rel=1e-4)
        assert costs[0] > costs[1] > costs[2] > 0

    def test_a_tree_and_a_constant_cost_nothing(self) -> None:
        for scores in (lambda x: torch.where(x[:, :1] > 0, 2.0, -1.0) * torch.eye(2)[0], lambda x: torch.ones(12, 2)):
            for of_classes in (True, False):
                assert float(TreeLikeness(2)(model(scores, of_classes), self.x, self.w)) == pytest.approx(0, abs=1e-6)

    def test_the_constant_is_no_minimum(self) -> None:
        """The penalty is quadratic in small scores, so that a loss with a derivative at 0 leads away from there."""
        slopes = grad(lambda size: TreeLikeness(3)(model(lambda x: size * self.scores(x)), self.x, self.w))
        assert slopes(torch.tensor(0.0)) == 0
        torch.testing.assert_close(
            slopes(torch.tensor(2e-2)) / slopes(torch.tensor(1e-2)), torch.tensor(2.0), rtol=0.05, atol=0
        )

    def test_each_task_of_a_batch_has_its_own_tree(self) -> None:
        x = torch.stack([self.x, 2 * self.x.flip(1)])
        together = vmap(lambda rows: TreeLikeness(3)(model(self.scores), rows, self.w))(x)
        torch.testing.assert_close(together, torch.tensor([self.by_hand(rows, 3) for rows in x]), rtol=1e-4, atol=0)

    def test_an_absent_class_has_a_finite_gradient(self) -> None:
        scores = torch.cat([self.scores(self.x), torch.full((12, 1), -torch.inf)], 1)
        slope = grad(lambda s: TreeLikeness(3)(model(lambda x: s), self.x, self.w))(scores)
        assert slope.isfinite().all() and slope[:, :2].abs().max() > 0 and (slope[:, 2] == 0).all()


PENALTIES = [
    Sparsity("1"),
    Sparsity("1", "l1"),
    Stability(0.3),
    TotalVariation(),
    TreeLikeness(3),
]


def of_kind(penalty: object) -> str:
    return type(penalty).__name__ + str(getattr(penalty, "measure", ""))


@pytest.mark.parametrize("penalty", PENALTIES, ids=of_kind)
def test_rows_of_weight_0_have_no_effect(penalty) -> None:
    scores = lambda x: x.flatten(1).square().cumsum(1).tanh()  # noqa: E731
    x, w = numbers(9, 1, 2, 2), torch.tensor([0.125] * 8 + [0.0])
    values = []
    for rows in (x, torch.cat([x[:8], 5 * x[8:]])):
        torch.manual_seed(0)
        values.append(penalty(AdaptedModel(lambda x: {"1": x.tanh()}, scores), rows, w))
    torch.testing.assert_close(*values)


class Squares(nn.Module):
    """A body for images whose layer "1" is its hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(4, 3), nn.Tanh()), nn.Linear(3, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.mark.parametrize("penalty", PENALTIES, ids=of_kind)
def test_the_gradient_passes_through_adaptation(penalty) -> None:
    """The derivative by the start of the inner loop agrees with finite differences."""
    torch.manual_seed(0)
    learner = Regularised(MAML(Squares().layers.to(F64), lr=0.5, steps=2), penalty, weight=1.0)
    x, y = numbers(12, 1, 2, 2).to(F64), torch.tensor([0, 1] * 6)
    task = Episode(examples(x, y), examples(numbers(12, 1, 2, 2, seed=1).to(F64), y))
    params = {name: p.detach() for name, p in learner.named_parameters()}
    name = next(name for name in params if name.endswith("1.0.weight"))

    def value(weight: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return functional_call(learner, params | {name: weight}, (task,))[0]

    direction = numbers(3, 4, seed=2).to(F64)
    slope = (grad(value)(params[name]) * direction).sum()
    by_differences = (value(params[name] + 1e-5 * direction) - value(params[name] - 1e-5 * direction)) / 2e-5
    torch.testing.assert_close(slope, by_differences, rtol=1e-4, atol=1e-8)
    without = functional_call(learner.learner, {k.removeprefix("learner."): p for k, p in params.items()}, (task,))[0]
    assert abs(float(value(params[name]) - without)) > 1e-4


def body() -> nn.Module:
    return mt.models.MLP(4, 8, 2, activation="tanh")


def explained(learner) -> mt.Joint:
    return mt.Joint(learner, {"why": AmortisedShapley(Columns(4), 2, width=8, heads=2)}, candour=0.5)


LEARNERS = {
    "Fixed": lambda penalty: Regularised(Fixed(body()), penalty),
    "MAML": lambda penalty: Regularised(MAML(body(), lr=0.1), penalty),
    "PrototypicalNetwork": lambda penalty: Regularised(PrototypicalNetwork(body(), 2), penalty),
    "around a Joint": lambda penalty: Regularised(explained(Fixed(body())), penalty),
    "inside a Joint": lambda penalty: explained(Regularised(MAML(body(), lr=0.1), penalty)),
    "two penalties": lambda penalty: Regularised(Regularised(Fixed(body()), Stability()), penalty),
}


@pytest.mark.parametrize("penalty", [Sparsity("1"), Stability(), TreeLikeness(2)], ids=of_kind)
@pytest.mark.parametrize("kind", LEARNERS)
def test_every_learner_takes_it(kind: str, penalty) -> None:
    """The penalty is positive, and its weight changes the gradient of the trained parameters."""
    torch.manual_seed(0)
    learner = LEARNERS[kind](penalty)
    inner = learner if isinstance(learner, Regularised) else learner.learner
    y = torch.tensor([0, 1] * 4)
    task = Episode(examples(numbers(8, 4), y), examples(numbers(8, 4, seed=1), y))
    slopes = []
    for weight in (0.0, 1.0):
        inner.weight = weight
        torch.manual_seed(0)
        loss, metrics = learner.loss(task)
        assert metrics["penalty"] > 0
        slopes.append(torch.autograd.grad(loss, next(learner.parameters()))[0])
    assert (slopes[1] - slopes[0]).abs().max() > 1e-5


def path_length(classes: np.ndarray, x: np.ndarray) -> float:
    """Return the mean number of decisions in a tree that imitates the classes."""
    tree = DecisionTreeClassifier(min_samples_leaf=5, random_state=0).fit(x, classes)
    return float(tree.decision_path(x).sum(1).mean() - 1)


def trained(learner, data, seed: int, steps: int, batch: int = 1):
    for _ in mt.train(learner, data, steps=steps, batch=batch, lr=1e-2, seed=seed):
        pass
    return learner


def adapted(learner, task: Episode) -> AdaptedModel:
    state = learner.adapt_to(task)
    return AdaptedModel(partial(learner.features, state), partial(learner.predict, state))


SEED = 0


@pytest.mark.usefixtures("unchecked")
class TestTraining:
    """Each test holds for other values of SEED."""

    def noisy(self):
        """Two of six columns decide the class; a tenth of the labels is wrong, and the free network learns them."""
        x = numbers(600, 6, seed=SEED)
        right = (x[:, 0] > 0) & (x[:, 1] > -0.3)
        wrong = torch.rand(600, generator=torch.Generator().manual_seed(SEED)) < 0.1
        fresh = numbers(2000, 6, seed=SEED + 100)
        truth = ((fresh[:, 0] > 0) & (fresh[:, 1] > -0.3)).long()
        return mt.tasks.Minibatches(x.numpy(), (right ^ wrong).long().numpy(), size=420), fresh, truth

    def of_weights(self, penalty, weights, measure):
        """Return the measure and the accuracy of a network for each weight of the penalty."""
        data, fresh, truth = self.noisy()
        results = []
        for weight in weights:
            torch.manual_seed(SEED)
            learner = trained(Regularised(Fixed(mt.models.MLP(6, 32, 2)), penalty, weight), data, SEED, 120)
            of = adapted(learner.requires_grad_(False), Episode(examples(fresh[:0], truth[:0]), examples(fresh, truth)))
            classes = of.scores(fresh).argmax(1)
            results.append((measure(of, fresh, classes), float((classes == truth).double().mean())))
        return results

    def test_paths_become_shorter_at_no_cost(self) -> None:
        (free, right), (short, accuracy) = self.of_weights(
            TreeLikeness(8), (0.0, 10.0), lambda of, x, classes: path_length(classes.numpy(), x.numpy())
        )
        assert short < 0.8 * free and accuracy > right - 0.02

    @pytest.mark.parametrize("measure", ["hoyer", "l1"])
    def test_fewer_units_are_active(self, measure) -> None:
        count = lambda of, x, _: float((of(x)["1"] > 0.01 * of(x)["1"].max()).double().mean())  # noqa: E731
        (dense, right), (sparse, accuracy) = self.of_weights(Sparsity("1", measure), (0.0, 0.3), count)
        assert sparse < 0.6 * dense and accuracy > right - 0.05

    def test_gradients_of_an_adapted_model_become_stable(self) -> None:
        tasks, unstable = mt.tasks.Logistic(), []
        for weight in (0.0, 1.0):
            torch.manual_seed(SEED)
            inner = MAML(mt.models.MLP(2, 16, 2, activation="tanh"), lr=0.3, steps=2)
            learner = trained(Regularised(inner, Stability(0.3), weight), tasks, SEED, 50, batch=4)
            torch.manual_seed(0)
            losses = [learner.loss(task)[1]["penalty"] for task in unstack(tasks.test.batch(0, 10))]
            unstable.append(float(torch.stack(losses).mean()))
        assert unstable[1] < 0.5 * unstable[0]

    def test_the_gradient_of_an_image_becomes_smooth(self) -> None:
        x = numbers(300, 1, 6, 6, seed=SEED)
        data = mt.tasks.Minibatches(x.numpy(), (x[:, 0, :3].sum((1, 2)) > 0).long().numpy(), size=100)
        rough, right = [], []
        for weight in (0.0, 0.3):
            torch.manual_seed(SEED)
            net = nn.Sequential(nn.Flatten(), mt.models.MLP(36, 16, 2, activation="tanh"))
            learner = trained(Regularised(Fixed(net), TotalVariation(), weight), data, SEED, 100)
            task = unstack(data.test.batch(0, 1))[0]
            rough.append(float(TotalVariation()(adapted(learner, task), task.query.x, task.query.w).detach()))
            right.append(mt.evaluate(learner, data.test).accuracy.mean)
        assert rough[1] < 0.7 * rough[0] and right[1] > right[0] - 0.05


CONFIG = """
learner:
  class_path: Regularised
  init_args:
    learner: {{class_path: Fixed, init_args: {{body: {{class_path: MLP, init_args: {{widths: [2, 8, 2]}}}}}}}}
    penalty: {penalty}
    weight: 0.5
tasks: {{class_path: TableMinibatches, init_args: {{table: {table}, target: outcome, size: 16}}}}
steps: 6
batch: 1
"""


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("penalty", ['{class_path: Sparsity, init_args: {layer: "1"}}', "TreeLikeness"])
def test_a_configuration_names_it(penalty: str, tmp_path) -> None:
    x = numbers(60, 2).numpy()
    table = pd.DataFrame(x, columns=["a", "b"]).assign(outcome=np.where(x[:, 0] > 0, "ill", "well"))
    table.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "c.yaml").write_text(CONFIG.format(penalty=penalty, table=tmp_path / "table.csv"))
    assert main(["train", "--config", str(tmp_path / "c.yaml"), "--run", str(tmp_path / "run")]) == 0
    assert main(["eval", str(tmp_path / "run")]) == 0


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("penalty", [Stability(), TreeLikeness(3)], ids=of_kind)
def test_a_resumed_run_gives_the_same_numbers(penalty, tmp_path) -> None:
    tasks, ends = mt.tasks.Logistic(), []
    for stop in (6, 3):
        torch.manual_seed(0)
        learner = Regularised(MAML(mt.models.MLP(2, 4, 2, activation="tanh"), lr=0.1), penalty)
        for step in mt.train(learner, tasks, steps=6, batch=2, run=tmp_path / str(stop)):
            if step.step == stop:
                break
        for _ in mt.train(learner, tasks, steps=6, batch=2, run=tmp_path / str(stop), resume=True):
            pass
        ends.append(torch.cat([p.detach().flatten() for p in learner.parameters()]))
    assert torch.equal(*ends)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "make"),
    {
        "measure": lambda: Sparsity("a", "entropy"),
        "noise": lambda: Stability(0.0),
        "leaves": lambda: TreeLikeness(1),
        "layer": lambda: Sparsity("9")(model(None), torch.ones(2, 2), W),
        "x": lambda: TotalVariation()(model(torch.tanh), torch.ones(2, 2), W),
        "penalty": lambda: Regularised(Fixed(nn.Linear(2, 2)), Stability),
        "penalty ": lambda: Regularised(Fixed(nn.Linear(2, 2)), None),
        "penalty  ": lambda: next(
            mt.train(Regularised(Fixed(nn.Linear(2, 2)), lambda *_: 1.0), mt.tasks.Logistic(), 1, 1)
        ),
        "weight": lambda: Regularised(Fixed(nn.Linear(2, 2)), Stability(), -1.0),
    }.items(),
)
def test_bad_arguments_are_named(name: str, make) -> None:
    with pytest.raises(mt.MapstoError, match=rf"^{name.strip()}: "):
        make()
