"""Sanity checks: they catch explainers that ignore the model, and let pass those that read it."""

from collections.abc import Callable

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.func import grad, vmap

from mapsto import as_module, views
from mapsto.episodes import Examples, examples
from mapsto.errors import MapstoError
from mapsto.explainers import Gradient
from mapsto.learners import MAML, Learner, PrototypicalNetwork
from mapsto.measures import cascading, independent, layers_of, randomised_model, shuffled_labels
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


def by_gradient(net: nn.Module) -> Tensor:
    return Gradient().over(lambda x: net(x[None])[0, 1], X)


def by_input(net: nn.Module) -> Tensor:
    """Say the input's magnitude, whatever the model: the explainer that must be caught."""
    return X.abs()


def passes(explain: Callable[[nn.Module], Tensor], model: nn.Module) -> None:
    """Assert that little is left of the explanation once all layers are re-drawn.

    One draw may be alike by chance, at up to .6; the mean of 16 stays below .12 for any of six models.
    """
    found = [randomised_model(explain, model, seed=seed) for seed in range(16)]
    assert found[0].signed.shape == found[0].absolute.shape == (len(found[0].steps), len(X))
    for kind in ("signed", "absolute"):
        assert torch.stack([getattr(one, kind)[-1] for one in found]).mean().abs() < 0.3


def test_gradients_pass_and_the_inputs_magnitude_is_caught() -> None:
    passes(by_gradient, body())
    with pytest.raises(AssertionError):
        passes(by_input, body())
    found = randomised_model(by_input, body())
    torch.testing.assert_close(found.signed, torch.ones(3, 8))
    torch.testing.assert_close(found.absolute, torch.ones(3, 8))


def test_similarity_is_scipys_of_signed_and_absolute_values() -> None:
    net, seen = body(), []
    found = randomised_model(lambda net: seen.append(by_gradient(net)) or seen[-1], net)
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
    for plan, expected in ((cascading, [{2}, {1, 2}, {0, 1, 2}]), (independent, [{2}, {1}, {0}])):
        seen.clear()
        found = randomised_model(lambda net: seen.append(net) or by_gradient(net), net, plan)
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
        randomised_model(lambda net: seen.append(net[0].weight) or torch.eye(3), net, seed=seed)
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
    explain = lambda net: seen.append(net) or vmap(grad(lambda x: net(x[None])[0, 0]))(X)  # noqa: E731
    found = randomised_model(explain, net.eval(), layers=["1"])
    assert found.signed.isfinite().all() and found.signed.mean() < 0.99
    before, after = (one[1].running_var for one in seen)
    assert (after > 0).all() and not torch.equal(before, after)
    assert (seen[1][1].running_mean < 0).any()


def learners() -> list[Learner]:
    return [MAML(body(), lr=0.1, steps=2), PrototypicalNetwork(body(), ways=2)]


@pytest.mark.parametrize("learner", learners(), ids=["MAML", "ProtoNet"])
def test_meta_weights_are_redrawn_and_adapt_again(learner: Learner) -> None:
    def explain(learner: Learner) -> Tensor:
        return Gradient().over(views.query(learner, SUPPORT, target=1), X)

    passes(explain, learner)
    with pytest.raises(AssertionError):
        passes(by_input, learner)


def test_the_state_of_an_adapted_model_can_be_redrawn_alone() -> None:
    adapted = as_module(MAML(body(), lr=0.1, steps=2), SUPPORT)
    states = [name for name in layers_of(adapted) if name.startswith("state_")]
    assert len(states) == 6 and list(layers_of(adapted))[-6:] == states
    found = [randomised_model(by_gradient, adapted, layers=states, seed=seed).signed[-1] for seed in range(16)]
    assert torch.stack(found).mean().abs() < 0.3
    alone = randomised_model(by_gradient, adapted, independent, layers=["learner.body.1"])
    torch.testing.assert_close(alone.signed, torch.ones(1, 8))  # what was adapted no longer reads its start


@pytest.mark.parametrize("layers", [[], ["nowhere"]])
def test_unknown_layers_are_refused(layers: list[str]) -> None:
    with pytest.raises(MapstoError, match=r"layers: got .* expected some of \['1', '3', '5'\]"):
        randomised_model(by_gradient, body(), layers=layers)


# ---- labels


def by_classes(support: Examples) -> Tensor:
    means = torch.stack([support.x[support.y == k].mean(0) for k in (0, 1)])
    return X * (means[1] - means[0])


def by_rows(support: Examples) -> Tensor:
    return X * support.x.std(0)


def passes_labels(explain: Callable[[Examples], Tensor]) -> None:
    found = shuffled_labels(explain, SUPPORT, times=20)
    assert found.signed.shape == (20, 8) and found.signed.mean().abs() < 0.25


def test_an_explainer_that_ignores_the_labels_is_caught() -> None:
    passes_labels(by_classes)
    with pytest.raises(AssertionError):
        passes_labels(by_rows)
    torch.testing.assert_close(shuffled_labels(by_rows, SUPPORT).absolute, torch.ones(5, 8))


def test_shuffling_keeps_how_many_there_are_and_leaves_padding_alone() -> None:
    y, w = torch.tensor([0, 0, 0, 1, 2, 2]), torch.tensor([0.25, 0.25, 0.25, 0.25, 0.0, 0.0])
    seen, state = [], torch.get_rng_state()
    for seed in (0, 0, 1):
        shuffled_labels(lambda s: seen.append(s.y) or torch.eye(3), Examples(X[:6], y, w), times=8, seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    drawn = [s.tolist() for s in seen if s is not y]
    assert all(sorted(one[:4]) == [0, 0, 0, 1] and one[4:] == [2, 2] and one != y.tolist() for one in drawn)
    assert drawn[:8] == drawn[8:16] != drawn[16:]


def test_labels_that_are_all_alike_are_refused() -> None:
    alike = examples(X, torch.ones(8, dtype=torch.long))
    with pytest.raises(MapstoError, match="support: its examples all have the same label"):
        shuffled_labels(by_rows, alike)


def test_lost_explanations_are_refused() -> None:
    with pytest.raises(MapstoError, match="not finite"):
        randomised_model(lambda net: by_gradient(net) * torch.nan, body())
