"""How a loop of inner steps is differentiated: one value, several derivatives of it, each at a price of its own."""

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
