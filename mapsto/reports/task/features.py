"""The reasons for one query in numbers: the effect of each of its features and of each teaching example.

    features = Integrated Gradients of x ↦ score; a learner that explains itself: its own attributions; a query with
               missing cells: Shapley values of hiding the others
    teachers = score − score without that teaching example (w = 0, adapted again)

The score is the probability of the predicted class, or the mean of the outputs if numbers are predicted.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ... import views
from ...episodes import Episode
from ...explainers import IntegratedGradients, Occlusion, Shapley
from ...joint import SelfExplaining
from ...learners import Learner

_ENUMERATED = 10  # columns


class QueryReasons(NamedTuple):
    """The score of a query, its predicted class (−1 if numbers are predicted), and the effects on the score."""

    score: Float[np.ndarray, ""]
    predicted: int
    features: Float[np.ndarray, "..."]
    teachers: Float[np.ndarray, " n"]


def query_reasons(learner: Learner, episode: Episode, x: Tensor) -> QueryReasons:
    """Return the reasons for the answer to the query `x` after adapting to the episode."""
    classes = learner.loss_name == "cross_entropy"
    outputs = views.query(learner, episode)(x).detach()
    target = int(outputs.argmax()) if classes else None

    def link(scores: Tensor) -> Tensor:
        return scores.softmax(-1) if classes else scores.mean(-1)

    if isinstance(learner, SelfExplaining):
        features = learner.explain(learner.adapt_to(episode), x[None])[0][0, :, target]
    elif x.isnan().any():  # a gradient cannot move a missing cell, so cells are hidden
        game = views.game(views.query(learner, episode, target, link), x, baseline=torch.nan)
        features = Shapley(None if len(x) <= _ENUMERATED else 32 * len(x))(game)
    else:
        features = IntegratedGradients()(views.query(learner, episode, target, link), x)
    teachers = Occlusion()(views.support_game(learner, episode, x, target, link))
    score = link(outputs) if target is None else link(outputs)[target]
    predicted = -1 if target is None else target
    return QueryReasons(score.numpy(), predicted, features.detach().numpy(), teachers.detach().numpy())
