"""Explanations of a table's predictions: how much each column raised or lowered each prediction."""

from .explanation import Explanation

__all__ = ["Explanation"]
