"""Meta-training: the meta-gradient, the loop around it, and the folder that it writes."""

from .loop import Step, train
from .meta import meta_gradient
from .run import load_weights, read_config
from .settings import Settings
from .validation import ValidationLoss

__all__ = ["Settings", "Step", "ValidationLoss", "load_weights", "meta_gradient", "read_config", "train"]
