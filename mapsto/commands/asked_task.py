"""One test task of a run: its first queries, what the adapted model says of each, and the score that is explained.

The score is the probability of the class that is predicted of the query, or the mean of its outputs. Padding, rows of
weight 0, is left out: it teaches and judges nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .. import views
from ..episodes import Episode, Examples, unstack
from ..errors import MapstoError
from ..learners import InEpisode, Learner
from ..tasks import Tasks


class AskedTask(NamedTuple):
    """What is asked of a learner: to explain its answers to these queries, after this support set."""

    learner: Learner
    support: Examples
    query: Examples  # those that are asked about
    episode: Episode  # the task with all its queries
    asking: Callable[[Tensor], views.View]  # of a row: the score that is explained, as a function of its entries
    outputs: Float[Tensor, "m k"]  # probabilities, or outputs, of the queries

    @property
    def has_classes(self) -> bool:
        """Whether classes are predicted, and not numbers."""
        return self.learner.loss_name == "cross_entropy"

    @property
    def titles(self) -> list[str]:
        """What is said of each query, in a few words."""
        if not self.has_classes:
            return [f"query {i}: output {float(one.mean()):.2f}" for i, one in enumerate(self.outputs)]
        return [f"query {i}: class {int(p.argmax())}, {100 * float(p.max()):.0f} %" for i, p in enumerate(self.outputs)]

    def target(self, i: int) -> int | None:
        """Return the class that is predicted of query `i`; None where numbers are."""
        return int(self.outputs[i].argmax()) if self.has_classes else None

    def link(self, scores: Tensor) -> Tensor:
        """Map scores to probabilities, or to the mean of the outputs; with `target`, that is what is explained."""
        return scores.softmax(-1) if self.has_classes else scores.mean(-1)


def episode_of(tasks: Tasks, index: int | None, seed: int) -> Episode:
    """Return test task `index`, the first where there is none; raises MapstoError for a number below 0."""
    refuse_episode(index)
    return unstack(tasks.test.batch(index or 0, 1, seed))[0]


def refuse_episode(index: int | None) -> None:
    """Raise MapstoError for a number of a task below 0 or beyond all that are drawn."""
    if not 0 <= (index or 0) < 2**31:
        raise MapstoError(f"--episode: got {index}, expected a number from 0, below {2**31:,}.")


def asked_task(learner: Learner, episode: Episode, queries: int) -> AskedTask:
    """Ask about the first `queries` of an episode.

    Raises MapstoError where there is none or nothing was taught, ValueError for a transductive learner.
    """
    support, every = real(episode.support), real(episode.query)
    if not len(support.w) or not len(every.w):
        raise MapstoError("task: got one without teaching examples or without queries; choose another --episode.")
    episode, query = episode._replace(support=support, query=every), Examples(*(part[:queries] for part in every))
    learner = learner if episode.context is None else InEpisode(learner, episode)
    scores = views.query(learner, support)
    with torch.no_grad():
        outputs = torch.stack([scores(row) for row in query.x])
    if learner.loss_name != "cross_entropy":
        return AskedTask(learner, support, query, episode, lambda row: lambda x: scores(x).mean(-1), outputs)
    asking = lambda row: _of_predicted(lambda x: scores(x).softmax(-1), row)  # noqa: E731
    return AskedTask(learner, support, query, episode, asking, outputs.softmax(-1))


def real(rows: Examples) -> Examples:
    """Return the rows that weigh something."""
    return Examples(*(part[rows.w > 0] for part in rows))


def predicted(p: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Return 1 for the most probable class and 0 for the others; for one row, `vmap` takes many."""
    return (torch.arange(len(p), device=p.device) == p.argmax()).to(p)


def _of_predicted(p: views.View, row: Tensor) -> views.View:
    chosen = predicted(p(row).detach())
    return lambda moved: p(moved) @ chosen


def said(error: BaseException) -> str:
    """Return what an error says in one line without its last stop, to go on with in a sentence."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
