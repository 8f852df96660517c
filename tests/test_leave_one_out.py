"""Leave-one-out reasons: their closed form, and the agreement of a learned explainer and a model with them."""

import pytest
import torch
from torch import nn

import mapsto as mt
from mapsto.episodes import Episode, examples, unstack
from mapsto.explainers.learned import AmortisedShapley, Columns, LeaveOneOut, Players
from mapsto.explainers.learned.explainer import Prediction
from mapsto.joint.consensus import disagreement
from mapsto.learners import MAML, Fixed
from mapsto.reports.task.methods import own_reasons

SEED = 0


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def prediction(ask, x: torch.Tensor, of_classes: bool = False) -> Prediction:
    return Prediction(x, ask(x.nan_to_num(0.0)), {}, ask, {}, of_classes)


def test_a_value_is_the_fall_of_the_outcome() -> None:
    ask = lambda x: torch.stack([x[:, 0] * x[:, 1], 3 * x[:, 2]], 1)  # noqa: E731
    x = torch.tensor([[2.0, 5.0, 7.0], [1.0, torch.nan, 4.0]])
    values, outcome = LeaveOneOut(Columns(3, baseline=1.0)).explain(prediction(ask, x))
    torch.testing.assert_close(values[0], torch.tensor([[5.0, 0.0], [8.0, 0.0], [0.0, 18.0]]))
    torch.testing.assert_close(values[1], torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 9.0]]))  # the missing one: 0
    torch.testing.assert_close(outcome, torch.tensor([[10.0, 21.0], [1.0, 12.0]]))


def test_importance_is_of_the_predicted_class_or_the_first_number() -> None:
    ask = lambda x: x @ torch.tensor([[1.0, -2.0], [0.0, -3.0]])  # noqa: E731
    x = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    of = LeaveOneOut(Players(torch.tensor([0, 1])))
    torch.testing.assert_close(of.importance(prediction(ask, x)), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    torch.testing.assert_close(of.importance(prediction(ask, x, True)), torch.tensor([[2.0, 3.0], [1.0, 0.0]]))


def nothing(*shape: int) -> mt.Examples:
    return examples(torch.empty(0, *shape), torch.empty(0, dtype=torch.long))


def test_a_report_shows_it_with_the_methods() -> None:
    net, x = nn.Linear(3, 2).requires_grad_(False), numbers(3)
    joint = mt.Joint(Fixed(net), {"posthoc": LeaveOneOut(Columns(3))})
    reasons = own_reasons(joint, nothing(3))["SelfExplaining"].attribute(lambda x: x, x)
    target = int(net(x).argmax())
    p = lambda row: net(row).softmax(-1)[target]  # noqa: E731
    torch.testing.assert_close(reasons, torch.stack([p(x) - p(x * (torch.arange(3) != j)) for j in range(3)]))


@pytest.mark.parametrize("learner", [lambda net: Fixed(net), lambda net: MAML(net, lr=0.1)])
@pytest.mark.parametrize("candour", [0.0, 1.0])
def test_candour_lets_the_disagreement_reach_the_learner(learner, candour) -> None:
    torch.manual_seed(0)
    explainers = {"learned": AmortisedShapley(Columns(3), 2, width=8, heads=2), "posthoc": LeaveOneOut(Columns(3))}
    y = torch.tensor([0, 1, 0, 1])
    task, slopes = Episode(examples(numbers(4, 3), y), examples(numbers(4, 3, seed=1), y)), []
    for agreement in (0.0, 1.0):
        joint = mt.Joint(learner(mt.models.MLP(3, 8, 2)), explainers, candour=candour, agreement=agreement)
        joint.learner.load_state_dict(slopes[0][1] if slopes else joint.learner.state_dict())
        torch.manual_seed(0)
        loss, _ = joint.loss(task)
        slopes.append((torch.autograd.grad(loss, next(joint.learner.parameters()))[0], joint.learner.state_dict()))
    assert torch.equal(slopes[0][0], slopes[1][0]) == (candour == 0)


@pytest.mark.usefixtures("unchecked")
def test_agreement_draws_learned_and_post_hoc_reasons_together() -> None:
    x = numbers(600, 3, seed=SEED)
    data = mt.tasks.Minibatches(x.numpy(), (x[:, 0] * x[:, 1] + x[:, 2] > 0).long().numpy(), size=140)
    apart = []
    for agreement in (0.0, 1.0):
        torch.manual_seed(SEED)
        explainers = {"learned": AmortisedShapley(Columns(3), 2, width=8, heads=2, coalitions=4, depth=0)}
        explainers |= {"posthoc": LeaveOneOut(Columns(3))}
        joint = mt.Joint(Fixed(mt.models.MLP(3, 16, 2)), explainers, candour=1.0)
        for joint.agreement, schedule in ((0.0, "constant"), (agreement, "cosine")):
            for _ in mt.train(joint, data, steps=60, batch=1, lr=1e-2, seed=SEED, schedule=schedule):
                pass
        task = unstack(data.test.batch(0, 1))[0]
        prediction = joint.prediction(joint.adapt(task.support), task.query.x)
        of = disagreement([explainer.importance(prediction) for explainer in joint.player_explainers.values()])
        apart.append((float((task.query.w @ of).detach()), mt.evaluate(joint, data.test).accuracy.mean))
    assert apart[1][0] < 0.8 * apart[0][0] and apart[1][1] > 0.8, apart


@pytest.mark.usefixtures("unchecked")
def test_players_are_needed() -> None:
    with pytest.raises(mt.MapstoError, match=r"^players: "):
        LeaveOneOut(3)  # type: ignore[arg-type]
