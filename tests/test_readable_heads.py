"""Soft trees and self-explaining networks: by hand, against brute force and finite differences, adapted by MAML."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import nn

from mapsto.episodes import Episode, examples
from mapsto.errors import MapstoError
from mapsto.learners import MAML, PrototypicalNetwork, Regularised
from mapsto.models import MLP, SENN, SoftDecisionTree
from mapsto.penalties import Balance, ConceptStability
from mapsto.penalties.by_design import balance
from mapsto.penalties.penalty import AdaptedModel

F64 = torch.float64


def tree(depth=3, loss="cross_entropy", features=4, outputs=3, seed=0):
    torch.manual_seed(seed)
    made = SoftDecisionTree(features, outputs, depth, loss, sharpness=1.3).to(F64)
    with torch.no_grad():
        made.bias.normal_(std=0.5)
        made.leaves.normal_()
    return made


def rows(n=7, features=4, seed=1):
    return torch.randn(n, features, dtype=F64, generator=torch.Generator().manual_seed(seed))


# --- the tree ---------------------------------------------------------------------------------------------------------


def brute_force(made, row):
    """Walk every way from the root: {(turns): probability}, and the leaf that each ends in."""
    ways = {}
    for turns in itertools.product((0, 1), repeat=made.depth):
        node, chance = 0, 1.0
        for turn in turns:
            p = 1 / (1 + math.exp(-made.sharpness * float(made.weight[node] @ row + made.bias[node])))
            chance *= p if turn else 1 - p
            node = 2 * node + 1 + turn
        ways[turns] = (chance, made.leaves[node - (2**made.depth - 1)])
    return ways


def law_mixture_of_leaves(made):
    made.requires_grad_(False)
    assert made.path(rows()).share.min() < 0.8  # a mixture of several
    for row, scores in zip(rows(), made(rows()), strict=True):
        ways = brute_force(made, row).values()
        if made.loss_name == "mse":
            expected = sum(chance * leaf for chance, leaf in ways)
        else:
            expected = sum(chance * leaf.softmax(-1) for chance, leaf in ways).log()
        torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_tree_is_the_mixture_of_its_leaves(loss, depth):
    law_mixture_of_leaves(tree(depth, loss))


class LeftForRight(SoftDecisionTree):
    def forward(self, x):
        return super().forward(-x)


class MostProbableLeaf(SoftDecisionTree):
    def forward(self, x):
        return self.leaves.log_softmax(-1)[self.path(x).leaf]


@pytest.mark.parametrize("mutant", [LeftForRight, MostProbableLeaf])
def test_a_wrong_tree_is_found(mutant):
    made = tree()
    wrong = mutant(4, 3, 3, sharpness=1.3).to(F64)
    wrong.load_state_dict(made.state_dict())
    with pytest.raises(AssertionError):
        law_mixture_of_leaves(wrong)


def test_the_path_is_the_most_probable_way():
    made, x = tree().requires_grad_(False), rows()
    path = made.path(x)
    assert path.right.any() and not path.right.all() and path.leaf.unique().numel() > 2
    for i, row in enumerate(x):
        turns, (chance, leaf) = max(brute_force(made, row).items(), key=lambda item: item[1][0])
        assert path.right[i].long().tolist() == list(turns)
        assert float(path.share[i]) == pytest.approx(chance) == pytest.approx(float(path.probability[i].prod()))
        assert torch.equal(made.leaves[path.leaf[i]], leaf)
        assert path.nodes[i, 0] == 0
        for above, below, turn in zip(path.nodes[i], path.nodes[i, 1:], turns, strict=False):
            assert below == 2 * above + 1 + turn


def test_the_rules_say_which_way_and_why():
    made = SoftDecisionTree(3, 2, depth=2)
    with torch.no_grad():
        made.weight.zero_()
        made.weight[0, 1], made.bias[0] = 2.0, -1.0
        made.weight[2, 0] = -3.0
    rule = made.rules(torch.tensor([[2.0, 5.0, 0.0]]), ["age", "pulse", "ward"], terms=1)[0]
    assert rule == [
        "node 0: +2.00·pulse + … -1.00 > 0 (probability 1.00)",
        "node 2: -3.00·age + … +0.00 < 0 (probability 1.00)",
    ]
    with pytest.raises(MapstoError, match="names: got 1, expected 3"):
        made.rules(torch.zeros(1, 3), ["age"])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("x", "settings", "message"),
    [
        (torch.tensor([[0.0, torch.nan, 0.0]]), {}, "^x: got NaN"),
        (
            torch.zeros(3),
            {},
            r"^x: got shape \(3,\), expected \[n, 3\]",
        ),
        (torch.zeros(2, 4), {}, r"x: got shape \(2, 4\), expected \[n, 3\]"),
        (torch.zeros(1, 3), {"terms": -1}, "^terms: got -1"),
        (torch.zeros(1, 3), {"terms": 1.5}, "^terms: got 1.5"),
    ],
)
def test_what_has_no_rules_is_refused(x, settings, message):
    with pytest.raises(MapstoError, match=message):
        SoftDecisionTree(3, 2).rules(x, **settings)


def test_far_away_rows_keep_finite_scores_and_gradients():
    made = tree()
    x = (1e4 * rows()).requires_grad_()
    made(x).sum().backward()
    assert made(x).isfinite().all() and all(p.grad.isfinite().all() for p in made.parameters())
    assert x.grad.isfinite().all()


# --- the balance ------------------------------------------------------------------------------------------------------


def by_hand(made, x, w, decay):
    """Frosst & Hinton's eq. 4 and 5, node by node and row by row."""
    total = 0.0
    for node in range(2**made.depth - 1):
        depth = int(math.log2(node + 1))
        place, way = node, []
        while place:
            way.append(((place - 1) // 2, place % 2 == 0))
            place = (place - 1) // 2
        above = below = 0.0
        for row, weight in zip(x, w, strict=True):
            chances = [torch.sigmoid(made.sharpness * (made.weight[i] @ row + made.bias[i])) for i, _ in way]
            reach = math.prod(float(p if right else 1 - p) for p, (_, right) in zip(chances, way, strict=True))
            here = float(torch.sigmoid(made.sharpness * (made.weight[node] @ row + made.bias[node])))
            above, below = above + float(weight) * reach * here, below + float(weight) * reach
        share = above / below
        total -= decay**depth * 0.5 * (math.log(share) + math.log(1 - share))
    return total


def test_balance_is_the_papers_by_hand():
    made, x, w = tree().requires_grad_(False), rows(), torch.tensor([0.1, 0.2, 0.0, 0.3, 0.1, 0.05, 0.25], dtype=F64)
    reach = made.paths(made.sharpness * (x @ made.weight.T + made.bias))
    expected = by_hand(made, x, w, 0.5)
    assert expected > 1.01 * (1 + 2 * 0.5 + 4 * 0.25) * math.log(2)  # not the least it can be
    assert float(balance(reach, w, 0.5)) == pytest.approx(expected)
    with pytest.raises(AssertionError):
        assert float(balance(reach, w, 1.0)) == pytest.approx(expected)  # without decay it is another penalty
    with pytest.raises(AssertionError):
        assert float(balance(reach, torch.ones_like(w), 0.5)) == pytest.approx(expected)


def test_balance_is_least_where_rows_are_halved():
    even = torch.tensor([[1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]], dtype=F64).log()
    assert float(balance(even, torch.ones(1, dtype=F64))) == pytest.approx(2 * math.log(2))
    empty = torch.tensor([[1.0, 0.5, 0.5]], dtype=F64).log()
    assert balance(empty, torch.zeros(1, dtype=F64)).isfinite()


# --- self-explaining networks -----------------------------------------------------------------------------------------


def senn(seed=0):
    torch.manual_seed(seed)
    concepts = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    return SENN(concepts, MLP(3, 6, 8, activation="tanh"), outputs=2).to(F64)


def reading(network):
    learner = PrototypicalNetwork(network, ways=2)
    state = learner.adapt(examples(rows(4, 3), torch.tensor([0, 1, 0, 1])))
    return AdaptedModel(partial(learner.features, state), partial(learner.predict, state))


def test_contributions_add_up_to_the_scores_and_are_relevance_times_concept():
    network, x = senn().requires_grad_(False), rows(5, 3)
    found = reading(network)(x)
    assert found["contributions"].std() > 0.01
    torch.testing.assert_close(found["contributions"].sum(1), network(x))
    theta, h = network.relevances(x), network.concepts(x)
    expected = torch.tensor([[[theta[n, 2 * c + k] * h[n, c] for k in (0, 1)] for c in range(4)] for n in range(5)])
    torch.testing.assert_close(found["contributions"], expected)


def gap_by_differences(network, x, w, step=1e-5):
    """‖∇f − θᵀJ_h‖² with both Jacobians by central differences."""
    total = 0.0
    for row, weight in zip(x, w, strict=True):
        moves = step * torch.eye(len(row), dtype=F64)
        slope = torch.stack([(network((row + m)[None]) - network((row - m)[None]))[0] for m in moves], 1)
        concept = torch.stack(
            [(network.concepts((row + m)[None]) - network.concepts((row - m)[None]))[0] for m in moves], 1
        )
        theta = network.relevances(row[None])[0].unflatten(0, (-1, network.outputs))
        total += weight * ((slope - theta.T @ concept) / (2 * step)).square().sum()
    return total


def test_the_stability_penalty_is_the_gap_of_finite_differences():
    network, x, w = senn().requires_grad_(False), rows(5, 3), torch.tensor([0.1, 0.0, 0.4, 0.3, 0.2], dtype=F64)
    expected = gap_by_differences(network, x, w)
    assert expected > 0.01
    torch.testing.assert_close(ConceptStability()(reading(network), x, w), expected, rtol=1e-6, atol=0)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(ConceptStability()(reading(network), x, torch.ones_like(w)), expected)


def test_constant_relevances_are_perfectly_stable_and_a_linear_model():
    network = SENN(nn.Identity(), nn.Linear(3, 6), outputs=2).to(F64).requires_grad_(False)
    nn.init.zeros_(network.relevances.weight)
    x = rows(5, 3)
    assert float(ConceptStability()(reading(network), x, torch.ones(5, dtype=F64))) == 0
    torch.testing.assert_close(network(x), x @ network.relevances.bias.view(3, 2))


def test_relevances_of_the_wrong_width_are_refused():
    with pytest.raises(MapstoError, match=r"^relevances: got \(5, 4\) for concepts \(5, 3\)"):
        SENN(nn.Identity(), nn.Linear(3, 4), outputs=2).to(F64)(rows(5, 3))


# --- as heads of a learner --------------------------------------------------------------------------------------------


def crossed(seed):
    """Two classes by the sign of a product of two of the inputs, which no line can tell."""
    x = rows(60, 4, seed)
    y = (x[:, 0] * x[:, 1] > 0).long()
    return Episode(examples(x[:30], y[:30]), examples(x[30:], y[30:]))


def test_anil_adapts_the_whole_tree_and_nothing_else():
    torch.manual_seed(0)
    learner = MAML(nn.Sequential(MLP(4, 6), SoftDecisionTree(6, 2, depth=2)).to(F64), lr=0.5, steps=3, adapt="head")
    state = learner.adapt(crossed(3).support)
    assert set(state.params) == {"1.weight", "1.bias", "1.leaves"}
    read = learner.body[1].at(state.params, "1.")
    x = crossed(3).query.x
    torch.testing.assert_close(read(learner.body[0](x)), learner.predict(state, x))
    assert not torch.equal(read.leaves, learner.body[1].leaves)
    with pytest.raises(MapstoError, match=r"^prefix: got 'head\.'"):
        learner.body[1].at(state.params, "head.")


def trained(learner, penalised, steps):
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(learner.parameters(), lr=0.02)
    for step in range(steps):
        optimiser.zero_grad()
        loss, metrics = penalised.loss(crossed(step % 5))
        loss.backward()
        optimiser.step()
    return {name: float(value) for name, value in metrics.items()}


def test_the_penalty_balances_a_tree_that_sends_rows_one_way():
    found = {}
    for weight in (0.0, 0.5):
        torch.manual_seed(0)
        head = SoftDecisionTree(4, 2, depth=2, sharpness=3.0).to(F64)
        with torch.no_grad():
            head.bias += 1.5  # to the right
        learner = MAML(head, lr=0.1, steps=1)
        found[weight] = trained(learner, Regularised(learner, Balance(), weight), steps=20)
    least = 2 * math.log(2)
    assert found[0.0]["penalty"] > least + 0.3 and found[0.5]["penalty"] < (least + found[0.0]["penalty"]) / 2


def test_the_penalty_makes_relevances_stable():
    found = {}
    for weight in (0.0, 0.3):
        torch.manual_seed(0)
        learner = MAML(SENN(nn.Identity(), MLP(4, 8, 8, activation="tanh"), 2).to(F64), lr=0.1, steps=1)
        found[weight] = trained(learner, Regularised(learner, ConceptStability(), weight), steps=15)
    assert found[0.3]["penalty"] < 0.7 * found[0.0]["penalty"]


def test_the_loss_is_the_learners_and_the_weighted_penalty():
    learner = MAML(tree(2, outputs=2), lr=0.1, steps=1)
    loss, metrics = Regularised(learner, Balance(), 0.5).loss(crossed(0))
    plain, _ = learner.loss(crossed(0))
    assert metrics["penalty"] > 1
    torch.testing.assert_close(loss, plain + 0.5 * metrics["penalty"])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SoftDecisionTree(4, 2, depth=0), "^depth: got 0"),
        (lambda: SoftDecisionTree(4, 2, sharpness=0.0), "sharpness: got 0.0"),
        (lambda: SoftDecisionTree(4, 2, loss="hinge"), "^loss: got 'hinge'"),
        (lambda: SENN(nn.Identity(), nn.Identity(), 0), "outputs: got 0"),
        (lambda: Balance(0.0), "decay: got 0.0"),
        (lambda: Regularised(PrototypicalNetwork(nn.Identity(), 2), Balance(), -1.0), "weight: got -1.0"),
        (
            lambda: Regularised(PrototypicalNetwork(MLP(4, 3).to(F64), 2), Balance()).loss(crossed(0)),
            "^penalty: .*SoftDecisionTree",
        ),
        (
            lambda: Regularised(PrototypicalNetwork(MLP(4, 3).to(F64), 2), ConceptStability()).loss(crossed(0)),
            "^penalty: .*SENN",
        ),
    ],
)
def test_refused(build, message):
    with pytest.raises(MapstoError, match=message):
        build()
