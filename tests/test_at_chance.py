"""A page says that a model is at chance before it shows its reasons, and only then."""

from dataclasses import replace

import pytest
import torch
from test_signs_of_tasks import CLASSES
from torch import nn

import mapsto as mt
from mapsto.reports.task.build import _at_chance
from mapsto.reports.task.question import episode_of, task_question
from mapsto.reports.task.sections import about


class Task(mt.tasks.Tasks):
    """Rows of three numbers; the class, or the number, follows the first column, or nothing."""

    def __init__(self, classes: bool, known: bool, queries: int = 30):
        self.classes, self.known, self.queries = classes, known, queries

    def draw(self, generator: torch.Generator, count: int) -> mt.Episode:
        x = torch.randn(count, 20 + self.queries, 3, generator=generator)
        cause = x[..., 0] if self.known else torch.randn(x.shape[:2], generator=generator)
        y = (cause > 0).long() if self.classes else cause[..., None]
        w = torch.full(y.shape[:2], 0.05)
        parts = (mt.Examples(x[:, part], y[:, part], w[:, part]) for part in (slice(20), slice(20, None)))
        return mt.Episode(*parts)


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_a_model_at_chance_is_said_before_its_reasons(classes: bool, known: bool) -> None:
    torch.manual_seed(0)
    learner = (
        mt.learners.PrototypicalNetwork(nn.Identity(), ways=2) if classes
        else mt.learners.RidgeHead(nn.Identity(), 1, loss="mse")
    )  # fmt: skip
    sentence = _at_chance(task_question(learner, episode_of(Task(classes, known), 0, 0)))
    assert ("its reasons explain little" in sentence) is not known
    if not known:
        assert ("most frequent class" if classes else "mean of the teaching examples") in sentence


def test_few_queries_cannot_tell_and_the_page_says_so_first() -> None:
    learner = mt.learners.PrototypicalNetwork(nn.Identity(), ways=2)
    sentence = _at_chance(task_question(learner, episode_of(Task(True, True, queries=3), 0, 0)))
    assert "not clearly better than" in sentence or "no better" in sentence
    assert about(replace(CLASSES, at_chance=sentence)).endswith(sentence) and not about(CLASSES).endswith(" ")
