"""Every explainer that moves the input works on every view of a learner, and refuses in one sentence what it cannot."""

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from mapsto import explainers, views
from mapsto.episodes import examples
from mapsto.errors import MapstoError
from mapsto.explainers import (
    ExpectedGradients,
    Gradient,
    IntegratedGradients,
    Occlusion,
    Shapley,
    Smooth,
    ViewExplainer,
)
from mapsto.learners import MAML, Learner, PrototypicalNetwork
from mapsto.models import MLP

F64 = torch.float64
MAPS = {"GradCAM", "HiResCAM"}  # need a point [c, h, w]: tests/test_activation_maps.py
NEEDING: dict[str, Callable[[Tensor], ViewExplainer]] = {
    "Smooth": lambda point: Smooth(Gradient(), samples=4, noise=0.01),
    "ExpectedGradients": lambda point: ExpectedGradients(torch.stack([point * 0, point / 2]), steps=8),
}
NAMES = [
    name
    for name in explainers.__all__
    if inspect.isclass(found := getattr(explainers, name))
    and issubclass(found, ViewExplainer)
    and found is not ViewExplainer
    and name not in MAPS
]


def made(name: str, point: Tensor) -> ViewExplainer:
    return NEEDING[name](point) if name in NEEDING else getattr(explainers, name)()


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def body(outputs: int) -> nn.Module:
    net = MLP(3, 6, outputs, activation="tanh").to(F64)
    for i, parameter in enumerate(net.parameters()):
        parameter.data = randn(*parameter.shape, seed=i)
    return net


LEARNERS: dict[str, Learner] = {
    "MAML": MAML(body(2), lr=0.5, steps=2),
    "ProtoNet": PrototypicalNetwork(body(4), ways=2),
}
SUPPORT, X = examples(randn(5, 3, seed=1), torch.tensor([0, 1, 0, 1, 1])), randn(3, seed=2)
VIEWS: dict[str, Callable[[Learner], tuple[views.View, Tensor]]] = {
    "query": lambda learner: (views.query(learner, SUPPORT), X),
    "support": lambda learner: (views.support(learner, SUPPORT, X), SUPPORT.x),
    "weights": lambda learner: (views.weights(learner, SUPPORT, X), SUPPORT.w),
    "state": lambda learner: views.state(learner, learner.adapt(SUPPORT), X),
    "feature": lambda learner: views.feature(learner, SUPPORT, X, "1"),
}


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", NAMES)
def test_every_explainer_explains_every_view(name: str, view: str, learner: str) -> None:
    f, point = VIEWS[view](LEARNERS[learner])
    explainer = made(name, point)
    values = explainer(f, point)
    assert values.shape == (*point.shape, 2) and bool(values.isfinite().all())
    assert values.abs().max() > 1e-3 and (values[..., 0] - values[..., 1]).abs().max() > 1e-3
    bent = point * torch.linspace(0.5, 1.0, point.numel(), dtype=F64).reshape(point.shape)
    points = torch.stack([point, bent])
    rows = explainer.over(f, points, chunk_size=1)
    torch.testing.assert_close(rows[0], values)
    assert (rows[1] - values).abs().max() > 1e-6
    torch.testing.assert_close(vmap(lambda point: explainer(f, point))(points), rows)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("view", ["query", "support", "feature"])
def test_the_values_are_complete_on_views_of_learners(view: str, learner: str) -> None:
    f, point = VIEWS[view](LEARNERS[learner])
    total = f(point) - f(0.5 * point)
    assert total.abs().max() > 1e-2
    for explainer in (IntegratedGradients(48, 0.5 * point), ExpectedGradients(0.5 * point[None], steps=48)):
        values = explainer(f, point).flatten(0, -2).sum(0)
        torch.testing.assert_close(values, total, rtol=1e-3, atol=1e-4)


# ---- what is refused


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("view", "message"),
    [
        (lambda x: x[:, None] * x, r"view: got an output of shape \(3, 3\)"),
        (lambda x: x.detach().sum(), r"view: its output \(torch.float64\) has no gradient by the point"),
        (lambda x: (x > 0).sum(), r"view: its output \(torch.int64\) has no gradient by the point"),
        (lambda x: torch.ones(2, dtype=F64) * x.detach()[0], r"view: its output \(torch.float64\) has no gradient"),
        (
            lambda x: x.round().detach() + torch.ones(3, dtype=F64),
            r"view: its output \(torch.float64\) has no gradient",
        ),
    ],
    ids=["matrix", "detached", "integer", "detached factor", "rounded"],
)
def test_a_view_without_slopes_is_refused(name: str, view: Callable[[Tensor], Tensor], message: str) -> None:
    explainer = made(name, X)
    assert explainer(lambda x: x.sum(), X).shape == (3,)
    with pytest.raises(MapstoError, match=message):
        explainer(view, X)
    with pytest.raises(MapstoError, match=message):
        explainer.over(view, torch.stack([X, X]))


@pytest.mark.parametrize("name", NAMES)
def test_a_view_in_which_the_point_has_no_say_has_slope_0(name: str) -> None:
    """A constant is a function; what is refused is a point that is used by a way that has no slope."""
    constant = torch.ones(2, dtype=F64)
    views_of_nothing = {(3, 2): lambda x: constant, (3,): lambda x: torch.tensor(3)}
    for shape, view in views_of_nothing.items():
        explainer = made(name, X)
        assert torch.equal(explainer(view, X), torch.zeros(shape, dtype=F64))
        assert torch.equal(explainer.over(view, torch.stack([X, X])), torch.zeros(2, *shape, dtype=F64))


def test_what_taught_a_learner_that_takes_no_step_is_nothing() -> None:
    asleep, awake = MAML(body(2), steps=0), MAML(body(2), steps=1, lr=0.5)
    for make, point in ((views.weights, SUPPORT.w), (views.support, SUPPORT.x)):
        assert Gradient()(make(awake, SUPPORT, X), point).abs().max() > 1e-3
        assert torch.equal(Gradient()(make(asleep, SUPPORT, X), point), torch.zeros(*point.shape, 2, dtype=F64))


@pytest.mark.parametrize("make", VIEWS)
@pytest.mark.parametrize("learner", [MAML, PrototypicalNetwork])
def test_a_transductive_learner_is_refused(learner: type[Learner], make: str) -> None:
    told = {"ways": 2} if learner is PrototypicalNetwork else {}
    VIEWS[make](learner(body(2), **told))
    with pytest.raises(ValueError, match=r"\(transductive=True\).*transductive=False"):
        VIEWS[make](learner(body(2), transductive=True, **told))


@pytest.mark.parametrize(
    "explainer",
    [
        IntegratedGradients(4, torch.zeros(2)),
        ExpectedGradients(torch.zeros(1, 2, dtype=F64)),
        Smooth(IntegratedGradients(4, torch.zeros(2)), samples=2),
    ],
)
@pytest.mark.parametrize("learner", LEARNERS)
def test_a_baseline_of_the_wrong_shape_is_refused(explainer: ViewExplainer, learner: str) -> None:
    f, point = VIEWS["query"](LEARNERS[learner])
    with pytest.raises(ValueError, match=r"^(baseline|background): got shape .*2"):
        explainer(f, point)


def root(x: Tensor) -> Tensor:
    """A score whose slope is not a number below 0."""
    return x.sqrt().sum()


GOOD, BAD = torch.tensor([1.0, 2.0, 3.0], dtype=F64), torch.tensor([1.0, -2.0, 3.0], dtype=F64)


@pytest.mark.parametrize("name", NAMES)
def test_values_that_are_no_numbers_are_refused(name: str) -> None:
    explainer = made(name, GOOD)
    assert bool(explainer.over(root, torch.stack([GOOD, 2 * GOOD])).isfinite().all())
    message = r"^attributions: got NaN for 1 of 2 points, expected numbers"
    with pytest.raises(MapstoError, match=message):
        explainer.over(root, torch.stack([GOOD, BAD]))
    with pytest.raises(MapstoError, match=r"^attributions: got NaN for 1 of 1 points"):
        explainer(root, BAD)
    # inside a transform nobody can look at the numbers: they pass
    assert vmap(lambda rows: explainer.over(root, rows))(torch.stack([GOOD, BAD])[None]).isnan().any()


@pytest.mark.parametrize("explainer", [Occlusion(), Shapley()])
def test_values_of_games_that_are_no_numbers_are_refused(explainer: Occlusion | Shapley) -> None:
    def games(x: Tensor) -> views.Game:
        return views.game(lambda x: x.sum() + torch.where(x[0] < 0, -torch.inf, 0.0), x, baseline=-1.0)

    with pytest.raises(MapstoError, match=r"^attributions: got NaN for 2 of 2 points"):
        explainer.over(games, torch.stack([BAD.neg(), BAD.neg()]))
    finite = explainer.over(lambda x: views.game(lambda x: x.sum(), x), torch.stack([GOOD, BAD]))
    torch.testing.assert_close(finite, torch.stack([GOOD, BAD]))
