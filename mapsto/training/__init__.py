"""Meta-training: the meta-gradient, the loop around it, and the folder it leaves behind."""

from .loop import Step, train
from .meta import meta_gradient
from .run import load_weights, read_config
from .validation import ValidationLoss

__all__ = ["Step", "ValidationLoss", "load_weights", "meta_gradient", "read_config", "train"]
