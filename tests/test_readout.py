"""Read-outs of teaching examples: against scipy, scikit-learn and the learners' own predictions."""

import pytest
import scipy.stats
import torch
from sklearn.neighbors import NearestNeighbors
from torch import nn

from mapsto import views
from mapsto.episodes import examples
from mapsto.errors import MapstoError
from mapsto.explainers import Shapley
from mapsto.learners import MAML, MatchingNetwork, PrototypicalNetwork, RidgeHead
from mapsto.models import MLP
from mapsto.seeing import attended, looks_like, reliance
from mapsto.seeing.readout import perplexity

F64 = torch.float64


def lesson(n=9):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, 3, generator=generator, dtype=F64), torch.arange(n) % 3
    w = torch.rand(n, generator=generator, dtype=F64) + 0.1
    return examples(x, y, w * (torch.arange(n) != 4)), torch.randn(5, 3, generator=generator, dtype=F64)


def body():
    torch.manual_seed(0)
    return MLP(3, 6, 4, activation="tanh").to(F64)


def law_perplexity(measure):
    shares = torch.rand(6, 7, dtype=F64, generator=torch.Generator().manual_seed(0)).softmax(-1)
    shares[:, 0] *= torch.tensor([0, 1, 1, 0, 1, 1])
    shares = shares / shares.sum(-1, keepdim=True)
    expected = torch.from_numpy(scipy.stats.entropy(shares.numpy(), axis=-1)).exp()
    assert expected.std() > 0.1
    torch.testing.assert_close(measure(shares), expected)
    torch.testing.assert_close(measure(torch.full((4,), 0.25)), torch.tensor(4.0))


def test_perplexity_is_the_exponential_of_scipys_entropy():
    law_perplexity(perplexity)


@pytest.mark.parametrize("wrong", [lambda a: 1 / a.square().sum(-1), lambda a: 2 ** torch.special.entr(a).sum(-1)])
def test_another_effective_number_is_found(wrong):
    with pytest.raises(AssertionError):
        law_perplexity(wrong)


def test_attention_is_what_the_prediction_is_made_of():
    support, x = lesson()
    learner = MatchingNetwork(body(), ways=3, scale=8.0)
    state = learner.adapt(support)
    found = attended(learner, state, x)
    torch.testing.assert_close(found.share.sum(-1), torch.ones(5, dtype=F64))
    assert (found.share[:, 4] == 0).all() and found.share.std() > 0.02
    mixture = torch.stack([found.share[:, support.y == c].sum(1) for c in range(3)], 1)
    torch.testing.assert_close(mixture.log(), learner.predict(state, x))
    assert ((found.perplexity > 1) & (found.perplexity < 8)).all()
    sharper = attended(MatchingNetwork(learner.body, ways=3, scale=40.0), state, x)
    assert (sharper.perplexity < found.perplexity).all()


def test_shares_of_what_is_lost_are_lost():
    """A value that is no number could be any share, so that no other share is known either."""
    assert reliance(torch.tensor([torch.nan, 1.0])).share.isnan().all()
    assert reliance(torch.zeros(3)).share.tolist() == [0, 0, 0] and reliance(torch.zeros(3)).perplexity == 1


def test_any_learner_rests_on_so_many_examples():
    support, x = lesson()
    learner = MAML(body(), lr=0.5, steps=2)
    values = Shapley()(views.support_game(learner, support, x[0], target=1))
    found = reliance(values)
    torch.testing.assert_close(found.share, values.abs() / values.abs().sum())
    assert found.share[4] < 1e-9 and 1 < found.perplexity < 8
    nothing = reliance(torch.zeros(2, 3))
    assert torch.equal(nothing.share, torch.zeros(2, 3)) and torch.equal(nothing.perplexity, torch.ones(2))


def law_nearest(read):
    support, x = lesson()
    for learner in (PrototypicalNetwork(body(), 3), RidgeHead(body(), 3).to(F64)):
        learner.requires_grad_(False)
        found = read(learner, learner.adapt(support), support, x, 3)
        there = torch.tensor([i for i in range(9) if i != 4])
        oracle = NearestNeighbors(n_neighbors=3).fit(learner.body(support.x[there]).numpy())
        distance, place = oracle.kneighbors(learner.body(x).numpy())
        assert torch.equal(found.nearest, there[torch.from_numpy(place)])
        torch.testing.assert_close(found.distance, torch.from_numpy(distance))
        assert torch.equal(found.y, support.y[found.nearest])
        every = torch.cdist(learner.body(x), learner.body(support.x[there])).square()
        similarity = ((every + 1) / (every + 1e-4)).log()
        expected = similarity.sort(descending=True).values[:, :3] / similarity.sum(1, keepdim=True)
        torch.testing.assert_close(found.share, expected)
        assert (found.share.diff(dim=1) < 0).all()


def test_the_nearest_examples_are_scikit_learns():
    law_nearest(looks_like)


def test_a_deleted_example_counted_and_raw_inputs_compared_are_found():
    def counts_deleted(learner, state, support, x, k):
        return looks_like(learner, state, support._replace(w=torch.ones_like(support.w)), x, k)

    def raw(learner, state, support, x, k):
        plain = PrototypicalNetwork(nn.Identity(), 3)
        return looks_like(plain, plain.adapt(support), support, x, k)

    def by_hand(learner, state, support, x, k):
        found = looks_like(learner, state, support, x, k)
        return found._replace(share=found.share / found.share.sum(1, keepdim=True))

    for wrong in (counts_deleted, by_hand, raw):
        with pytest.raises(AssertionError):
            law_nearest(wrong)


def test_a_query_equal_to_an_example_looks_like_it():
    support, _ = lesson()
    learner = PrototypicalNetwork(body(), 3)
    found = looks_like(learner, learner.adapt(support), support, support.x[[2, 7]], k=1)
    assert found.nearest.flatten().tolist() == [2, 7] and (found.share > 0.3).all() and (found.distance < 1e-9).all()


def test_what_cannot_be_read_is_refused():
    support, x = lesson()
    maml, prototypes = MAML(body(), lr=0.5), PrototypicalNetwork(body(), 3)
    with pytest.raises(MapstoError, match=r"^learner: got MAML without attention"):
        attended(maml, maml.adapt(support), x)
    with pytest.raises(MapstoError, match=r"^learner: got MAML without an embedding"):
        looks_like(maml, maml.adapt(support), support, x)
    for k in (0, 9):
        with pytest.raises(MapstoError, match=f"k: got {k}"):
            looks_like(prototypes, prototypes.adapt(support), support, x, k)


@pytest.mark.parametrize("width", [1, 3])
def test_rows_of_another_width_are_told_in_a_sentence(width: int) -> None:
    support = examples(torch.eye(2), torch.arange(2))
    by_attention, by_distance = MatchingNetwork(nn.Linear(2, 4), ways=2), PrototypicalNetwork(nn.Linear(2, 4), ways=2)
    for ask in (
        lambda x: attended(by_attention, by_attention.adapt(support), x),
        lambda x: looks_like(by_distance, by_distance.adapt(support), support, x, k=1),
    ):
        with pytest.raises(MapstoError, match=rf"x: \w+ cannot answer rows of shape \({width},\)"):
            ask(torch.ones(3, width))
