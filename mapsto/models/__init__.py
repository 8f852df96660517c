"""Networks for learners. A learner takes any `nn.Module`; these are the networks that the literature compares."""

from .alexnet import AlexNet
from .conv import Conv4
from .conv3 import Conv3
from .gaussian_policy import GaussianPolicy
from .kernel_attention import KernelAttention
from .mlp import MLP
from .moment_network import MomentNetwork
from .newton_network import NewtonNetwork
from .recurrent import Recurrent
from .resnet12 import ResNet12
from .senn import SENN
from .set_transformer import SetTransformer
from .soft_tree import SoftDecisionTree
from .text_encoder import TextEncoder
from .vgg import VGG

__all__ = [
    "MLP",
    "SENN",
    "VGG",
    "AlexNet",
    "Conv3",
    "Conv4",
    "GaussianPolicy",
    "KernelAttention",
    "MomentNetwork",
    "NewtonNetwork",
    "Recurrent",
    "ResNet12",
    "SetTransformer",
    "SoftDecisionTree",
    "TextEncoder",
]
