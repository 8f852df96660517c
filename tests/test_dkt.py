"""`learners.DKT`: it reads answers about any skills in their order; its loss is that of all answers about a skill."""

import pytest
import torch
from torch.nn import functional as F

from mapsto.episodes import Examples, unstack
from mapsto.errors import MapstoError
from mapsto.learners import DKT
from mapsto.learners.dkt import _described
from mapsto.tasks import Pupils


@pytest.fixture(scope="module")
def episode():
    """Return a pupil with four to six answers, and pauses between them."""
    pupils = unstack(Pupils(skills=3, shots=7, queries=4, pauses=0.5).batch(0, 40))
    return next(pupil for pupil in pupils if 3 < (pupil.support.w > 0).sum() < 7)


@pytest.fixture
def learner():
    torch.manual_seed(0)
    return DKT(width=6)


def answer(learner, support, x):
    return learner.predict(learner.adapt(support), x)


def test_the_loss_is_that_of_the_query_and_of_each_earlier_answer_about_its_skill(learner, episode):
    (x, y, w), (items, labels, shares) = episode.support, episode.query
    expected = 0.0
    for item, label, share in zip(items, labels, shares, strict=True):
        expected += share * F.cross_entropy(answer(learner, episode.support, item[None]), label[None])
        for i in torch.nonzero((w > 0) & (x[:, :-2] @ item[:-2] == 1))[:, 0]:
            scores = answer(learner, Examples(x[:i], y[:i], w[:i]), x[i, None])
            expected += share * F.cross_entropy(scores, y[i, None])
    loss, metrics = learner.loss(episode)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(learner.query_loss(episode), metrics["loss"])
    assert loss > 1.5 * metrics["loss"]


def test_names_and_number_of_skills_change_nothing(learner, episode):
    scores = answer(learner, episode.support, episode.query.x)
    for columns in ([2, 0, 1, 3, 4], [0, 1, 2, 1, 3, 4]):  # other names; one more skill, which nobody was asked

        def moved(x, columns=columns):
            x = x[:, columns].clone()
            x[:, 3 : len(columns) - 2] = 0
            return x

        support = episode.support._replace(x=moved(episode.support.x))
        torch.testing.assert_close(answer(learner, support, moved(episode.query.x)), scores)


def test_order_gaps_labels_difficulties_and_skills_are_read(learner, episode):
    support, x = episode.support, episode.query.x
    scores, real = answer(learner, support, x), (support.w > 0).nonzero()[:, 0]
    first, last = int(real[0]), int(real[-1])
    swapped = torch.arange(len(support.w))
    swapped[[first, last]] = swapped[[last, first]]
    later, harder, other = (support.x.clone() for _ in range(3))
    later[real[1:], -1] += 0.5
    harder[first, -2] += 1.0
    other[first, :-2] = other[first, :-2].roll(1)
    y = support.y.clone()
    y[first] = 1 - y[first]
    for changed in (
        Examples(*(leaf[swapped] for leaf in support)),
        *(support._replace(x=moved) for moved in (later, harder, other)),
        support._replace(y=y),
    ):
        assert not torch.allclose(answer(learner, changed, x), scores, atol=1e-5)


def test_an_answer_is_described_in_one_of_two_places():
    row = torch.tensor([1.0, 0.0, -0.5, 0.3])
    same, other = _described(row, torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]), torch.tensor(0.2))
    about = torch.tensor([0.0, 1.0, -0.5, torch.tensor(2.0).asinh()])
    torch.testing.assert_close(same, torch.cat([about, torch.zeros(4)]))
    torch.testing.assert_close(other, torch.cat([torch.zeros(4), about]))


def test_what_is_no_row_of_an_answer_is_refused(learner):
    with pytest.raises(MapstoError, match=r"^x: got shape"):
        learner.adapt(Examples(torch.zeros(3, 2), torch.zeros(3).long(), torch.ones(3)))
    with pytest.raises(MapstoError, match=r"^y: got class 2"):
        learner.adapt(Examples(torch.zeros(3, 4), torch.full((3,), 2), torch.ones(3)))
