"""The errors that the mapping predicts of its own Shapley values: measured rightly, by class, and in units."""

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

from mapsto.episodes import examples
from mapsto.errors import MapstoError
from mapsto.explainers.coalitions import exact, permutations
from mapsto.explainers.learned.attribution import PairwiseAttribution
from mapsto.explainers.learned.value_errors import LEVELS, ValueErrors
from mapsto.explanation import Explanation
from mapsto.joint import Doubting, SelfExplaining
from mapsto.joint.doubting import _designs
from mapsto.joint.looks import residual
from mapsto.learners import InContext
from mapsto.models import SetTransformer
from mapsto.tasks import Tables
from mapsto.training import train


def mapping(ways=2, members=2, seed=0, loss="cross_entropy"):
    """A small mapping whose weights are far from their start, so that no law holds by flatness."""
    torch.manual_seed(seed)
    learner = InContext(SetTransformer(16, 2, 2), ways, members, loss)
    made = SelfExplaining(learner, PairwiseAttribution(16, 11, 16, 4), doubt=ValueErrors(16, 8))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.double().requires_grad_(False)


def table(n=9, d=4, ways=2, seed=1):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return examples(x, torch.arange(n) % ways)


def read(made, support):
    return made.learner.read(pytree.tree_map(lambda leaf: leaf[None], support), made.ways)


def exact_values(made, state, x):
    """Shapley's formula over the model's own predictions for rows with missing cells."""
    design = exact(x.shape[1], torch.float64)
    rows = torch.where(design.masks.bool(), x[:, None], torch.nan)
    v = torch.stack([made.predict(state, row).exp() for row in rows])
    return torch.einsum("jc,nck->njk", design.weights, v)


def errors(made, reading, x, design):
    return residual(made, reading, x, made.in_tasks(reading, x)[2], design)


def test_two_samples_differ_and_all_coalitions_are_asked_once():
    first, second = _designs(7, 32, torch.float64)
    assert first.masks.shape == second.masks.shape == (32, 7) and not torch.equal(first.masks, second.masks)
    (every,) = _designs(5, 32, torch.float64)
    assert every.masks.shape == (32, 5)


@pytest.mark.parametrize("ways", [2, 3])
def test_the_residual_of_all_coalitions_is_the_true_error(ways):
    made, support = mapping(ways), table(ways=ways)
    state, x = made.adapt(support), table(seed=5).x[:3]
    x[1, 2] = torch.nan
    error = exact_values(made, state, x) - made.explain(state, x)[0]
    assert error.abs().max() > 1e-3  # there is something to predict
    measured = errors(made, read(made, support), x[None], exact(4, torch.float64))[0]
    torch.testing.assert_close(measured, error, rtol=0, atol=1e-10)


def test_the_product_of_two_samples_is_the_squared_error_on_average():
    made, support = mapping(), table(d=7)
    reading, x = read(made, support), table(d=7, seed=5).x[None, :2]
    true = errors(made, reading, x, exact(7, torch.float64)).square()
    samples = torch.stack([errors(made, reading, x, permutations(7, 2, seed, torch.float64)) for seed in range(60)])
    assert (samples.var(0) > 0.05 * true).any()  # the sampling error is not negligible
    total, own = samples.sum(0).square(), samples.square().sum(0)
    product = (total - own) / (60 * 59)
    assert float(product.sum()) == pytest.approx(float(true.sum()), rel=0.2)
    assert samples.square().mean(0).sum() > 1.5 * true.sum()  # the mutant that squares one sample


def test_errors_follow_the_classes_and_are_0_where_the_value_is_known():
    made, support = mapping(3), table(ways=3)
    x = table(seed=5).x[:4]
    x[1, 2] = x[2, :3] = torch.nan
    errors = made.reasons(made.adapt(support), x).errors
    assert errors is not None and errors.shape == (4, 4, 3) and errors[0].std() > 1e-6
    assert (errors[1, 2] == 0).all() and (errors[1, [0, 1, 3]] > 0).all()
    assert (errors[2] == 0).all()  # the only visible column has the whole difference
    renamed = support._replace(y=torch.tensor([2, 0, 1])[support.y])
    torch.testing.assert_close(made.reasons(made.adapt(renamed), x).errors[:, :, [2, 0, 1]], errors)


def test_both_of_two_classes_have_the_same_error():
    made = mapping()
    errors = made.reasons(made.adapt(table()), table(seed=5).x).errors
    torch.testing.assert_close(errors[..., 0], errors[..., 1])


@pytest.mark.parametrize("size", [1.0, 250.0])
def test_errors_of_numbers_are_in_their_unit(size):
    made, x = mapping(1, loss="mse"), table(seed=5).x[:3]
    support = table()._replace(y=torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None])
    plain, scaled = (made.reasons(made.adapt(support._replace(y=support.y * s)), x) for s in (1.0, size))
    torch.testing.assert_close(scaled.errors, plain.errors * size)
    torch.testing.assert_close(scaled.values, plain.values * size)


def test_the_loss_is_least_at_the_mean_error():
    errors = torch.tensor([0.0001, 0.0009, 0.002, -0.0002], dtype=torch.float64)  # chance can make one negative
    doubt = (errors.mean() + 1e-8).log().clone().requires_grad_(True)
    slope = torch.autograd.grad(ValueErrors.loss(doubt.expand(4), errors), doubt)[0]
    assert slope.abs() < 1e-9
    known = torch.tensor([-torch.inf, -7.0])
    assert ValueErrors.loss(known, torch.tensor([5.0, 0.0])) == ValueErrors.loss(known[1:], torch.zeros(1))


@pytest.mark.long
def test_training_changes_the_network_alone_and_learns_the_size_of_errors():
    made = mapping().float()
    learner = Doubting(made, samples=14, members=2)
    made.doubt.requires_grad_(True)
    before = {name: p.clone() for name, p in made.named_parameters()}
    tasks = Tables(rows=(9, 12), columns=(3, 4), queries=4)
    seen = [step.metrics for step in train(learner, tasks, steps=120, batch=2, lr=0.01, vectorise=False)]
    changed = {name for name, p in made.named_parameters() if not torch.equal(p, before[name])}
    assert changed and all(name.startswith("doubt.") for name in changed)
    start, end = (np.mean([m["loss"] for m in part]) for part in (seen[:20], seen[-20:]))
    assert end < start - 0.5
    predicted, measured = (sum(m[name] for m in seen[-60:]) for name in ("predicted", "measured"))
    assert 1 / 2 < predicted / measured < 2


def test_a_mapping_without_the_network_cannot_learn_doubt():
    bare = SelfExplaining(InContext(SetTransformer(8, 1, 2)), PairwiseAttribution(8))
    assert bare.reasons(bare.adapt(table().to(torch.float32)), torch.zeros(2, 4)).errors is None
    with pytest.raises(MapstoError, match="mapping: got a mapping without the network doubt"):
        Doubting(bare)


def squared_errors(made, state, x, looks):
    exact = exact_values(made, state, x)
    return [float((made.reasons(state, x, n).values - exact).square().sum()) for n in (0, looks)]


def test_enough_looks_make_the_values_exact_and_certain():
    made, support = mapping(3), table(ways=3)
    state, x = made.adapt(support), table(seed=5).x
    before, after = squared_errors(made, state, x, 14)
    reasons = made.reasons(state, x, 14)
    assert after < 1e-20 < 1e-4 < before and reasons.errors.abs().max() < 1e-9
    x[0, 1] = x[1, :3] = torch.nan
    reasons, predicted = made.reasons(state, x, 14), made.predict(state, x).exp()
    torch.testing.assert_close(reasons.base + reasons.values.sum(1), predicted)
    assert (reasons.values[0, 1] == 0).all() and (reasons.errors[0, 1] == 0).all()


def test_few_looks_correct_values_that_are_in_doubt_and_leave_certain_ones():
    made, support = mapping(), table(d=7)
    state, x = made.adapt(support), table(d=7, seed=5).x
    made.doubt.rest[-1].bias.data.fill_(-60.0)  # certain of everything
    values = made.reasons(state, x).values
    torch.testing.assert_close(made.reasons(state, x, 40).values, values, rtol=0, atol=1e-9)
    made.doubt.rest[-1].bias.data.fill_(0.0)
    before, after = squared_errors(made, state, x, 40)
    reasons = made.reasons(state, x, 40)
    assert after < 0.5 * before and (reasons.errors <= made.reasons(state, x).errors).all()
    torch.testing.assert_close(reasons.values.sum(1), values.sum(1))


def test_errors_after_looks_are_those_of_the_looks():
    made, support = mapping(), table(d=8)
    made.doubt.rest[-1].bias.data.fill_(5.0)
    state, x = made.adapt(support), table(n=16, d=8, seed=5).x
    reasons = made.reasons(state, x, 60)
    error = (reasons.values - exact_values(made, state, x)).square().mean().sqrt()
    assert 0.5 < float(reasons.errors.square().mean().sqrt() / error) < 2


@pytest.mark.parametrize(("looks", "message"), [(3, "samples: got 3"), (14, "looks: got 14, expected 0")])
def test_looks_that_say_too_little_are_refused(looks, message):
    made, support = mapping(), table()
    state = made.adapt(support)
    made.doubt = made.doubt if looks == 3 else None
    with pytest.raises(MapstoError, match=message):
        made.reasons(state, support.x, looks)


def explanation(**fields):
    values, errors = np.array([[[0.2, -0.2], [0.1, -0.1]]]), np.array([[[0.01, 0.01], [0.0, 0.0]]])
    return Explanation(values, np.array([[0.5, 0.5]]), np.zeros((1, 2)), ["a", "b"], [0, 1], errors=errors, **fields)


def test_intervals_are_symmetric_and_as_wide_as_the_ratios_say():
    low, high = explanation().intervals(0.9)
    assert low[0, 0] == pytest.approx([0.2 - 0.0164485, -0.2 - 0.0164485]) and (low[0, 1] == high[0, 1]).all()
    ratios = 3.0 * np.array(LEVELS)
    low, high = explanation(ratios=ratios).intervals(0.5)
    assert (high - low)[0, 0] == pytest.approx([0.03, 0.03])
    low, high = explanation(ratios=ratios).intervals(0.905)
    assert (high - low)[0, 0] == pytest.approx([2 * 2.715 * 0.01] * 2)
    kept = explanation(ratios=ratios)[[0]]
    assert (kept.intervals(0.5)[1] == explanation(ratios=ratios).intervals(0.5)[1]).all()


@pytest.mark.parametrize("coverage", [0.0, 1.0, np.nan, -0.5])
def test_a_coverage_outside_of_the_quantiles_is_refused(coverage):
    with pytest.raises(MapstoError, match="coverage: got"):
        explanation().intervals(coverage)


def test_intervals_need_errors():
    bare = Explanation(np.zeros((1, 2)), np.zeros(1), np.zeros((1, 2)), ["a", "b"], [])
    with pytest.raises(MapstoError, match="errors: got None"):
        bare.intervals()
