"""Learners: support ↦ model, one algorithm a file."""

from .in_context import InContext
from .learner import Learner
from .maml import MAML
from .prototypical import PrototypicalNetwork
from .reptile import Reptile

__all__ = ["MAML", "InContext", "Learner", "PrototypicalNetwork", "Reptile"]
