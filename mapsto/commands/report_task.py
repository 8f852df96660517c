"""What `mapsto report RUN` asks of one test task: answers, reasons, what was taught, the film, and trust.

    reasons = each method on x ↦ score                        taught cells    = Integrated Gradients of D.x ↦ score
    film    = the inner steps, where the learner takes some   taught examples = score − score without the example

What a learner or a task cannot give is left out, and the report says so in a sentence.
"""

import inspect
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from .. import views
from ..errors import MapstoError
from ..explainers import InputXGradient, IntegratedGradients, Occlusion
from ..figures.task_facts import Reasons, TaskFacts, Taught
from ..figures.verdicts import about
from ..learners import Learner
from ..seeing import film
from ..seeing.film import Film, grid_over
from ..tasks import Table, TableFamily, Tasks
from .asked_methods import asked_methods, default_methods, known
from .asked_task import AskedTask, asked_task, episode_of, said
from .explain_methods import CANNOT, QUERIES, explained_by, playing_of

_LEFT_OUT, _CELLS, _POINTS, _STEPS = 64, 512, 101, 32  # examples, hidden cells, points of a curve, of an integral
Part = TypeVar("Part")


def report_task(learner: Learner, tasks: Tasks, index: int | None, methods: str | None, seed: int) -> TaskFacts:
    """Ask a learner about the first queries of a test task; what it cannot give is missing, with the reason.

    Raises MapstoError for a method that is none or a task that cannot be had, ValueError for a transductive learner.
    """
    task = asked_task(learner, episode_of(tasks, index, seed), QUERIES)
    missing: dict[str, str] = {}
    classes, columns = _names(tasks, task)
    return TaskFacts(
        f"test task {index or 0}",
        type(learner).__name__,
        _drawable(_array(task.query.x)),
        _array(task.query.y),
        _array(task.outputs),
        _drawable(_array(task.support.x)),
        _array(task.support.y),
        classes,
        columns,
        curve=_curve(task),
        reasons=_if_possible("reasons", missing, lambda: _reasons(task, methods or default_methods(task))),
        taught=_if_possible("taught", missing, lambda: _taught(task, missing)),
        film=_if_possible("film", missing, lambda: _film(task)),
        missing=missing,
    )


def _if_possible(name: str, missing: dict[str, str], ask: Callable[[], Part]) -> Part | None:
    try:
        return ask()
    except CANNOT as error:
        missing[name] = said(error)
        return None


def _reasons(task: AskedTask, methods: str) -> Reasons:
    plays = playing_of(task)
    found = explained_by(asked_methods(methods, plays, task), task, plays)
    values = {name: _drawable(_array(one)) for name, one in found.values.items()}
    return Reasons(values, {name: _about(name) for name in values}, found.trusted, found.left_out)


def _about(method: str) -> str:
    """Say what a method does, in the words of its class where there are no plainer ones."""
    return about(method, inspect.getdoc(known().get(method)) or "")


def _taught(task: AskedTask, missing: dict[str, str]) -> Taught:
    """Ask what the teaching examples, and their entries, did to the score of the first query."""
    x, target = task.query.x[0], task.target(0)
    few = len(task.support.w) <= _LEFT_OUT
    if few:
        examples = Occlusion(chunk_size=1)(views.support_game(task.learner, task.support, x, target, task.link))
    else:
        view = views.weights(task.learner, task.support, x, target, task.link)
        examples = InputXGradient()(view, task.support.w)
    cells = _if_possible("cells", missing, lambda: _drawable(_cells(task, x, target)))
    return Taught(0, cells, _array(examples), few)


def _cells(task: AskedTask, x: Tensor, target: int | None) -> np.ndarray:
    """Return what each entry of the teaching examples gave the score, beside examples that are all their mean."""
    view, taught = views.support(task.learner, task.support, x, target, task.link), task.support.x
    if not taught.isnan().any():
        return _array(IntegratedGradients(_STEPS, taught.mean(0, keepdim=True), chunk_size=4)(view, taught))
    if taught.numel() > _CELLS:
        raise MapstoError(f"cells: got {taught.numel()}, some missing, expected at most {_CELLS} to hide one by one.")
    hidden = views.game(view, taught, baseline=torch.nan)
    return _array(Occlusion(chunk_size=1)(hidden)).reshape(taught.shape)


def _film(task: AskedTask) -> Film:
    x = task.query.x[0]
    explainer = None if x.isnan().any() or x.numel() == 1 else IntegratedGradients(_STEPS, chunk_size=8)
    link = (lambda scores: scores.softmax(-1)) if task.has_classes else (lambda scores: scores)
    return film(task.learner, task.episode, explainer, target=task.target(0) or 0, link=link)


def _curve(task: AskedTask) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what the model says along its one input, where it has one; else None."""
    grid = grid_over(torch.cat([task.support.x, task.query.x]), _POINTS)
    if grid is None or grid.shape[1] != 1 or task.has_classes:
        return None
    with torch.no_grad():
        return _array(grid), _array(vmap(views.query(task.learner, task.support))(grid))


def _names(tasks: Tasks, task: AskedTask) -> tuple[list[str] | None, list[str]]:
    """Return the names of the classes, None where numbers are predicted, and of a table's columns."""
    named = tasks if isinstance(tasks, Table | TableFamily) else None
    k, d = task.outputs.shape[1], task.query.x[0].numel() if task.query.x.dim() == 2 else 0
    columns = list(named.columns) if named else [f"column {j}" for j in range(d)] if d > 1 else ["input"] * d
    if not task.has_classes:
        return None, columns
    return list(named.names) if named else [f"class {c}" for c in range(k)], columns


def _array(tensor: Tensor) -> np.ndarray:
    return (tensor.double() if tensor.is_floating_point() else tensor).detach().cpu().numpy()


def _drawable(rows: np.ndarray) -> np.ndarray:
    """Return rows of numbers and images as they are, and sequences `[n, t, d]` as images of one channel."""
    return rows[:, None] if rows.ndim == 3 else rows
