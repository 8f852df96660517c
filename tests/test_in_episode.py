"""Learners with a memory: every view, the module and the film explain the model that `evaluate` scores."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto import views
from mapsto.adaptation.coordinates import joined, parted
from mapsto.episodes import Episode, Examples, examples, unstack
from mapsto.explainers import Gradient, IntegratedGradients
from mapsto.learners import MAML, InEpisode, Learner, MemoryFusion, Regularised
from mapsto.measures import query_stability, teaching_stability
from mapsto.measures.robustness.attacks import Attack, surprise, teaching_loss
from mapsto.models import MLP
from mapsto.seeing import changes, film, gradient_histograms, iterates
from mapsto.tasks import LinearStream

F64 = torch.float64
STEPS, LAYER = 3, "learner.body.2"


def task() -> Episode:
    """Make a task with four earlier ones, of which one weighs nothing."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(6, 5, 2, generator=g, dtype=F64), torch.randn(6, 5, 1, generator=g, dtype=F64)
    w = torch.full((4, 5), 0.2, dtype=F64) * torch.tensor([[1.0], [0.0], [0.5], [1.0]], dtype=F64)
    return Episode(examples(x[0], y[0]), examples(x[1], y[1]), context=Examples(x[2:], y[2:], w))


def fused() -> MemoryFusion:
    torch.manual_seed(0)
    learner = MemoryFusion(MAML(MLP(2, 3, 1, activation="tanh"), loss="mse", lr=0.3, steps=STEPS), width=3).double()
    nn.init.normal_(learner.share)
    nn.init.uniform_(learner.stretch, 0.5, 2.0)
    return learner


def answer(learner: Learner, episode: Episode, x: Tensor) -> Tensor:
    """Return the score of row `x` as `evaluate` computes it."""
    return learner.predict(learner.adapt_to(episode), x[None])[0]


def nudged(point: Tensor) -> Tensor:
    return point + 0.1 * torch.randn(point.shape, generator=torch.Generator().manual_seed(1), dtype=F64)


Asked = Callable[[Learner, Episode | Examples, Tensor], Tensor]
AT_ITS_POINT: dict[str, Asked] = {  # the score that each view returns if nothing is moved or hidden
    "query": lambda learner, given, x: views.query(learner, given)(x),
    "support": lambda learner, given, x: views.support(learner, given, x)(task().support.x),
    "weights": lambda learner, given, x: views.weights(learner, given, x)(task().support.w),
    "support_game": lambda learner, given, x: views.support_game(learner, given, x)(torch.ones(5, dtype=F64)),
    "feature": lambda learner, given, x: of_point(views.feature(learner, given, x, LAYER)),
    "as_module": lambda learner, given, x: mt.as_module(learner, given)(x[None])[0],
    "iterates": lambda learner, given, x: learner.predict(iterates(learner, given).states[-1], x[None])[0],
    "stopped": lambda learner, given, x: views.query(iterates(learner, given).learners[-1], given)(x),
}


def of_point(found: tuple[views.View, Tensor]) -> Tensor:
    view, point = found
    return view(point)


def explains_the_evaluated_model(learner: Learner, ask: Asked, given: Callable[[Episode], Episode | Examples]) -> None:
    episode = task()
    for x in episode.query.x:
        expected = answer(learner, episode, x)
        assert (expected - answer(learner, episode._replace(context=None), x)).abs() > 1e-3
        torch.testing.assert_close(ask(learner, given(episode), x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ask", AT_ITS_POINT.values(), ids=AT_ITS_POINT)
def test_what_is_explained_is_what_is_evaluated(ask: Asked) -> None:
    explains_the_evaluated_model(fused(), ask, lambda episode: episode)


@pytest.mark.parametrize("ask", AT_ITS_POINT.values(), ids=AT_ITS_POINT)
def test_an_explanation_without_the_context_is_caught(ask: Asked) -> None:
    with pytest.raises(AssertionError):
        explains_the_evaluated_model(fused(), ask, lambda episode: episode.support)


def test_views_of_the_support_set_adapt_again_with_the_memory() -> None:
    learner, episode = fused(), task()
    (x, y, w), row = episode.support, episode.query.x[0]
    moved_x, moved_w = nudged(x), w * torch.tensor([1.0, 0.0, 0.5, 1.0, 2.0], dtype=F64)
    of_x = answer(learner, episode._replace(support=Examples(moved_x, y, w)), row)
    of_w = answer(learner, episode._replace(support=Examples(x, y, moved_w)), row)
    start = answer(learner, episode, row)
    assert min((of_x - start).abs(), (of_w - start).abs()) > 1e-4
    torch.testing.assert_close(views.support(learner, episode, row)(moved_x), of_x)
    torch.testing.assert_close(views.weights(learner, episode, row)(moved_w), of_w)
    without_last = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0], dtype=F64)
    game = views.support_game(learner, episode, row)
    assert game.players == 5
    deleted = answer(learner, episode._replace(support=Examples(x, y, w * without_last)), row)
    torch.testing.assert_close(game(without_last), deleted)


def test_a_support_feature_reaches_the_memory_too() -> None:
    """The body runs more than once as MAML adapts, so that there is no single output to move: it is refused."""
    with pytest.raises(mt.MapstoError, match=r"^layer: .* runs \d+ times"):
        views.support_feature(fused(), task(), task().query.x[0], LAYER)


def test_the_evaluated_number_is_that_of_the_explained_module() -> None:
    tasks, learner = LinearStream(features=2), fused().float()
    scores = mt.evaluate(learner, tasks.test, episodes=6, batch=6).values
    episodes = unstack(tasks.test.batch(0, 6))
    with torch.no_grad():
        errors = [
            [float((mt.as_module(learner, given)(e.query.x) - e.query.y).square().mean()) for given in (e, e.support)]
            for e in episodes
        ]
    explained, without_memory = torch.tensor(errors).double().unbind(1)
    torch.testing.assert_close(torch.tensor(scores).double(), explained, rtol=1e-5, atol=1e-6)
    assert (without_memory - explained).abs().min() > 1e-4


# the film


def fused_after(learner: MemoryFusion, episode: Episode, steps: int) -> dict[str, Tensor]:
    """Fuse the parameters after so many steps on the support set with all that the earlier tasks came to."""
    memory, mass = learner._remember(episode.context), episode.context.w.sum(-1)
    whole, learner.learner.steps = learner.learner.steps, steps
    here = learner.learner.adapt(episode.support).params
    learner.learner.steps = whole
    return parted(learner._fuse(joined(here), memory, mass), here)


def test_each_frame_is_fused_with_whole_memories() -> None:
    learner, episode = fused(), task()
    shown, way = film(learner, episode, IntegratedGradients(8)), iterates(learner, episode)
    assert len(way.states) == STEPS + 1
    for i, state in enumerate(way.states):
        torch.testing.assert_close(state.params, fused_after(learner, episode, i), rtol=1e-12, atol=1e-12)
        scores = learner.predict(state, episode.query.x)
        torch.testing.assert_close(shown.predictions[i], scores)
        slope = IntegratedGradients(8)(lambda x, at=state: learner.predict(at, x[None])[0, 0], episode.query.x[0])
        torch.testing.assert_close(shown.attribution[i], slope.detach())
    torch.testing.assert_close(shown.query_loss[-1], learner.loss(episode)[0].detach())
    assert (shown.query_loss[-1] - learner.loss(episode._replace(context=None))[0]).abs() > 1e-3


# a learner for functions that know support sets only


def test_a_learner_in_its_episode_adapts_with_the_memory() -> None:
    learner, episode = fused(), task()
    wrapped = InEpisode(learner, episode)
    assert wrapped.loss_name == "mse" and not wrapped.transductive
    torch.testing.assert_close(wrapped.adapt(episode.support), learner.adapt_to(episode))
    torch.testing.assert_close(wrapped.adapt_to(episode._replace(context=None)), learner.adapt_to(episode))
    other = episode.support._replace(x=nudged(episode.support.x))
    torch.testing.assert_close(wrapped.adapt(other), learner.adapt_to(episode._replace(support=other)))
    state, x = wrapped.adapt(episode.support), episode.query.x
    torch.testing.assert_close(wrapped.predict(state, x), learner.predict(state, x))
    assert wrapped.features(state, x).keys() == learner.features(state, x).keys()
    inside, outside = (
        Gradient()(views.query(*pair), x[0]) for pair in ((wrapped, episode.support), (learner, episode))
    )
    torch.testing.assert_close(inside, outside)


def test_a_penalised_memory_is_explained_as_it_is_evaluated() -> None:
    learner = Regularised(fused(), lambda read, x, w: w.sum(), weight=0.1)
    explains_the_evaluated_model(learner, AT_ITS_POINT["query"], lambda episode: episode)
    explains_the_evaluated_model(learner, AT_ITS_POINT["iterates"], lambda episode: episode)
    with pytest.raises(AssertionError):
        explains_the_evaluated_model(learner, AT_ITS_POINT["iterates"], lambda episode: episode.support)


# attacks, their stability and looking inside


def test_attacks_raise_the_loss_of_the_evaluated_model() -> None:
    learner, episode = fused(), task()
    with torch.no_grad():
        scores = learner.predict(learner.adapt_to(episode), episode.query.x)
    loss = (episode.query.w * (scores - episode.query.y).square().mean(-1)).sum() / episode.query.w.sum()
    torch.testing.assert_close(teaching_loss(learner, episode)(episode.support.x), loss)
    forgetful = teaching_loss(learner, episode._replace(context=None))(episode.support.x)
    assert (forgetful - loss).abs() > 1e-3
    for x, y, score in zip(episode.query.x, episode.query.y, scores, strict=True):
        torch.testing.assert_close(surprise(learner, episode, y)(x), (score - y).square().mean())


class Noted(Attack):
    """Moves nothing, and notes the loss that it is asked to raise."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []

    def __call__(self, view: views.View, point: Tensor) -> Tensor:
        self.losses.append(view(point).detach())
        return point


def test_stability_is_that_of_the_evaluated_model() -> None:
    learner, episode, attack, seen = fused(), task(), Noted(), []
    x, y = episode.query.x[0], episode.query.y[0]

    def explain(view: views.View, point: Tensor) -> Tensor:
        seen.append(view(point).detach())
        return point

    expected = answer(learner, episode, x).detach()
    query_stability(explain, learner, episode, x, y, attack, k=1)
    teaching_stability(explain, learner, episode, x, y, attack, k=1)
    assert len(seen) == 4
    for score in seen:
        torch.testing.assert_close(score.squeeze(), expected.squeeze())
    torch.testing.assert_close(attack.losses[0], (expected - y).square().mean())
    torch.testing.assert_close(attack.losses[1], teaching_loss(learner, episode)(episode.support.x).detach())


def test_changes_of_features_are_those_of_the_evaluated_model() -> None:
    learner, episode = fused(), task()
    x, states = episode.query.x, iterates(learner, episode).states
    seen, forgetful = (changes(learner, given, x) for given in (episode, episode.support))
    for j, part in enumerate(seen.parts):
        before, after = (learner.features(states[i], x)[part] for i in (0, -1))
        torch.testing.assert_close(seen.features[-1, j], (after - before).norm() / before.norm())
    assert (seen.features - forgetful.features).abs().max() > 1e-3
    gradient_histograms(learner, episode)  # of the inner steps, which the memory does not change
