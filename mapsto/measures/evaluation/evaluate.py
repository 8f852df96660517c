"""Evaluation of a learner on many tasks: adapt to each support set, predict each query set, and average over tasks.

Predicted classes are judged by accuracy, log loss and calibration error, predicted numbers by the squared error. Every
mean over tasks comes with its 95 % interval. All tasks count equally; within a task, query rows count by their weights.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ... import checks, processes
from ...adaptation.batching import each_task
from ...adaptation.fitting import fitting, missing, trainable
from ...adaptation.learner import Learner, evaluating
from ...episodes import AT_ONCE, Episode, Source, first_tasks, to, unstack
from ...errors import MapstoError
from ...estimate import Estimate, estimate
from ...processes import ALONE, Processes
from ...tasks.robots.played import Played
from .calibration import expected_calibration_error


@dataclass(frozen=True)
class Classification:
    """The quality of predicted classes over many tasks."""

    tasks: int
    accuracy: Estimate  # fraction of right predictions
    log_loss: Estimate  # nats
    calibration_error: float  # over the query rows of all tasks
    values: Float[np.ndarray, " t"]  # each task's accuracy

    def __str__(self) -> str:
        interval = self.accuracy.interval
        width = "" if math.isnan(interval) else f" ± {100 * interval:.2f}"
        return (
            f"accuracy {100 * self.accuracy.mean:.2f}{width} %, "
            f"log loss {self.log_loss}, calibration error {self.calibration_error:.4f} ({self.tasks} tasks)"
        )


@dataclass(frozen=True)
class Regression:
    """The quality of predicted numbers over many tasks.

    A task counts as diverged if its error is not finite, or more than ten times the error of always predicting 0,
    averaged over the tasks. `mse` and `median` include diverged tasks.
    """

    tasks: int
    mse: Estimate  # mean squared error
    median: float  # of the tasks' squared errors
    diverged: int  # number of tasks
    values: Float[np.ndarray, " t"]  # each task's mean squared error

    def __str__(self) -> str:
        lost = f", {self.diverged} diverged" if self.diverged else ""
        return f"squared error {self.mse}, median {self.median:.4f} ({self.tasks} tasks{lost})"


@dataclass(frozen=True)
class Measured:
    """The loss over many tasks of a learner whose loss is a function of the user's."""

    tasks: int
    loss: Estimate
    values: Float[np.ndarray, " t"]  # each task's loss

    def __str__(self) -> str:
        return f"loss {self.loss} ({self.tasks} tasks)"


@dataclass(frozen=True)
class Returns:
    """The mean return of a robot's episodes over many tasks, before adapting and after each update.

    If the environment tells which episodes reached their aim, `solved` is the share of those that did.
    """

    tasks: int
    returns: list[Estimate]  # after 0, 1, … updates
    solved: list[Estimate] | None
    values: Float[np.ndarray, " t"]  # each task's mean return after the last update

    def __str__(self) -> str:
        after = ", ".join(f"{value.mean:.2f} ± {value.interval:.2f}" for value in self.returns)
        shares = [f"{100 * share.mean:.1f} ± {100 * share.interval:.1f}" for share in self.solved or ()]
        solved = f"; solved {', '.join(shares)} %" if shares else ""
        return f"return {after} after 0 to {len(self.returns) - 1} updates ({self.tasks} tasks){solved}"


Evaluation = Classification | Regression | Measured | Returns


def evaluate(
    learner: Learner,
    tasks: Source,
    episodes: int = 600,
    batch: int = 25,
    seed: int = 0,
    vectorise: bool | None = None,
    devices: int = 1,
    num_nodes: int = 1,
) -> Evaluation:
    """Return the accuracy or error of a learner on the query sets of many tasks, after adapting to each task.

    In each task, the learner adapts to the support set and predicts the query set. If the learner's loss is
    "cross_entropy", the result is a `Classification` with accuracy, log loss and calibration error. If the loss is
    "mse", the result is a `Regression` with the squared error. If the loss is a function `loss(scores, y, w)`, the
    result is a `Measured` with this loss. If the tasks are a robot's, `mt.tasks.Rollouts` or
    `mt.tasks.Demonstrations`, the learner acts in them, and the result is a `Returns` with the mean return before
    adapting and after each update.

    Args:
        learner: the learner.
        tasks: the source of the tasks.
        episodes: the number of tasks.
        batch: the largest number of tasks to compute at a time, at most 25. The tasks do not depend on this number.
        seed: the random seed of the tasks.
        vectorise: if True, all tasks of a batch are computed at once, by `vmap`. If False, they are computed one by
            one. If None, the faster way is chosen, see `adaptation.batching`.
        devices: the number of processes on each machine that share the tasks, see `mapsto.processes`. All of them call
            this function, and get the same result.
        num_nodes: the number of machines.

    Raises:
        MapstoError: if `learner` is not a learner, if `tasks` is not a source of tasks, if `episodes` or `batch` is
            below 1, if the tasks do not fit the learner, or if the inputs have missing cells and the learner cannot
            read them.
    """
    trainable(learner, tasks)
    device = next(iter(learner.parameters()), torch.empty(0)).device
    group = processes.joined(devices, num_nodes, device)
    if group.size > 1:
        learner.to(group.device)

    if isinstance(tasks, Played):
        return _returns(learner, tasks, episodes, batch, seed, group)

    def predict(task: Episode) -> Tensor:
        scores = learner.predict(learner.adapt_to(task), task.query.x)
        return scores if learner.criterion.outcome else learner.criterion(scores, task.query.y, task.query.w)

    parts = []
    for sample in batches(learner, tasks, episodes, batch, seed):
        with torch.no_grad(), evaluating(learner), fitting(learner, unstack(sample)[0]):
            scores = each_task(learner, predict, sample, vectorise, group)
        if scores.isnan().any() and (problem := missing(learner, sample)):
            raise MapstoError(f"tasks: got {problem}")
        parts.append((scores, sample.query.y, sample.query.w))
    scores, y, w = (torch.cat(part).double().cpu() for part in zip(*parts, strict=True))  # [T, m, ...]
    if learner.criterion.outcome is None:
        values = scores.numpy()  # [T], each the loss of one task
        return Measured(len(values), estimate(values), values)
    return _regression(scores, y, w) if learner.loss_name == "mse" else _classification(scores, y.long(), w)


def _returns(learner: Learner, tasks: Played, episodes: int, batch: int, seed: int, group: Processes) -> Returns:
    checks.count(episodes=episodes, batch=batch)
    sizes = [min(AT_ONCE, episodes - start) for start in range(0, episodes, AT_ONCE)]
    group = group if len(sizes) >= group.size else ALONE
    own = group.part(len(sizes)).own
    played = [tasks.experience(learner, index, sizes[index], seed) for index in range(own.start, own.stop)]
    rows = slice(own.start * AT_ONCE, min(own.stop * AT_ONCE, episodes))
    values = group.gather(torch.cat([part.returns() for part in played]).double(), rows, episodes).numpy()
    shares = [share for part in played if (share := part.solved()) is not None]  # [T, updates + 1], as values
    solved = group.gather(torch.cat(shares).double(), rows, episodes).numpy() if shares else None
    known = None if solved is None else [estimate(column) for column in solved.T]
    return Returns(len(values), [estimate(column) for column in values.T], known, values[:, -1])


def batches(learner: Learner, tasks: Source, episodes: int, batch: int, seed: int) -> Iterator[Episode]:
    """Yield the first `episodes` tasks on the learner's device, at most `batch` of them at a time."""
    trainable(learner, tasks)
    device = next(iter(learner.parameters()), torch.empty(0)).device
    for sample in first_tasks(tasks, episodes, batch, seed):
        yield to(sample, device)


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as plain numbers, with each estimate as `{mean, interval}`."""
    plain = {name: value for name, value in vars(evaluation).items() if name != "values"}
    for name, series in (("return", plain.pop("returns", ())), ("solved", plain.pop("solved", ()))):
        plain |= {f"{name} after {i} updates": value for i, value in enumerate(series or ())}
    return {n: value._asdict() if isinstance(value, Estimate) else value for n, value in plain.items()}


def _classification(scores: Tensor, y: Tensor, w: Tensor) -> Classification:
    got, expected = f"{int(y.max()) + 1} classes", f"at most the {scores.shape[-1]} that the learner scores"
    checks.expect(int(y.max()) < scores.shape[-1], "tasks", got, expected, "set the learner's `ways`")
    share = w / w.sum(1, keepdim=True)  # [T, m]
    right = ((scores.argmax(-1) == y) & ~scores.isnan().any(-1)).double()  # diverged scores are never right
    surprise = -F.log_softmax(scores, -1).gather(-1, y[..., None])[..., 0]
    accuracy = (share * right).sum(1).numpy()
    log_loss = (share * torch.where(w > 0, surprise, 0)).sum(1).numpy()
    p = scores.softmax(-1).flatten(0, 1).numpy()
    finite = np.isfinite(p).all()  # an adaptation may have diverged
    error = expected_calibration_error(p, y.flatten().numpy(), share.flatten().numpy()) if finite else math.nan
    return Classification(len(y), estimate(accuracy), estimate(log_loss), error, accuracy)


def _regression(scores: Tensor, y: Tensor, w: Tensor) -> Regression:
    share = w / w.sum(1, keepdim=True)
    error = (share * (scores - y).square().flatten(2).mean(2)).sum(1)
    nothing = (share * y.square().flatten(2).mean(2)).sum(1).mean()
    diverged = int((~(error <= 10 * nothing)).sum())
    values = error.numpy()
    median = float(np.median(np.nan_to_num(values, nan=np.inf)))  # half of the tasks have a smaller error
    return Regression(len(values), estimate(values), median, diverged, values)
