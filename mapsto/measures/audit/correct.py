"""Whether predictions are better than a guess that does not look at the inputs, and whether probabilities come true.

lead = quality of the predictions − quality of the guess,    quality = 1 if the class is right, else 0; or −error
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from ...adaptation.learner import Learner
from ...episodes import Episode, real
from ...estimate import Estimate, estimate
from ..evaluation.evaluate import Classification, Evaluation, Regression

MISCALIBRATED = 0.1
"""The largest calibration error that is sound."""


class Correct(NamedTuple):
    """How much better the predictions are than guessing, and whether their probabilities come true."""

    quality: Estimate  # accuracy, or mean squared error
    guessing: float  # the same of the better of two constant predictions, see `check`
    lead: Estimate  # by how much the accuracy is higher, or the squared error lower, than that of the guess
    calibration_error: float | None  # expected calibration error; None if numbers are predicted
    better: bool  # whether the lead is above 0 beyond chance
    passed: bool
    reason: str


def correct(learner: Learner, tasks: list[Episode], evaluation: Evaluation) -> Correct:
    """Return the lead of an evaluated learner over guessing, and its calibration error."""
    assert isinstance(evaluation, Classification | Regression)
    numbers = isinstance(evaluation, Regression)
    queries = [real(task.query) for task in tasks]
    guess = averages(guesses(learner, tasks), [query.w for query in queries])
    values = -evaluation.values if numbers else evaluation.values
    if len(tasks) == 1:
        values = quality(learner, learner.predict(learner.adapt_to(tasks[0]), queries[0].x), queries[0].y).cpu().numpy()
    lead = estimate(values - guess)
    better = lead.mean > 0 and lead.mean > lead.interval
    reached = evaluation.mse if isinstance(evaluation, Regression) else evaluation.accuracy
    guessing = float(-guess.mean() if numbers else guess.mean())
    reason = f"{'squared error' if numbers else 'accuracy'} {reached} against {guessing:.4f} by guessing"
    reason += "" if better else ", which is not clearly better"
    if isinstance(evaluation, Regression):
        return Correct(reached, guessing, lead, None, better, better, reason)
    error = evaluation.calibration_error
    calibrated = error <= MISCALIBRATED
    reason += f"; probabilities are off by {error:.4f}" + ("" if calibrated else f", more than {MISCALIBRATED}")
    return Correct(reached, guessing, lead, error, better, better and calibrated, reason)


def quality(learner: Learner, scores: Float[Tensor, "n k"], y: Shaped[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """Return the quality of each row's prediction: 1 if the class is right, else 0; or minus the squared error."""
    if learner.criterion.outcome == "classes":
        return ((scores.argmax(-1) == y) & ~scores.isnan().any(-1)).double()
    return -(scores.double() - y.double()).square().mean(-1)


def guesses(learner: Learner, tasks: list[Episode]) -> list[Float[Tensor, " n"]]:
    """Return, for each task, the quality of a constant prediction for each real query row.

    The prediction is the commonest class or the mean target: either of the task's own support set, or of the query rows
    of all tasks. The result is that of the guess with the better mean over the tasks.
    """
    queries = [real(task.query) for task in tasks]
    y, weights = torch.cat([query.y for query in queries]), [query.w for query in queries]
    classes = 0
    if learner.criterion.outcome == "classes":
        classes = 1 + max(int(part.y.max()) for task in tasks for part in task[:2] if len(part.y))
    common = _constant(y, torch.cat(weights), classes)
    own = [_constant(*task.support[1:], classes) if task.support.w.sum() > 0 else common for task in tasks]
    choices = [
        [
            quality(learner, scores.expand(len(query.y), -1), query.y)
            for scores, query in zip(kind, queries, strict=True)
        ]
        for kind in ([common] * len(tasks), own)
    ]
    return max(choices, key=lambda choice: averages(choice, weights).mean())


def averages(values: Sequence[Tensor], weights: Sequence[Tensor]) -> Float[np.ndarray, " t"]:
    """Return the weighted mean of each task's rows or, if there is one task, the values of its rows.

    So the interval of the mean is that over tasks or, if there is one task, over its rows.
    """
    if len(values) == 1:
        return values[0].double().cpu().numpy()
    return np.array([float(w.double() @ v.double() / w.double().sum()) for v, w in zip(values, weights, strict=True)])


def _constant(y: Tensor, w: Tensor, classes: int) -> Float[Tensor, " k"]:
    targets = F.one_hot(y, classes) if classes else y
    return w.double() @ targets.double() / w.double().sum()
