"""Read the answers of a pupil in their order by a recurrent network, and predict the answer to the item asked next.

    (h, c) ← (h, c) + w_i·(LSTM(r_i; h, c) − (h, c))     for the answers i in their order,  from h = c = 0
    scores = head(h, difficulty, gap)                    of an item x

r_i describes answer i as seen from the item x: whether it was right, whether it was about the same skill, how difficult
its item was, and the gap since the answer before it. Piech et al. 2015, "Deep Knowledge Tracing", eq. 4 to 9.
Difference: the paper reads skills as one-hot vectors; here the network knows only whether two skills are the same, so
that it reads any number of skills, those of a new school too, and no skill has parameters of its own.

The training loss is the log-likelihood of all answers about the skill of a query, by the chain rule: that of the query,
and that of each earlier answer given those before it (the paper's eq. 10).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .. import checks
from ..adaptation.labels import one_hot
from ..adaptation.learner import Learner, Metrics
from ..adaptation.lstm_cell import Cell
from ..episodes import Episode, Examples
from .process import counts

_SEEN = 8  # numbers that describe an answer, see `_described`


class Answers(NamedTuple):
    """The state: the answers so far, with one-hot labels and with equal weights rescaled to 1."""

    x: Float[Tensor, "n d"]
    y: Float[Tensor, "n 2"]
    w: Float[Tensor, " n"]


class Course(NamedTuple):
    """What the network has read before each answer and after the last one, as seen from each of `m` items."""

    h: Float[Tensor, "m n1 width"]
    place: Float[Tensor, " n1"]  # of the answer read last


class DKT(Learner):
    """Deep knowledge tracing: a recurrent network reads earlier answers as seen from the item to be asked next.

    A row of x holds the skill of an item (one-hot), its difficulty, and its place: the number of earlier steps divided
    by 10. y is 1 for a right answer and 0 for a wrong one. `tasks.Pupils` gives such tasks. The support rows are read
    in their order. An answer of weight 0 is not read: its step passes as if nothing had been asked.

    Args:
        width: the size of the recurrent state.

    Raises:
        MapstoError: if `width` is below 1, an input has fewer than three numbers, or a label is not 0 or 1.

    >>> learner = DKT(width=8)
    >>> x = torch.tensor([[1.0, 0.0, -0.5, 0.0], [0.0, 1.0, 0.3, 0.1]])
    >>> state = learner.adapt(Examples(x, torch.tensor([1, 0]), torch.full((2,), 0.5)))
    >>> learner.predict(state, torch.tensor([[1.0, 0.0, 0.2, 0.2]])).shape
    torch.Size([1, 2])
    """

    family = "model-based"

    def __init__(self, width: int = 32):
        super().__init__()
        checks.count(width=width)
        self.width = width
        self.cell = Cell(_SEEN + width, width)
        self.head = nn.Sequential(nn.Linear(width + 2, width), nn.SiLU(), nn.Linear(width, 2))

    def adapt(self, support: Examples) -> Answers:
        """Return the answers of the support set, with one-hot labels and with equal weights rescaled to 1."""
        wide = support.x.dim() == 2 and support.x.shape[1] > 2
        checks.expect(wide, "x", f"shape {tuple(support.x.shape)}", "rows of skills, a difficulty and a place")
        return Answers(support.x, one_hot(support.y, 2, support.x), counts(support.w))

    def predict(self, state: Answers, x: Float[Tensor, "n d"]) -> Float[Tensor, "n 2"]:
        """Return the scores of a wrong and of a right answer to each of `n` items, asked next."""
        return self._scores(self._read(state, x), x)

    def features(self, state: Answers, x: Float[Tensor, "n d"]) -> dict[str, Tensor]:
        """Return a dictionary with `read`, the state of the recurrent network after all answers, `[n, width]`."""
        return {"read": self._read(state, x).h[:, -1]}

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the log loss of the queries and of the earlier answers about their skills, in nats.

        For each query, weighted by `w`, the log losses are summed over the query and over the answers of the support
        set about the same skill, each of which is predicted from the answers before it.
        """
        state, (x, y, w) = self.adapt(episode.support), episode.query
        course = self._read(state, x)
        scores = self._scores(course, x)
        loss = self.criterion(scores, y, w)
        same = w[:, None] * state.w * _same(x, state.x)  # [m, n]
        earlier = -(F.log_softmax(self._earlier(course, state), -1) * state.y).sum(-1)  # [m, n]
        metrics = {"loss": loss.detach()} | self.criterion.metrics(scores.detach(), episode.query)
        return loss + (same * earlier).sum(), metrics

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return the log loss of the queries, in nats."""
        return self.criterion(self.predict(self.adapt(episode.support), episode.query.x), *episode.query[1:])

    def _read(self, state: Answers, x: Float[Tensor, "m d"]) -> Course:
        """Read the answers, as seen from each of `m` items."""
        h = c = x.new_zeros(x.shape[0], self.width)
        place, same = x.new_zeros(()), _same(x, state.x)
        read, places = [h], [place]
        for answer, y, w, alike in zip(*state, same.unbind(1), strict=True):
            new_h, new_c = self.cell(torch.cat([_described(answer, y, alike, answer[-1] - place), h], -1), c)
            h, c, place = h + w * (new_h - h), c + w * (new_c - c), place + w * (answer[-1] - place)
            read.append(h)
            places.append(place)
        return Course(torch.stack(read, 1), torch.stack(places))

    def _scores(self, course: Course, x: Float[Tensor, "m d"]) -> Float[Tensor, "m 2"]:
        """Return the scores of items that are asked after all answers."""
        item = torch.stack([x[:, -2], _bounded(x[:, -1] - course.place[-1])], -1)
        return self.head(torch.cat([course.h[:, -1], item], -1))

    def _earlier(self, course: Course, state: Answers) -> Float[Tensor, "m n 2"]:
        """Return the scores of the answers of the support set, each after those before it."""
        item = torch.stack([state.x[:, -2], _bounded(state.x[:, -1] - course.place[:-1])], -1)
        return self.head(torch.cat([course.h[:, :-1], item.expand(course.h.shape[0], -1, -1)], -1))


def _same(x: Float[Tensor, "m d"], earlier: Float[Tensor, "n d"]) -> Float[Tensor, "m n"]:
    """Return 1 if two items are about the same skill, 0 if not."""
    return x[:, :-2] @ earlier[:, :-2].T


def _described(
    answer: Float[Tensor, " d"], y: Float[Tensor, " 2"], same: Float[Tensor, " m"], gap: Float[Tensor, ""]
) -> Float[Tensor, "m 8"]:
    """Describe an answer as seen from each of `m` items: wrong and right, its difficulty, and the gap, twice.

    The first four numbers are 0 if the answer is about another skill, the last four if it is about the same.
    """
    about = torch.cat([y, answer[-2:-1], _bounded(gap)[None]]).expand(same.shape[0], -1)
    return torch.cat([same[:, None] * about, (1 - same)[:, None] * about], -1)


def _bounded(gap: Tensor) -> Tensor:
    """Return asinh of a gap in steps, which grows like its logarithm."""
    return (10 * gap).asinh()
