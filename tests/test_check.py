"""The check of a model: each planted fault is found and named, and a sound model passes."""

import copy
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.learners import ANML, CNP, MAML, Fixed, InContext, MatchingNetwork, PrototypicalNetwork
from mapsto.measures.audit import check
from mapsto.measures.audit.inside import _loss
from mapsto.measures.audit.readable import held_out, leave_one_out
from mapsto.measures.audit.units import Inner
from mapsto.models import MLP, SetTransformer
from mapsto.tasks import Arrays, Minibatches, Sinusoids

HELD_OUT = (0.1, 0.0, 0.9)
N, D = 2000, 4
X = torch.randn(N, D, generator=torch.Generator().manual_seed(0))
SLOPE = 3.0  # of the true logit, in the first input
CHANCE = torch.rand(N, generator=torch.Generator().manual_seed(1))
Y = (torch.sigmoid(SLOPE * X[:, 0]) > CHANCE).long()


def classes(x: Tensor = X, y: Tensor = Y, size: int = 300) -> Minibatches:
    return Minibatches(x.numpy(), y.numpy(), size=size, splits=HELD_OUT)


def numbers(x: Tensor = X, y: Tensor = X[:, 0]) -> Minibatches:
    return Minibatches(x.numpy(), y.numpy(), size=300, regression=True, splits=HELD_OUT)


def linear(*rows: list[float], bias: list[float] | None = None) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows))
    layer.weight.data = torch.tensor(rows, dtype=torch.float32)
    layer.bias.data = torch.tensor(bias or [0.0] * len(rows))
    return layer


def logistic(*weights: float) -> Fixed:
    """A model whose logit of class 1 is linear in the inputs."""
    return Fixed(nn.Sequential(linear([-w / 2 for w in weights], [w / 2 for w in weights])))


def split(units: int, useless: dict[str, int] | None = None) -> nn.Sequential:
    """A model of the true logit with units max(0, ±x); the last ones are useless in one of these ways."""
    weight, bias = torch.zeros(units, D), torch.zeros(units)
    weight[:, 0] = torch.tensor([1.0, -1.0]).repeat(units)[:units]
    out = torch.zeros(2, units)
    kinds = [kind for kind, count in (useless or {}).items() for _ in range(count)]
    good = units - len(kinds)
    out[1, :good] = SLOPE * torch.tensor([1.0, -1.0]).repeat(units)[:good] / (good / 2)
    for unit, kind in enumerate(kinds, start=good):
        out[:, unit] = torch.tensor([0.0, 1.0])
        if kind == "unlearned":
            weight[unit], bias[unit] = 0.0, 0.4
        elif kind == "negative":
            bias[unit] = -100.0
        elif kind == "rare":
            bias[unit] = -2.7  # active for a few rows in a thousand
        elif kind == "idle":
            out[:, unit] = 0.0
        elif kind == "same":
            out[:, unit] = 5.0  # added to both logits
    hidden, last = nn.Linear(D, units), nn.Linear(units, 2)
    hidden.weight.data, hidden.bias.data, last.weight.data, last.bias.data = weight, bias, out, torch.zeros(2)
    return nn.Sequential(hidden, nn.ReLU(), last)


def held(data: Minibatches) -> tuple[Tensor, Tensor]:
    rows = data.rows["test"]
    return data.x[rows], data.y[rows]


# --- the verdict ------------------------------------------------------------------------------------------------------


def test_a_sound_model_passes_everything() -> None:
    result = check(Fixed(split(8)), classes())
    assert result.passed and result.correct.passed and result.robust.passed and result.inside.passed
    inside = result.inside
    assert (inside.units, inside.dead, inside.saturated, inside.idle, inside.lost_in) == (8, 0, 0, 0, None)


@pytest.mark.parametrize("part", ["correct", "robust", "inside"])
def test_one_fault_is_enough_to_fail(part: str) -> None:
    result = check(Fixed(split(8)), classes(), episodes=2)
    failed = result._replace(**{part: getattr(result, part)._replace(passed=False)})
    assert result.passed and not failed.passed


def test_the_verdict_is_three_lines_of_words() -> None:
    lines = str(check(Fixed(split(8, {"unlearned": 4})), classes())).splitlines()
    assert [line.partition(";")[0] for line in lines] == ["correct: sound", "robust: sound", "inside: not sound"]
    assert "accuracy 0.7" in lines[0] and "under attack" in lines[1] and "of 8 inner units 4 never change" in lines[2]


# --- correct ----------------------------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_evaluate() -> None:
    learner, data = logistic(SLOPE, 0, 0, 0), classes()
    result, evaluation = check(learner, data, episodes=7).correct, mt.evaluate(learner, data.test, 7)
    assert result.quality == evaluation.accuracy and result.calibration_error == evaluation.calibration_error
    result, evaluation = check(fit := Fixed(linear([0.9, 0, 0, 0]), "mse"), numbers()).correct, None
    assert result.quality == mt.evaluate(fit, numbers().test, 50).mse and result.calibration_error is None


def test_the_guess_is_the_commonest_class_or_the_mean() -> None:
    rare = (X[:, 0] > 1).long()
    result = check(logistic(1, 0, 0, 0), data := classes(y=rare)).correct
    y = held(data)[1]
    assert result.guessing == pytest.approx(float((y == 0).float().mean()), abs=0.002)  # minibatches count equally
    assert result.lead.mean == pytest.approx(result.quality.mean - result.guessing)
    shifted = numbers(y=X[:, 0] + 5)
    result = check(Fixed(linear([1, 0, 0, 0], bias=[5.0]), "mse"), shifted).correct
    assert result.guessing == pytest.approx(float(held(shifted)[1].var()), rel=0.01)
    assert result.lead.mean == pytest.approx(result.guessing - result.quality.mean)


def test_the_guess_of_a_task_may_read_its_support_set() -> None:
    """Each task has a mean of its own, which no guess for all tasks knows."""

    class Means(Sinusoids):
        def draw(self, generator, count):
            tasks = super().draw(generator, count)
            offset = 10 * torch.randn(count, 1, 1, generator=generator)
            return mt.Episode(*(part._replace(y=0.01 * part.x + offset) for part in tasks[:2]))

    learner = MAML(linear([0.0]), loss="mse", lr=0.0, steps=1)
    result = check(learner, Means(), episodes=20).correct
    assert result.guessing < 0.1 and result.quality.mean > 10 and not result.passed


def test_a_model_at_chance_is_not_correct() -> None:
    result = check(logistic(0, 0.1, 0, 0), classes())
    assert abs(result.correct.quality.mean - 0.5) < 0.03 and result.correct.calibration_error < 0.1
    assert not result.correct.better and not result.correct.passed and "not clearly better" in str(result)
    assert not result.robust.passed and math.isnan(result.robust.attack.kept)
    mean = check(Fixed(linear([0, 0.001, 0, 0]), "mse"), numbers())
    assert not mean.correct.passed and not mean.robust.passed


def test_a_lucky_model_is_not_correct() -> None:
    """A little of an unrelated input, with one sign or the other, leads on these rows, but not beyond chance."""
    mean = float(held(numbers())[1].mean())
    models = [Fixed(linear([0, w, 0, 0], bias=[mean]), "mse") for w in (0.003, -0.003)]
    results = [check(model, numbers()).correct for model in models]
    assert max(result.lead.mean for result in results) > 0 and not any(result.better for result in results)


def test_an_overconfident_model_is_not_correct() -> None:
    sure, true = (check(logistic(SLOPE * factor, 0, 0, 0), classes()).correct for factor in (10, 1))
    assert sure.quality == true.quality and sure.better and true.passed
    assert true.calibration_error < 0.05 and sure.calibration_error > 0.1
    assert not sure.passed and "probabilities are off" in sure.reason


def test_one_task_has_the_interval_of_its_rows() -> None:
    data = classes(size=N)
    result = check(logistic(SLOPE, 0, 0, 0), data).correct
    right = (held(data)[0][:, 0] > 0) == held(data)[1]
    base = (held(data)[1] == held(data)[1].mode().values).double()
    expected = mt.measures.estimate((right.double() - base).numpy())
    assert result.lead == pytest.approx(expected) and result.passed
    assert not check(logistic(0, 0.1, 0, 0), data).correct.passed


# --- robust -----------------------------------------------------------------------------------------------------------


def test_the_moves_have_the_stated_sizes() -> None:
    """For a threshold at 0 of one input, the rows that each move can flip are known."""
    x = 5 * X[:, :1]
    data = classes(x, (x[:, 0] > 0).long())
    rows = held(data)[0][:, 0]
    s = float(rows.std(correction=0))
    robust = check(logistic(1.0), data).robust
    assert robust.attack.quality.mean == pytest.approx(float((rows.abs() > 0.1 * s).double().mean()), abs=0.003)
    for move, size in (("little_noise", 0.1), ("much_noise", 0.3)):
        flipped = math.atan(size) / math.pi  # of a normal input
        assert getattr(robust, move).quality.mean == pytest.approx(1 - flipped, abs=0.015)
    up, down = (
        float(((rows < 0) & (rows > -0.3 * s)).double().mean()),
        float(((rows > 0) & (rows < 0.3 * s)).double().mean()),
    )
    assert 1 - max(up, down) - 0.02 < robust.shift.quality.mean < 1 - min(up, down) + 0.02
    lead = check(logistic(1.0), data).correct
    expected = (robust.attack.quality.mean - lead.guessing) / (lead.quality.mean - lead.guessing)
    assert robust.attack.kept == pytest.approx(expected)


def test_a_shift_is_common_to_the_rows_of_a_task() -> None:
    """Half of the rows are just above the threshold, the others far below: all of the former flip, or none."""
    high = CHANCE > 0.5
    data = classes(torch.where(high, 0.1 * CHANCE, -5 - CHANCE)[:, None], high.long(), size=N)
    share = float(held(data)[1].double().mean())
    accuracies = {round(check(logistic(1.0), data, seed=seed).robust.shift.quality.mean, 6) for seed in (3, 4)}
    assert accuracies == {1.0, round(1 - share, 6)}


def test_a_shift_of_numbers_is_an_error_of_its_size() -> None:
    data = numbers()
    s = float(held(data)[0][:, 0].std(correction=0))
    robust = check(Fixed(linear([1.0, 0, 0, 0]), "mse"), data).robust
    assert robust.shift.quality.mean == pytest.approx((0.3 * s) ** 2, rel=1e-3)
    assert robust.much_noise.quality.mean == pytest.approx((0.3 * s) ** 2, rel=0.1)
    assert robust.attack.quality.mean == 0  # the loss has no slope where the error is 0


def test_huge_weights_on_a_tiny_difference_are_not_robust() -> None:
    tiny = torch.stack([X[:, 1], X[:, 1] + 0.01 * X[:, 0]], 1)
    result = check(logistic(-100 * SLOPE, 100 * SLOPE), classes(tiny))
    assert result.correct.passed and not result.robust.passed and not result.passed
    assert result.robust.attack.kept < 0.5 and result.robust.little_noise.kept < 0.5
    assert "too little under attack" in result.robust.reason


def test_a_model_that_is_very_sure_is_attacked_too() -> None:
    """Its cross-entropy is 0 for most rows, without a slope."""
    tiny = torch.stack([X[:, 1], X[:, 1] + 0.01 * X[:, 0]], 1)
    sure, unsure = (check(logistic(-slope, slope), classes(tiny)).robust.attack for slope in (1e5, 100 * SLOPE))
    assert sure.quality == unsure.quality and sure.quality.mean < 0.1


def test_many_small_weights_withstand_noise_but_no_attack() -> None:
    many = torch.cat([X[:, :1], torch.randn(N, 400, generator=torch.Generator().manual_seed(2))], 1)
    y = (X[:, 0] > 0).long()
    x = torch.cat([y[:, None] * 2.0 - 1, many[:, 1:]], 1)
    robust = check(logistic(10.0, *[0.3] * 400), classes(x, y)).robust
    assert robust.little_noise.kept > 0.9 and robust.much_noise.kept > 0.9 and robust.attack.kept < 0.5
    assert not robust.passed and robust.reason.count("too little") == 1


def test_units_of_measurement_do_not_matter() -> None:
    scale = torch.tensor([1000.0, 0.001, 1.0, 50.0])
    plain, scaled = logistic(SLOPE, 1, 1, 1), logistic(*(torch.tensor([SLOPE, 1, 1, 1]) / scale).tolist())
    one, other = check(plain, classes()).robust, check(scaled, classes(X * scale)).robust
    for move in ("little_noise", "much_noise", "shift", "attack"):
        assert getattr(one, move).kept == pytest.approx(getattr(other, move).kept, abs=0.01)
    assert one.passed and other.passed


def test_whole_numbers_are_not_moved() -> None:
    tokens = (X[:, :2] > 0).long()
    body = nn.Sequential(nn.Embedding(2, 3), nn.Flatten(), nn.Linear(6, 2))
    result = check(Fixed(body), Minibatches(tokens.numpy(), tokens[:, 0].numpy(), size=300), episodes=3)
    assert result.robust[:5] == (None,) * 5 and "robust: not tested" in str(result)
    assert result._replace(correct=result.correct._replace(passed=True)).passed == result.inside.passed


def test_missing_cells_stay_missing() -> None:
    x = X.clone()
    x[::3, 1] = torch.nan

    class Filling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([-x[:, 0], x[:, 0]], 1) * SLOPE / 2 + 0 * x.nan_to_num(0.0).sum(1, keepdim=True)

    result = check(Fixed(Filling()), classes(x))
    assert result.passed and result.robust.little_noise.kept > 0.9


# --- inside -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unlearned", "negative"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_dead_units_are_counted(kind: str, count: int) -> None:
    inside = check(Fixed(split(16, {kind: count})), classes(), episodes=5).inside
    assert (inside.dead, inside.saturated, inside.idle, inside.units) == (count, 0, 0, 16)
    assert inside.passed == (count <= 4)


def test_a_unit_that_wakes_up_once_is_not_dead() -> None:
    inside = check(Fixed(split(16, {"rare": 3})), classes()).inside
    assert (inside.dead, inside.saturated, inside.idle) == (0, 3, 0)


def test_a_unit_is_dead_if_it_is_the_same_in_all_tasks() -> None:
    layer = Inner(None, axis=-1, ends=[])
    for first in ([[1.0, 1.0, 1.0, 1.0], [2.0, 1.0, 1.0, 1.0]], [[3.0, 3.0, 1.0, 1.0], [3.0, 3.0, 1.0, 0.0]]):
        layer.add(torch.tensor(first))
    assert layer.dead.tolist() == [False, False, True, False]
    assert layer.varies.tolist() == [True, False, False, True]


@pytest.mark.parametrize(("activation", "bias", "count"), [("tanh", 9.0, 2), ("tanh", -9.0, 2), ("tanh", 1.0, 0)])
def test_saturated_units_are_counted(activation: str, bias: float, count: int) -> None:
    net = MLP(D, 6, 2, activation=activation)
    net[1].weight.data, net[1].bias.data = torch.eye(6, D), torch.tensor([0.0, 0, bias, bias, 0, 0])
    net[1].weight.data[4:, 0] = torch.tensor([-1.0, 0.5])
    net[3].weight.data = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    inside = check(Fixed(net), classes(), episodes=5).inside
    assert (inside.saturated, inside.dead) == (count, 0)


def test_a_unit_that_jumps_between_two_ends_is_saturated() -> None:
    net = MLP(D, 4, 2, activation="tanh")
    net[1].weight.data, net[1].bias.data = torch.eye(4) * torch.tensor([1e4, 1.0, 1.0, 1.0])[:, None], torch.zeros(4)
    assert check(Fixed(net), classes(), episodes=5).inside.saturated == 1


def test_units_of_several_layers_add_up_and_the_layers_are_named() -> None:
    net = MLP(D, 8, 6, 2)
    for layer in (net[1], net[3]):
        layer.weight.data, layer.bias.data = layer.weight.data.abs() + 0.1, torch.ones(len(layer.bias))
    net[1].bias.data[:3], net[3].bias.data[:2] = -100.0, -1000.0
    inside = check(Fixed(net), classes(), episodes=5).inside
    assert (inside.units, inside.dead) == (14, 5)
    assert {name: layer[:2] for name, layer in inside.layers.items()} == {"2": (8, 3), "4": (6, 2)}


@pytest.mark.parametrize(("kind", "count"), [("idle", 3), ("same", 2), ("idle", 0)])
def test_units_without_effect_are_counted(kind: str, count: int) -> None:
    inside = check(Fixed(split(16, {kind: count})), classes(), episodes=5).inside
    assert (inside.dead, inside.saturated, inside.idle) == (0, 0, count)


def test_the_mean_replaces_a_unit() -> None:
    """A unit of ±0.01 is 0.01 from its mean and 0.02 from its maximum."""
    data = numbers(y=X[:, 0] / X[:, 0].std())
    for effect, idle in ((0.09, 1), (0.11, 0)):
        net = nn.Sequential(Step(), linear([1.0, effect / float(data.y[data.rows["test"]].std(correction=0) ** -1)]))
        assert check(Fixed(net, "mse"), data).inside.idle == idle


class Step(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0], 0.01 * x[:, 1].sign()], 1)


def test_a_small_effect_counts_from_a_thousandth_of_a_standard_deviation() -> None:
    data = numbers(y=100 * X[:, 0] / X[:, 0].std())
    largest = float(X[:, 1].abs().max())
    for effect, idle in ((0.0003, 1), (0.01, 0)):
        net = nn.Sequential(linear([1.0, 0, 0, 0], [0, 1 / largest, 0, 0]), linear([100.0, 100 * effect]))
        assert check(Fixed(net, "mse"), data, episodes=4).inside.idle == idle


def test_a_unit_that_tells_tasks_apart_is_not_idle() -> None:
    """The inputs of a process's decoder hold the summary of the support set, the same for all rows of a task."""
    torch.manual_seed(0)
    learner = CNP(MLP(2, 8, 8), MLP(9, 8, 2))
    layer = check(learner, Sinusoids(), episodes=4).inside.layers["0"]
    assert (layer.units, layer.dead, layer.idle) == (9, 0, 0)


def test_values_that_no_layer_returns_are_no_units() -> None:
    """A learner without a gate has gates of 1, and attention to padding is 0."""
    learners = ANML(MLP(3, 6, 4), None, width=4, ways=2), MatchingNetwork(MLP(3, 6, 4), ways=2)
    for learner in learners:
        assert set(check(learner, blobs(shots=(1, 3)), episodes=3).inside.layers) == {"2", "3"}


def test_values_that_are_not_finite_are_a_fault() -> None:
    learner = MAML(MLP(3, 8, 2), lr=1e9, steps=9)
    result = check(learner, blobs(), episodes=4)
    assert not result.inside.passed and "not finite" in result.inside.reason and not result.correct.passed


def test_a_channel_is_a_unit_of_an_image() -> None:
    images = torch.randn(300, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    net = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 2))
    net[0].bias.data[:2] = -100.0
    inside = check(Fixed(net), classes(images, (images.mean((1, 2, 3)) > 0).long()), episodes=3).inside
    assert (inside.units, inside.dead, inside.idle) == (5, 2, 0)


def eye(size: int = D) -> nn.Linear:
    return linear(*(0.5 * torch.eye(size)).tolist())


class Times(nn.Module):
    def __init__(self, factor: list[float]):
        super().__init__()
        self.factor = torch.tensor(factor)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


@pytest.mark.parametrize("keeps", [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
@pytest.mark.parametrize("regression", [False, True])
def test_a_layer_that_throws_the_answer_away_is_named(keeps: list[float], regression: bool) -> None:
    net = nn.Sequential(eye(), nn.Tanh(), Times(keeps), eye(), nn.Tanh())
    net.append(nn.Linear(4, 1 if regression else 2))
    learner, data = (Fixed(net, "mse"), numbers()) if regression else (Fixed(net), classes())
    inside = check(learner, data, episodes=4).inside
    assert inside.lost_in == "2" and inside.lost.mean > 0.25 and not inside.passed
    assert "layer '2' loses" in inside.reason
    whole = copy.deepcopy(net)
    whole[2].factor = torch.ones(D)
    inside = check(Fixed(whole, learner.loss_name), data, episodes=4).inside
    assert inside.lost_in is None and inside.lost.mean < 0.1


def test_small_losses_add_up() -> None:
    noise = 0.01 * np.random.default_rng(0).normal(size=(4, 30))
    layers = dict(zip(["input", "a", "b", "c"], noise + np.array([[0.8], [0.9], [0.83], [0.76]]), strict=True))
    lost, lost_in, best = _loss(layers)
    assert (lost_in, best) == ("c", "a") and lost.mean == pytest.approx(0.14, abs=0.01)
    lost, lost_in, _ = _loss({name: layers[name] for name in ("input", "a", "b")})
    assert lost_in is None and lost.mean == pytest.approx(0.07, abs=0.01)
    wide = {"input": np.array([0.9, 0.1, 0.5]), "a": np.array([0.1, 0.6, 0.4])}  # differs by 0.13 ± 0.71
    assert _loss(wide)[1] is None and _loss({})[0] is None


def test_a_readable_outcome_is_predicted_as_by_hand() -> None:
    h, y = X[:40].double(), X[:40, :1].double() * 2 + 0.3 * X[40:80, :1].double()
    centred = y - y.mean(0)
    z = (h - h.mean(0)) / h.std(0, correction=0)
    by_hand = []
    for i in range(40):
        rest = torch.arange(40) != i
        b = torch.linalg.solve(z[rest].T @ z[rest] + 0.01 * 40 * torch.eye(D).double(), z[rest].T @ centred[rest])
        by_hand.append(z[i] @ b)
    torch.testing.assert_close(leave_one_out(h, centred), torch.stack(by_hand))


def test_noise_is_not_readable() -> None:
    g = torch.Generator().manual_seed(0)
    tasks = [({"noise": torch.randn(40, 8, generator=g)}, torch.arange(40) % 4) for _ in range(200)]
    assert abs(held_out(tasks, True, 1000)["noise"].mean() - 0.25) < 0.05
    exact = [({"label": F.one_hot(y).float()}, y) for _, y in tasks[:2]]
    assert held_out(exact, True, 1000)["label"].tolist() == [1.0, 1.0]


def test_a_model_without_inner_layers_has_no_fault_inside() -> None:
    inside = check(logistic(SLOPE, 0, 0, 0), classes(), episodes=3).inside
    assert inside.units == 0 and inside.layers == {} and inside.passed and "no inner layer" in inside.reason


# --- any learner ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked")
def test_maml_is_checked_after_adaptation() -> None:
    """A body whose last layer starts at 0 predicts 0 until it adapts; x does not reach three of its units."""
    net = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1))
    net[0].weight.data, net[0].bias.data = torch.linspace(-1.5, 1.5, 12)[:, None], torch.linspace(-2, 2, 12).sin()
    net[2].weight.data, net[2].bias.data = torch.zeros(1, 12), torch.zeros(1)
    net[0].weight.data[:3] = 0.0
    waves = Sinusoids(shots=20, queries=20, span=(-2.0, 2.0))
    result = check(MAML(net, loss="mse", lr=0.15, steps=20, adapt=["2.*"]), waves, episodes=10)
    assert result.correct.passed and result.robust.little_noise.kept > 0.8
    assert result.inside.dead == 3 and result.inside.idle == 0 and result.inside.layers["1"].readable.mean > 0.9
    assert not check(MAML(net, loss="mse", lr=0.0, steps=1), waves, episodes=10).correct.passed


def blobs(shots: Any = 3) -> Arrays:
    g = torch.Generator().manual_seed(0)
    x = 4 * torch.randn(12, 1, 3, generator=g) + torch.randn(12, 20, 3, generator=g)
    return Arrays(x.flatten(0, 1).numpy(), np.repeat(np.arange(12), 20), ways=2, shots=shots, queries=8)


def test_prototypes_of_classes_far_apart_are_sound() -> None:
    result = check(PrototypicalNetwork(nn.Sequential(eye(3)), ways=2), blobs(shots=(1, 4)), episodes=20)
    assert result.passed and result.correct.guessing == 0.5 and result.correct.quality.mean > 0.85


def test_a_table_transformer_is_checked_without_replacing_its_tokens() -> None:
    torch.manual_seed(0)
    result = check(InContext(SetTransformer(8, 1, 2), ways=2), blobs(), episodes=4)
    assert set(result.inside.layers) == {"cells", "label"} and result.inside.idle == 0
    assert result.inside.layers["label"].idle is None and result.inside.layers["label"].units == 8
    assert result.robust.attack is not None


class Drawing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * torch.rand_like(x)


@pytest.mark.parametrize("middle", [nn.BatchNorm1d(6), nn.Dropout(0.5), Drawing()], ids=lambda m: type(m).__name__)
def test_the_learner_and_the_callers_random_numbers_do_not_change(middle: nn.Module) -> None:
    torch.manual_seed(0)
    learner = Fixed(nn.Sequential(nn.Linear(D, 6), middle, nn.Tanh(), nn.Linear(6, 2)))
    learner.body[0].eval()
    before, modes = copy.deepcopy(learner.state_dict()), [module.training for module in learner.modules()]
    torch.manual_seed(5)
    first = check(learner, classes(), episodes=3)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    assert all(torch.equal(before[name], value) for name, value in learner.state_dict().items())
    assert modes == [module.training for module in learner.modules()]
    assert all(p.requires_grad and p.grad is None for p in learner.parameters())
    assert str(first) == str(check(learner, classes(), episodes=3))
    other = check(learner, classes(), episodes=3, seed=1)
    assert [first.robust[move].quality for move in range(4)] != [other.robust[move].quality for move in range(4)]


def test_the_page_runs(unchecked: None) -> None:
    page = (Path(__file__).parents[1] / "docs" / "explaining.md").read_text()
    section = page.partition("## Is the model sound?\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.S)
    names: dict[str, Any] = {}
    torch.manual_seed(0)
    exec(block.replace("steps=300", "steps=9"), names)
    assert set(names["result"].inside.layers) == {"2", "4"}


def test_dropout_is_switched_off() -> None:
    learner = PrototypicalNetwork(nn.Sequential(eye(3), nn.Dropout(0.5), eye(3)), ways=2)
    training = check(learner, blobs(), episodes=3)
    assert learner.body[1].training and str(training) == str(check(learner.eval(), blobs(), episodes=3))


# --- refusals ---------------------------------------------------------------------------------------------------------


class Batches:
    """A source without a test split."""

    def batch(self, index: int, count: int, seed: int = 0) -> mt.Episode:
        return classes().batch(index, count, seed)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("learner", {"learner": nn.Linear(D, 2)}),
        ("learner", {"learner": Fixed(nn.Linear(D, 2), lambda scores, y, w: scores.sum())}),
        ("tasks", {"tasks": [1, 2]}),
        ("tasks", {"tasks": Batches()}),
        ("tasks", {"tasks": Minibatches(X.numpy(), Y.numpy(), splits=(1.0, 0.0, 0.0))}),
        ("tasks", {"tasks": classes(X[:, :3])}),
        ("tasks", {"tasks": classes(y=torch.arange(N) % 5)}),
        ("episodes", {"episodes": 0}),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_refusals(name: str, change: dict[str, Any]) -> None:
    with pytest.raises(MapstoError, match=f"^{name}: "):
        check(**({"learner": Fixed(nn.Linear(D, 2)), "tasks": classes()} | change))
