"""Learners: support ↦ model, one algorithm a file."""

from .attentive_process import ANP
from .conditional_process import CNP
from .hypernetwork import Hypernetwork
from .in_context import InContext
from .latent_process import NP
from .learner import Learner
from .maml import MAML
from .matching import MatchingNetwork
from .prototypical import PrototypicalNetwork
from .reptile import Reptile
from .ridge import RidgeHead
from .siamese import SiameseNetwork
from .snail import SNAIL

__all__ = [
    "ANP",
    "CNP",
    "MAML",
    "NP",
    "SNAIL",
    "Hypernetwork",
    "InContext",
    "Learner",
    "MatchingNetwork",
    "PrototypicalNetwork",
    "Reptile",
    "RidgeHead",
    "SiameseNetwork",
]
