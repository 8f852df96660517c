"""Learners: algorithms that map a support set to a model, one in each file."""

from ..adaptation.learner import Learner
from .anml import ANML
from .attentive_process import ANP
from .conditional_process import CNP
from .dkt import DKT
from .fixed import Fixed
from .hypernetwork import Hypernetwork
from .in_context import InContext
from .in_episode import InEpisode
from .latent_process import NP
from .learned_optimizer import LearnedOptimizer
from .lstm_optimizer import MetaLSTM
from .maml import MAML
from .matching import MatchingNetwork
from .memory_fusion import MemoryFusion
from .meta_networks import MetaNetwork
from .metagan import MetaGAN
from .multitask import MultiTask
from .prototypical import PrototypicalNetwork
from .regularised import Regularised
from .reptile import Reptile
from .ridge import RidgeHead
from .siamese import SiameseNetwork
from .snail import SNAIL
from .vsml import VSML

__all__ = [
    "ANML",
    "ANP",
    "CNP",
    "DKT",
    "MAML",
    "NP",
    "SNAIL",
    "VSML",
    "Fixed",
    "Hypernetwork",
    "InContext",
    "InEpisode",
    "LearnedOptimizer",
    "Learner",
    "MatchingNetwork",
    "MemoryFusion",
    "MetaGAN",
    "MetaLSTM",
    "MetaNetwork",
    "MultiTask",
    "PrototypicalNetwork",
    "Regularised",
    "Reptile",
    "RidgeHead",
    "SiameseNetwork",
]
