"""Explainer networks: they read a model's intermediate features, and are trained with the model by `Joint`."""

from .amortised_shapley import AmortisedShapley
from .interpreter import Interpreter
from .players import Columns, Patches, Players

__all__ = ["AmortisedShapley", "Columns", "Interpreter", "Patches", "Players"]
