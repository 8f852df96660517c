"""VSML against backpropagation, which a hand-set cell makes it; its symmetries; and cells that break them."""

import itertools
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad

from mapsto.episodes import Episode, Examples, examples
from mapsto.errors import MapstoError
from mapsto.learners import VSML
from mapsto.learners.vsml import LSTMWeight, States, WeightCell, relative
from mapsto.tasks import Logistic
from mapsto.training import train

WIDTH, RATE = 3, 0.3  # of every layer: the hand-set cell undoes an average by one number


def episode(rows: int = 6) -> Episode:
    """Make a task of unequal weights whose third example weighs nothing."""
    g = torch.Generator().manual_seed(0)
    x, w = torch.randn(2, rows, WIDTH, generator=g).double(), 0.2 + torch.rand(rows, generator=g).double()
    y = torch.arange(rows) % WIDTH
    return Episode(Examples(x[0], y, w * (torch.arange(rows) != 2)), examples(x[1], y))


class Backpropagation(WeightCell):
    """A state of one number, the weight w: m⃗ = w·tanh'd input, m⃖ = w·e times the slope of that tanh, w ← w − rate·x·e.

    The first layer hears its input as the first number of a message, the others what reached a unit as the second.
    """

    def __init__(self) -> None:
        super().__init__(1, 2)

    def forward(self, s: Tensor, onward: Tensor, backward: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, e = onward[..., :1] + onward[..., 1:].tanh(), backward[..., :1]
        slope, none = 1 - onward[..., 1:].tanh().square(), torch.zeros_like(s)
        ahead, back = torch.cat([none, WIDTH * s * x], -1), torch.cat([WIDTH * s * e * slope, none], -1)
        return s - RATE * x * e, ahead, back


class FromWeights(VSML):
    """Begins with given weights instead of zeros."""

    def start(self, features: Tensor) -> States:
        return [w.T[..., None] for w in weights(self)]


def weights(learner: VSML) -> list[Tensor]:
    """Return weights [out, in] as PyTorch orders them, from the same seed each time."""
    g = torch.Generator().manual_seed(1)
    return [torch.randn(WIDTH, WIDTH, generator=g).double() for _ in range(len(learner.hidden) + 1)]


def network(layers: list[Tensor], x: Tensor) -> Tensor:
    for w in layers[:-1]:
        x = (x @ w.T).tanh()
    return x @ layers[-1].T


def descended(learner: VSML, support: Examples, loss: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
    """Take one step of gradient descent an example, by autograd; an example's weight multiplies its rate."""
    layers, real = [w.requires_grad_() for w in weights(learner)], support.w[support.w > 0]
    for x, y, w in zip(*support, strict=True):
        rate = RATE * w / (real.square().sum() / real.sum())
        slopes = torch.autograd.grad(loss(network(layers, x[None]), y[None]), layers)
        layers = [(p - rate * g).detach().requires_grad_() for p, g in zip(layers, slopes, strict=True)]
    return layers


def backpropagates(hidden: tuple[int, ...], loss: str, cell: type[WeightCell] = Backpropagation) -> None:
    support, query, *_ = episode()
    if loss == "mse":
        support = support._replace(y=support.x.flip(1).sin())
    learner = FromWeights(nn.Flatten(), WIDTH, hidden, cell(), loss=loss)
    layers = descended(learner, support, getattr(nn.functional, {"mse": "mse_loss"}.get(loss, loss)))
    expected, before = network(layers, query.x), network(weights(learner), query.x)
    assert (expected - before).abs().mean() > 0.1
    found = learner.predict(learner.adapt(support), query.x)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("hidden", [(), (WIDTH,), (WIDTH, WIDTH)])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_hand_set_cell_makes_it_backpropagation(hidden: tuple[int, ...], loss: str) -> None:
    """Expect the delta rule of one layer, and backpropagation through tanh of several."""
    backpropagates(hidden, loss)


class Hebbian(Backpropagation):
    """Sends no error back: hidden layers do not learn."""

    def forward(self, s: Tensor, onward: Tensor, backward: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s, ahead, back = super().forward(s, onward, backward)
        return s, ahead, torch.zeros_like(back)


def test_a_cell_that_sends_no_error_back_is_caught() -> None:
    backpropagates((), "cross_entropy", Hebbian)  # one layer needs none
    with pytest.raises(AssertionError):
        backpropagates((WIDTH,), "cross_entropy", Hebbian)


# symmetries


def learner(ways: int = WIDTH, hidden: tuple[int, ...] = (), **arguments) -> VSML:
    torch.manual_seed(0)
    return VSML(nn.Flatten(), ways, hidden, LSTMWeight(5, 4), **arguments).double()


def answer(made: VSML, support: Examples, x: Tensor) -> Tensor:
    return made.predict(made.adapt(support), x)


def order_does_not_matter(made: VSML) -> None:
    """Expect permuted inputs to change nothing, and permuted classes to permute the scores."""
    support, query, *_ = episode()
    expected, turn = answer(made, support, query.x), torch.tensor([2, 0, 1])
    assert expected.std(0).min() > 1e-5 and expected.std(1).min() > 1e-5
    found = answer(made, support._replace(x=support.x[:, turn]), query.x[:, turn])
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    found = answer(made, support._replace(y=turn[support.y]), query.x)
    torch.testing.assert_close(found[:, turn], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_the_order_of_inputs_and_of_classes_does_not_matter(hidden: tuple[int, ...]) -> None:
    order_does_not_matter(learner(hidden=hidden))


class Marked(VSML):
    """Tells inputs apart from the start."""

    def start(self, features: Tensor) -> States:
        first, *others = super().start(features)
        return [first + torch.arange(len(first))[:, None, None], *others]


def test_states_that_tell_inputs_apart_are_caught() -> None:
    torch.manual_seed(0)
    with pytest.raises(AssertionError):
        order_does_not_matter(Marked(nn.Flatten(), WIDTH, cell=LSTMWeight(5, 4)).double())


def test_the_same_cell_serves_any_number_of_inputs_and_classes() -> None:
    made = learner()
    made.ways = 7
    x = torch.randn(7, 11, generator=torch.Generator().manual_seed(0)).double()
    assert answer(made, examples(x, torch.arange(7)), x).shape == (7, 7)


def test_hidden_units_differ_and_without_their_codes_are_one() -> None:
    made, (support, query, *_) = learner(hidden=(4,)), episode()
    messages = made.features(made.adapt(support), query.x)["messages.1"]  # [n, 4, m]
    assert messages.std(1).min() > 1e-6
    made.codes.zero_()
    messages = made.features(made.adapt(support), query.x)["messages.1"]
    torch.testing.assert_close(messages, messages[:, :1].expand_as(messages))


def test_nothing_learned_gives_every_class_the_same_score() -> None:
    support, query, *_ = episode()
    scores = answer(learner(), support._replace(w=torch.zeros_like(support.w)), query.x)
    torch.testing.assert_close(scores, scores[:, :1].expand_as(scores))


# weights, order


def test_weights_are_in_units_of_their_average() -> None:
    torch.testing.assert_close(relative(torch.full((4,), 0.25)), torch.ones(4))
    torch.testing.assert_close(relative(torch.tensor([0.1, 0.1, 0.0])), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(relative(torch.tensor([3.0, 1.0])), torch.tensor([1.2, 0.4]))
    assert grad(lambda w: relative(w).sum())(torch.zeros(3)).isfinite().all()


def test_the_last_example_is_remembered_differently_from_the_first() -> None:
    made, (support, query, *_) = learner(), episode()
    turned = Examples(*(leaf.flip(0) for leaf in support))
    assert (answer(made, support, query.x) - answer(made, turned, query.x)).abs().max() > 1e-6


# training


@pytest.mark.usefixtures("unchecked")
def test_training_makes_it_learn_and_more_examples_help() -> None:
    """Expect better than chance on planes whose every direction is as likely as its opposite."""
    torch.manual_seed(0)
    made = VSML(nn.Flatten(), 2, cell=LSTMWeight(8, 4, ticks=1))
    planes = partial(Logistic, 3, centre=0.0, slope=3.0, intercept=0.0)
    for _ in train(made, planes(shots=(2, 10), queries=20), steps=150, batch=32, lr=0.01):
        pass
    few, many = (
        accuracy(made, Logistic(3, shots=n, queries=50, centre=0.0, slope=3.0, intercept=0.0)) for n in (1, 10)
    )
    assert 0.5 < few < many and many > 0.65


def accuracy(made: VSML, tasks: Logistic) -> float:
    batch = tasks.test.batch(0, 200)
    one = lambda i: made.loss(Episode(*(Examples(*(leaf[i] for leaf in part)) for part in batch[:2])))[1]  # noqa: E731
    with torch.no_grad():
        return sum(float(one(i)["accuracy"]) for i in range(200)) / 200


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VSML(nn.Flatten(), 0), "^ways: "),
        (lambda: VSML(nn.Flatten(), 2, (3, 0)), "^hidden: "),
        (lambda: VSML(nn.Flatten(), 2, loss="l1"), "^loss: "),
        (lambda: VSML(nn.BatchNorm1d(2), 2), "track_running_stats=False"),
        (lambda: LSTMWeight(0), "^size: "),
        (lambda: LSTMWeight(4, 1), "^message: "),
        (lambda: LSTMWeight(ticks=0), "^ticks: "),
        (
            lambda: VSML(nn.Flatten(), 2).adapt(examples(torch.zeros(2, 1), torch.zeros(2, 1))),
            "^y: ",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()


def test_layers_are_as_wide_as_they_are_told() -> None:
    sizes = [tuple(s.shape[:2]) for s in learner(hidden=(4, 2)).adapt(episode().support).states]
    assert sizes == list(itertools.pairwise((WIDTH, 4, 2, WIDTH)))
