"""What a learner achieves on many tasks: adapt to each support set, predict each query set, and average over tasks.

Class scores give accuracy, log loss and calibration error; real outputs give the squared error. Every mean over tasks
comes with its 95 % interval; each task counts alike, and each query row by its weight.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ...adaptation.batching import each_task
from ...adaptation.fitting import fitting, missing
from ...adaptation.learner import Learner
from ...episodes import Episode, Source, to, unstack
from ...errors import MapstoError
from ...estimate import Estimate, estimate
from .calibration import expected_calibration_error


@dataclass(frozen=True)
class Classification:
    """How well classes are predicted."""

    tasks: int
    accuracy: Estimate
    log_loss: Estimate  # nats
    calibration_error: float  # over the query rows of all tasks
    values: Float[np.ndarray, " t"]  # each task's accuracy

    def __str__(self) -> str:
        return (
            f"accuracy {100 * self.accuracy.mean:.2f} ± {100 * self.accuracy.interval:.2f} %, "
            f"log loss {self.log_loss}, calibration error {self.calibration_error:.4f} ({self.tasks} tasks)"
        )


@dataclass(frozen=True)
class Regression:
    """How well real outputs are predicted.

    A task has diverged where its error is not finite, or more than ten times that of predicting 0 on the average task;
    it counts in the mean all the same.
    """

    tasks: int
    mse: Estimate
    median: float
    diverged: int
    values: Float[np.ndarray, " t"]  # each task's mean squared error

    def __str__(self) -> str:
        lost = f", {self.diverged} diverged" if self.diverged else ""
        return f"squared error {self.mse}, median {self.median:.4f} ({self.tasks} tasks{lost})"


Evaluation = Classification | Regression


def evaluate(learner: Learner, tasks: Source, episodes: int = 600, batch: int = 25, seed: int = 0) -> Evaluation:
    """Measure `learner` on `episodes` tasks, `batch` of them at a time, drawn with `seed`.

    Returns a `Classification` for a learner whose loss is "cross_entropy", a `Regression` for "mse". Raises MapstoError
    where `episodes` or `batch` is below 1, tasks do not fit the learner, or cells are missing that it knows nothing of.
    """
    parts = []
    for drawn in batches(learner, tasks, episodes, batch, seed):
        with torch.no_grad(), _in_evaluation(learner), fitting(learner, unstack(drawn)[0]):
            scores = each_task(learner, lambda one: learner.predict(learner.adapt_to(one), one.query.x), drawn)
        if scores.isnan().any() and (told := missing(learner, drawn)):
            raise MapstoError(f"tasks: got {told}")
        parts.append((scores, drawn.query.y, drawn.query.w))
    scores, y, w = (torch.cat(part).double().cpu() for part in zip(*parts, strict=True))  # [T, m, ...]
    return _regression(scores, y, w) if learner.loss_name == "mse" else _classification(scores, y.long(), w)


@contextmanager
def _in_evaluation(learner: Learner) -> Iterator[None]:
    """Switch off what belongs to training, as dropout."""
    training = [module for module in learner.modules() if module.training]
    learner.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def batches(learner: Learner, tasks: Source, episodes: int, batch: int, seed: int) -> Iterator[Episode]:
    """Yield the first `episodes` tasks, `batch` of them at a time, where the learner is."""
    if min(episodes, batch) < 1:
        raise MapstoError(f"episodes, batch: got {episodes} and {batch}, expected at least 1 task and 1 at a time.")
    device = next(iter(learner.parameters()), torch.empty(0)).device
    for index, start in enumerate(range(0, episodes, batch)):
        yield to(tasks.batch(index, min(batch, episodes - start), seed), device)


def summary(found: Evaluation) -> dict[str, Any]:
    """Return an evaluation as plain numbers, each estimate as `{mean, interval}`."""
    plain = {name: value for name, value in vars(found).items() if name != "values"}
    return {name: value._asdict() if isinstance(value, Estimate) else value for name, value in plain.items()}


def _classification(scores: Tensor, y: Tensor, w: Tensor) -> Classification:
    if int(y.max()) >= scores.shape[-1]:
        raise MapstoError(
            f"tasks: got {int(y.max()) + 1} classes, but the learner scores {scores.shape[-1]}; set its `ways`."
        )
    share = w / w.sum(1, keepdim=True)  # [T, m]
    right = ((scores.argmax(-1) == y) & ~scores.isnan().any(-1)).double()  # what diverged is never right
    surprise = -F.log_softmax(scores, -1).gather(-1, y[..., None])[..., 0]
    accuracy = (share * right).sum(1).numpy()
    log_loss = (share * torch.where(w > 0, surprise, 0)).sum(1).numpy()
    p = scores.softmax(-1).flatten(0, 1).numpy()
    known = np.isfinite(p).all()  # an adaptation may have diverged
    error = expected_calibration_error(p, y.flatten().numpy(), share.flatten().numpy()) if known else math.nan
    return Classification(len(y), estimate(accuracy), estimate(log_loss), error, accuracy)


def _regression(scores: Tensor, y: Tensor, w: Tensor) -> Regression:
    share = w / w.sum(1, keepdim=True)
    error = (share * (scores - y).square().flatten(2).mean(2)).sum(1)
    nothing = (share * y.square().flatten(2).mean(2)).sum(1).mean()
    diverged = int((~(error <= 10 * nothing)).sum())
    values = error.numpy()
    median = float(np.median(np.nan_to_num(values, nan=np.inf)))  # half of the tasks have a smaller error
    return Regression(len(values), estimate(values), median, diverged, values)
