"""Meta-training: the meta-gradient, the loop around it, and the folder that it writes."""

from .loop import train
from .meta import meta_gradient
from .phases import phases
from .run import load_weights

__all__ = ["load_weights", "meta_gradient", "phases", "train"]
