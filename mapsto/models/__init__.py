"""Networks that a learner adapts. A learner takes any `nn.Module`; these are the ones the literature compares on."""

from .conv import Conv4
from .conv3 import Conv3
from .kernel_attention import KernelAttention
from .mlp import MLP
from .moment_network import MomentNetwork
from .set_transformer import SetTransformer

__all__ = ["MLP", "Conv3", "Conv4", "KernelAttention", "MomentNetwork", "SetTransformer"]
