"""Learners: support ↦ model, one algorithm a file."""

from .attentive_process import ANP
from .conditional_process import CNP
from .hypernetwork import Hypernetwork
from .in_context import InContext
from .latent_process import NP
from .learned_optimizer import LearnedOptimizer
from .learner import Learner
from .lstm_optimizer import MetaLSTM
from .maml import MAML
from .matching import MatchingNetwork
from .prototypical import PrototypicalNetwork
from .reptile import Reptile
from .ridge import RidgeHead
from .siamese import SiameseNetwork
from .snail import SNAIL
from .vsml import VSML

__all__ = [
    "ANP",
    "CNP",
    "MAML",
    "NP",
    "SNAIL",
    "VSML",
    "Hypernetwork",
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
