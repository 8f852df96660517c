"""Explainer networks: they read a model's intermediate features, and are trained with the model by `Joint`."""

from .amortised_shapley import AmortisedShapley
from .distilled_shapley import DistilledShapley
from .interpreter import Interpreter
from .invase import INVASE
from .l2x import L2X
from .leave_one_out import LeaveOneOut
from .players import Columns, Patches, Players
from .policy_gradient import PolicyGradient
from .real_x import REALX

__all__ = [
    "INVASE",
    "L2X",
    "REALX",
    "AmortisedShapley",
    "Columns",
    "DistilledShapley",
    "Interpreter",
    "LeaveOneOut",
    "Patches",
    "Players",
    "PolicyGradient",
]
