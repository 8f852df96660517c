"""Selectors: exact gradients in expectation, masks that hide, and the players that a known rule reads."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import examples, unstack
from mapsto.explainers.learned import INVASE, L2X, REALX, Columns, Players, PolicyGradient
from mapsto.explainers.learned.explainer import Prediction
from mapsto.explainers.learned.policy import log_probability, sample_masks
from mapsto.explainers.learned.selector import Selector
from mapsto.joint import Joint
from mapsto.learners import MAML, Fixed
from mapsto.tasks import Minibatches

R = torch.Generator().manual_seed(0)
KINDS = {
    "L2X": partial(L2X, count=1),
    "INVASE": partial(INVASE, warmup=0),
    "REALX": partial(REALX, warmup=0),
    "PolicyGradient": partial(PolicyGradient, warmup=0),
}
SCORE_FUNCTION = ("INVASE", "REALX", "PolicyGradient")


def build(name: str, players: Players | None = None, outputs: int | None = 2, **options) -> Selector:
    return KINDS[name](players or Columns(3), outputs=outputs, **options)


def prediction(x: Tensor) -> Prediction:
    matrix = 3 * torch.tensor([[1.0, -1.0], [0.5, 2.0], [-1.0, 0.3]])

    def ask(rows: Tensor) -> Tensor:
        return (rows.nan_to_num(0.0).tanh() @ matrix).softmax(-1)

    return Prediction(x, ask(x), {}, ask, {})


def trained(selector: Selector) -> Selector:
    selector.steps.fill_(1)
    return selector


MASKS = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
THERE = torch.ones(1, 3, dtype=torch.bool)


class TestMasks:
    def test_probabilities_of_all_masks_add_up_to_one_and_missing_players_do_not_count(self) -> None:
        logits, visible = torch.tensor([[0.3, -2.0, 1.0]]), torch.tensor([[True, True, False]])
        total = log_probability(logits, MASKS[None], visible).exp().sum()
        torch.testing.assert_close(total, torch.tensor(2.0))  # each mask of the two, whatever the third
        assert sample_masks(torch.full((1, 3), 9.0), visible, 50)[..., 2].sum() == 0

    def test_a_player_is_shown_with_the_probability_of_its_logit(self) -> None:
        torch.manual_seed(0)
        logits = torch.tensor([[-1.0, 0.0, 2.0], [3.0, 0.0, -3.0]])
        masks = sample_masks(logits, THERE.expand(2, 3), 20_000)
        assert set(masks.unique().tolist()) == {0.0, 1.0}
        torch.testing.assert_close(masks.mean(1), logits.sigmoid(), atol=0.02, rtol=0)

    def test_the_probability_of_a_mask_is_the_product_over_its_players(self) -> None:
        logits = torch.randn(4, 3, generator=R)
        s, masks = logits.sigmoid()[:, None], MASKS.expand(4, 8, 3)
        expected = (s * masks + (1 - s) * (1 - masks)).prod(-1)
        torch.testing.assert_close(log_probability(logits, masks, THERE.expand(4, 3)).exp(), expected)

    @pytest.mark.parametrize("name", KINDS)
    def test_a_missing_player_is_never_shown(self, name: str) -> None:
        x = torch.randn(4, 3, generator=R)
        x[0, 1] = x[2, 0] = torch.nan
        with torch.no_grad():
            shown = trained(build(name)).explain(prediction(x))
        assert not shown.shown[0, 1] and not shown.shown[2, 0]
        assert shown.probability[0, 1] == 0 and (shown.probability[1] > 0).all()

    @pytest.mark.parametrize("name", ["L2X", "INVASE", "REALX"])
    def test_the_predictor_sees_the_shown_players_only(self, name: str) -> None:
        x = torch.randn(6, 3, generator=R)
        other, masks = x.clone(), torch.tensor([[1.0, 0.0, 1.0]]).expand(6, 3)
        other[:, 1] = 9.0
        selector = build(name)
        torch.testing.assert_close(*(selector.predicted(prediction(rows), masks) for rows in (x, other)))
        assert not torch.allclose(*(selector.predicted(prediction(rows), 1 - masks) for rows in (x, other)))

    def test_policy_gradient_asks_the_model_about_the_shown_players(self) -> None:
        x, masks = torch.randn(6, 3, generator=R), torch.tensor([[1.0, 0.0, 1.0]]).expand(6, 3)
        of = prediction(x)
        torch.testing.assert_close(build("PolicyGradient").predicted(of, masks), of.ask(x * masks))


class TestGradients:
    @pytest.mark.parametrize("name", SCORE_FUNCTION)
    def test_the_mean_gradient_is_that_of_the_expected_loss(self, name: str) -> None:
        """The expected loss is a sum over all eight masks, which autograd differentiates exactly."""
        torch.manual_seed(0)
        many, x = 40_000, torch.randn(1, 3, generator=R)
        selector, of = build(name), prediction(x)
        if name != "PolicyGradient":  # which asks the model
            for parameter in selector.parameters():
                parameter.data.mul_(3)  # a predictor with something to say
        target = torch.tensor([[0.2, 0.8]])
        start = torch.tensor([[0.4, -0.7, 1.1]], requires_grad=True)
        chance = log_probability(start, MASKS[None], THERE)[0].exp()
        outcome = selector.predicted(of._replace(x=x.expand(8, 3)), MASKS)
        exact = torch.autograd.grad(chance @ -(target * outcome.log()).sum(-1).detach(), start)[0]
        logits = start.detach().expand(many, 3).requires_grad_()
        each = selector.losses(
            of._replace(x=x.expand(many, 3)), logits, THERE.expand(many, 3), target.expand(many, 2)
        ).selection
        (slopes,) = torch.autograd.grad(each.sum(), logits)
        error = slopes.mean(0) - exact[0]
        assert (error.abs() < 5 * slopes.std(0) / many**0.5).all() and (slopes.std(0) / many**0.5 < 0.01).all()
        assert exact.abs().max() > 5 * slopes.std(0).max() / many**0.5

    @pytest.mark.parametrize("name", ["INVASE", "REALX", "PolicyGradient"])
    def test_the_selection_trains_the_selector_alone_and_the_prediction_the_predictor_alone(self, name: str) -> None:
        selector, of = build(name), prediction(torch.randn(5, 3, generator=R))
        logits = selector.logits(of)
        losses = selector.losses(of, logits, THERE.expand(5, 3), of.outcome)
        of_selector = {id(p) for p in selector.network.parameters()}
        for loss, own in ((losses.selection, True), (losses.prediction, False)):
            slopes = torch.autograd.grad(loss.sum(), [*selector.parameters()], allow_unused=True, retain_graph=True)
            for parameter, slope in zip(selector.parameters(), slopes, strict=True):
                assert (slope is not None and bool(slope.any())) == ((id(parameter) in of_selector) == own)

    def test_the_predictor_of_real_x_is_trained_on_masks_that_do_not_depend_on_the_selector(self) -> None:
        selector, of = build("REALX"), prediction(torch.randn(5, 3, generator=R))
        errors = []
        for level in (-20.0, 20.0):
            torch.manual_seed(0)
            errors.append(selector.losses(of, torch.full((5, 3), level), THERE.expand(5, 3), of.outcome).prediction)
        assert torch.equal(*errors)

    def test_a_relaxed_sample_of_l2x_becomes_a_choice_of_at_most_its_count(self) -> None:
        selector, of = build("L2X", temperature=1e-3, count=2), prediction(torch.randn(50, 3, generator=R))
        shown = selector.losses(of, torch.zeros(50, 3), THERE.expand(50, 3), of.outcome).shown
        torch.testing.assert_close(shown, shown.round(), atol=0.05, rtol=0)
        assert shown.min() >= 0.99 and shown.max() <= 2.01 and len(shown.round().unique()) == 2
        assert (trained(selector).explain(of).shown.sum(1) == 2).all()

    def test_the_selector_waits_for_the_warm_up(self) -> None:
        of, w = prediction(torch.randn(5, 3, generator=R)), torch.full((5,), 0.2)
        selector = build("INVASE", warmup=10)
        parameters = [*selector.network.parameters()]
        for steps, moves in ((9, False), (10, True)):
            selector.steps.fill_(steps)
            slopes = torch.autograd.grad(selector.loss(of, torch.zeros(5), w)[0], parameters, allow_unused=True)
            assert any(slope is not None and bool(slope.any()) for slope in slopes) == moves

    @pytest.mark.parametrize("name", SCORE_FUNCTION)
    @pytest.mark.parametrize("price", ["cost", "restraint"])
    def test_the_loss_contains_the_cost_and_the_restraint_of_the_visible_players(self, name: str, price: str) -> None:
        x, w = torch.randn(5, 3, generator=R), torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0])
        x[0, 1] = torch.nan
        of, selectors = prediction(x), [build(name, **{price: weight}) for weight in (0.0, 3.0)]
        selectors[1].load_state_dict(selectors[0].state_dict())
        losses = []
        for selector in selectors:
            torch.manual_seed(0)
            losses.append(selector.loss(of, torch.zeros(5), w)[0])
        logits = selectors[0].logits(of)
        each = logits.sigmoid() if price == "cost" else logits**2
        torch.testing.assert_close(losses[1] - losses[0], w @ (each * ~x.isnan()).sum(1))  # 3 · mean of 3


class Absent(nn.Module):
    """A model that reads missing cells as absent, and is trained with random ones."""

    def __init__(self):
        super().__init__()
        self.network = mt.models.MLP(8, 32, 2)

    def forward(self, x: Tensor) -> Tensor:
        there = ~x.isnan()
        if self.training:
            there = there & (torch.rand_like(x) < torch.rand(len(x), 1))
        return self.network(torch.cat([torch.where(there, x, 0.0), there.to(x)], 1))


class Pointing(nn.Module):
    """A network that points to column 1 if column 0 is negative, else to column 2, and is not trained."""

    def forward(self, prediction: Prediction, features: list[Tensor], means: list[Tensor]) -> Tensor:
        negative = prediction.x[:, :1] < 0
        chosen = torch.cat([torch.zeros_like(negative), negative, ~negative, torch.zeros_like(negative)], 1)
        return (40.0 * chosen - 20)[:, None]


def switched() -> tuple[np.ndarray, np.ndarray]:
    """Return rows of four columns and the sign of column 1 or, if column 0 is positive, of column 2."""
    x = torch.randn(2000, 4, generator=torch.Generator().manual_seed(1)).double().numpy()
    return x, np.where(x[:, 0] < 0, x[:, 1], x[:, 2]) > 0


class TestLearning:
    @pytest.mark.long
    @pytest.mark.usefixtures("unchecked")
    def test_several_at_once_find_the_column_that_a_switch_points_to(self) -> None:
        """Column 0 decides whether the class is the sign of column 1 or of column 2."""
        torch.manual_seed(0)
        x, y = switched()
        options: dict = {name: {} if name == "L2X" else {"warmup": 100, "cost": 0.6} for name in KINDS}
        players = Columns(4, baseline=torch.nan)
        selectors = {n: build(n, players, width=32, target="label", **chosen) for n, chosen in options.items()}
        joint, data = Joint(Fixed(Absent()), selectors), Minibatches(x, y, size=200)
        for _ in mt.train(joint, data, steps=600, batch=1, lr=5e-3):
            pass
        task = unstack(data.test.batch(0, 1))[0]
        rows, labels = task.query.x[task.query.w > 0], task.query.y[task.query.w > 0]
        needed = torch.stack([rows[:, 0] < 0, rows[:, 0] >= 0], 1)
        of = joint.explain(joint.adapt(task.support), rows)
        for name, (_, shown, outcome, _) in of.items():
            assert (shown[:, 1:3] == needed).double().mean() > 0.8, name
            assert shown[:, 3].double().mean() < 0.05, name
            assert (outcome.argmax(1) == labels).double().mean() > 0.8, name
        switch = {name: float(shown[:, 0].double().mean()) for name, (_, shown, *_) in of.items()}
        assert switch["REALX"] > 0.9 and switch["INVASE"] > 0.9

    @pytest.mark.usefixtures("unchecked")
    def test_a_predictor_that_learns_from_the_selections_alone_reads_the_hidden_switch(self) -> None:
        """The selector is fixed: it shows the column that the switch in column 0 points to, and never column 0.

        From the shown value alone, the class has probability 3/4. Which column is shown makes it certain.
        """
        torch.manual_seed(0)
        x, y = switched()
        blind = build("INVASE", Columns(4), target="label", width=32, explore=0, warmup=0)
        selectors = {"blind": blind, "honest": build("REALX", Columns(4), target="label", width=32)}
        for selector in selectors.values():
            selector.network = Pointing()
        joint, data = Joint(Fixed(mt.models.MLP(4, 8, 2)), selectors), Minibatches(x, y, size=200)
        for _ in mt.train(joint, data, steps=150, batch=1, lr=5e-3):
            pass
        task = unstack(data.test.batch(0, 1))[0]
        rows, labels = task.query.x[task.query.w > 0], task.query.y[task.query.w > 0]
        of = joint.explain(joint.adapt(task.support), rows)
        sure = {name: float(part.outcome.gather(1, labels[:, None]).mean()) for name, part in of.items()}
        assert torch.equal(of["blind"].shown, of["honest"].shown) and not of["blind"].shown[:, 0].any()
        assert sure["blind"] > 0.93 and sure["honest"] < 0.85

    @pytest.mark.parametrize("network", ["perceptron", "attention"])
    @pytest.mark.parametrize("name", KINDS)
    def test_few_shot_learners_with_any_number_of_classes_and_features(self, name: str, network: str) -> None:
        torch.manual_seed(0)
        learner = MAML(mt.models.MLP(2, 8, 2), lr=0.1)
        options = {"players": Columns(2), "outputs": None, "reads": {"1": 8}, "network": network, "width": 16}
        joint = Joint(learner, {"select": build(name, **options)})
        tasks = mt.tasks.Logistic(shots=4, queries=6)
        (step,) = mt.train(joint, tasks, steps=1, batch=3)
        assert np.isfinite(step.metrics["select_loss"])
        task = unstack(tasks.test.batch(0, 1))[0]
        of = joint.explain(joint.adapt(task.support), task.query.x)["select"]
        assert of.shown.shape == (6, 2) and of.outcome.shape == (6, 2)
        torch.testing.assert_close(of.outcome.sum(1), torch.ones(6))

    @pytest.mark.parametrize("name", KINDS)
    def test_predicted_numbers(self, name: str) -> None:
        learner = MAML(mt.models.MLP(1, 8, 1), loss="mse", lr=0.01)
        joint = Joint(learner, {"select": build(name, Columns(1), outputs=1)})
        (step,) = mt.train(joint, mt.tasks.Sinusoids(shots=5, queries=5), steps=1, batch=2)
        assert np.isfinite(step.metrics["select_loss"])


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("L2X", {"count": 4}),
            ("L2X", {"temperature": 0.0}),
            ("REALX", {"draws": 1}),
            ("INVASE", {"cost": -0.1}),
            ("INVASE", {"restraint": -0.1}),
            ("INVASE", {"target": "truth"}),
            ("INVASE", {"network": "forest"}),
            ("INVASE", {"warmup": -1}),
            ("INVASE", {"explore": -1}),
            ("PolicyGradient", {"draws": 0}),
            ("PolicyGradient", {"players": 3}),
            ("REALX", {"outputs": 0}),
        ],
    )
    @pytest.mark.usefixtures("unchecked")
    def test_an_argument_out_of_range(self, name: str, options: dict) -> None:
        key = next(iter(options))
        with pytest.raises(mt.MapstoError, match=f"^{key}"):
            build(name, **options)

    def test_another_number_of_outcomes(self) -> None:
        joint = Joint(Fixed(mt.models.MLP(3, 4)), {"select": trained(build("INVASE"))})
        with pytest.raises(mt.MapstoError, match="outputs: got 2"):
            joint.explain(joint.adapt(examples(torch.empty(0, 3), torch.empty(0, dtype=torch.long))), torch.zeros(2, 3))
