"""Ask a learner about a test task: the question becomes the answer, part by part."""

import inspect
import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from ... import checks, views
from ...explainers import InputXGradient, IntegratedGradients, Occlusion
from ...learners import Learner
from ...seeing import film
from ...seeing.film import Film, grid_over
from ...tasks import DemonstrationLog, Minibatches, Table, TableFamily, TableMinibatches, Tasks
from ...tasks.robots.played import Played
from ..answer import Answer
from ..robots.build import robot_answer
from ..words import in_line
from .answer import Reasons, TaskAnswer, Teaching
from .choices import choices
from .hiding import hiding_of
from .methods import Methods, available, default_methods, explainers_of, names_of, own_trust, refuse_own
from .question import TaskQuestion, episode_of, task_question
from .reasons import CANNOT, explain
from .regimes import regimes
from .verdicts import about

_LEFT_OUT, _CELLS, _POINTS, _STEPS = 64, 512, 101, 32  # examples, hidden cells, points of a curve, of an integral
Part = TypeVar("Part")


def task_answer(learner: Learner, tasks: Tasks, index: int, methods: Methods, seed: int) -> Answer:
    """Ask a learner about the first queries of test task `index`; without methods, some that suit it explain.

    Raises:
        MapstoError: a method is not an explainer of rows, or not of this learner; or there is no such task.
        MapstoError: if the learner is transductive.
    """
    if isinstance(tasks, Played):
        return robot_answer(learner, tasks, index, methods, seed)
    if methods:
        refuse_own(names_of(methods), learner)
    question = task_question(learner, episode_of(tasks, index, seed))
    missing: dict[str, str] = {}
    classes, columns = _names(tasks, question)
    return TaskAnswer(
        f"test task {index}",
        type(learner).__name__,
        _drawable(_array(question.query.x)),
        _array(question.query.y),
        _array(question.outputs),
        _drawable(_array(question.support.x)),
        _array(question.support.y),
        classes,
        columns,
        curve=_curve(question),
        reasons=_if_possible("reasons", missing, lambda: _reasons(question, methods or default_methods(question))),
        teaching=_if_possible("taught", missing, lambda: _teaching(question, missing)),
        film=_if_possible("film", missing, lambda: _film(question)),
        at_chance=_at_chance(question),
        regimes=_if_possible("regimes", missing, lambda: regimes(learner, tasks, question.episode, seed)) or (),
        own_trust=_if_possible("own_trust", missing, lambda: _own_trust(question)) or {},
        choices=_if_possible("choices", missing, lambda: choices(learner, tasks, seed)) or (),
        missing=missing,
    )


def _at_chance(question: TaskQuestion) -> str:
    """Say that the model does not clearly beat guessing on all queries of the task, if so; else nothing."""
    query, support = question.episode.query, question.support
    with torch.no_grad():
        state = question.learner.adapt(support)
        scores = question.learner.predict(state, query.x)
    n = len(query.y)
    if not question.has_classes:
        y = query.y.reshape(n, -1).double()
        mean = support.y.reshape(len(support.y), -1).double().mean(0) if len(support.y) else y.mean(0)
        worse = float((scores.double().reshape(n, -1) - y).square().mean()) >= float((mean - y).square().mean())
        guess = "always answering with the mean of the teaching examples"
        return f"On its {n} queries it is no better than {guess}, so its reasons explain little." if worse else ""
    right, guess_right = int((scores.argmax(1) == query.y).sum()), int(query.y.bincount().max())
    # The probability of at least as many right answers by guessing (the exact binomial test).
    share = guess_right / n
    luck = sum(math.comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(right, n + 1))
    if luck < 0.05:
        return ""
    better = "no better" if right <= guess_right else "not clearly better"
    return (
        f"On its {n} queries it is right {right} times, {better} than always naming the most frequent class "
        f"({guess_right} times), so its reasons explain little."
    )


def _if_possible(name: str, missing: dict[str, str], make: Callable[[], Part]) -> Part | None:
    try:
        return make()
    except CANNOT as error:
        missing[name] = in_line(error)
        return None


def _reasons(question: TaskQuestion, methods: Methods) -> Reasons:
    hiding = hiding_of(question)
    result = explain(explainers_of(methods, hiding, question), question, hiding)
    values = {name: _drawable(_array(v)) for name, v in result.values.items()}
    docs = {name: inspect.getdoc(available().get(name)) or "" for name in values}
    return Reasons(values, {name: about(name, doc) for name, doc in docs.items()}, result.trust, result.left_out)


def _own_trust(question: TaskQuestion) -> dict[str, np.ndarray]:
    return {name: _array(of) for name, of in own_trust(question.learner, question.support, question.query.x).items()}


def _teaching(question: TaskQuestion, missing: dict[str, str]) -> Teaching:
    """Return the effect of the teaching examples, and of their entries, on the score of the first query."""
    learner, support = question.learner, question.support
    checks.expect(len(support.w) > 0, "task", "a plain network", "a learner that adapts to teaching examples")
    x, target = question.query.x[0], question.target(0)
    few = len(support.w) <= _LEFT_OUT
    if few:
        examples = Occlusion(chunk_size=1)(views.support_game(learner, support, x, target, question.link))
    else:
        examples = InputXGradient()(views.weights(learner, support, x, target, question.link), support.w)
    cells = _if_possible("cells", missing, lambda: _drawable(_cells(question, x, target)))
    return Teaching(0, cells, _array(examples), few)


def _cells(question: TaskQuestion, x: Tensor, target: int | None) -> np.ndarray:
    """Return the effect of each entry of the teaching examples, compared with examples that all are their mean."""
    view, rows = views.support(question.learner, question.support, x, target, question.link), question.support.x
    if not rows.isnan().any():
        return _array(IntegratedGradients(_STEPS, rows.mean(0, keepdim=True), chunk_size=4)(view, rows))
    few = rows.numel() <= _CELLS
    checks.expect(few, "cells", f"{rows.numel()}, some missing", f"at most {_CELLS} to hide one by one")
    game = views.game(view, rows, baseline=torch.nan)
    return _array(Occlusion(chunk_size=1)(game)).reshape(rows.shape)


def _film(question: TaskQuestion) -> Film:
    x = question.query.x[0]
    reference = hiding_of(question).reference
    explainer = None if x.isnan().any() or x.numel() == 1 else IntegratedGradients(_STEPS, reference, chunk_size=8)
    link = (lambda scores: scores.softmax(-1)) if question.has_classes else (lambda scores: scores)
    return film(question.learner, question.episode, explainer, target=question.target(0) or 0, link=link)


def _curve(question: TaskQuestion) -> np.ndarray | None:
    """Return (input, mean output) along the one input of the rows; None if there are more, or classes."""
    grid = grid_over(torch.cat([question.support.x, question.query.x]), _POINTS)
    if grid is None or grid.shape[1] != 1 or question.has_classes:
        return None
    with torch.no_grad():
        outputs = vmap(views.query(question.learner, question.support))(grid)
    return np.stack([_array(grid)[:, 0], _array(outputs).mean(1)], 1)


def _names(tasks: Tasks, question: TaskQuestion) -> tuple[list[str] | None, list[str]]:
    """Return the names of the classes, None if numbers are predicted, and of a table's columns."""
    k, x = question.outputs.shape[1], question.query.x
    d = x[0].numel() if x.dim() == 2 else 0
    columns = [f"column {j}" for j in range(d)] if d > 1 else ["input"] * d
    if isinstance(tasks, Table | TableFamily | DemonstrationLog):
        columns = list(tasks.columns)
    elif isinstance(tasks, TableMinibatches):
        columns = [tasks.columns[j] for j in tasks.groups.tolist()]
    if not question.has_classes:
        return None, columns
    if isinstance(tasks, Table | TableFamily | Minibatches):
        return list(tasks.names), columns
    return [f"class {c}" for c in range(k)], columns


def _array(tensor: Tensor) -> np.ndarray:
    return (tensor.double() if tensor.is_floating_point() else tensor).detach().cpu().numpy()


def _drawable(rows: np.ndarray) -> np.ndarray:
    """Return rows of numbers and images as they are, and sequences `[n, t, d]` as images of one channel."""
    return rows[:, None] if rows.ndim == 3 else rows
