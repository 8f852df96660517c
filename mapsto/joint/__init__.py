"""A learner and the explainers of its predictions, trained together."""

from .doubting import Doubting
from .joint import Joint
from .self_explaining import SelfExplaining
from .tuning import Tuning

__all__ = ["Doubting", "Joint", "SelfExplaining", "Tuning"]
