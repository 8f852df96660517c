"""How a learner learned: the film's frames are the inner loop's own, and a film of another loop is found out."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

import mapsto as mt
from mapsto.adaptation.differentiation import Adjoint, Checkpointed, FiniteDifference, Implicit, Truncated
from mapsto.adaptation.inner import SGD, Adam
from mapsto.episodes import Episode, Examples, examples
from mapsto.errors import MapstoError
from mapsto.explainers import Gradient, InputXGradient, IntegratedGradients
from mapsto.learners import (
    ANML,
    MAML,
    VSML,
    LearnedOptimizer,
    Learner,
    MemoryFusion,
    MetaLSTM,
    MultiTask,
    PrototypicalNetwork,
    Reptile,
)
from mapsto.models import MLP
from mapsto.seeing import changes, film, gradient_histograms, histograms, iterates
from mapsto.seeing.film import grid_over
from mapsto.seeing.iterates import Iterates, by_layer
from mapsto.seeing.plane import plane

F64 = torch.float64
STEPS = 4


def body(outputs: int = 3, norm: bool = False) -> nn.Module:
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(6, track_running_stats=False)] if norm else []
    return nn.Sequential(nn.Linear(2, 6), *middle, nn.Tanh(), nn.Linear(6, outputs)).to(F64)


def task(n: int = 9, m: int = 5, classes: int = 3) -> Episode:
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(n + m, 2, dtype=F64, generator=g), torch.arange(n + m) % classes
    return Episode(examples(x[:n], y[:n]), examples(x[n:], y[n:]))


def fused() -> Learner:
    return MemoryFusion(MAML(body(), lr=0.3, steps=STEPS)).to(F64)


LEARNERS: dict[str, Callable[[], Learner]] = {
    "MAML": lambda: MAML(body(), lr=0.3, steps=STEPS),
    "FOMAML": lambda: MAML(body(), lr=0.3, steps=STEPS, first_order=True),
    "ANIL": lambda: MAML(body(), lr=0.3, steps=STEPS, adapt="head"),
    "Meta-SGD": lambda: MAML(body(), lr=0.3, steps=STEPS, learn_lr=True),
    "MAML++ rates": lambda: MAML(body(), lr=0.3, steps=STEPS, learn_lr="layer-step"),
    "zeroed head": lambda: MAML(body(), lr=0.3, steps=STEPS, zero_head=True),
    "batch norm": lambda: MAML(body(norm=True), lr=0.3, steps=STEPS),
    "momentum": lambda: MAML(body(), lr=0.1, steps=STEPS, optimizer=SGD(0.9, weight_decay=0.1)),
    "Adam": lambda: MAML(body(), lr=0.05, steps=STEPS, optimizer=Adam()),
    "minibatches": lambda: MAML(body(), lr=0.3, steps=STEPS, minibatch=2),
    "iMAML": lambda: MAML(body(), lr=0.3, steps=STEPS, differentiation=Implicit(), proximal=0.5),
    "adjoint": lambda: MAML(body(), lr=0.3, steps=STEPS, differentiation=Adjoint()),
    "checkpointed": lambda: MAML(body(), lr=0.3, steps=STEPS, differentiation=Checkpointed()),
    "truncated": lambda: MAML(body(), lr=0.3, steps=STEPS, differentiation=Truncated(1)),
    "finite difference": lambda: MAML(body(), lr=0.3, steps=STEPS, differentiation=FiniteDifference()),
    "Reptile": lambda: Reptile(body(), lr=0.05, steps=STEPS),
    "MultiTask": lambda: MultiTask(body(), lr=0.3, steps=STEPS),
    "MemoryFusion": fused,
    "LSTM meta-learner": lambda: MetaLSTM(body(), steps=STEPS, lr=0.3, hidden=4).to(F64),
    "learned optimizer": lambda: LearnedOptimizer(body(), steps=STEPS, hidden=4).to(F64),
}
BY_STEPS = [name for name in LEARNERS if name not in ("MAML++ rates", "MemoryFusion")]  # whose steps can be set


def make(name: str) -> Learner:
    learner = LEARNERS[name]()
    for i, p in enumerate(learner.parameters()):  # rates that differ, from entry to entry and from step to step
        if p.shape[-1:] == (STEPS,) or "SGD" in name:
            p.data = p.data + 0.01 * torch.randn(p.shape, dtype=F64, generator=torch.Generator().manual_seed(i))
    return learner


def same(a: object, b: object) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


# --- the way itself


def last_is_adapts(learner: Learner, way: Callable[[Learner, Examples], Iterates]) -> None:
    """The law: the last state is that of `adapt`, and the first is not."""
    support = task().support
    found, expected = way(learner, support), learner.adapt(support)
    assert len(found.states) == len(found.params) == len(found.gradients) == len(found.rates) == STEPS + 1
    same(found.states[-1], expected)
    first, last = (torch.cat([p.flatten() for p in params.values()]) for params in (found.params[0], found.params[-1]))
    assert (first - last).norm() > 1e-2


@pytest.mark.parametrize("name", LEARNERS)
def test_the_last_state_is_what_adapt_returns(name: str) -> None:
    last_is_adapts(make(name), iterates)


def halved(learner: Learner, support: Examples) -> Iterates:
    """Follow another loop than the learner's, at half the rate."""
    other = copy.deepcopy(learner)
    other.lr = learner.lr / 2
    return iterates(other, support)


def early(learner: Learner, support: Examples) -> Iterates:
    """Leave out the last step, and show the one before it twice."""
    found = iterates(learner, support)
    return Iterates(*([*steps[:-1], steps[-2]] for steps in found))


@pytest.mark.parametrize("mutant", [halved, early])
def test_a_film_of_another_loop_is_found_out(mutant: Callable) -> None:
    with pytest.raises(AssertionError):
        last_is_adapts(make("MAML"), mutant)


def constant_gates(lr: float) -> MetaLSTM:
    """Make the LSTM meta-learner gradient descent: nothing is forgotten, and what enters is always `lr`."""
    learner = MetaLSTM(body(), steps=STEPS, lr=lr, hidden=4).to(F64)
    for gate in (learner.cell.forget, learner.cell.enter):
        nn.init.zeros_(gate.weight)
    nn.init.constant_(learner.cell.forget.bias, 50.0)
    nn.init.constant_(learner.cell.enter.bias, math.log(lr / (1 - lr)))  # again, in double precision
    return learner


def test_a_learned_rule_that_is_gradient_descent_has_its_rate_and_its_way() -> None:
    rule, descent = (iterates(one, task().support) for one in (constant_gates(0.3), MAML(body(), lr=0.3, steps=STEPS)))
    same(rule.rates, descent.rates)
    same((rule.params, rule.gradients), (descent.params, descent.gradients))


def test_a_learned_rule_that_climbs_has_a_rate_below_zero() -> None:
    learner = constant_gates(0.3)
    for p in learner.cell.parameters():
        p.requires_grad_(False)
    learner.cell.register_forward_hook(lambda cell, given, out: (2 * given[0] - out[0], out[1]))  # θ + 0.3·g
    rates = [rate for step in iterates(learner, task().support).rates for rate in step.values()]
    same(rates, [torch.full_like(rate, -0.3) for rate in rates])


@pytest.mark.parametrize("name", BY_STEPS)
def test_each_state_is_what_so_many_steps_lead_to(name: str) -> None:
    learner, support = make(name), task().support
    states = iterates(learner, support).states
    for i, state in enumerate(states):
        learner.steps = i
        same(state, learner.adapt(support))


@pytest.mark.parametrize("name", LEARNERS)
def test_the_learner_stopped_at_a_step_answers_as_its_state(name: str) -> None:
    learner, episode = make(name), task()
    found = iterates(learner, episode.support)
    for stopped, state in zip(found.learners, found.states, strict=True):
        answer = stopped.predict(stopped.adapt(episode.support), episode.query.x)
        same(answer, learner.predict(state, episode.query.x))
    assert found.learners[0].state_dict().keys() == learner.state_dict().keys()
    shared = zip(found.learners[0].parameters(), learner.parameters(), strict=True)
    assert all(a is b for a, b in shared)


def test_the_learner_itself_stays_as_it_was() -> None:
    learner, support = make("Reptile"), task().support
    before, route = learner.adapt(support), learner.maml.differentiation
    iterates(learner, support)
    same(learner.adapt(support), before)
    assert learner.maml.differentiation is route


@pytest.mark.parametrize("name", ["MAML", "FOMAML", "ANIL", "minibatches"])
def test_gradients_are_those_of_the_support_loss(name: str) -> None:
    learner, support = make(name), task().support
    found = iterates(learner, support)
    for i, params in enumerate(found.params):
        rows = [(2 * i + j) % 9 for j in range(2)] if name == "minibatches" else list(range(9))
        leaves = {n: p.clone().requires_grad_() for n, p in params.items()}
        scores = functional_call(learner.body, leaves, (support.x[rows],))
        expected = torch.autograd.grad(nn.functional.cross_entropy(scores, support.y[rows]), list(leaves.values()))
        assert max(g.abs().max() for g in expected) > 1e-3
        for g, e in zip(found.gradients[i].values(), expected, strict=True):
            same(g, e)


@pytest.mark.parametrize("name", ["MAML", "Meta-SGD", "MAML++ rates", "ANIL", "zeroed head"])
def test_each_step_is_its_rate_times_its_gradient(name: str) -> None:
    found = iterates(make(name), task().support)
    for i in range(STEPS):
        for n, p in found.params[i].items():
            same(found.params[i + 1][n], p - found.rates[i][n] * found.gradients[i][n])
    if "rates" in name:
        assert len({float(rates["0.weight"].mean()) for rates in found.rates[:-1]}) == STEPS


def test_what_does_not_move_at_first_has_gradient_zero_in_the_first_frame_alone() -> None:
    found = iterates(make("zeroed head"), task().support)
    assert not found.gradients[0]["0.weight"].any()
    assert found.gradients[1]["0.weight"].any()


def test_a_sequence_is_a_film_too() -> None:
    learner = ANML(nn.Identity(), None, width=2, ways=3, lr=0.5).to(F64)
    support = task().support
    found = iterates(learner, support)
    assert len(found.states) == len(support.w) + 1
    same(found.states[-1], learner.adapt(support))


def test_no_step_is_a_film_of_one_frame() -> None:
    learner = make("MAML")
    learner.steps = 0
    shown = film(learner, task())
    assert shown.support_loss.shape == (1,)
    assert gradient_histograms(learner, task().support).updates.shape[:2] == (0, 2)
    assert not changes(learner, task().support, task().query.x).parameters.any()


@pytest.mark.parametrize(
    "learner",
    [PrototypicalNetwork(nn.Linear(2, 4), 3), VSML(nn.Flatten(), ways=3)],
    ids=lambda a: type(a).__name__,
)
@pytest.mark.parametrize("ask", [lambda of, e: film(of, e), lambda of, e: gradient_histograms(of, e.support)])
def test_a_learner_without_inner_gradient_steps_is_told_what_to_use_instead(learner: Learner, ask: Callable) -> None:
    episode = mt.episodes.to(task(), torch.float32)
    with pytest.raises(MapstoError, match=rf"^learner: got {type(learner).__name__}, .* `views.weights`") as told:
        ask(learner, episode)
    assert str(told.value).count(". ") == 0  # one sentence


@pytest.mark.parametrize("ask", [film, lambda of, e: gradient_histograms(of, e.support)], ids=["film", "histograms"])
def test_a_lesson_that_does_not_fit_or_has_missing_cells_is_refused(ask: Callable) -> None:
    episode, learner = task(), make("MAML")
    missing = episode.support.x.clone()
    missing[0, 0] = torch.nan
    for x, message in (
        (missing, r"^support: got \d+ entries .* not finite, .*fill missing"),
        (episode.support.x[:, :1], r"tasks: MAML cannot learn from these, whose examples are x \[1\]"),
    ):
        with pytest.raises(MapstoError, match=message):
            ask(learner, episode._replace(support=episode.support._replace(x=x)))


@pytest.mark.parametrize("explainer", [None, Gradient()])
def test_queries_of_another_width_are_refused(explainer: Gradient | None) -> None:
    episode = task()
    narrow = episode._replace(query=episode.query._replace(x=episode.query.x[:, :1]))
    with pytest.raises(MapstoError, match=r"x: MAML cannot answer rows of shape \(1,\) "):
        film(make("MAML"), narrow, explainer)


# --- the film


def softmax(scores: Tensor) -> Tensor:
    return scores.softmax(-1)


def test_every_frame_says_what_the_model_stopped_there_says() -> None:
    learner, episode = make("MAML"), task()
    shown = film(learner, episode, IntegratedGradients(8), row=3, target=1, link=softmax, points=5)
    for i in range(STEPS + 1):
        learner.steps = i
        state = learner.adapt(episode.support)
        same(shown.predictions[i], softmax(learner.predict(state, episode.query.x)))
        same(shown.surface[i], softmax(learner.predict(state, shown.grid)))
        same(shown.query_loss[i], learner.loss(episode)[0])
        same(shown.support_loss[i], learner.loss(Episode(episode.support, episode.support))[0])
        view = mt.views.query(learner, episode.support, 1, softmax)
        same(shown.attribution[i], IntegratedGradients(8)(view, episode.query.x[3]))
    assert shown.attribution.std(0).min() > 1e-4  # it changes on the way
    assert shown.support_loss[-1] < shown.support_loss[0] - 0.05
    assert not any(t.requires_grad for t in shown if isinstance(t, Tensor))


def test_layers_have_their_rates_and_norms() -> None:
    learner, episode = make("Meta-SGD"), task()
    shown = film(learner, episode)
    assert shown.layers == ("0", "2") and shown.attribution is None
    rates = torch.cat([r.flatten() for r in learner.rates[:2]])
    same(shown.rates[0, 0], rates.mean())
    found = iterates(learner, episode.support).gradients[2]
    same(shown.gradient_norm[2, 1], (found["2.weight"].square().sum() + found["2.bias"].square().sum()).sqrt())


def test_a_row_that_is_not_there_is_refused() -> None:
    with pytest.raises(MapstoError, match=r"^row: "):
        film(make("MAML"), task(), row=5)


def test_a_transductive_learner_is_filmed_but_not_explained() -> None:
    learner = MAML(body(norm=True), lr=0.3, steps=2, transductive=True)
    assert film(learner, task()).predictions.shape == (3, 5, 3)
    with pytest.raises(ValueError, match="transductive=False"):
        film(learner, task(), Gradient())


def test_images_have_no_grid() -> None:
    learner = MAML(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), lr=0.1, steps=2)
    rows = examples(torch.randn(4, 1, 4, 4), torch.tensor([0, 1, 0, 1]))
    shown = film(learner, Episode(rows, rows), InputXGradient())
    assert shown.grid is None and shown.surface is None and shown.attribution.shape == (3, 1, 4, 4)


def test_the_grid_covers_all_rows_and_changes_its_last_feature_first() -> None:
    x = torch.tensor([[0.0, -1.0], [10.0, 3.0]])
    grid = grid_over(x, 4)
    assert grid.shape == (16, 2)
    assert (grid.amin(0) < x.amin(0)).all() and (grid.amax(0) > x.amax(0)).all()
    assert grid[0, 0] == grid[3, 0] and grid[0, 1] < grid[1, 1]
    assert grid_over(torch.zeros(3, 3), 4) is None
    torch.testing.assert_close(grid_over(torch.full((5, 1), 2.0), 3), torch.tensor([[1.9], [2.0], [2.1]]))  # all alike


# --- the plane


def test_the_plane_is_that_of_the_principal_components() -> None:
    from sklearn.decomposition import PCA

    way = torch.cumsum(torch.randn(7, 20, dtype=F64, generator=torch.Generator().manual_seed(2)), 0)
    points, kept = plane(way)
    oracle = PCA(2).fit(way.numpy())
    theirs = oracle.transform(way.numpy())
    theirs = (theirs - theirs[0]) * np.where(theirs[-1] < theirs[0], -1, 1)
    np.testing.assert_allclose(points.numpy(), theirs, atol=1e-10)
    assert kept == pytest.approx(oracle.explained_variance_ratio_.sum())
    assert 0.5 < kept < 0.999


def test_a_straight_way_and_none_at_all() -> None:
    straight = torch.arange(4.0)[:, None] * torch.ones(4, 9)
    points, kept = plane(straight)
    assert kept == pytest.approx(1) and points[:, 1].abs().max() < 1e-5
    torch.testing.assert_close(points[:, 0], 3 * torch.arange(4.0))
    assert plane(torch.ones(3, 5)) == (pytest.approx(torch.zeros(3, 2)), 1.0)
    assert plane(torch.ones(1, 5))[0].tolist() == [[0, 0]]
    step = torch.stack([torch.zeros(7), torch.randn(7, generator=torch.Generator().manual_seed(0))])
    assert plane(step)[0][:, 1].tolist() == [0, 0]  # one step has one direction, and what else is rounding


# --- histograms


def counted_law(histograms: Callable) -> None:
    """Counts are NumPy's of the same entries, and with the zeros they are all entries of a layer."""
    learner = MAML(MLP(2, 8, 3).to(F64), lr=0.3, steps=2)
    support = task().support
    found, way = histograms(learner, support, 7), iterates(learner, support)
    gradients = [by_layer(g) for g in way.gradients]
    edges = found.edges.numpy()
    for i, layers in enumerate(gradients):
        for j, entries in enumerate(layers.values()):
            some = entries[entries != 0].abs().numpy()
            assert found.gradients[i, j].tolist() == np.histogram(np.log10(some), edges)[0].tolist()
            assert found.gradients[i, j].sum() + found.zero_gradients[i, j] * len(entries) == pytest.approx(
                len(entries)
            )
    assert (found.gradients > 0).sum() > 12 and 0 < found.zero_gradients.max() < 1  # ReLUs that are shut
    moved = way.params[1]["1.weight"] - way.params[0]["1.weight"]
    assert found.updates[0, 0].sum() == (torch.cat([moved.flatten(), way.gradients[0]["1.bias"]]) != 0).sum()


def test_histograms_count_as_numpy_does() -> None:
    torch.manual_seed(0)
    counted_law(gradient_histograms)


def test_histograms_that_count_zeros_as_small_are_found_out() -> None:
    def wrong(learner: Learner, support: Examples, bins: int) -> object:
        found = gradient_histograms(learner, support, bins)
        sizes = torch.tensor([len(g) for g in by_layer(iterates(learner, support).params[0]).values()])
        zeros = (found.zero_gradients * sizes).round().long()
        return found._replace(
            gradients=torch.cat([found.gradients[..., :1] + zeros[..., None], found.gradients[..., 1:]], -1)
        )

    torch.manual_seed(0)
    with pytest.raises(AssertionError):
        counted_law(wrong)


def test_plain_descent_moves_by_its_rate_times_the_gradient() -> None:
    """With rate 1 the updates are the gradients, so their histograms are equal."""
    learner = MAML(body(), lr=1.0, steps=3)
    found = gradient_histograms(learner, task().support)
    assert (found.updates - found.gradients[:-1]).abs().sum() <= 2  # an entry at an edge may be rounded across it
    assert found.updates.sum() == 3 * (18 + 21)


def test_gradients_that_are_lost_are_refused() -> None:
    learner = MAML(nn.Linear(2, 1), loss="mse", lr=1e30, steps=4)
    with pytest.raises(MapstoError, match=r"^support: got \d+ entries .* not finite.* lower rate"):
        gradient_histograms(learner, examples(torch.randn(4, 2), torch.randn(4, 1)))
    with pytest.raises(MapstoError, match="bins: got 0"):
        gradient_histograms(learner, examples(torch.randn(4, 2), torch.randn(4, 1)), bins=0)


def test_a_task_that_teaches_nothing_has_zeros_only() -> None:
    support = task().support._replace(w=torch.zeros(9, dtype=F64))
    found = gradient_histograms(make("MAML"), support)
    assert not found.gradients.any() and (found.zero_gradients == 1).all() and (found.zero_updates == 1).all()
    assert found.edges[[0, -1]].tolist() == pytest.approx([-1, 0], abs=1e-4)  # one decade, for want of numbers


def test_every_magnitude_has_a_bin_of_some_width() -> None:
    for sizes, width in (([1e30, 1e20, -1e25], 10.0), ([0.1, -0.1, 0.1], 1.0)):
        entries = torch.tensor(sizes)
        edges = histograms._edges([{"layer": entries}], 3)
        assert histograms._count(entries, edges).shape == (3,) and histograms._count(entries, edges).sum() == 3
        assert float(edges[-1] - edges[0]) == pytest.approx(width, rel=1e-4)


# --- what adaptation changed


def test_changes_are_relative_and_of_their_layer() -> None:
    learner, episode = make("ANIL"), task()
    found = changes(learner, episode.support, episode.query.x)
    assert found.layers == ("2",) and found.parts == ("0", "1", "2")
    assert not found.features[:, :2].any()  # ANIL moves the head alone
    way = iterates(learner, episode.support)
    start, end = (torch.cat([p.flatten() for p in params.values()]) for params in (way.params[0], way.params[-1]))
    same(found.parameters[-1, 0], (end - start).norm() / start.norm())
    before, after = (learner.predict(way.states[i], episode.query.x) for i in (0, -1))
    same(found.features[-1, 2], ((after - before).norm() / before.norm()).detach())
    assert found.features[-1, 2] > 0.1


def test_a_layer_that_starts_from_nothing_has_no_relative_change() -> None:
    found = changes(make("zeroed head"), task().support, task().query.x)
    assert found.parameters[:, 1].isnan().all() and found.parameters[-1, 0] > 0
    assert math.isnan(found.features[-1, 2])


# --- a learner that draws at random


@pytest.mark.parametrize(
    "ask",
    [film, lambda of, e: gradient_histograms(of, e.support), lambda of, e: changes(of, e.support, e.query.x)],
    ids=["film", "histograms", "changes"],
)
def test_a_learner_that_draws_at_random_is_refused_until_it_rests(ask: Callable) -> None:
    learner = MAML(nn.Sequential(body(), nn.Dropout(0.5)), lr=0.3, steps=2)
    with pytest.raises(MapstoError, match=r"^learner: .* Dropout .*learner.eval\(\)"):
        ask(learner, task())
    same(
        [leaf for leaf in ask(learner.eval(), task()) if isinstance(leaf, Tensor)],
        [leaf for leaf in ask(learner, task()) if isinstance(leaf, Tensor)],
    )
