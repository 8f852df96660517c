"""A learner and the explainers of its predictions, trained together."""

from .joint import Joint
from .self_explaining import SelfExplaining
from .tuning import Tuning

__all__ = ["Joint", "SelfExplaining", "Tuning"]
