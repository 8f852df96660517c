"""Views: functions from one input of a model to its score.

    query: x ↦ score      support: D.x ↦ score      weights: D.w ↦ score      state: θ ↦ score      feature: h ↦ score

These are views of a learner; D is its support set (see `of_learner`). `model` returns the view x ↦ score of any other
model, such as a plain `nn.Module` or a scikit-learn estimator. Explainers change the input of a view, or hide parts of
it in a `game`.
"""

from ..games import Game, View, game
from .adapted import as_module
from .of_learner import Link as Link
from .of_learner import deterministic as deterministic
from .of_learner import feature, query, state, support, support_feature, support_game, taught, weights
from .of_model import model

__all__ = [
    "Game", "View", "as_module", "feature", "game", "model", "query", "state", "support", "support_feature",
    "support_game", "taught", "weights",
]  # fmt: skip
