"""Explainer networks give exact sums, read what they should, and learn the reasons that brute force finds."""

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.cli import main
from mapsto.episodes import Examples, examples, unstack
from mapsto.estimate import Estimate
from mapsto.explainers.learned import REALX, AmortisedShapley, Columns, Interpreter, Patches, Players
from mapsto.explainers.learned.amortised_shapley import coalitions, played
from mapsto.explainers.learned.doubt import Doubt
from mapsto.explainers.learned.explainer import Prediction
from mapsto.explainers.learned.interpreter import entropy
from mapsto.joint import Joint
from mapsto.joint.class_means import means
from mapsto.learners import MAML, Fixed, PrototypicalNetwork
from mapsto.measures.audit.selections import Gap
from mapsto.reports.task.choices import sentence
from mapsto.reports.task.methods import own_reasons
from mapsto.tasks import Minibatches

R = torch.Generator().manual_seed(0)


def nothing(*shape: int) -> Examples:
    return examples(torch.empty(0, *shape), torch.empty(0, dtype=torch.long))


def prediction(x: Tensor, k: int = 3, features: dict[str, Tensor] | None = None) -> Prediction:
    """A fixed random model of the rows."""
    matrix = torch.randn(x[0].numel(), k, generator=R)

    def ask(rows: Tensor) -> Tensor:
        return (rows.flatten(1).tanh() @ matrix).softmax(-1)

    return Prediction(x, ask(x.nan_to_num(0.0)), features or {}, ask, {})


def awake(explainer: nn.Module) -> nn.Module:
    """Give an untrained network something to say."""
    with torch.no_grad():
        for parameter in explainer.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=R))
        explainer.steps.fill_(1)
    return explainer


class TestPlayers:
    def test_a_hidden_player_has_the_value_of_the_baseline(self) -> None:
        image = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
        players = Patches((1, 4, 4), 2, baseline=-1.0)
        shown = players.show(image, torch.tensor([[[1.0, 0, 0, 0], [0, 0, 1.0, 1.0]]]))
        assert shown[0, 0, 0].tolist() == [[1, 2, -1, -1], [5, 6, -1, -1], [-1] * 4, [-1] * 4]
        assert shown[0, 1, 0].tolist() == [[-1] * 4, [-1] * 4, [9, 10, 11, 12], [13, 14, 15, 16]]
        assert players.cells(image)[0].tolist() == [[1, 2, 5, 6], [3, 4, 7, 8], [9, 10, 13, 14], [11, 12, 15, 16]]

    def test_players_of_different_sizes_are_padded_and_missing_entries_are_the_baseline(self) -> None:
        players = Players(torch.tensor([1, 0, 1]), baseline=torch.tensor([7.0, 8.0, 9.0]))
        x = torch.tensor([[1.0, torch.nan, torch.nan], [torch.nan, 2.0, torch.nan]])
        assert players.visible(x).tolist() == [[False, True], [True, False]]
        assert players.cells(x).tolist() == [[[8, 0], [1, 9]], [[2, 0], [7, 9]]]
        assert players.show(x, torch.ones(2, 1, 2))[:, 0].tolist() == [[1, 8, 9], [7, 2, 9]]

    def test_tokens_are_hidden_and_have_no_cells(self) -> None:
        players = Players(torch.arange(3), baseline=0)
        tokens = torch.tensor([[4, 5, 6]])
        assert players.show(tokens, torch.tensor([[[1.0, 0, 1.0]]])).tolist() == [[[4, 0, 6]]]
        assert players.cells(tokens).abs().sum() == 0 and players.visible(tokens).all()


class TestCoalitions:
    def test_sizes_follow_the_kernel_and_pairs_are_complements(self) -> None:
        masks = coalitions(torch.ones(2000, 5, dtype=torch.bool), 8)
        assert torch.equal(masks[:, :4] + masks[:, 4:], torch.ones(2000, 4, 5))
        share = torch.bincount(masks.sum(-1).long().flatten(), minlength=6) / masks[..., 0].numel()
        weights = torch.tensor([1 / (s * (5 - s)) for s in range(1, 5)])
        torch.testing.assert_close(share[1:5], weights / weights.sum(), atol=0.02, rtol=0)
        assert share[0] == share[5] == 0
        singles = masks[masks.sum(-1) == 1]
        torch.testing.assert_close(singles.mean(0), torch.full((5,), 0.2), atol=0.02, rtol=0)

    def test_missing_players_are_in_none(self) -> None:
        visible = torch.tensor([[True, False, True, True]]).expand(50, -1)
        masks = coalitions(visible, 6)
        assert masks[..., 1].sum() == 0 and (masks.sum(-1) >= 1).all() and (masks.sum(-1) <= 2).all()


class TestAmortisedShapley:
    def test_an_interaction_shows_if_one_of_the_two_is_hidden(self) -> None:
        values, factors = torch.randn(2, 3, 4, generator=R), torch.randn(2, 3, 4, 4, generator=R)
        pairs = factors + factors.mT
        visible = torch.tensor([[True] * 4, [True, True, False, True]])
        masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).expand(2, -1, -1) * visible[:, None]
        got = played(values, pairs, masks, visible)
        for n, c, k in itertools.product(range(2), range(16), range(3)):
            there = [j for j in range(4) if masks[n, c, j]]
            away = [j for j in range(4) if visible[n, j] and j not in there]
            expected = sum(values[n, k, j] for j in there) - sum(pairs[n, k, i, j] for i in there for j in away) / 2
            torch.testing.assert_close(got[n, c, k], torch.as_tensor(expected, dtype=torch.float))

    @pytest.mark.parametrize("rank", [0, 3])
    def test_values_are_those_of_the_predicted_game_and_add_up(self, rank: int) -> None:
        x = torch.randn(6, 4, generator=R)
        explainer = awake(AmortisedShapley(Columns(4), 3, rank=rank, width=8, depth=1, heads=2))
        of = prediction(x)
        values, base, interactions, _ = explainer.explain(of)
        torch.testing.assert_close(base + values.sum(1), of.outcome)
        torch.testing.assert_close(base, of.ask(torch.zeros(6, 4)))
        assert interactions.shape == (6, 4, 4, 3) and interactions.any() == (rank > 0)
        terms, everyone = (values.mT, interactions.movedim(-1, 1)), torch.ones(6, 4, dtype=torch.bool)
        for row in range(6):

            def outcome(mask: Tensor, row: int = row) -> Tensor:
                return played(*terms, mask[None, None].expand(6, 1, -1), everyone)[row, 0]

            game = mt.explainers.Game(outcome, 4)
            torch.testing.assert_close(mt.explainers.Shapley()(game).float(), values[row], rtol=1e-4, atol=1e-5)
            pairs = mt.explainers.ShapleyInteractions()(game)[..., 0].float()
            off = ~torch.eye(4, dtype=torch.bool)
            torch.testing.assert_close(2 * pairs[off], interactions[row, ..., 0][off], rtol=1e-4, atol=1e-5)

    def test_errors_of_the_interactions_do_not_reach_the_values(self) -> None:
        x, w = torch.randn(6, 4, generator=R), torch.full((6,), 1 / 6)
        of = prediction(x)
        explainer = awake(AmortisedShapley(Columns(4), 3, rank=3, width=8, depth=1, heads=2))
        slopes = []
        for scale in (1.0, 9.0):
            with torch.no_grad():
                explainer.factors.weight.mul_(scale)
            torch.manual_seed(0)
            loss = explainer.loss(of, torch.zeros(6, dtype=torch.long), w)[0]
            slopes.append(torch.autograd.grad(loss, [explainer.values.weight, explainer.tokens.place]))
        torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-3)

    def test_a_missing_player_gets_exactly_nothing(self) -> None:
        x = torch.randn(3, 4, generator=R)
        x[0, 1] = x[2, 3] = torch.nan
        explainer = awake(AmortisedShapley(Columns(4), 3, width=8, depth=1, heads=2))
        of = prediction(x)
        values, base, *_ = explainer.explain(of)
        assert (values[0, 1] == 0).all() and (values[2, 3] == 0).all() and (values[1] != 0).all()
        torch.testing.assert_close(base + values.sum(1), of.outcome)

    @pytest.mark.usefixtures("unchecked")
    def test_it_learns_the_values_that_enumeration_finds(self) -> None:
        torch.manual_seed(0)
        x = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
        product = Product()
        data = Minibatches(x, product(torch.from_numpy(x)).detach().numpy(), size=64, regression=True)
        joint = Joint(Fixed(product, "mse"), {"why": AmortisedShapley(Columns(4), 1, width=32)}, trains="explainers")
        steps = list(mt.train(joint, data, steps=300, batch=1, lr=3e-3, schedule="cosine"))
        assert steps[-1].metrics["why_unexplained"] < 0.1
        rows = data.test.batch(0, 1).query.x[0]
        values = joint.explain(joint.adapt(nothing(4)), rows)["why"].values[..., 0]
        a, b, c, d = rows.T
        exact = torch.stack([a * b / 2, a * b / 2, c, 0 * d], 1)
        assert 1 - (values - exact).square().sum() / exact.square().sum() > 0.95

    def test_classes_may_be_renamed(self) -> None:
        """An explainer of the classes of a task knows a class by its examples, not by its number."""
        torch.manual_seed(0)
        learner = PrototypicalNetwork(nn.Sequential(nn.Linear(4, 6), nn.Tanh()), 3)
        joint = Joint(learner, {"why": AmortisedShapley(Columns(4), None, {"1": 6}, width=8, heads=2)})
        awake(joint.explainers["why"])
        support = examples(torch.randn(6, 4, generator=R), torch.tensor([0, 1, 2, 0, 1, 2]))
        renamed = support._replace(y=(support.y + 1) % 3)
        x = torch.randn(5, 4, generator=R)
        here, there = (joint.explain(joint.adapt(s), x)["why"].values for s in (support, renamed))
        torch.testing.assert_close(there, here.roll(1, -1))
        assert not torch.allclose(there, here)


class Product(nn.Module):
    """x ↦ x₁·x₂ + x₃."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * (x[:, 0] * x[:, 1] + x[:, 2])[:, None]


class TestInterpreter:
    def test_contributions_add_up_and_few_concepts_are_active(self) -> None:
        features = {"a": torch.randn(9, 4, generator=R), "b": torch.randn(9, 5, 3, 3, generator=R)}
        explainer = awake(Interpreter({"a": 4, "b": 5}, 3, concepts=8, active=2, width=6))
        concepts = explainer.explain(prediction(torch.randn(9, 2, generator=R), 3, features))
        scores = concepts.base + concepts.contributions.sum(1)
        torch.testing.assert_close(concepts.outcome, scores.softmax(-1))
        assert (concepts.activations >= 0).all() and ((concepts.activations > 0).sum(1) <= 2).all()
        assert concepts.activations.any()
        assert (concepts.contributions[concepts.activations == 0] == 0).all()
        assert list(concepts.layers) == ["a", "b"] and all(p.shape == (9, 3) for p in concepts.layers.values())

    @pytest.mark.usefixtures("unchecked")
    def test_it_rebuilds_the_prediction_of_a_network(self) -> None:
        torch.manual_seed(0)
        rng = np.random.default_rng(0)
        x = rng.normal(size=(600, 6))
        data = Minibatches(x, 2 * (x[:, 0] > 0) + (x[:, 1] > 0), size=64)
        joint = Joint(Fixed(mt.models.MLP(6, 32, 4)), {"concepts": Interpreter({"1": 32}, 4, concepts=8, active=3)})
        for _ in mt.train(joint, data, steps=300, batch=1, lr=5e-3):
            pass
        rows = data.test.batch(0, len(data.test)).query.x.flatten(0, 1)
        state = joint.adapt(nothing(6))
        concepts = joint.explain(state, rows)["concepts"]
        same = concepts.outcome.argmax(1) == joint.predict(state, rows).argmax(1)
        assert same.float().mean() > 0.9
        assert (concepts.activations > 0).any(0).sum() >= 4

    def test_its_target_may_be_the_label(self) -> None:
        of = prediction(torch.randn(4, 2, generator=R), 3, {"a": torch.randn(4, 5, generator=R)})
        w = torch.full((4,), 0.25)
        by = {
            target: awake(Interpreter({"a": 5}, 3, target=target, conciseness=0, diversity=0, width=4))
            for target in ("model", "label")
        }
        by["label"].load_state_dict(by["model"].state_dict())
        y = torch.tensor([0, 1, 2, 0])
        hidden, activations = by["model"]._activations(of)
        scores = [by["model"].scores(activations), by["model"].probes[0](hidden[0])]
        expected = sum(nn.functional.cross_entropy(s, y) for s in scores)
        torch.testing.assert_close(by["label"].loss(of, y, w)[0], expected)
        soft = sum(nn.functional.kl_div(s.log_softmax(1), of.outcome, reduction="batchmean") for s in scores)
        torch.testing.assert_close(by["model"].loss(of, y, w)[0], soft)

    def test_a_model_that_is_rebuilt_exactly_is_not_drawn_towards_certainty(self) -> None:
        logits = torch.tensor([0.5, 0.3, 0.2]).log().repeat(4, 1).requires_grad_()
        of = prediction(torch.randn(4, 2, generator=R), 3, {"a": torch.randn(4, 5, generator=R)})
        explainer = Interpreter({"a": 5}, 3, conciseness=0, diversity=0, width=4)
        for layer in (explainer.scores, explainer.probes[0]):
            layer.weight.data.zero_()
            layer.bias.data.copy_(logits[0].detach())
        w, y = torch.full((4,), 0.25), torch.zeros(4, dtype=torch.long)
        for outcome, pulled in ((logits, False), (2 * logits, True)):
            loss, _ = explainer.loss(of._replace(outcome=outcome.softmax(1)), y, w)
            (slope,) = torch.autograd.grad(loss, logits)
            assert (slope.abs().max() > 0.01) == pulled
            torch.testing.assert_close(loss > 1e-3, torch.tensor(pulled))

    def test_entropies_reward_concise_rows_and_diverse_concepts(self) -> None:
        of = prediction(torch.randn(4, 2, generator=R), 3, {"a": torch.randn(4, 5, generator=R)})
        y, w = torch.tensor([0, 1, 2, 0]), torch.full((4,), 0.25)
        plain = awake(Interpreter({"a": 5}, 3, conciseness=0, diversity=0, width=4))
        share = plain._activations(of)[1]
        share = share / share.sum(1, keepdim=True).clamp(min=1e-9)
        for name, expected in (("conciseness", entropy(share).mean()), ("diversity", -entropy(share.mean(0)))):
            other = Interpreter({"a": 5}, 3, **{"conciseness": 0.0, "diversity": 0.0, name: 2.0}, width=4)
            other.load_state_dict(plain.state_dict())
            torch.testing.assert_close(other.loss(of, y, w)[0] - plain.loss(of, y, w)[0], 2 * expected)


def tasks() -> Minibatches:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    return Minibatches(x, x[:, 0] > x[:, 1], size=20)


def joint(**arguments) -> Joint:
    torch.manual_seed(0)
    explainers = {
        "why": AmortisedShapley(Columns(3), 2, {"1": 8}, coalitions=4, width=8, depth=1, heads=2),
        "concepts": Interpreter({"1": 8}, 2, concepts=4, active=2, width=8),
    }
    return Joint(Fixed(mt.models.MLP(3, 8, 2, activation="tanh")), explainers, **arguments)


class TestJoint:
    @pytest.mark.parametrize(
        ("trains", "moved"),
        [("both", {"learner", "explainers"}), ("learner", {"learner"}), ("explainers", {"explainers"})],
    )
    def test_a_training_changes_the_parts_it_should(self, trains: str, moved: set[str]) -> None:
        of = joint(trains=trains)
        before = {name: p.detach().clone() for name, p in of.named_parameters()}
        steps = list(mt.train(of, tasks(), steps=3, batch=2, lr=0.01))
        changed = {name.partition(".")[0] for name, p in of.named_parameters() if not torch.equal(p, before[name])}
        assert changed == moved
        explainers = trains != "learner"
        assert ("why_loss" in steps[-1].metrics) == ("concepts_fidelity" in steps[-1].metrics) == explainers
        assert all(float(e.steps) == 3 * explainers for e in of.explainers.values())

    def test_candour_is_the_fraction_of_the_gradient_that_reaches_the_learner(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The trust is left out: its loss depends on the learner, but never reaches it."""
        monkeypatch.setattr(Doubt, "loss", lambda self, doubt, error: 0 * doubt)
        episode = unstack(tasks().batch(0, 1))[0]
        slopes = {}
        for candour in (0.0, 0.5, 1.0):
            of = joint(candour=candour, weight={"why": 2.0, "concepts": 3.0})
            torch.manual_seed(1)
            loss, _ = of._explainers_loss(episode)
            slopes[candour] = torch.autograd.grad(loss, of.learner.body[1].weight, allow_unused=True)[0]
        assert slopes[0.0] is None
        torch.testing.assert_close(slopes[0.5], 0.5 * slopes[1.0])

        of = joint(candour=1.0, weight={"why": 2.0, "concepts": 3.0}).double()
        episode = episode._replace(query=episode.query.to(torch.float64), support=episode.support.to(torch.float64))

        def loss_at(shift: float) -> Tensor:
            with torch.no_grad():
                of.learner.body[1].weight[0, 0] += shift
                torch.manual_seed(1)
                loss = of._explainers_loss(episode)[0]
                of.learner.body[1].weight[0, 0] -= shift
            return loss

        difference = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5
        torch.testing.assert_close(slopes[1.0][0, 0].double(), difference, rtol=1e-3, atol=1e-4)

    def test_weights_multiply_the_losses(self) -> None:
        episode = unstack(tasks().batch(0, 1))[0]
        parts = {}
        for weight in ({"why": 1.0, "concepts": 0.0}, {"why": 0.0, "concepts": 1.0}, {"why": 2.0, "concepts": 3.0}):
            torch.manual_seed(1)
            parts[tuple(weight.values())] = joint(weight=weight)._explainers_loss(episode)[0]
        torch.testing.assert_close(parts[2.0, 3.0], 2 * parts[1.0, 0.0] + 3 * parts[0.0, 1.0])

    def test_it_predicts_and_evaluates_as_its_learner(self) -> None:
        of = joint()
        episode = unstack(tasks().batch(0, 1))[0]
        x = episode.query.x
        state, inner = of.adapt_to(episode), of.learner.adapt_to(episode)
        torch.testing.assert_close(of.predict(state, x), of.learner.predict(inner, x))
        assert list(of.features(state, x)) == list(of.learner.features(inner, x))
        scores = [mt.evaluate(learner, tasks().test, 2).log_loss.mean for learner in (of, of.learner)]
        assert scores[0] == scores[1]

    def test_the_layers_of_its_learner_are_named_as_its_features(self) -> None:
        of, x = joint(), torch.randn(3, generator=R)
        view, point = mt.views.feature(of, nothing(3), x, "2", target=1)
        inner, same = mt.views.feature(of.learner, nothing(3), x, "2", target=1)
        torch.testing.assert_close(point, same)
        torch.testing.assert_close(view(2 * point), inner(2 * point))

    @pytest.mark.parametrize("vectorise", [True, False])
    def test_it_trains_a_learner_of_tasks(self, vectorise: bool) -> None:
        torch.manual_seed(0)
        learner = MAML(mt.models.MLP(2, 8, 2), lr=0.1)
        of = Joint(learner, {"why": AmortisedShapley(Columns(2), None, {"1": 8}, width=8, depth=1, heads=2)})
        steps = list(mt.train(of, mt.tasks.Logistic(), steps=3, batch=4, vectorise=vectorise))
        assert np.isfinite(steps[-1].metrics["why_loss"])
        task = unstack(mt.tasks.Logistic().batch(0, 1))[0]
        values, base, *_ = of.explain(of.adapt(task.support), task.query.x)["why"]
        scores = of.predict(of.adapt(task.support), task.query.x).softmax(-1)
        torch.testing.assert_close(base + values.sum(1), scores.detach())

    def test_a_run_is_saved_and_read_again(self, tmp_path) -> None:
        of = joint()
        list(mt.train(of, tasks(), steps=2, batch=1, run=tmp_path))
        again = joint()
        mt.training.load_weights(again, tmp_path)
        x = torch.randn(4, 3, generator=R)
        for a, b in zip(*(o.explain(o.adapt(nothing(3)), x)["why"] for o in (of, again)), strict=True):
            torch.testing.assert_close(a, b)

    def test_batch_norm_of_the_learner_keeps_its_averages(self) -> None:
        torch.manual_seed(0)
        body = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))
        of = Joint(Fixed(body), {"concepts": Interpreter({"2": 8}, 2, concepts=4, active=2, width=8)})
        list(mt.train(of, tasks(), steps=3, batch=1))
        assert (of.learner.body[1].running_mean != 0).all()

    @pytest.mark.parametrize(
        ("candour", "trains", "constant"), [(0.1, "both", True), (0, "both", False), (1, "learner", False)]
    )
    def test_a_learner_that_hears_its_explainers_is_one_function(self, candour, trains, constant) -> None:
        """With statistics of the minibatch, it could be accurate with these and a constant with its averages."""
        torch.manual_seed(0)
        body = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))
        concepts = Interpreter({"2": 8}, 2, concepts=4, active=2, width=8)
        of = Joint(Fixed(body), {"concepts": concepts}, candour=candour, trains=trains)
        (task,) = unstack(tasks().batch(0, 1))
        loss, metrics = of.loss(task)
        alone = torch.nn.functional.cross_entropy(of.predict(of.adapt(task.support), task.query.x), task.query.y)
        assert torch.isclose(metrics.get("learner_loss", loss), alone, atol=1e-5) == constant
        assert torch.equal(metrics["learner.body.1.running_mean"], torch.zeros(8)) == constant
        assert of.learner.body[1].training

    def test_what_was_frozen_stays_frozen(self) -> None:
        learner = Fixed(mt.models.MLP(3, 8, 2))
        frozen = learner.body[1].weight.requires_grad_(False)
        of = Joint(learner, {"concepts": Interpreter({"1": 8}, 2)})
        before = frozen.clone()
        for part in ("both", "explainers", "learner"):
            of.trains = part
            list(mt.train(of, tasks(), steps=2, batch=1, lr=0.1))
        assert torch.equal(frozen, before) and not frozen.requires_grad

    def test_it_explains_in_evaluation_mode(self) -> None:
        torch.manual_seed(0)
        body = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 2))
        of = Joint(Fixed(body), {"why": AmortisedShapley(Columns(3), 2, {"2": 8}, width=8, heads=2)})
        list(mt.train(of, tasks(), steps=2, batch=1))
        state, x = of.adapt(nothing(3)), torch.randn(4, 3, generator=R)
        (values, base, *_), (again, *_) = (of.explain(state, x)["why"] for _ in range(2))
        torch.testing.assert_close(values, again)
        torch.testing.assert_close(base + values.sum(1), of.eval().predict(state, x).softmax(-1).detach())

    @pytest.mark.usefixtures("unchecked")
    def test_numbers_are_rebuilt_as_numbers(self) -> None:
        torch.manual_seed(0)
        x = np.random.default_rng(0).normal(size=(300, 3))
        data = Minibatches(x, 5 + x[:, :2], size=50, regression=True)
        losses = {"named": "mse", "own": lambda scores, y, w: w @ (scores - y).abs().sum(1)}
        for loss in losses.values():
            of = Joint(Fixed(mt.models.MLP(3, 16, 2), loss), {"concepts": Interpreter({"1": 16}, 2)})
            *_, step = mt.train(of, data, steps=400, batch=1, lr=0.01)
            assert 0 <= step.metrics["concepts_error"] < 0.5 and "concepts_fidelity" not in step.metrics
            state = of.adapt(data.test.batch(0, 1).support)
            rows = data.test.batch(0, 1).query.x[0]
            assert (of.explain(state, rows)["concepts"].outcome - of.predict(state, rows)).abs().mean() < 0.5

    def test_the_support_of_a_class_may_have_missing_cells(self) -> None:
        mass = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
        got = means(mass, torch.tensor([[1.0, torch.nan], [3.0, 8.0], [5.0, 6.0]]))
        assert got.tolist() == [[2, 8], [5, 6]]

    def test_rows_with_missing_cells_are_explained_if_the_learner_reads_them(self) -> None:
        class Reads(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.linear = nn.Linear(3, 2)

            def forward(self, x: Tensor) -> Tensor:
                return self.linear(torch.where(x.isnan(), 7.0, x))

        x = torch.tensor([[1.0, torch.nan, 2.0], [3.0, 4.0, 5.0]])
        for baseline in (0.0, torch.nan):
            of = Joint(Fixed(Reads()), {"why": AmortisedShapley(Columns(3, baseline), 2, width=8, heads=2)})
            list(mt.train(of, tasks(), steps=2, batch=1))
            state = of.adapt(nothing(3))
            values, base, *_ = of.explain(state, x)["why"]
            visible = x if baseline != baseline else x.nan_to_num(baseline)
            torch.testing.assert_close(base + values.sum(1), of.predict(state, visible).softmax(-1).detach())
            assert (values[0, 1] == 0).all() and values.isfinite().all()
        plain = joint()
        list(mt.train(plain, tasks(), steps=1, batch=1))
        with pytest.raises(mt.MapstoError, match=r"^x: got rows with NaN reasons"):
            plain.explain(plain.adapt(nothing(3)), x)

    def test_a_penalty_around_it_keeps_its_buffers(self) -> None:
        body = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))
        inner = Joint(Fixed(body), {"concepts": Interpreter({"2": 8}, 2)})
        of = mt.learners.Regularised(inner, lambda read, x, w: w @ read(x)["2"].square().sum(1))
        list(mt.train(of, tasks(), steps=2, batch=1))
        assert (inner.learner.body[1].running_mean != 0).all() and float(inner.explainers["concepts"].steps) == 2

    def test_phases_begin_once_from_given_weights_and_leave_no_part_frozen(self, tmp_path) -> None:
        start = joint()
        list(mt.train(start, tasks(), steps=30, batch=1, lr=0.01, run=tmp_path / "start"))
        of = joint()
        phases = {"learner": 30, "explainers": 1}
        list(mt.training.phases(of, tasks(), phases, 1, lr=0.01, init=tmp_path / "start"))
        assert not torch.allclose(of.learner.body[1].weight, start.learner.body[1].weight, atol=1e-3)
        assert of.trains == "both" and all(p.requires_grad for p in of.parameters())
        steps = mt.training.phases(joint(), tasks(), {"both": 1, "explainer": 1}, 1)
        with pytest.raises(mt.MapstoError, match=r"^steps: "):
            next(steps)

    def test_phases_train_one_part_after_the_other(self, tmp_path) -> None:
        of = joint()
        before = {name: p.detach().clone() for name, p in of.named_parameters()}
        moved = []
        for step in mt.training.phases(of, tasks(), {"learner": 1, "explainers": 2, "both": 1}, 1, run=tmp_path):
            moved.append({n.partition(".")[0] for n, p in of.named_parameters() if not torch.equal(p, before[n])})
            before = {name: p.detach().clone() for name, p in of.named_parameters()}
            assert step.step <= 2
        assert moved == [{"learner"}, {"explainers"}, {"explainers"}, {"learner", "explainers"}]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["both", "explainers", "learner"]
        with pytest.raises(mt.MapstoError, match=r"^steps: "):
            next(mt.training.phases(of, tasks(), {}, 1))


@pytest.mark.usefixtures("two_neighbours")
class TestReports:
    def test_a_plain_network_that_explains_itself(self, tmp_path, unchecked) -> None:
        of = joint()
        list(mt.train(of, tasks(), steps=150, batch=1, lr=0.02))
        answer = mt.reports.task(of, tasks(), path=tmp_path / "report.html")
        assert answer.classes == ["False", "True"] and len(answer.support_x) == 0
        own = answer.reasons.values["SelfExplaining"]
        state = of.adapt(nothing(3))
        values = of.explain(state, torch.as_tensor(answer.x, dtype=torch.float))["why"].values
        chosen = answer.outputs.argmax(1)
        for i, c in enumerate(chosen):
            np.testing.assert_allclose(own[i], values[i, :, c], atol=1e-5)
        gap = answer.reasons.trust["SelfExplaining"]["gap"].explainer.mean
        assert gap > answer.reasons.trust["SelfExplaining"]["gap"].random.mean
        page = (tmp_path / "report.html").read_text()
        assert "A plain network has no teaching examples" in page and "so there are none to film" in page
        assert "Joint, a plain network trained on one data set, was asked about test task 0." in page

    def test_patches_give_their_value_to_their_pixels(self) -> None:
        image = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        of = Joint(Fixed(image), {"why": AmortisedShapley(Patches((1, 4, 4), 2), 2, width=8, heads=2)})
        awake(of.explainers["why"])
        x = torch.randn(1, 4, 4, generator=R)
        pixels = own_reasons(of, nothing(1, 4, 4))["SelfExplaining"].attribute(lambda x: x, x)
        values, base, *_ = of.explain(of.adapt(nothing(1, 4, 4)), x[None])["why"]
        best = int((base + values.sum(1)).argmax())
        sums = torch.stack([pixels[of.explainers["why"].players.groups == p].sum() for p in range(4)])
        torch.testing.assert_close(sums, values[0, :, best])

    @pytest.mark.long
    def test_a_configuration_is_trained_evaluated_and_reported(self, tmp_path, unchecked) -> None:
        page = (Path(__file__).parents[1] / "docs" / "learning_to_explain.md").read_text()
        config = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1]
        x = np.random.default_rng(0).normal(size=(200, 10))
        table = pd.DataFrame(x, columns=[f"c{j}" for j in range(10)]).assign(
            outcome=np.where(x[:, 0] > 0, "ill", "well")
        )
        table.to_csv(tmp_path / "patients.csv", index=False)
        config = config.replace("patients.csv", str(tmp_path / "patients.csv")).replace("steps: 500", "steps: 60")
        (tmp_path / "joint.yaml").write_text(config)
        run = str(tmp_path / "run")
        assert main(["train", "--config", str(tmp_path / "joint.yaml"), "--run", run]) == 0
        assert main(["eval", run]) == 0 and main(["report", run]) == 0
        page = (tmp_path / "run" / "report.html").read_text()
        assert "SelfExplaining" in page and "well" in page and "c0" in page


@pytest.mark.usefixtures("unchecked")
def test_the_page_runs_as_it_is_printed() -> None:
    page = (Path(__file__).parents[1] / "docs" / "learning_to_explain.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 6
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert names["reasons"]["why"].values.shape == (27, 13, 3)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "make"),
    {
        "groups": lambda: Players(torch.tensor([0, 2])),
        "count": lambda: Columns(0),
        "reads": lambda: AmortisedShapley(Columns(2), 2, ["1"]),
        "reads ": lambda: Interpreter({}, 2),
        "reads  ": lambda: explained(Interpreter({"7": 8}, 2)),
        "reads   ": lambda: explained(Interpreter({"1": 9}, 2)),
        "outputs": lambda: explained(AmortisedShapley(Columns(3), 5)),
        "outputs ": lambda: explained(Interpreter({"1": 8}, 5)),
        "coalitions": lambda: AmortisedShapley(Columns(2), 2, coalitions=3),
        "players": lambda: AmortisedShapley(Columns(1), 2),
        "x": lambda: explained(AmortisedShapley(Columns(4), 2)),
        "active": lambda: Interpreter({"1": 8}, 2, concepts=2, active=3),
        "target": lambda: Interpreter({"1": 8}, 2, target="truth"),
        "explainers": lambda: Joint(Fixed(nn.Linear(2, 2)), {}),
        "weight": lambda: joint(weight={"why": 1.0}),
        "weight of why": lambda: joint(weight={"why": -1.0, "concepts": 1.0}),
        "candour": lambda: joint(candour=2.0),
        "trains": lambda: joint(trains="everything"),
        "learner": lambda: Joint(
            PrototypicalNetwork(nn.Linear(2, 2), 2, transductive=True), {"why": AmortisedShapley(Columns(2))}
        ),
        "learner ": lambda: Joint(nn.Linear(2, 2), {"why": AmortisedShapley(Columns(2))}),
        "explainers ": lambda: Joint(Fixed(nn.Linear(2, 2)), [AmortisedShapley(Columns(2), 2)]),
        "explainers  ": lambda: Joint(Fixed(nn.Linear(2, 2)), {"a.b": AmortisedShapley(Columns(2), 2)}),
        "explainers   ": lambda: Joint(Fixed(nn.Linear(2, 2)), {"why": mt.explainers.Shapley()}),
        "outputs  ": lambda: Joint(Fixed(nn.Linear(2, 1), "mse"), {"why": AmortisedShapley(Columns(2))}),
        "players ": lambda: AmortisedShapley(6, 2),
        "x ": lambda: asked(torch.zeros(3)),
        "x  ": lambda: asked(torch.zeros(1, 4)),
        "x   ": lambda: asked(np.zeros((1, 3))),
        "joint": lambda: next(mt.training.phases(Fixed(nn.Linear(3, 2)), tasks(), {"both": 1}, 1)),
        "learner  ": lambda: asked(torch.randn(4, 3), Centred()),
        "learner   ": lambda: asked(torch.randn(1, 3), Dropping()),
        "learner    ": lambda: asked(torch.randn(4, 3), Centred(), "consensus"),
        "learner     ": lambda: asked(torch.randn(1, 3), Dropping(), "consensus"),
        "explainer": lambda: joint().explain(joint().adapt(nothing(3)), torch.zeros(1, 3)),
    }.items(),
)  # fmt: skip
def test_bad_arguments_are_named(name: str, make) -> None:
    with pytest.raises(mt.MapstoError, match=rf"^{name.strip()}: "):
        make()


class Centred(nn.Linear):
    """Subtracts the mean of the rows that are asked together."""

    def __init__(self) -> None:
        super().__init__(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(3 * (x - x.mean(0)))


class Dropping(Centred):
    """Draws random numbers in evaluation too."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.Linear.forward(self, nn.functional.dropout(x, 0.5, training=True))


def asked(x: Tensor, body: nn.Module | None = None, method: str = "explain") -> None:
    of = joint() if body is None else Joint(Fixed(body), {"why": AmortisedShapley(Columns(3), 2)})
    for explainer in of.explainers.values():
        explainer.steps.fill_(1)
    getattr(of, method)(of.adapt(nothing(3)), x)


def explained(explainer: nn.Module) -> None:
    of = Joint(Fixed(mt.models.MLP(3, 8, 2)), {"one": explainer})
    of.loss(unstack(tasks().batch(0, 1))[0])


@pytest.mark.usefixtures("unchecked")
def test_a_report_shows_each_explainer_and_what_its_choice_tells(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    data = Minibatches(x, x[:, 0] > 0, size=100)
    networks = {"why": AmortisedShapley(Columns(3), 2, width=8, heads=2), "select": REALX(Columns(3), 2, warmup=10)}
    whole = Joint(Fixed(mt.models.MLP(3, 8, 2)), networks)
    for _ in mt.train(whole, data, steps=60, batch=1, lr=1e-2):
        pass
    answer = mt.reports.task(whole, data, methods=["SelfExplaining", "Occlusion"], path=tmp_path / "page.html")
    own = answer.reasons.values
    assert list(own) == ["SelfExplaining: why", "SelfExplaining: select", "Occlusion"]
    task = unstack(data.test.batch(0, 1))[0]
    of = whole.explain(whole.adapt(task.support), task.query.x[:4])
    np.testing.assert_allclose(own["SelfExplaining: select"], of["select"].probability, atol=1e-6)
    assert answer.reasons.about["SelfExplaining: select"].startswith("The learner's own reasons")
    assert [sentence.partition(" shows ")[0] for sentence in answer.choices] == ["why", "select"]
    page = (tmp_path / "page.html").read_text()
    assert all(sentence in page for sentence in answer.choices) and "An explainer can cheat" in page
    assert list(answer.own_trust) == ["why", "select"]
    np.testing.assert_allclose(answer.own_trust["select"], of["select"].trust, atol=1e-6)
    assert page.count(f"why {100 * of['why'].trust[2]:.0f} % and select {100 * of['select'].trust[2]:.0f} %.") >= 1


@pytest.mark.parametrize(("gap", "leak"), [(True, False), (False, True), (False, False)])
def test_a_choice_that_tells_the_answer_is_said_so(gap: bool, leak: bool) -> None:
    share = [Estimate(number, 0.01) for number in (0.98, 0.51, 0.95, 0.4)]
    said = sentence("select", Gap(share[0], share[1], share[3], Estimate(2.5, 0), gap), share[2], leak)
    assert "select shows 2.5 parts" in said and "right in 98 %" in said
    assert "random parts in 51 %" in said and "its choices in 95 %" in said
    assert ("do not rely on it" in said) == (gap or leak) != ("does not tell the answer" in said)
