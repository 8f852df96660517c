"""Learners: support ↦ model, one algorithm a file."""

from .in_context import InContext
from .learned_optimizer import LearnedOptimizer
from .learner import Learner
from .lstm_optimizer import MetaLSTM
from .maml import MAML
from .matching import MatchingNetwork
from .prototypical import PrototypicalNetwork
from .reptile import Reptile
from .ridge import RidgeHead
from .siamese import SiameseNetwork
from .vsml import VSML

__all__ = [
    "MAML",
    "VSML",
    "InContext",
    "LearnedOptimizer",
    "Learner",
    "MatchingNetwork",
    "MetaLSTM",
    "PrototypicalNetwork",
    "Reptile",
    "RidgeHead",
    "SiameseNetwork",
]
