"""Learners: support ↦ model, one algorithm a file."""

from .attentive_process import ANP
from .conditional_process import CNP
from .in_context import InContext
from .latent_process import NP
from .learner import Learner
from .maml import MAML
from .prototypical import PrototypicalNetwork

__all__ = ["ANP", "CNP", "MAML", "NP", "InContext", "Learner", "PrototypicalNetwork"]
