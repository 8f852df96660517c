"""The log-likelihood that a process gives to the query targets, per row, averaged within each task.

value_t = Σ w_i·log p(y_i | x_i, D_t) / Σ w_i  over the query set of task t with support set D_t, in nats
"""

import numpy as np
import torch
from jaxtyping import Float

from ...adaptation.batching import each_task
from ...episodes import Episode
from ...learners.process import Process
from .evaluate import Source, batches


def log_likelihoods(
    learner: Process, tasks: Source, episodes: int = 600, batch: int = 25, seed: int = 0
) -> Float[np.ndarray, " t"]:
    """Return, for each task, the mean log-likelihood of the query targets under the learner's predictions, in nats.

    Each query target is scored by its own predicted distribution, not jointly with the other targets. `estimate`
    returns the mean over tasks. To compare a learner with another learner or with an exact posterior, evaluate both on
    the same tasks and take the differences for each task.

    Args:
        learner: a neural process: a learner that predicts a distribution for each row.
        tasks: the source of the tasks.
        episodes: the number of tasks.
        batch: the largest number of tasks to compute at a time, at most 25. The tasks do not depend on this number.
        seed: the random seed of the tasks.

    Raises:
        MapstoError: if `episodes` or `batch` is below 1.
    """

    def value(episode: Episode) -> torch.Tensor:
        w = episode.query.w
        return (w * learner.log_likelihood(episode)).sum() / w.sum()

    with torch.no_grad():
        parts = [each_task(learner, value, sample) for sample in batches(learner, tasks, episodes, batch, seed)]
    return torch.cat(parts).double().cpu().numpy()
