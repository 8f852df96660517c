"""A copy of a game: its ends are exact, its values are those of the copy, and it learns what enumeration finds."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import examples, unstack
from mapsto.explainers.learned import AmortisedShapley, Columns, Patches, Players
from mapsto.explainers.learned.distilled_shapley import DistilledShapley, added_up, designs
from mapsto.explainers.learned.explainer import Prediction
from mapsto.joint import Joint
from mapsto.learners import Fixed, PrototypicalNetwork
from mapsto.tasks import Minibatches

R = torch.Generator().manual_seed(0)
SMALL = {"width": 8, "heads": 2, "hidden": 8, "samples": 16}


def prediction(x: Tensor, of_classes: bool = True) -> Prediction:
    """A fixed random model of the rows, with three outcomes."""
    matrix = torch.randn(x[0].numel(), 3, generator=R)

    def ask(rows: Tensor) -> Tensor:
        scores = 2 * rows.flatten(1).tanh() @ matrix
        return scores.softmax(-1) if of_classes else scores.square()

    return Prediction(x, ask(x.nan_to_num(0.0)), {}, ask, {}, of_classes)


def awake(explainer: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in explainer.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=R))
        explainer.steps.fill_(1)
    return explainer


def enumerated(of: Prediction, players: Players) -> Tensor:
    """The Shapley values of each row by brute force, over all orders of the players."""
    p = players.count
    masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=p)))
    outcome = of.ask(players.show(of.x, masks.expand(len(of.x), -1, -1)).flatten(0, 1)).unflatten(0, (len(of.x), -1))
    index = {tuple(mask.int().tolist()): i for i, mask in enumerate(masks)}
    values = torch.zeros(len(of.x), p, outcome.shape[-1])
    orders = list(itertools.permutations(range(p)))
    for order in orders:
        before = [0] * p
        for player in order:
            after = [*before]
            after[player] = 1
            values[:, player] += (outcome[:, index[tuple(after)]] - outcome[:, index[tuple(before)]]) / len(orders)
            before = after
    return values


@pytest.mark.parametrize("of_classes", [True, False])
def test_values_are_those_of_the_copy_and_add_up(of_classes: bool) -> None:
    players, of = Columns(4), prediction(torch.randn(5, 4, generator=R), of_classes)
    explainer = awake(DistilledShapley(players, 3, **SMALL))
    values, base, interactions, _ = explainer.explain(of)
    torch.testing.assert_close(base + values.sum(1), of.outcome)
    torch.testing.assert_close(base, of.ask(torch.zeros(5, 4)))
    assert interactions.shape == (5, 4, 4, 3) and not interactions.any()
    visible = torch.ones(5, 4, dtype=torch.bool)
    for row in range(5):

        def outcome(mask: Tensor, row: int = row) -> Tensor:
            masks = mask[None, None].expand(5, 1, -1)
            scores = explainer._scores(explainer._copy(of, of.outcome, visible), masks)
            return (scores.softmax(-1) if of_classes else scores)[row, 0].detach()

        exact = mt.explainers.Shapley()(mt.explainers.Game(outcome, 4))
        torch.testing.assert_close(exact.float(), values[row], rtol=1e-4, atol=1e-5)


def test_the_copy_is_exact_for_no_player_and_for_all() -> None:
    of = prediction(torch.randn(6, 4, generator=R))
    explainer = awake(DistilledShapley(Columns(4), 3, **SMALL))
    base, visible = of.ask(torch.zeros(6, 4)), torch.ones(6, 4, dtype=torch.bool)
    masks = torch.tensor([[0.0] * 4, [1.0] * 4]).expand(6, -1, -1)
    copied = explainer._scores(explainer._copy(of, of.outcome, visible), masks).softmax(-1)
    torch.testing.assert_close(copied, torch.stack([base, of.outcome], 1))


@pytest.mark.parametrize("kind", [DistilledShapley, AmortisedShapley])
def test_a_player_that_changes_nothing_gets_exactly_nothing(kind) -> None:
    x = torch.randn(3, 4, generator=R)
    x[0, 1], x[2, 3], x[1, 0] = torch.nan, 0.0, 0.5
    of = prediction(x)
    small = {"width": 8, "heads": 2, **({"samples": 16} if kind is DistilledShapley else {})}
    values, base, *_ = awake(kind(Players(torch.arange(4)), 3, **small)).explain(of)
    assert (values[0, 1] == 0).all() and (values[2, 3] == 0).all() and (values[1] != 0).all()
    torch.testing.assert_close(base + values.sum(1), of.outcome)
    shifted = Players(torch.arange(4), baseline=torch.tensor([0.5, 1.0, 2.0, 3.0]))
    assert shifted.effective(x).tolist() == [[True, False, True, True], [False, True, True, True], [True] * 4]


def test_looks_correct_any_copy() -> None:
    """The more the model is asked, the nearer are the values of an untrained network to those of brute force."""
    players, of = Columns(6), prediction(torch.randn(8, 6, generator=R))
    explainer, exact = awake(DistilledShapley(players, 3, **{**SMALL, "samples": 62})), enumerated(of, players)
    errors = []
    for explainer.looks in (0, 32, 62):
        values, base, *_ = explainer.explain(of)
        torch.testing.assert_close(base + values.sum(1), of.outcome)
        errors.append(float((values - exact).square().sum() / exact.square().sum()))
    assert errors[0] > 0.1 and errors[1] < 0.3 * errors[0]
    torch.testing.assert_close(values, exact, rtol=1e-3, atol=1e-5)  # 62 are all
    assert torch.equal(explainer.explain(of).values, values)  # the coalitions are the same in every call


def test_designs_are_those_of_the_visible_players() -> None:
    visible = torch.tensor([[True] * 5, [False, True, True, False, True], [False] * 5, [True] + [False] * 4])
    masks, weights = designs(visible, 30, torch.zeros(1))
    assert not masks[~visible[:, None].expand_as(masks)].any() and not weights[~visible].any()
    outcome = torch.rand(2**5, generator=R)
    values = (weights @ outcome[(masks @ 2.0 ** torch.arange(5)).long()][..., None])[..., 0]
    for row, players in enumerate(([0, 1, 2, 3, 4], [1, 2, 4])):

        def play(mask: Tensor, players: list[int] = players) -> Tensor:
            return outcome.gather(0, (mask @ 2.0 ** torch.tensor(players).float()).long()[None])[0]

        exact = mt.explainers.Shapley()(mt.explainers.Game(play, len(players))).float()
        torch.testing.assert_close(values[row, players], exact, rtol=1e-4, atol=1e-5)
    assert not weights[2:].any()
    empty, none = designs(visible, 0, torch.zeros(1))
    assert empty.shape == (4, 0, 5) and none.shape == (4, 5, 0)


def test_players_that_are_not_visible_take_no_share_of_the_gap() -> None:
    got = added_up(torch.ones(1, 3, 1), torch.tensor([[True, False, True]]), torch.tensor([[5.0]]))
    assert got.flatten().tolist() == [2.5, 0.0, 2.5]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("by_class", [True, pytest.param(False, marks=pytest.mark.long)])
def test_it_learns_the_values_that_enumeration_finds(by_class: bool) -> None:
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    if by_class:
        tasks = mt.tasks.Arrays(x, np.arange(400) % 12, ways=3, shots=2, queries=6, splits=(0.5, 0.0, 0.5))
        learner = PrototypicalNetwork(nn.Sequential(nn.Linear(4, 8), nn.Tanh()), 3)
        explainer = DistilledShapley(Columns(4), None, {"embedding": 8}, width=16, hidden=32, samples=16)
    else:
        tasks = Minibatches(x, (x[:, 0] * x[:, 1] > 0).astype(int), size=32)
        learner, explainer = Fixed(mt.models.MLP(4, 8, 2)), DistilledShapley(Columns(4), 2, width=16, hidden=32)
        explainer.samples = 16
    joint = Joint(learner, {"why": explainer}, trains="explainers")
    steps = list(mt.train(joint, tasks, steps=400, batch=1, lr=5e-3, schedule="cosine"))
    assert steps[-1].metrics["why_unexplained"] < 0.5 * steps[0].metrics["why_unexplained"]
    task = unstack(tasks.test.batch(0, 1))[0]
    state = joint.adapt(task.support)
    of = joint.prediction(state, task.query.x)
    exact = enumerated(of._replace(ask=lambda rows: of.ask(rows).detach()), explainer.players)
    values = joint.explain(state, task.query.x)["why"].values
    assert 1 - (values - exact).square().sum() / (exact - exact.mean()).square().sum() > 0.9


def test_classes_may_be_renamed() -> None:
    torch.manual_seed(0)
    learner = PrototypicalNetwork(nn.Sequential(nn.Linear(4, 6), nn.Tanh()), 3)
    joint = Joint(learner, {"why": awake(DistilledShapley(Columns(4), None, {"1": 6}, **SMALL))})
    support = examples(torch.randn(6, 4, generator=R), torch.tensor([0, 1, 2, 0, 1, 2]))
    renamed = support._replace(y=(support.y + 1) % 3)
    x = torch.randn(5, 4, generator=R)
    here, there = (joint.explain(joint.adapt(s), x)["why"].values for s in (support, renamed))
    torch.testing.assert_close(there, here.roll(1, -1))
    assert not torch.allclose(there, here)


def test_a_feature_with_a_position_for_each_player_reaches_its_token() -> None:
    x = torch.randn(2, 1, 4, 4, generator=R)
    explainer = awake(DistilledShapley(Patches((1, 4, 4), 2), 3, {"map": 5}, depth=0, **SMALL))
    feature = torch.randn(2, 5, 2, 2, generator=R)
    of = prediction(x)._replace(features={"map": feature})
    tokens = explainer._tokens(of)
    changed = feature.clone()
    changed[:, :, 1, 0] += 1
    moved = (explainer._tokens(of._replace(features={"map": changed})) - tokens).abs().sum((0, 2)) > 0
    assert moved.tolist() == [False, False, True, False]  # the third in reading order


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("coalitions", {"coalitions": 3}),
        ("looks", {"looks": 11}),
        ("looks", {"looks": -2}),
        ("samples", {"samples": 0}),
        ("samples", {"samples": 11}),
        ("hidden", {"hidden": 0}),
        ("players", {"players": Columns(1)}),
    ],
)
def test_bad_arguments_are_named(name: str, arguments: dict) -> None:
    with pytest.raises(mt.MapstoError, match=f"^{name}: "):
        DistilledShapley(**{"players": Columns(3), "outputs": 2, **arguments})


def test_values_of_all_coalitions_are_trusted_and_those_of_a_copy_less() -> None:
    """Of the first row, three players are visible: 6 coalitions, which are all asked. Of the second row, all are."""
    x = torch.randn(2, 6, generator=R)
    x[0, 3:] = torch.nan
    explainer = awake(DistilledShapley(Columns(6), 3, **{**SMALL, "samples": 62, "looks": 24}))
    of = prediction(x)
    trusted = explainer.explain(of).trust
    assert trusted[0] == 1 and trusted[1] < 1
    exact = enumerated(of, explainer.players)
    torch.testing.assert_close(explainer.explain(of).values[0], exact[0], rtol=1e-3, atol=1e-5)


def test_the_trust_is_learned_from_rows_whose_values_are_not_exact() -> None:
    x = torch.randn(4, 6, generator=R)
    x[:, 3:] = torch.nan
    explainer = awake(DistilledShapley(Columns(6), 3, **{**SMALL, "samples": 62, "looks": 24}))
    explainer.loss(prediction(x), torch.zeros(4), torch.ones(4) / 4)[0].backward()
    assert all(not p.grad.any() for p in explainer.doubt.parameters())
