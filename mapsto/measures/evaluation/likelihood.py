"""How probable a process finds the targets, each by itself: its marginal log-likelihood a point, averaged a task.

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
    """Return one value a task of the first `episodes` tasks, `batch` of them at a time; `estimate` averages them.

    Compare two learners, or one with an exact posterior, by the differences of their values on the same tasks.
    Raises MapstoError where `episodes` or `batch` is below 1.
    """

    def value(episode: Episode) -> torch.Tensor:
        w = episode.query.w
        return (w * learner.log_likelihood(episode)).sum() / w.sum()

    with torch.no_grad():
        parts = [each_task(learner, value, drawn) for drawn in batches(learner, tasks, episodes, batch, seed)]
    return torch.cat(parts).double().cpu().numpy()
