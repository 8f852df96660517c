"""Explainer networks: they read a model's intermediate features, and are trained with the model by `Joint`."""

from .amortised_shapley import AmortisedShapley
from .interpreter import Interpreter
from .invase import INVASE
from .l2x import L2X
from .players import Columns, Patches, Players
from .policy_gradient import PolicyGradient
from .real_x import REALX

__all__ = [
    "INVASE",
    "L2X",
    "REALX",
    "AmortisedShapley",
    "Columns",
    "Interpreter",
    "Patches",
    "Players",
    "PolicyGradient",
]
