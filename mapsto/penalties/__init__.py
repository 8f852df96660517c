"""Penalties on an adapted model, for `learners.Regularised`: they make it easier to explain."""

from .by_design import Balance, ConceptStability
from .gradients import Stability, TotalVariation
from .sparsity import Sparsity
from .tree_likeness import TreeLikeness

__all__ = [
    "Balance",
    "ConceptStability",
    "Sparsity",
    "Stability",
    "TotalVariation",
    "TreeLikeness",
]
