"""Learners: support ↦ model, one algorithm a file."""

from .anml import ANML
from .in_context import InContext
from .learner import Learner
from .maml import MAML
from .matching import MatchingNetwork
from .memory_fusion import MemoryFusion
from .meta_networks import MetaNetwork
from .metagan import MetaGAN
from .prototypical import PrototypicalNetwork
from .reptile import Reptile
from .ridge import RidgeHead
from .siamese import SiameseNetwork

__all__ = [
    "ANML",
    "MAML",
    "InContext",
    "Learner",
    "MatchingNetwork",
    "MemoryFusion",
    "MetaGAN",
    "MetaNetwork",
    "PrototypicalNetwork",
    "Reptile",
    "RidgeHead",
    "SiameseNetwork",
]
