"""A question about one task: its first queries, the adapted model's answers to them, and the score to explain.

The score is the probability of the predicted class, or the mean of the outputs if numbers are predicted. Padding, rows
of weight 0, is left out: it teaches and judges nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ... import checks, views
from ...episodes import Episode, Examples, real, unstack
from ...learners import Fixed, InEpisode, Learner
from ...learners.wrapped import Wrapped
from ...tasks import Tasks

QUERIES = 4
"""How many queries are explained."""


class TaskQuestion(NamedTuple):
    """A learner, the support set it adapts to, and the queries whose answers are to be explained."""

    learner: Learner
    support: Examples
    query: Examples
    episode: Episode  # the task with all its queries
    view: Callable[[Tensor], views.View]  # row ↦ the score to explain, as a function of the row's entries
    outputs: Float[Tensor, "m k"]  # of the queries: probabilities, or outputs

    @property
    def has_classes(self) -> bool:
        """Whether classes are predicted, not numbers."""
        return self.learner.loss_name == "cross_entropy"

    @property
    def titles(self) -> list[str]:
        """A short answer to each query."""
        if not self.has_classes:
            return [f"query {i}: output {float(output.mean()):.2f}" for i, output in enumerate(self.outputs)]
        return [f"query {i}: class {int(p.argmax())}, {100 * float(p.max()):.0f} %" for i, p in enumerate(self.outputs)]

    def target(self, i: int) -> int | None:
        """Return the predicted class of query `i`, None if numbers are predicted."""
        return int(self.outputs[i].argmax()) if self.has_classes else None

    def link(self, scores: Tensor) -> Tensor:
        """Map scores to probabilities, or to the mean of the outputs; the score to explain is entry `target` of it."""
        return scores.softmax(-1) if self.has_classes else scores.mean(-1)


def episode_of(tasks: Tasks, index: int, seed: int) -> Episode:
    """Return test task `index`; raises MapstoError for a number below 0."""
    check_index(index)
    return unstack(tasks.test.batch(index, 1, seed))[0]


def check_index(index: int) -> None:
    """Raise MapstoError for a task number below 0, or beyond the last task."""
    checks.expect(0 <= index < 2**31, "index", index, f"a number from 0, below {2**31:,}")


def task_question(learner: Learner, episode: Episode, queries: int = QUERIES) -> TaskQuestion:
    """Return the question about the first `queries` of an episode.

    Raises:
        MapstoError: the episode has no queries, or no teaching examples for a learner that adapts to them.
        MapstoError: if the learner is transductive.
    """
    support, everyone = real(episode.support), real(episode.query)
    both = (len(support.w) > 0 or is_plain(learner)) and len(everyone.w) > 0
    checks.expect(both, "task", "one without teaching examples or without queries", "both", "choose another task")
    episode, query = episode._replace(support=support, query=everyone), Examples(*(part[:queries] for part in everyone))
    learner = learner if episode.context is None else InEpisode(learner, episode)
    scores = views.query(learner, support)
    with torch.no_grad():
        outputs = torch.stack([scores(row) for row in query.x])
    if learner.loss_name != "cross_entropy":
        return TaskQuestion(learner, support, query, episode, lambda row: lambda x: scores(x).mean(-1), outputs)
    view = lambda row: _of_predicted_class(lambda x: scores(x).softmax(-1), row)  # noqa: E731
    return TaskQuestion(learner, support, query, episode, view, outputs.softmax(-1))


def is_plain(learner: Learner) -> bool:
    """Return whether the learner is a plain network, alone or with its explainers, which adapts to no examples."""
    return isinstance(learner.inner if isinstance(learner, Wrapped) else learner, Fixed)


def most_probable(p: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Return 1 for the most probable class and 0 for the others; for one row, `vmap` takes many."""
    return (torch.arange(len(p), device=p.device) == p.argmax()).to(p)


def _of_predicted_class(p: views.View, row: Tensor) -> views.View:
    best = most_probable(p(row).detach())
    return lambda moved: p(moved) @ best
