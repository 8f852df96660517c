"""Sanity checks: they catch explainers that ignore the model, and let pass those that read it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from mapsto import as_module, views
from mapsto.episodes import Examples, examples
from mapsto.errors import MapstoError
from mapsto.explainers import Gradient, InputXGradient
from mapsto.explainers.explainer import Explain
from mapsto.learners import MAML, Learner, PrototypicalNetwork
from mapsto.measures import randomised_model, shuffled_labels
from mapsto.measures.faithfulness.randomisation import layers_of
from mapsto.models import MLP

FEATURES = 24


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def body(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MLP(FEATURES, 16, 16, 2, activation="tanh")


X = normal(8, FEATURES, seed=1)
SUPPORT = examples(normal(10, FEATURES, seed=2), torch.arange(10) % 2)


def of_net(net: nn.Module) -> views.View:
    return lambda x: net(x[None])[0, 1]


def by_input(view: views.View, x: Tensor) -> Tensor:
    """Return the input's magnitude, whatever the model: the explainer that must be caught."""
    return x.abs()


def passes(explain: Explain, model: nn.Module, view: Callable[[Any], views.View] = of_net) -> None:
    """Assert that little is left of the explanation once all layers are re-drawn.

    One draw may be alike by chance, at up to .6; the mean of 16 stays below .12 for any of six models.
    """
    found = [randomised_model(explain, model, view, X, seed=seed) for seed in range(16)]
    assert found[0].signed.shape == found[0].absolute.shape == (len(found[0].steps), len(X))
    for kind in ("signed", "absolute"):
        assert torch.stack([getattr(one, kind)[-1] for one in found]).mean().abs() < 0.3


def test_gradients_pass_and_the_inputs_magnitude_is_caught() -> None:
    passes(Gradient(), body())
    with pytest.raises(AssertionError):
        passes(by_input, body())
    found = randomised_model(by_input, body(), of_net, X)
    torch.testing.assert_close(found.signed, torch.ones(3, 8))
    torch.testing.assert_close(found.absolute, torch.ones(3, 8))


def test_similarity_is_scipys_of_signed_and_absolute_values() -> None:
    net, seen = body(), []
    found = randomised_model(Gradient(), net, lambda net: seen.append(net) or of_net(net), X)
    seen = [Gradient().over(of_net(net), X) for net in seen]
    assert len(seen) == 4 and found.signed.std() > 0.05
    for step in range(3):
        for i in range(8):
            before, after = (values[i].detach().numpy() for values in (seen[0], seen[step + 1]))
            assert found.signed[step, i].item() == pytest.approx(spearmanr(before, after).statistic, abs=1e-6)
            assert found.absolute[step, i].item() == pytest.approx(
                spearmanr(abs(before), abs(after)).statistic, abs=1e-6
            )


def test_plans_randomise_the_layers_they_name() -> None:
    net, seen = body(), []
    named = list(layers_of(net))
    assert named == ["1", "3", "5"]
    for plan, expected in (("cascading", [{2}, {1, 2}, {0, 1, 2}]), ("independent", [{2}, {1}, {0}])):
        seen.clear()
        found = randomised_model(Gradient(), net, lambda net: seen.append(net) or of_net(net), X, plan)
        assert found.steps == ["5", "3", "1"] and seen[0] is net
        changed = [
            {i for i, name in enumerate(named) if not torch.equal(net[int(name)].weight, copy[int(name)].weight)}
            for copy in seen[1:]
        ]
        assert changed == expected


def test_redrawn_layers_keep_their_scale_and_the_model_stays() -> None:
    net, seen = nn.Sequential(nn.Linear(300, 300)), []
    state, before = torch.get_rng_state(), net[0].weight.clone()
    for seed in (0, 0, 1):
        view = lambda net: seen.append(net[0].weight) or torch.sum  # noqa: E731
        randomised_model(by_input, net, view, X, seed=seed)
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(net[0].weight, before)
    first, again, other = seen[1::2]
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.square().mean().item() == pytest.approx(before.square().mean().item(), rel=0.02)


def test_a_running_variance_stays_one() -> None:
    """Batch norm in use divides by the root of a buffer, of which a redrawn one must not be negative."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(FEATURES, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1))
    for _ in range(20):
        net(3 * torch.randn(64, FEATURES))
    seen: list[nn.Module] = []
    view = lambda net: seen.append(net) or (lambda x: net(x[None])[0, 0])  # noqa: E731
    found = randomised_model(Gradient(), net.eval(), view, X, layers=["1"])
    assert found.signed.isfinite().all() and found.signed.mean() < 0.99
    before, after = (one[1].running_var for one in seen)
    assert (after > 0).all() and not torch.equal(before, after)
    assert (seen[1][1].running_mean < 0).any()


def learners() -> list[Learner]:
    return [MAML(body(), lr=0.1, steps=2), PrototypicalNetwork(body(), ways=2)]


@pytest.mark.parametrize("learner", learners(), ids=["MAML", "ProtoNet"])
def test_meta_weights_are_redrawn_and_adapt_again(learner: Learner) -> None:
    passes(Gradient(), learner, lambda learner: views.query(learner, SUPPORT, target=1))
    with pytest.raises(AssertionError):
        passes(by_input, learner)


def test_the_state_of_an_adapted_model_can_be_redrawn_alone() -> None:
    adapted = as_module(MAML(body(), lr=0.1, steps=2), SUPPORT)
    states = [name for name in layers_of(adapted) if name.startswith("state_")]
    assert len(states) == 6 and list(layers_of(adapted))[-6:] == states
    checks = [
        randomised_model(Gradient(), adapted, of_net, X, layers=states, seed=seed).signed[-1] for seed in range(16)
    ]
    assert torch.stack(checks).mean().abs() < 0.3
    alone = randomised_model(Gradient(), adapted, of_net, X, "independent", layers=["learner.body.1"])
    torch.testing.assert_close(alone.signed, torch.ones(1, 8))  # what was adapted no longer reads its start


@pytest.mark.parametrize("layers", [[], ["nowhere"]])
def test_unknown_layers_are_refused(layers: list[str]) -> None:
    with pytest.raises(MapstoError, match=r"layers: got .* expected some of \['1', '3', '5'\]"):
        randomised_model(Gradient(), body(), of_net, X, layers=layers)


# ---- labels


def by_classes(support: Examples) -> views.View:
    means = torch.stack([support.x[support.y == k].mean(0) for k in (0, 1)])
    return lambda x: x @ (means[1] - means[0])


def by_rows(support: Examples) -> views.View:
    return lambda x: x @ support.x.std(0)


def passes_labels(view: Callable[[Examples], views.View]) -> None:
    found = shuffled_labels(InputXGradient(), SUPPORT, view, X, times=20)
    assert found.signed.shape == (20, 8) and found.signed.mean().abs() < 0.25


def test_an_explainer_that_ignores_the_labels_is_caught() -> None:
    passes_labels(by_classes)
    with pytest.raises(AssertionError):
        passes_labels(by_rows)
    torch.testing.assert_close(shuffled_labels(InputXGradient(), SUPPORT, by_rows, X).absolute, torch.ones(5, 8))


def test_shuffling_keeps_how_many_there_are_and_leaves_padding_alone() -> None:
    y, w = torch.tensor([0, 0, 0, 1, 2, 2]), torch.tensor([0.25, 0.25, 0.25, 0.25, 0.0, 0.0])
    seen, state = [], torch.get_rng_state()
    for seed in (0, 0, 1):
        view = lambda s: seen.append(s.y) or torch.sum  # noqa: E731
        shuffled_labels(by_input, Examples(X[:6], y, w), view, X, times=8, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    drawn = [s.tolist() for s in seen if s is not y]
    assert all(sorted(one[:4]) == [0, 0, 0, 1] and one[4:] == [2, 2] and one != y.tolist() for one in drawn)
    assert drawn[:8] == drawn[8:16] != drawn[16:]


def test_labels_that_are_all_alike_are_refused() -> None:
    alike = examples(X, torch.ones(8, dtype=torch.long))
    with pytest.raises(MapstoError, match=r"^support: got examples of one label"):
        shuffled_labels(InputXGradient(), alike, by_rows, X)


def test_lost_explanations_are_refused() -> None:
    with pytest.raises(MapstoError, match="not finite"):
        randomised_model(lambda view, x: x * torch.nan, body(), of_net, X)
