"""Routes: ways to differentiate a loop of inner steps, with equal values but different accuracy and cost."""

from .constant import ConstantGradients
from .finite_difference import FiniteDifference
from .implicit import Implicit
from .recomputed import Adjoint, Blocked, Checkpointed
from .route import Differentiation, FirstOrder, Reverse, Truncated

__all__ = [
    "Adjoint",
    "Blocked",
    "Checkpointed",
    "ConstantGradients",
    "Differentiation",
    "FiniteDifference",
    "FirstOrder",
    "Implicit",
    "Reverse",
    "Truncated",
]
