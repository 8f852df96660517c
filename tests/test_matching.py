"""Matching networks against the formula in loops and PyTorch's own LSTMs, and wrong ones that are caught."""

import math
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

from mapsto.episodes import Episode, Examples, examples
from mapsto.errors import MapstoError
from mapsto.learners import MatchingNetwork
from mapsto.learners import matching as module
from mapsto.learners.matching import FullContext, attention
from mapsto.models import MLP

WIDTH, WAYS = 4, 3


def episode(rows: int = 7) -> Episode:
    """Make a task whose fourth example weighs nothing."""
    g = torch.Generator().manual_seed(0)
    x, w = torch.randn(2, rows, WIDTH, generator=g).double(), torch.rand(rows, generator=g).double()
    y = torch.arange(rows) % WAYS
    return Episode(Examples(x[0], y, w * (torch.arange(rows) != 3)), examples(x[1], y))


def answer(learner: MatchingNetwork, support: Examples, x: Tensor) -> Tensor:
    return learner.predict(learner.adapt(support), x)


def in_full_context(**arguments: int) -> MatchingNetwork:
    torch.manual_seed(0)
    return (
        MatchingNetwork(nn.Identity(), WAYS, FullContext(WIDTH, **arguments), scale=3.0).double().requires_grad_(False)
    )


# the formula, spelled out


def mixture(f: Tensor, g: Tensor, support: Examples, scale: float) -> Tensor:
    """Return the mixture of labels of one row, example by example."""
    p, total = [0.0] * WAYS, 0.0
    for embedding, y, w in zip(g, support.y.tolist(), support.w.tolist(), strict=True):
        cosine = float(f @ embedding) / math.sqrt(float(f @ f) * float(embedding @ embedding))
        p[y] += w * math.exp(scale * cosine)
        total += w * math.exp(scale * cosine)
    return torch.tensor(p, dtype=torch.float64) / total


def is_the_mixture(learner: MatchingNetwork) -> None:
    support, query = episode()[:2]
    expected = torch.stack([mixture(row, support.x, support, learner.scale) for row in query.x])
    assert expected.min() > 0.01 and expected.std(0).min() > 0.01
    torch.testing.assert_close(answer(learner, support, query.x).exp(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_answer_is_the_attended_mixture_of_labels(scale: float) -> None:
    is_the_mixture(MatchingNetwork(nn.Identity(), WAYS, scale=scale))


def unweighted(scores: Tensor, w: Tensor) -> Tensor:
    return scores.softmax(-1)


def test_attention_without_weights_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "attention", unweighted)
    with pytest.raises(AssertionError):
        is_the_mixture(MatchingNetwork(nn.Identity(), WAYS))


# full context embeddings against torch.nn.LSTM and torch.nn.LSTMCell


def copied(cell: module.Cell, read: int, into: nn.Module, suffix: str) -> None:
    """Give PyTorch's LSTM our parameters; it has two biases that it adds."""
    weight, bias = cell.gates.weight.detach(), cell.gates.bias.detach()
    parts = {"weight_ih": weight[:, :read], "weight_hh": weight[:, read:], "bias_ih": bias, "bias_hh": 0 * bias}
    into.load_state_dict({**into.state_dict(), **{name + suffix: part for name, part in parts.items()}})


def expected_support(context: FullContext, f: Tensor) -> Tensor:
    lstm = nn.LSTM(WIDTH, WIDTH, bidirectional=True).double().requires_grad_(False)
    copied(context.onward, WIDTH, lstm, "_l0")
    copied(context.backward, WIDTH, lstm, "_l0_reverse")
    onward, backward = lstm(f)[0].chunk(2, -1)
    return onward + backward + f


def expected_query(context: FullContext, f: Tensor, g: Tensor, w: Tensor) -> Tensor:
    """Read from eq. 3 to 6: the hidden state is [h, r], of which the cell returns h alone."""
    input_to, from_hidden = context.reader.gates.weight.split([WIDTH, 2 * WIDTH], -1)
    rows = []
    for row in f:
        h, c = row, torch.zeros_like(row)
        for _ in range(context.processing_steps):
            a = (g @ h + w.log()).softmax(0)
            hidden = torch.cat([h, sum(a[i] * g[i] for i in range(len(g)))])
            i, keep, new, out = (input_to @ row + from_hidden @ hidden + context.reader.gates.bias).chunk(4)
            c = keep.sigmoid() * c + i.sigmoid() * new.tanh()
            h = out.sigmoid() * c.tanh() + row
        rows.append(h)
    return torch.stack(rows)


def embeds_in_context(learner: MatchingNetwork) -> None:
    """Expect the embeddings of the examples that are there to be those of PyTorch's LSTM on these alone."""
    (support, query, *_), context = episode(), learner.context
    there = support.w > 0
    state = learner.adapt(support)
    g = expected_support(context, support.x[there])
    assert (g - support.x[there]).abs().min() > 1e-4
    torch.testing.assert_close(state.embeddings[there], g, rtol=1e-10, atol=1e-10)
    f = expected_query(context, query.x, g, support.w[there])
    assert (f - query.x).abs().min() > 1e-4
    torch.testing.assert_close(learner.features(state, query.x)["embedding"], f, rtol=1e-10, atol=1e-10)
    p = torch.stack([mixture(row, g, Examples(*(leaf[there] for leaf in support)), learner.scale) for row in f])
    torch.testing.assert_close(answer(learner, support, query.x).exp(), p, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("processing_steps", [1, 4])
def test_examples_and_queries_are_embedded_in_context(processing_steps: int) -> None:
    embeds_in_context(in_full_context(processing_steps=processing_steps))


READ = module._read


def reads_what_is_absent(cell: module.Cell, x: Tensor, w: Tensor, order: Iterable[int]) -> Tensor:
    return READ(cell, x, torch.ones_like(w), order)


def reads_one_way(cell: module.Cell, x: Tensor, w: Tensor, order: Iterable[int]) -> Tensor:
    return READ(cell, x, w, range(len(x)))


@pytest.mark.parametrize("mutant", [reads_what_is_absent, reads_one_way])
def test_a_wrong_lstm_is_caught(mutant: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_read", mutant)
    with pytest.raises(AssertionError):
        embeds_in_context(in_full_context())


class Unanchored(FullContext):
    """Forgets to add f' after each step (eq. 4)."""

    def query(self, f: Tensor, g: Tensor, w: Tensor) -> Tensor:
        h, c = f, torch.zeros_like(f)
        for _ in range(self.processing_steps):
            h, c = self.reader(torch.cat([f, h, attention(h @ g.T, w) @ g], -1), c)
        return h


def test_a_query_reader_without_its_shortcut_is_caught() -> None:
    learner = MatchingNetwork(nn.Identity(), WAYS, Unanchored(WIDTH)).double().requires_grad_(False)
    with pytest.raises(AssertionError):
        embeds_in_context(learner)


def test_the_second_derivative_is_that_of_finite_differences() -> None:
    """A learner may be adapted by gradients inside a meta-gradient, which cuDNN's LSTM refuses."""
    learner, task = in_full_context(processing_steps=2), episode()
    at = {name: p.detach() for name, p in learner.named_parameters()}
    g = torch.Generator().manual_seed(1)
    move = {name: torch.randn(p.shape, generator=g).double() for name, p in at.items()}
    slope = grad(lambda params: functional_call(learner, params, (task,))[0])
    curvature = grad(lambda params: sum((d * move[name]).sum() for name, d in slope(params).items()))(at)
    ahead, behind = (slope({name: at[name] + step * move[name] for name in at}) for step in (1e-5, -1e-5))
    for name in at:
        expected = (ahead[name] - behind[name]) / 2e-5
        assert expected.norm() > 1e-6
        torch.testing.assert_close(curvature[name], expected, rtol=1e-4, atol=1e-8)


# weights


@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_an_absent_example_changes_nothing_however_well_it_matches(scale: float) -> None:
    support, query = episode()[:2]
    learner = MatchingNetwork(nn.Identity(), WAYS, scale=scale)
    twin = support._replace(x=torch.where(support.w[:, None] == 0, query.x[:1], support.x))
    there = Examples(*(leaf[support.w > 0] for leaf in support))
    torch.testing.assert_close(answer(learner, twin, query.x[:1]), answer(learner, there, query.x[:1]))


def test_attention_is_finite_and_exact_at_scores_that_overflow() -> None:
    scores = torch.tensor([[1000.0, 0.0, -1000.0], [-1000.0, 5.0, 5.0]])
    torch.testing.assert_close(attention(scores, torch.tensor([0.0, 1.0, 3.0]))[0], torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(attention(scores, torch.tensor([1.0, 1.0, 3.0]))[1], torch.tensor([0.0, 0.25, 0.75]))
    slope = grad(lambda w: attention(scores, w).sum())(torch.tensor([0.0, 1.0, 3.0]))
    assert slope.isfinite().all()


def test_the_sharpest_scale_keeps_every_class_finite_in_single_precision() -> None:
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    learner = MatchingNetwork(nn.Identity(), 2, scale=40.0)
    scores = answer(learner, examples(x, torch.tensor([0, 1])), x[:1])
    torch.testing.assert_close(scores, torch.tensor([[0.0, -80.0]]))


def test_a_class_without_mass_is_impossible_and_nothing_at_all_leaves_all_alike() -> None:
    support, query = episode()[:2]
    learner = MatchingNetwork(nn.Identity(), WAYS + 1)
    scores = answer(learner, support, query.x)
    assert (scores[:, WAYS] == -torch.inf).all() and scores[:, :WAYS].isfinite().all()
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(len(query.x)).double())
    none = support._replace(w=torch.zeros_like(support.w))
    torch.testing.assert_close(
        answer(learner, none, query.x), torch.full((len(query.x), WAYS + 1), -math.log(WAYS + 1)).double()
    )


def test_gradients_are_finite_with_a_class_missing() -> None:
    learner = MatchingNetwork(MLP(WIDTH, 6, activation="tanh").double(), WAYS + 2)
    learner.loss(episode())[0].backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in learner.parameters())


def test_a_dead_embedding_has_finite_gradients() -> None:
    support = examples(torch.zeros(3, 2), torch.tensor([0, 1, 2]))
    learner = MatchingNetwork(nn.Identity(), 3)
    slope = grad(lambda x: learner.loss(Episode(support, examples(x, support.y)))[0])(torch.zeros(3, 2))
    assert slope.isfinite().all()


def test_the_ways_may_change_after_training() -> None:
    support, query = episode()[:2]
    learner = MatchingNetwork(nn.Identity(), 20)
    wide = answer(learner, support, query.x)
    learner.ways = WAYS
    torch.testing.assert_close(answer(learner, support, query.x), wide[:, :WAYS])


# bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MatchingNetwork(nn.Identity(), 0), "^ways: "),
        (lambda: MatchingNetwork(nn.Identity(), 5, scale=41.0), "^scale: "),
        (lambda: MatchingNetwork(nn.Identity(), 5, scale=0.0), "^scale: "),
        (lambda: MatchingNetwork(nn.Sequential(nn.BatchNorm1d(2)), 5), "track_running_stats=False"),
        (lambda: FullContext(0), "^width: "),
        (lambda: FullContext(4, processing_steps=0), "^processing_steps: "),
        (
            lambda: MatchingNetwork(nn.Identity(), 2, FullContext(5)).adapt(
                examples(torch.zeros(2, 4), torch.arange(2))
            ),
            "^width: ",
        ),
        (
            lambda: MatchingNetwork(nn.Identity(), 5).adapt(examples(torch.zeros(2, 1), torch.zeros(2, 1))),
            "^y: ",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(build: Callable, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        build()
