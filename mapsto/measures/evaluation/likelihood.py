"""Marginal log-likelihood of the query targets under a process, per point, averaged within each task.

value_t = Σ w_i·log p(y_i | x_i, D_t) / Σ w_i  over the query of task t, in nats
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
    """Return one value for each of the first `episodes` tasks, `batch` of them at a time; `estimate` averages them.

    To compare two learners, or a learner with an exact posterior, take the differences of their values on the same
    tasks.

    Raises:
        MapstoError: if `episodes` or `batch` is below 1.
    """

    def value(episode: Episode) -> torch.Tensor:
        w = episode.query.w
        return (w * learner.log_likelihood(episode)).sum() / w.sum()

    with torch.no_grad():
        parts = [each_task(learner, value, sample) for sample in batches(learner, tasks, episodes, batch, seed)]
    return torch.cat(parts).double().cpu().numpy()
