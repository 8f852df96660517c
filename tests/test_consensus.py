"""Several explainers of one prediction: their consensus, and a loss that draws them together or apart."""

import math

import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import Episode, examples
from mapsto.explainers.learned import REALX, AmortisedShapley, Columns, Interpreter
from mapsto.joint import Joint
from mapsto.learners import Fixed


def together(agreement: float = 0.0) -> Joint:
    """A linear model with two explainers by players and one without."""
    torch.manual_seed(0)
    networks = {
        "why": AmortisedShapley(Columns(3), 2, width=8),
        "select": REALX(Columns(3), 2, warmup=0),
        "concepts": Interpreter({"0": 2}, 2),
    }
    joint = Joint(Fixed(nn.Sequential(nn.Linear(3, 2))), networks, agreement=agreement)
    for explainer in joint.explainers.values():
        explainer.steps.fill_(1)
    return joint


NOTHING = examples(torch.empty(0, 3), torch.empty(0, dtype=torch.long))
X = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
TASK = Episode(NOTHING, examples(X, torch.tensor([0, 1, 0, 1, 1, 0])))


def parts(joint: Joint) -> list[Tensor]:
    """Return the shares of both explainers by their public explanations."""
    state = joint.adapt(NOTHING)
    of, best = joint.explain(state, X), joint.predict(state, X).argmax(1)
    importances = of["why"].values[torch.arange(6), :, best].abs(), of["select"].probability
    return [importance / importance.sum(1, keepdim=True) for importance in importances]


def test_the_consensus_is_the_mean_share() -> None:
    joint = together()
    a, b = parts(joint)
    torch.testing.assert_close(joint.consensus(joint.adapt(NOTHING), X), (a + b) / 2)


@pytest.mark.parametrize("agreement", [2.0, -0.5])
def test_the_disagreement_is_weighted_into_the_loss(agreement: float) -> None:
    losses, metrics = [], {}
    for weight in (0.0, agreement):
        joint = together(weight)
        torch.manual_seed(1)
        loss, metrics = joint.loss(TASK)
        losses.append(loss)
    a, b = parts(joint)
    torch.testing.assert_close(metrics["disagreement"], (a - b).square().sum(1).mean())
    torch.testing.assert_close(losses[1] - losses[0], agreement * metrics["disagreement"])


@pytest.mark.long
def test_training_draws_the_importances_together_or_apart() -> None:
    apart = []
    for agreement in (-5.0, 0.0, 5.0):
        joint = together(agreement)
        joint.trains = "explainers"
        optimizer = torch.optim.Adam([p for p in joint.parameters() if p.requires_grad], 0.01)
        for _ in range(60):
            optimizer.zero_grad()
            joint.loss(TASK)[0].backward()
            optimizer.step()
        a, b = parts(joint)
        apart.append(float((a - b).square().sum(1).mean()))
    assert apart[2] < 0.1 * apart[1] and apart[1] < 0.9 * apart[0] and apart[0] > 1.3


@pytest.mark.parametrize(
    ("agreement", "columns"), [(1.0, {"a": 3, "b": 4}), (1.0, {"a": 3}), (math.inf, {"a": 3, "b": 3})]
)
def test_only_explainers_with_the_same_players_can_agree(agreement: float, columns: dict[str, int]) -> None:
    networks = {name: REALX(Columns(count), 2) for name, count in columns.items()}
    with pytest.raises(mt.MapstoError, match=r"^agreement: "):
        Joint(Fixed(nn.Linear(3, 2)), networks, agreement=agreement)


def test_a_consensus_needs_trained_explainers_with_the_same_players() -> None:
    for name, networks in {
        "explainers": {"a": REALX(Columns(3), 2), "b": REALX(Columns(4), 2)},
        "explainer": {"a": REALX(Columns(3), 2)},
    }.items():
        joint = Joint(Fixed(nn.Linear(3, 2)), networks)
        with pytest.raises(mt.MapstoError, match=f"^{name}: "):
            joint.consensus(joint.adapt(NOTHING), X)
