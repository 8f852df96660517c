"""The trust in explanations that predict by themselves: the share of the model's outcome that they account for."""

import pytest
import torch
from torch import Tensor

from mapsto.explainers.learned import INVASE, L2X, REALX, Columns, Interpreter, PolicyGradient
from mapsto.explainers.learned.explainer import LearnedExplainer, Prediction
from mapsto.explainers.learned.fidelity import same_number, same_probability

R = torch.Generator().manual_seed(0)
MATRIX = torch.tensor([[3.0, -3.0], [1.5, 6.0], [-3.0, 0.9]])
KINDS = {
    "Interpreter": lambda: Interpreter({"a": 4}, 2, concepts=6, active=2, width=5),
    "L2X": lambda: L2X(Columns(3), 1, outputs=2),
    "INVASE": lambda: INVASE(Columns(3), outputs=2),
    "REALX": lambda: REALX(Columns(3), outputs=2),
    "PolicyGradient": lambda: PolicyGradient(Columns(3), outputs=2),
}


def explained(name: str, of_classes: bool) -> tuple[Prediction, tuple]:
    """Return a prediction for nine rows, and its explanation by a network that has something to say."""
    torch.manual_seed(0)
    x = torch.randn(9, 3, generator=R)

    def ask(rows: Tensor) -> Tensor:
        scores = rows.nan_to_num(0.0).tanh() @ MATRIX
        return scores.softmax(-1) if of_classes else 1 + scores

    explainer: LearnedExplainer = KINDS[name]()
    for parameter in explainer.parameters():
        parameter.data.mul_(3)
    explainer.steps.fill_(1)
    prediction = Prediction(x, ask(x), {"a": torch.randn(9, 4, generator=R)}, ask, {}, of_classes)
    return prediction, explainer.explain(prediction)


@pytest.mark.parametrize("name", KINDS)
def test_trust_is_the_probability_that_the_explanation_and_the_model_share(name: str) -> None:
    prediction, explanation = explained(name, of_classes=True)
    shared = torch.minimum(prediction.outcome, explanation.outcome).sum(1)
    torch.testing.assert_close(explanation.trust, shared)
    assert shared.std() > 0.01 and shared.min() >= 0 and shared.max() <= 1


@pytest.mark.parametrize("name", KINDS)
def test_trust_in_numbers_is_the_share_of_the_distance_that_is_rebuilt(name: str) -> None:
    prediction, explanation = explained(name, of_classes=False)
    y, rebuilt = prediction.outcome, explanation.outcome
    nothing = explanation.base if name == "Interpreter" else torch.ones(9, 2)  # the model's number for hidden columns
    assert ((explanation.trust >= 0) & (explanation.trust <= 1)).all()
    if name in ("Interpreter", "PolicyGradient"):
        expected = 1 - (y - rebuilt).norm(dim=1) ** 2 / (y - nothing).norm(dim=1) ** 2
        torch.testing.assert_close(explanation.trust, expected.clamp(0, 1))
        assert explanation.trust.max() > 0.1


def test_trust_falls_as_the_explanation_is_corrupted() -> None:
    """From the model's own outcome towards any other one, in equal steps; numbers from 1 to 0 at the base."""
    outcome, other = (torch.randn(50, 4, generator=R).softmax(1) for _ in range(2))
    steps = torch.linspace(0, 1, 9)
    of = torch.stack([same_probability(outcome, torch.lerp(outcome, other, step)) for step in steps])
    far = 1 - torch.minimum(outcome, other).sum(1)
    torch.testing.assert_close(of, 1 - steps[:, None] * far)
    numbers = torch.stack([same_number(outcome, torch.lerp(outcome, other, step), other) for step in steps])
    torch.testing.assert_close(numbers, (1 - steps.square())[:, None].expand(-1, 50))


def test_draws_agree_with_the_probability_of_the_trust() -> None:
    """The best coupling of two distributions, drawn with one random number each: both classes are equal this often."""
    outcome, rebuilt = torch.tensor([[0.6, 0.3, 0.1]]), torch.tensor([[0.2, 0.3, 0.5]])
    shared = torch.minimum(outcome, rebuilt)
    same = torch.rand(40_000, generator=R) < shared.sum()
    ours = torch.where(same, shared.multinomial(40_000, True, generator=R)[0], (outcome - shared).multinomial(1)[0])
    theirs = torch.where(same, ours, (rebuilt - shared).multinomial(1)[0])
    for drawn, expected in ((ours, outcome), (theirs, rebuilt)):
        torch.testing.assert_close(drawn.bincount(minlength=3) / 40_000, expected[0], atol=0.02, rtol=0)
    agree = (ours == theirs).float().mean()
    torch.testing.assert_close(agree, same_probability(outcome, rebuilt)[0], atol=0.02, rtol=0)


def test_ends() -> None:
    sure = torch.eye(2)
    assert same_probability(sure, sure).tolist() == [1, 1] and same_probability(sure, sure.flip(0)).tolist() == [0, 0]
    y = torch.tensor([[3.0], [2.0], [2.0]])
    rebuilt, base = torch.tensor([[9.0], [2.0], [2.0]]), torch.tensor([[2.0], [5.0], [2.0]])
    assert same_number(y, rebuilt, base).tolist() == [0, 1, 1]


def test_if_both_are_certain_the_mean_trust_is_the_fraction_of_rows_with_the_same_class() -> None:
    outcome = torch.eye(2)[torch.tensor([0, 1, 1, 0, 1])]
    rebuilt = torch.eye(2)[torch.tensor([0, 0, 1, 1, 1])]
    assert float(same_probability(outcome, rebuilt).mean()) == pytest.approx(3 / 5)
