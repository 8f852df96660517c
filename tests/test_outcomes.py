"""Evidence and what a support says of its outcome alone: Bayes' rule, names that do not matter, units that drop out."""

import math

import numpy as np
import pytest
import torch
from test_joint import mapping

from mapsto.adaptation.outcomes import CLASSES, Frequencies, canonical_codes, frequencies, moments
from mapsto.episodes import Examples
from mapsto.errors import MapstoError
from mapsto.learners import InContext, in_context
from mapsto.learners.in_context import LEVELS
from mapsto.models import SetTransformer

F64 = torch.float64


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


# --- classes: the formula ---------------------------------------------------------------------------------------------


def test_evidence_moves_the_frequencies_by_bayes_rule():
    known = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]], dtype=F64)
    codes = torch.tensor([[[0, 1, 2], [1, 2, 0]], [[0, 1, 2], [1, 0, 2]]])
    outcome, raw = Frequencies(known, codes), draws(2, 2, 4, 3)
    p = outcome.average(outcome.answer(outcome.named(raw))).exp().numpy()
    expected = np.zeros((2, 4, 3))
    for t, i, e in np.ndindex(2, 4, 2):
        odds = known[t].numpy() * np.exp(raw[t, e, i, codes[t, e]].numpy())
        expected[t, i] += odds / odds.sum() / 2
    assert expected.std(1)[0].min() > 0.05 and (p[1, :, 2] == 0).all()
    np.testing.assert_allclose(p, expected, rtol=0, atol=1e-12)
    with pytest.raises(AssertionError):  # mutant: codes that are not undone
        np.testing.assert_allclose(outcome.average(outcome.answer(raw)).exp().numpy(), expected, atol=1e-12)


def test_no_evidence_leaves_the_frequencies_or_the_mean():
    y, w = torch.tensor([[0, 2, 2, 1, 2]]), torch.tensor([[0.1, 0.3, 0.2, 0.0, 0.4]], dtype=F64)
    known = frequencies(y, 5 * w, 4)
    torch.testing.assert_close(known, torch.tensor([[0.1, 0.0, 0.9, 0.0]], dtype=F64))
    outcome = Frequencies(known, torch.arange(4).expand(1, 1, 4))
    torch.testing.assert_close(outcome.value(torch.zeros(1, 1, 2, 4, dtype=F64))[0, 0, 1], known[0])
    number = moments(draws(1, 5, 1), 5 * w, 2)
    assert (number.answer(torch.zeros(1, 2, 3, 1, dtype=F64)) == number.mean).all()


def test_numbers_of_several_tasks_are_each_in_their_own_unit():
    y, raw = 10 * draws(2, 5, 1), draws(2, 3, 4, 1, seed=1)
    number = moments(y, torch.ones(2, 5, dtype=F64), 3)
    p = number.average(number.answer(number.named(raw)))
    for t in range(2):
        mean = (raw[t, 0] - raw[t, 1] + raw[t, 2]) / 3
        torch.testing.assert_close(p[t], y[t].mean() + y[t].std(correction=0) * mean)


def test_a_class_that_nobody_taught_has_no_slope_and_no_probability():
    """Its logarithm is −∞ however many readings are averaged, and the slopes of the others stay finite."""
    raw = draws(1, 2, 3, 3).requires_grad_()
    outcome = Frequencies(torch.tensor([[0.25, 0.75, 0.0]], dtype=F64), torch.arange(3).expand(1, 2, 3))
    answer = outcome.average(outcome.answer(raw))
    assert (answer[..., 2] == -torch.inf).all()
    slope = torch.autograd.grad(answer[..., 0].sum(), raw)[0]
    probability = outcome.value(raw)
    by_hand = torch.autograd.grad(probability.mean(1)[..., 0].log().sum(), raw)[0]
    assert by_hand[..., :2].abs().min() > 1e-3
    torch.testing.assert_close(slope, by_hand)


def test_reasons_of_a_class_do_not_fail_by_another_that_nobody_taught():
    made, x = mapping(3, 2), draws(9, 4)
    state = made.adapt(Examples(x, torch.arange(9) % 2, torch.full((9,), 1 / 9, dtype=F64)))
    row = draws(1, 4, seed=1).requires_grad_()
    slope = torch.autograd.grad(made.predict(state, row)[0, 0], row)[0]
    assert slope.isfinite().all() and slope.abs().max() > 1e-3


def test_canonical_codes_go_by_what_the_rows_hold():
    """Class 2's rows hold least, then 0's; nobody taught 1 and 4; 3 holds most."""
    z = torch.tensor([[0.1, 0.2], [-1.0, 0.0], [0.5, 0.9], [0.2, 0.1], [-0.8, 0.0]], dtype=F64)[None]
    y, w = torch.tensor([[0, 2, 3, 0, 2]]), torch.full((1, 5), 0.2, dtype=F64)
    codes = canonical_codes(z, y, w, 5, 4)[0]
    assert codes[:, [2, 0, 3]].tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]
    assert codes.sort(-1).values.tolist() == [[0, 1, 2, 3, 4]] * 4


def test_canonical_codes_go_by_means_not_by_sums_of_rows():
    """Class 0 has three rows of 1, class 1 a single row of 2: its mean is larger, although its sum is smaller."""
    z, y = torch.tensor([[1.0], [1.0], [1.0], [2.0]], dtype=F64)[None], torch.tensor([[0, 0, 0, 1]])
    for w in (torch.full((1, 4), 0.25, dtype=F64), torch.tensor([[1.0, 1.0, 1.0, 0.1]], dtype=F64)):
        assert canonical_codes(z, y, w, 2, 1)[0, 0].tolist() == [0, 1]
    assert canonical_codes(z.flip(1), y, w, 2, 1)[0, 0].tolist() == [1, 0]


# --- classes: through a body ------------------------------------------------------------------------------------------


def classified(ways, seed=0):
    """Four rows a class, and weights that differ."""
    n = 4 * ways
    y = torch.arange(n) % ways
    w = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=F64) + 0.1 + y
    return Examples(draws(n, 3, seed=seed), y, w)


def law_of_names(ways, members):
    made, support, x = mapping(ways, members), classified(ways), draws(5, 3, seed=1)
    scores = made.predict(made.adapt(support), x)
    assert scores.exp().std(0).min() > 1e-4
    for seed in range(3):
        names = torch.randperm(ways, generator=torch.Generator().manual_seed(seed))
        renamed = made.predict(made.adapt(support._replace(y=names[support.y])), x)
        torch.testing.assert_close(renamed[:, names], scores, rtol=0, atol=1e-9)


@pytest.mark.parametrize("ways", [2, 3, 5])
@pytest.mark.parametrize("members", [1, 2, 3])
def test_the_names_of_the_classes_do_not_matter(ways, members):
    law_of_names(ways, members)


@pytest.mark.parametrize("members", [1, 2])
def test_the_law_of_names_finds_codes_that_are_the_names(monkeypatch, members):
    def named(z, y, w, ways, members):
        return ((torch.arange(ways) + torch.arange(members)[:, None]) % ways).expand(len(y), -1, -1)

    monkeypatch.setattr(in_context, "canonical_codes", named)
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        law_of_names(3, members)


@pytest.mark.parametrize("members", [1, 2])
def test_of_an_empty_row_the_answer_is_the_frequencies(members):
    made, support = mapping(3, members), classified(3)
    state, empty = made.adapt(support), torch.full((1, 3), torch.nan, dtype=F64)
    expected = np.bincount(support.y, support.w) / support.w.sum().item()
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(made.predict(state, empty).exp()[0], expected, rtol=0, atol=1e-12)
    mutant = state._replace(nothing=torch.zeros_like(state.nothing))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(made.predict(mutant, empty).exp()[0], expected, rtol=0, atol=1e-3)


# --- numbers ----------------------------------------------------------------------------------------------------------


def numeric(members, seed=0):
    """A learner of numbers whose weights are far from their start."""
    torch.manual_seed(seed)
    learner = InContext(SetTransformer(16, 2, 2), 1, members, loss="mse")
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner.double().requires_grad_(False)


def measured():
    w = torch.rand(11, generator=torch.Generator().manual_seed(2), dtype=F64) + 0.1
    return Examples(draws(11, 3), draws(11, 1, seed=3) * 2 + 5, w)


def answers(learner, support, x):
    state = learner.adapt(support)
    return learner.predict(state, x), learner.quantiles(state, x)


def test_moments_are_numpys():
    support = measured()
    mean, spread, sign = moments(support.y[None], support.w[None], 3)
    y, w = support.y[:, 0].numpy(), support.w.numpy()
    expected = np.average(y, weights=w)
    np.testing.assert_allclose(
        [float(mean), float(spread)], [expected, np.average((y - expected) ** 2, weights=w) ** 0.5]
    )
    assert sign.tolist() == [[1, -1, 1]]


def law_of_units(members, a, b):
    """y ↦ a + b·y moves the mean and the quantiles alike; where b < 0 the quantile of τ becomes that of 1 − τ."""
    learner, support, x = numeric(members), measured(), draws(5, 3, seed=1)
    mean, quantiles = answers(learner, support, x)
    assert mean.std() > 1e-2 and quantiles.std(0).min() > 1e-3 and quantiles.std(1).min() > 1e-2
    moved, spread = answers(learner, support._replace(y=a + b * support.y), x)
    torch.testing.assert_close(moved, a + b * mean, rtol=0, atol=1e-9 * abs(b))
    torch.testing.assert_close(spread, a + b * (quantiles if b > 0 else quantiles.flip(1)), rtol=0, atol=1e-9 * abs(b))


@pytest.mark.parametrize(("members", "a", "b"), [(1, 3, 0.5), (2, -40, 8), (3, 0, 1e3), (2, 3, -0.5), (4, 100, -64)])
def test_the_unit_of_the_outcome_drops_out(members, a, b):
    law_of_units(members, a, b)


@pytest.mark.parametrize("members", [1, 3])
def test_one_reading_more_of_one_sign_prefers_a_direction(members):
    """Mutant of the law above."""
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        law_of_units(members, 3, -0.5)


@pytest.mark.parametrize("members", [1, 2])
def test_quantiles_increase_and_of_an_empty_row_the_answer_is_the_mean(members):
    learner, support, x = numeric(members), measured(), draws(5, 3, seed=1)
    assert (answers(learner, support, x)[1].diff(dim=1) >= 0).all()
    torch.testing.assert_close(torch.tensor(LEVELS).flip(0), 1 - torch.tensor(LEVELS))
    empty, state = torch.full((1, 3), torch.nan, dtype=F64), learner.adapt(support)
    expected = np.average(support.y[:, 0], weights=support.w)
    assert float(learner.predict(state, empty)) == pytest.approx(expected, rel=1e-12)
    mutant = state._replace(nothing=torch.zeros_like(state.nothing))
    assert float(learner.predict(mutant, empty)) != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6])
def test_a_constant_outcome_is_expected_and_certain(constant):
    support = measured()
    for part in answers(numeric(2), support._replace(y=torch.full_like(support.y, constant)), draws(5, 3, seed=1)):
        torch.testing.assert_close(part, torch.full_like(part, constant), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_the_order_of_the_columns_does_not_matter(kind):
    learner, support = (mapping(3, 2), classified(3)) if kind == "classes" else (numeric(2), measured())
    x, order = draws(5, 3, seed=1), [2, 0, 1]
    expected = learner.predict(learner.adapt(support), x)
    turned = learner.predict(learner.adapt(support._replace(x=support.x[:, order])), x[:, order])
    torch.testing.assert_close(turned, expected, rtol=1e-6, atol=0)
    alone = learner.predict(learner.adapt(support), x[:, order])  # mutant: the queries' columns alone
    assert (alone - expected).abs().max() > 1e-3


def test_no_row_at_all_is_an_empty_support():
    x, none = draws(4, 3, seed=1), torch.zeros(0, dtype=F64)
    made = mapping(4, 2)
    p = made.predict(made.adapt(Examples(none.view(0, 3), none.long(), none)), x).exp()
    torch.testing.assert_close(p.sum(1), torch.ones(4, dtype=F64))
    for part in answers(numeric(2), Examples(none.view(0, 3), none[:, None], none), x):
        assert (part == 0).all()


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_learned_is_refused():
    support = measured()
    with pytest.raises(MapstoError, match=r"^y: got shape \(11, 2\)"):
        numeric(1).adapt(support._replace(y=support.y.expand(-1, 2)))
    with pytest.raises(MapstoError, match=r"^y: got class 3"):
        mapping(3).adapt(classified(4))
    with pytest.raises(MapstoError, match=r"^loss: "):
        InContext(SetTransformer(16, 1, 2), loss="hinge")
    for name, wrong in (("ways", 0), ("ways", CLASSES + 1), ("members", 0)):
        with pytest.raises(MapstoError, match=rf"^{name}: "):
            InContext(SetTransformer(16, 1, 2), **{name: wrong})


def test_ten_readings_average_probabilities_not_logarithms():
    answers = draws(1, 10, 4, 3).log_softmax(-1)
    outcome = Frequencies(torch.full((1, 3), 1 / 3, dtype=F64), torch.arange(3).expand(1, 10, 3))
    expected = np.log(answers.exp().numpy().mean(1))
    np.testing.assert_allclose(outcome.average(answers), expected, rtol=0, atol=1e-12)
    assert math.isclose(float(outcome.average(answers).exp().sum(-1).mean()), 1)
    assert np.abs(answers.mean(1).numpy() - expected).max() > 0.01
