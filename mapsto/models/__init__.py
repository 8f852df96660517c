"""Networks that a learner adapts. A learner takes any `nn.Module`; these are the ones the literature compares on."""

from .conv import Conv4
from .conv3 import Conv3
from .mlp import MLP
from .set_transformer import SetTransformer

__all__ = ["MLP", "Conv3", "Conv4", "SetTransformer"]
