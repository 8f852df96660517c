"""Penalties that make a model easier to explain: closed forms, and what training with them changes."""

import pytest
import torch
from torch import nn

import mapsto as mt
from mapsto.adaptation.clarity import Smoothness, Sparsity, Stability
from mapsto.episodes import unstack
from mapsto.learners import MAML, Fixed, Regularised

R = torch.Generator().manual_seed(0)
W = torch.tensor([0.25, 0.75])


def reading(function):
    return lambda rows: {"inner": rows, "output": function(rows)}


class TestClosedForms:
    def test_hoyer_is_the_share_of_equal_active_units(self) -> None:
        a = torch.tensor([[3.0, 0.0, -3.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
        read = lambda rows: {"a": rows}  # noqa: E731
        torch.testing.assert_close(Sparsity("a")(read, a, torch.tensor([1.0, 0.0])), torch.tensor(0.5))
        assert Sparsity("a")(read, a, torch.tensor([0.0, 1.0])) == 0  # nothing is active
        scaled = Sparsity("a")(read, 7 * a + 1, W)
        torch.testing.assert_close(scaled, Sparsity("a")(read, 14 * a + 2, W))

    def test_hoyer_by_definition_and_l1(self) -> None:
        a = torch.randn(2, 3, 2, generator=R)
        size = a.flatten(1).abs()
        expected = sum(W[i] * size[i].sum() ** 2 / (6 * (size[i] ** 2).sum()) for i in range(2))
        read = lambda rows: {"a": rows}  # noqa: E731
        torch.testing.assert_close(Sparsity("a")(read, a, W), expected)
        torch.testing.assert_close(Sparsity("a", "l1")(read, a, W), W @ size.mean(1))

    def test_a_linear_model_is_stable_and_a_quadratic_one_is_not(self) -> None:
        x = torch.randn(2, 3, generator=R)
        linear = reading(lambda rows: rows @ torch.ones(3, 2))
        assert Stability(0.5)(linear, x, W) == 0
        quadratic = reading(lambda rows: (rows**2).sum(1, keepdim=True))  # g = 2x, so the change is 2ε
        many, w = x[:1].expand(50_000, 3), torch.full((50_000,), 1 / 50_000)
        expected = 3 * 4 * 0.5**2 / (4 * x[0].square().sum())
        torch.testing.assert_close(Stability(0.5)(quadratic, many, w), expected, rtol=0.03, atol=0)

    def test_the_largest_output_is_explained(self) -> None:
        """The smaller output is quadratic, and does not matter."""
        read = reading(lambda rows: torch.stack([rows.sum(1), -100 - rows.square().sum(1)], 1))
        assert Stability(0.5)(read, torch.randn(2, 3, generator=R), W) == 0

    def test_total_variation_by_definition(self) -> None:
        weight, x = torch.randn(1, 3, 4, generator=R), torch.randn(2, 1, 3, 4, generator=R)
        read = reading(lambda rows: (rows * weight).flatten(1).sum(1, keepdim=True))
        g = weight[0]
        down, right = (g[1:] - g[:-1]).abs().sum(), (g[:, 1:] - g[:, :-1]).abs().sum()
        torch.testing.assert_close(Smoothness()(read, x, W), (down + right) / g.abs().sum())

    @pytest.mark.parametrize("penalty", [Stability(0.3), Smoothness(), Sparsity("inner"), Sparsity("inner", "l1")])
    def test_rows_without_weight_do_not_count(self, penalty) -> None:
        read = reading(lambda rows: rows.flatten(1).square().cumsum(1).tanh())
        x, w = torch.randn(3, 1, 2, 2, generator=R), torch.tensor([0.5, 0.5, 0.0])
        other = torch.cat([x[:2], 5 * x[2:]])
        values = []
        for rows in (x, other):
            torch.manual_seed(0)
            values.append(penalty(read, rows, w))
        torch.testing.assert_close(*values)


def trained(weight: float, penalty, body: nn.Module, data, steps: int, lr: float = 1e-2) -> Regularised:
    torch.manual_seed(0)
    learner = Regularised(Fixed(body), penalty, weight)
    for _ in mt.train(learner, data, steps=steps, batch=1, lr=lr):
        pass
    return learner


@pytest.mark.usefixtures("unchecked")
class TestTraining:
    def test_fewer_units_are_active(self) -> None:
        x = torch.randn(600, 4, generator=torch.Generator().manual_seed(1))
        data = mt.tasks.Minibatches(x.numpy(), (x[:, 0] * x[:, 1] > 0).long().numpy(), size=100)
        active, right = [], []
        for weight in (0.0, 0.5):
            torch.manual_seed(0)
            learner = trained(weight, Sparsity("2"), mt.models.MLP(4, 32, 2), data, 200)
            task = unstack(data.test.batch(0, 1))[0]
            hidden = learner.features(learner.adapt(task.support), task.query.x)["2"]
            active.append(float((hidden > 1e-3).double().mean()))
            right.append(mt.evaluate(learner, data.test).accuracy.mean)
        assert active[1] < 0.6 * active[0] and right[1] > right[0] - 0.05

    def test_gradients_of_an_adapted_model_become_stable(self) -> None:
        """The penalty reaches the learned start through the inner loop."""
        unstable = []
        for weight in (0.0, 1.0):
            torch.manual_seed(0)
            inner = MAML(mt.models.MLP(2, 16, 2, activation="tanh"), lr=0.3, steps=2)
            learner = Regularised(inner, Stability(0.3), weight)
            for _ in mt.train(learner, mt.tasks.Logistic(), steps=60, batch=4, lr=1e-2):
                pass
            torch.manual_seed(0)
            losses = [learner.loss(task)[1]["penalty"] for task in unstack(mt.tasks.Logistic().test.batch(0, 20))]
            unstable.append(float(torch.stack(losses).mean()))
        assert unstable[1] < 0.5 * unstable[0]


class TestRefusals:
    @pytest.mark.usefixtures("unchecked")
    @pytest.mark.parametrize(
        ("name", "make"),
        {
            "measure": lambda: Sparsity("a", "entropy"),
            "noise": lambda: Stability(0.0),
            "layer": lambda: Sparsity("9")(reading(torch.tanh), torch.ones(2, 2), W),
            "layer ": lambda: Stability(0.1)(lambda rows: {}, torch.ones(2, 2), W),
            "x": lambda: Smoothness()(reading(torch.tanh), torch.ones(2, 2), W),
        }.items(),
    )
    def test_bad_arguments_are_named(self, name: str, make) -> None:
        with pytest.raises(mt.MapstoError, match=rf"^{name.strip()}: "):
            make()
