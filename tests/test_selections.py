"""EVAL-X and the test of leaks: a selector that tells the answer by its choice of players is flagged, not others."""

import copy

import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.explainers.learned import INVASE, REALX, AmortisedShapley, Columns, Interpreter
from mapsto.explainers.learned.explainer import Prediction
from mapsto.explainers.learned.selector import Losses, Selection, Selector
from mapsto.joint import Joint
from mapsto.learners import Fixed, PrototypicalNetwork
from mapsto.measures.audit import eval_x, label_leak
from mapsto.tasks import Minibatches

pytestmark = pytest.mark.usefixtures("unchecked")
QUICK = {"steps": 150, "rows": 600, "lr": 5e-3}


class Scripted(Selector):
    """A selector without parameters: it shows the players that `choose_by` returns for each class of the model."""

    def __init__(self, by_class: list[list[float]], honest: bool):
        super().__init__(Columns(4), 2, None, "model", 0.0, 0.0, 0, "perceptron", 4)
        self.shows, self.honest = torch.tensor(by_class), honest
        self.steps.fill_(1)

    def losses(self, prediction: Prediction, logits: Tensor, visible: Tensor, target: Tensor) -> Losses:
        raise NotImplementedError

    def explain(self, prediction: Prediction) -> Selection:
        shown = self.shows[prediction.outcome.argmax(1)]
        return self.selection(prediction, shown, shown > 0)

    def predicted(self, prediction: Prediction, shown: Tensor) -> Tensor:
        """Return the class that the choice tells or, if honest, what the model tells of the shown values."""
        if self.honest:
            return prediction.ask(prediction.x * shown)
        return (shown @ self.shows.T == self.shows.sum(1)).float()


def joint(**explainers) -> Joint:
    """A model of the sign of column 0; the other columns are noise."""
    body = nn.Sequential(nn.Linear(4, 2, bias=False))
    body[0].weight.data = torch.tensor([[-4.0, 0, 0, 0], [4.0, 0, 0, 0]])
    return Joint(Fixed(body), explainers)


def data() -> Minibatches:
    x = torch.randn(4000, 4, generator=torch.Generator().manual_seed(0))
    return Minibatches(x.numpy(), (x[:, 0] > 0).long().numpy(), size=100)


CHEAT = [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
TRUTH = [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]


class TestVerdicts:
    def test_a_cheat_is_flagged_beside_an_honest_selector(self) -> None:
        of = eval_x(joint(cheat=Scripted(CHEAT, honest=False), honest=Scripted(TRUTH, honest=True)), data(), **QUICK)
        assert of["cheat"].flagged and not of["honest"].flagged
        assert of["cheat"].own.mean == 1 and of["honest"].own.mean > 0.97
        assert abs(of["cheat"].evaluator.mean - 0.5) < 0.1 and of["honest"].evaluator.mean > 0.97
        assert of["cheat"].gap.mean == pytest.approx(1 - of["cheat"].evaluator.mean)
        assert of["cheat"].shown.mean == of["honest"].shown.mean == 1
        assert "tells the answer" in str(of["cheat"]) and "no sign" in str(of["honest"])

    def test_a_leak_is_measured_without_the_predictor_of_the_cheat(self) -> None:
        of = label_leak(
            joint(cheat=Scripted(CHEAT, honest=False), honest=Scripted(TRUTH, honest=True)), data(), **QUICK
        )
        assert of["cheat"].flagged and not of["honest"].flagged
        assert of["cheat"].choice.mean > 0.99 and of["cheat"].reader.mean > 0.99
        assert abs(of["honest"].choice.mean - 0.5) < 0.1 and of["honest"].reader.mean > 0.97
        assert of["cheat"].leak.mean == pytest.approx(of["cheat"].reader.mean - of["cheat"].evaluator.mean)
        assert "tells the answer" in str(of["cheat"]) and "no sign" in str(of["honest"])

    def test_a_choice_that_depends_on_the_class_but_shows_the_reason_leaks_nothing_new(self) -> None:
        """The mask tells the class, and so do the shown values: a reader gains nothing from the choice."""
        both = Scripted([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]], honest=True)
        of = label_leak(joint(both=both), data(), **QUICK)["both"]
        assert of.choice.mean > 0.99 and not of.flagged and of.evaluator.mean > 0.97

    def test_shapley_values_show_their_strongest_players(self) -> None:
        whole = joint(why=AmortisedShapley(Columns(4), 2, width=16), concepts=Interpreter({"0": 2}, 2))
        for _ in mt.train(whole, data(), steps=150, batch=1, lr=5e-3):
            pass
        of = eval_x(whole, data(), strongest=1, **QUICK)
        assert list(of) == ["why"] and of["why"].shown.mean == 1
        assert of["why"].own.mean > 0.97 and not of["why"].flagged

    def test_an_explainer_that_reads_features_of_the_classes(self) -> None:
        body = nn.Sequential(nn.Linear(2, 4), nn.Tanh())
        why = AmortisedShapley(Columns(2), reads={"0": 4}, width=8, depth=1, heads=1)
        whole = Joint(PrototypicalNetwork(body, ways=2), {"why": why})
        why.steps.fill_(1)
        of = label_leak(whole, mt.tasks.Logistic(shots=4, queries=4), rows=8, steps=2)["why"]
        assert 0 <= of.evaluator.mean <= 1 and 0 <= of.reader.mean <= 1

    def test_the_joint_does_not_change(self) -> None:
        whole = joint(select=Scripted(TRUTH, honest=True))
        before = copy.deepcopy(whole.state_dict())
        torch.manual_seed(7)
        eval_x(whole, data(), steps=2, rows=10)
        drawn = torch.rand(1)
        torch.manual_seed(7)
        assert torch.equal(drawn, torch.rand(1))
        assert all(torch.equal(before[name], value) for name, value in whole.state_dict().items())
        assert all(parameter.requires_grad for parameter in whole.parameters())

    def test_the_number_of_rows_and_of_the_strongest_players(self) -> None:
        whole = joint(select=Scripted(TRUTH, honest=True))
        few, many = (eval_x(whole, data(), steps=2, rows=rows)["select"].gap for rows in (1, 10_000))
        assert few.interval != few.interval and many.interval >= 0  # one minibatch, all minibatches


class TestRefusals:
    @pytest.mark.parametrize("measure", [eval_x, label_leak])
    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("joint", {"joint": Fixed(nn.Linear(4, 2))}),
            ("joint", {"joint": Joint(Fixed(nn.Linear(4, 2)), {"concepts": Interpreter({"0": 2}, 2)})}),
            ("joint", {"joint": Joint(Fixed(nn.Linear(4, 1), "mse"), {"why": AmortisedShapley(Columns(4), 1)})}),
            ("explainer", {"joint": Joint(Fixed(nn.Linear(4, 2)), {"select": INVASE(Columns(4), 2)})}),
            ("explainer", {"joint": Joint(Fixed(nn.Linear(4, 2)), {"select": REALX(Columns(4), 2)})}),
            ("rows", {"rows": 0}),
            ("strongest", {"strongest": 0}),
            ("tolerance", {"tolerance": -0.1}),
            ("steps", {"steps": 0}),
        ],
    )
    def test_bad_arguments_are_named(self, measure, name: str, change: dict) -> None:
        arguments = {"joint": joint(select=Scripted(TRUTH, honest=True)), "tasks": data(), "steps": 1, "rows": 10}
        with pytest.raises(mt.MapstoError, match=f"^{name}: "):
            measure(**arguments | change)
