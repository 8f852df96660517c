"""Attacks and the stability of explanations: closed forms on linear views, projections, scipy, and poisoned lessons."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import scipy.stats
import torch
from torch import nn
from torch.func import vmap

from mapsto import views
from mapsto.episodes import Episode, Examples, examples
from mapsto.errors import MapstoError
from mapsto.explainers import Gradient, InputXGradient, Shapley
from mapsto.learners import MAML, PrototypicalNetwork
from mapsto.measures import (
    max_sensitivity,
    query_stability,
    randomised_model,
    shuffled_labels,
    teaching_stability,
)
from mapsto.measures.robustness import attacks, stability
from mapsto.measures.robustness.attacks import FGSM, PGD
from mapsto.models import MLP

F64 = torch.float64
SLOPE = torch.tensor([[3.0, -4.0, 0.0], [0.5, -0.1, 1.0]], dtype=F64)
POINT = torch.tensor([[0.2, 0.1, -0.3], [1.0, 0.0, 0.4]], dtype=F64)


def line(x):
    return (SLOPE.to(x) * x).sum()


def bowl(x):
    """A smooth view with its top at 0.1 in every entry, within reach."""
    return -(x - 0.1).square().sum()


def net(seed):
    """Return a smooth network with one output; its weights do not depend on the global seed."""
    generator = torch.Generator().manual_seed(seed)
    layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1)).to(F64)
    for parameter in layers.parameters():
        parameter.data = 0.6 * torch.randn(parameter.shape, generator=generator, dtype=F64)
    layers.requires_grad_(False)
    return lambda x: layers(x.flatten())[0]


NETS = [net(seed) for seed in range(8)]


# --- laws -------------------------------------------------------------------------------------------------------------


def law_closed_form(attack):
    """On a line the best move is known: ε·sign(w) in the maximum norm, ε·w/‖w‖ in the Euclidean one."""
    best = SLOPE / SLOPE.norm() if getattr(attack, "norm", "linf") == "l2" else SLOPE.sign()
    moved = attack(line, POINT) - POINT
    if getattr(attack, "seed", None) is not None:
        moved = torch.where(SLOPE == 0, 0.0, moved)  # where there is no slope, a random start stays where it was
    torch.testing.assert_close(moved, attack.radius * best, atol=1e-6, rtol=1e-6)


def law_within_reach(attack):
    """However steep the view, the move is within the ball and the bounds."""
    for seed in range(2):
        bounded = type(attack)(attack.radius, bounds=(-0.25, 0.9), **extras(attack))
        for move, limits in ((attack, None), (bounded, (-0.25, 0.9))):
            moved = move(lambda x, seed=seed: 50 * NETS[seed](x), POINT.clamp(-0.25, 0.9))
            gap = moved - POINT.clamp(-0.25, 0.9)
            far = gap.norm() if getattr(attack, "norm", "linf") == "l2" else gap.abs().max()
            assert 0.5 * attack.radius < far <= attack.radius * (1 + 1e-12) or limits
            assert far <= attack.radius * (1 + 1e-12)
            if limits:
                assert moved.min() >= limits[0] and moved.max() <= limits[1]


def extras(attack):
    return {name: getattr(attack, name) for name in ("norm", "steps", "step", "seed") if hasattr(attack, name)}


def law_batched(attack):
    points = torch.stack([POINT, -POINT, 2 * POINT])
    loop = torch.stack([attack(NETS[0], point) for point in points])
    assert (loop[0] - loop[1]).abs().max() > 0.1
    for chunk in (None, 1, 2):
        torch.testing.assert_close(attack.over(NETS[0], points, chunk), loop)


def law_missing_stays(attack):
    point = POINT.clone()
    point[0, 1] = torch.nan
    view = lambda x: line(x.nan_to_num(0.0))  # noqa: E731
    moved = attack(view, point)
    assert moved[0, 1].isnan() and moved.isnan().sum() == 1
    assert view(moved) > view(point) + 0.1


ATTACKS = {
    "FGSM": FGSM(0.3),
    "PGD": PGD(0.3, steps=8),
    "PGD, l2": PGD(0.3, "l2", steps=12),
    "PGD, random start": PGD(0.3, steps=30, seed=0),
    "PGD, l2, random start": PGD(0.3, "l2", steps=30, step=0.3, seed=0),
}
LAWS = (law_closed_form, law_within_reach, law_batched, law_missing_stays)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("law", LAWS)
def test_law(law, name):
    law(ATTACKS[name])


class Unsigned(attacks.Attack):
    radius = 0.3

    def __call__(self, view, point):
        return point + self.radius * torch.func.grad(view)(point)


class Outside(attacks.Attack):
    """Forgets to project."""

    norm, steps, step, seed = "l2", 8, 0.1, None

    def __init__(self, radius=0.3, bounds=None, **_):
        self.radius = radius

    def __call__(self, view, point):
        return point + 8 * 0.1 * torch.func.grad(view)(point).sign()


class MeanSlope(attacks.Attack):
    radius = 0.3

    def __call__(self, view, point):
        return FGSM(0.3)(view, point)

    def over(self, view, points, chunk_size=None):
        slope = vmap(torch.func.grad(view))(points).mean(0)
        return points + 0.3 * slope.sign()


class Spreads(attacks.Attack):
    radius = 0.3

    def __call__(self, view, point):
        slope = torch.func.grad(view)(point)
        return point + self.radius * slope / (point - point.mean()).norm()


@pytest.mark.parametrize(
    ("law", "mutant"),
    [
        (law_closed_form, Unsigned()),
        (law_within_reach, Outside()),
        (law_batched, MeanSlope()),
        (law_missing_stays, Spreads()),
    ],
)
def test_mutants_break_their_law(law, mutant):
    with pytest.raises(AssertionError):
        law(mutant)


# --- what an attack achieves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_many_steps_climb_higher_than_one_on_a_smooth_network(norm):
    one = FGSM(0.6) if norm == "linf" else PGD(0.6, "l2", steps=1, step=0.6)
    many = PGD(0.6, norm, steps=25)
    gains = []
    for seed in range(8):
        start, first, last = (NETS[seed](x) for x in (POINT, one(NETS[seed], POINT), many(NETS[seed], POINT)))
        assert last >= first - 1e-9 and first > start
        gains.append(float(last - first))
    assert max(gains) > 0.01  # the law is not kept by doing the same


def test_an_attack_finds_a_top_within_reach_and_never_does_worse_than_nothing():
    torch.testing.assert_close(
        PGD(1.5, steps=60, step=0.03)(bowl, POINT), torch.full_like(POINT, 0.1), atol=0.04, rtol=0
    )
    at_the_top = torch.full_like(POINT, 0.1)
    assert bowl(PGD(0.5, steps=3, step=0.4, seed=3)(bowl, at_the_top)) == 0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_by_default_the_steps_together_can_cross_the_ball(norm):
    assert PGD(0.4, norm, steps=8).step == pytest.approx(2.5 * 0.4 / 8) and PGD(0.4, norm, 8, step=0.3).step == 0.3
    assert (PGD(0.4).norm, PGD(0.4).steps, PGD(0.4).bounds, PGD(0.4).seed) == ("linf", 20, (-math.inf, math.inf), None)
    x, attack = torch.tensor([5.0, 0.0]), PGD(0.4, norm, steps=8)
    torch.testing.assert_close(attack(lambda x: x[0], x), torch.tensor([5.4, 0.0]))


def test_the_seed_decides_where_it_starts():
    def twisted(x):
        return (3 * x).sin().sum()

    first, again, other = (PGD(1.0, steps=2, step=0.05, seed=s)(twisted, POINT) for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    state = torch.get_rng_state()
    PGD(1.0, seed=0)(twisted, POINT)
    assert torch.equal(torch.get_rng_state(), state)


# --- through adaptation -----------------------------------------------------------------------------------------------


def lesson():
    """Two classes in the plane, close enough to be turned; eight examples of each teach, fifty judge."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(116) % 2
    x = torch.randn(116, 2, generator=generator, dtype=F64) * 0.6 + (2 * y - 1)[:, None]
    return Episode(examples(x[:16], y[:16]), examples(x[16:], y[16:]))


def learners():
    torch.manual_seed(0)
    made = {
        "MAML": MAML(MLP(2, 8, 2, activation="tanh").to(F64), lr=1.0, steps=8),
        "ProtoNet": PrototypicalNetwork(MLP(2, 8, 4, activation="tanh").to(F64), ways=2),
    }
    return {name: learner.requires_grad_(False) for name, learner in made.items()}


def accuracy(learner, support, query):
    return float((learner.predict(learner.adapt(support), query.x).argmax(-1) == query.y).double().mean())


@pytest.mark.parametrize("name", ["MAML", "ProtoNet"])
def test_a_poisoned_support_set_lowers_accuracy_more_than_noise_of_its_size(name):
    """Over four lessons and learners poison leaves at most .60 of .95 and more, noise of its size .87 at least."""
    learner, episode = learners()[name], lesson()
    view, x = attacks.teaching_loss(learner, episode), episode.support.x
    poisoned = episode.support._replace(x=PGD(1.5, steps=15)(view, x))
    generator = torch.Generator().manual_seed(1)
    noisy = episode.support._replace(x=x + 1.5 * torch.randn(x.shape, generator=generator, dtype=F64).sign())
    clean, bad, noise = (accuracy(learner, support, episode.query) for support in (episode.support, poisoned, noisy))
    assert clean > 0.9 and bad < clean - 0.15 and noise > bad + 0.1
    assert (poisoned.x - x).abs().max() <= 1.5 + 1e-12


@pytest.mark.parametrize("name", ["MAML", "ProtoNet"])
def test_an_attack_on_the_query_turns_predictions(name):
    learner, episode = learners()[name], lesson()

    def turned(x, y):
        return PGD(1.2, "l2", steps=10)(attacks.surprise(learner, episode.support, y), x)

    moved = vmap(turned)(episode.query.x, episode.query.y)
    clean = accuracy(learner, episode.support, episode.query)
    assert accuracy(learner, episode.support, episode.query._replace(x=moved)) < clean - 0.25


def test_the_teaching_loss_is_the_loss_and_an_ignored_example_stays():
    learner, episode = learners()["ProtoNet"], lesson()
    torch.testing.assert_close(attacks.teaching_loss(learner, episode)(episode.support.x), learner.loss(episode)[0])
    support = episode.support._replace(w=episode.support.w * (torch.arange(16) != 3))
    moved = FGSM(0.5)(attacks.teaching_loss(learner, episode._replace(support=support)), support.x)
    gap = (moved - support.x).abs().amax(1)
    assert gap[3] == 0 and (gap[torch.arange(16) != 3] > 0.49).all()


# --- stability --------------------------------------------------------------------------------------------------------


def test_the_rank_correlation_of_stability_is_scipys_over_all_entries():
    episode = lesson()
    view = attacks.surprise(flat := PrototypicalNetwork(nn.Identity(), ways=2), episode.support, torch.tensor(1))
    x, attack = torch.tensor([0.6, 0.4], dtype=F64), PGD(0.7, "l2")
    explain = lambda view, point: torch.outer(point, torch.tensor([3.0, -2.0, 0.5], dtype=F64)).sin()  # noqa: E731
    found = stability.query_stability(explain, flat, episode.support, x, 1, attack)
    before, after = (explain(view, point).flatten().numpy() for point in (x, attack(view, x)))
    expected = scipy.stats.spearmanr(before, after).statistic
    assert 0.1 < abs(expected) < 0.99
    assert float(found.rank) == pytest.approx(expected)
    constant = stability.query_stability(lambda view, point: torch.ones(6), flat, episode.support, x, 1, attack)
    assert constant.rank.isnan() and constant.change == 0


def test_an_attack_stays_within_its_bounds_and_refuses_a_view_that_is_nan():
    outside = torch.tensor([2.0, 0.5])
    for attack in (FGSM(0.1, bounds=(0.0, 1.0)), PGD(0.1, bounds=(0.0, 1.0))):
        assert (attack(lambda x: x.sum(), outside) <= 1).all()
        with pytest.raises(MapstoError, match="view: got NaN"):
            attack(lambda x: x.sum() * math.nan, outside)


def test_change_and_overlap_by_hand():
    before, after = torch.tensor([[0.0, 4.0], [-3.0, 1.0]]), torch.tensor([[0.0, 4.0], [0.0, 1.0]])
    assert stability.change(before, after) == pytest.approx(0.588348, abs=1e-5)  # 3 / √26
    assert [float(stability.top_overlap(before, after, k)) for k in (1, 2, 4)] == [1.0, 0.5, 1.0]
    with pytest.raises(MapstoError, match=r"^k: got 5"):
        stability.top_overlap(before, after, 5)


def test_reasons_of_a_linear_model_survive_and_those_of_a_bent_one_do_not():
    """Prototypes of raw inputs have scores whose difference is linear: a slope that no move of the query changes."""
    episode, x = lesson(), torch.tensor([0.6, 0.4], dtype=F64)
    flat = PrototypicalNetwork(nn.Identity(), ways=2)
    gap = lambda view, point: Gradient()(view, point) + 2 * point  # noqa: E731  the part that is not the query's own
    same = stability.query_stability(gap, flat, episode.support, x, 1, PGD(1.5, "l2"), k=1)
    assert same.change < 1e-9 and same.rank == pytest.approx(1) and same.top == 1 and not same.kept
    bent = stability.query_stability(InputXGradient(), learners()["MAML"], episode.support, x, 1, PGD(1.5, "l2"), k=1)
    assert bent.change > 0.1


def test_poisoning_moves_the_reasons_and_no_attack_leaves_them():
    learner, episode = learners()["MAML"], lesson()
    x = episode.query.x[0]

    class Nothing(attacks.Attack):
        def __call__(self, view, point):
            return point

    calm, hurt = (
        stability.teaching_stability(Gradient(), learner, episode, x, 0, attack, k=1)
        for attack in (Nothing(), PGD(1.0))
    )
    assert (float(calm.change), float(calm.rank), float(calm.top)) == (0.0, pytest.approx(1.0), 1.0) and calm.kept
    assert hurt.change > 0.05


def test_stability_is_batched_over_queries():
    learner, episode = learners()["ProtoNet"], lesson()

    def one(x):
        return stability.query_stability(Gradient(), learner, episode.support, x, 1, PGD(0.5), k=1)

    together = vmap(one)(episode.query.x[:4])
    torch.testing.assert_close(together.change[2], one(episode.query.x[2]).change)
    by_tensor = stability.query_stability(
        Gradient(), learner, episode.support, episode.query.x[2], torch.tensor(1), PGD(0.5), k=1
    )
    assert by_tensor.change == one(episode.query.x[2]).change


def numbers(outputs=1):
    """Return a learner of a bent curve in the plane, and a lesson in it."""
    torch.manual_seed(0)
    learner = MAML(MLP(2, 8, outputs, activation="tanh").to(F64), loss="mse", lr=0.3, steps=8).requires_grad_(False)
    x = torch.randn(24, 2, generator=torch.Generator().manual_seed(3), dtype=F64)
    y = torch.stack([(2 * x[:, 0]).sin(), x[:, 1].cos()], 1)[:, :outputs]
    return learner, Episode(examples(x[:16], y[:16]), examples(x[16:], y[16:]))


def test_numbers_are_driven_from_the_truth_and_their_reasons_move():
    learner, episode = numbers()
    x, y = episode.query.x[0], episode.query.y[0]
    error = lambda x: (views.query(learner, episode.support)(x) - y).square().mean()  # noqa: E731
    view = attacks.surprise(learner, episode.support, y)
    torch.testing.assert_close(view(x), error(x))
    attack = PGD(0.8, steps=10)
    assert error(attack(view, x)) > error(x) + 0.1
    found = stability.query_stability(Gradient(), learner, episode.support, x, y, attack, k=1)
    by_hand = [Gradient()(views.query(learner, episode.support, 0), point) for point in (x, attack(view, x))]
    torch.testing.assert_close(found.change, stability.change(*by_hand))
    assert found.change > 0.1 and not found.kept
    calm = stability.query_stability(Gradient(), learner, episode.support, x, y, PGD(1e-13), k=1)
    assert calm.change < 1e-9 and calm.kept


def test_the_reasons_for_several_numbers_are_compared_at_once():
    learner, episode = numbers(outputs=2)
    one = lambda x: stability.query_stability(  # noqa: E731
        Gradient(), learner, episode.support, x, episode.query.y[0], PGD(0.8), k=1
    )
    found = vmap(one)(episode.query.x[:3])
    assert found.change.shape == (3,) and found.change.min() > 0.01 and not found.kept.any()
    x, y, support = episode.query.x[1], episode.query.y[0], episode.support
    torch.testing.assert_close(found.change[1], one(x).change)
    moved = PGD(0.8)(attacks.surprise(learner, support, y), x)
    by_hand = (Gradient()(views.query(learner, support), point) for point in (x, moved))
    torch.testing.assert_close(one(x).change, stability.change(*by_hand))


def test_poisoned_numbers_are_not_kept():
    learner, episode = numbers(outputs=2)
    x = episode.query.x[0]
    calm, hurt = (
        stability.teaching_stability(Gradient(), learner, episode, x, episode.query.y[0], PGD(radius), k=1)
        for radius in (1e-13, 1.0)
    )
    assert calm.kept and calm.change < 1e-9 and not hurt.kept and hurt.change > 0.05


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("y", "message"),
    [(0, "y: got torch.int64 .*this learner regresses"), (torch.zeros(2), r"^y: got shape \(1, 2\)")],
)
def test_a_truth_that_is_no_number_of_the_learner_is_refused(y, message):
    learner, episode = numbers()
    with pytest.raises(MapstoError, match=message):
        stability.query_stability(Gradient(), learner, episode.support, episode.query.x[0], y, PGD(0.5), k=1)
    with pytest.raises(MapstoError, match=message):
        stability.teaching_stability(Gradient(), learner, episode, episode.query.x[0], y, PGD(0.5), k=1)


@pytest.mark.usefixtures("unchecked")
def test_a_class_that_the_learner_does_not_have_is_refused():
    learner, episode = learners()["ProtoNet"], lesson()
    for y, message in ((9, "y: got class 9"), (0.5, "y: got torch.float32 .* class index")):
        with pytest.raises(MapstoError, match=message):
            stability.query_stability(Gradient(), learner, episode.support, episode.query.x[0], y, PGD(0.5), k=1)
        with pytest.raises(MapstoError, match=message):
            stability.teaching_stability(Gradient(), learner, episode, episode.query.x[0], y, FGSM(0.5), k=1)


def test_a_lesson_of_a_learner_that_draws_at_random_is_not_attacked():
    learner = PrototypicalNetwork(nn.Sequential(nn.Identity(), nn.Dropout(0.5)), ways=2)
    with pytest.raises(MapstoError, match=r"its Dropout 'body.1' draws at random in training"):
        attacks.teaching_loss(learner, lesson())
    attacks.teaching_loss(learner.eval(), lesson())


def test_stability_of_the_only_class_is_refused():
    lonely, episode = PrototypicalNetwork(nn.Identity(), ways=1), lesson()
    episode = Episode(*(part._replace(y=torch.zeros_like(part.y)) for part in episode[:2]))
    for measure, taught in ((stability.query_stability, episode.support), (stability.teaching_stability, episode)):
        with pytest.raises(MapstoError, match=r"^learner: got PrototypicalNetwork with one class"):
            measure(Gradient(), lonely, taught, episode.query.x[0], 0, PGD(0.5), k=1)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FGSM(0.0), "radius: got 0.0"),
        (lambda: PGD(math.nan), "radius: got nan"),
        (lambda: PGD(1.0, "l1"), "norm: got 'l1'"),
        (lambda: PGD(1.0, steps=0), "steps: got 0"),
        (lambda: PGD(1.0, step=-1.0), "step: got -1.0"),
        (lambda: FGSM(1.0, bounds=(1.0, 0.0)), r"bounds: got \(1.0, 0.0\)"),
        (lambda: FGSM(1.0)(lambda x: x, torch.ones(3)), r"view: got scores of shape \(3,\)"),
    ],
)
def test_refused(build, message):
    with pytest.raises(MapstoError, match=message):
        build()


def test_the_query_views_are_those_of_the_house():
    learner, episode = learners()["ProtoNet"], lesson()
    x, y = episode.query.x[0], episode.query.y[0]
    expected = -views.query(learner, episode.support)(x).log_softmax(-1)[int(y)]
    torch.testing.assert_close(attacks.surprise(learner, episode.support, y)(x), expected)
    assert isinstance(episode.support, Examples)


LESSON, PROTOTYPES = lesson(), learners()["ProtoNet"]


@pytest.mark.parametrize(
    "measure",
    [
        lambda explain: query_stability(explain, PROTOTYPES, LESSON.support, LESSON.query.x[0], 1, FGSM(0.1), k=1),
        lambda explain: teaching_stability(explain, PROTOTYPES, LESSON, LESSON.query.x[0], 1, FGSM(0.1), k=1),
        lambda explain: max_sensitivity(explain, lambda x: torch.sum, torch.zeros(2, 3), torch.zeros(2, 1, 3)),
        lambda explain: randomised_model(explain, nn.Linear(3, 1), lambda net: lambda x: net(x)[0], torch.zeros(2, 3)),
        lambda explain: shuffled_labels(
            explain, LESSON.support, lambda support: views.query(PROTOTYPES, support, target=1), LESSON.query.x[:2]
        ),
    ],
    ids=["query", "teaching", "sensitivity", "model", "labels"],
)
def test_an_explainer_of_games_is_refused_with_a_remedy(measure: Callable[[Any], Any]) -> None:
    with pytest.raises(MapstoError, match=r"^explain: got Shapley, .*mt\.views\.game"):
        measure(Shapley())
    measure(Gradient())
