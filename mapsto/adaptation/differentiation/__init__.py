"""Routes through a loop of inner steps: the same value, with derivatives of different accuracy and cost."""

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
