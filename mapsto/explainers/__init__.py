"""Explainers: (view, point) ↦ attribution or game ↦ attribution, one method a file; with parameters: `learned`."""

from .explainer import Game, GameExplainer, View, ViewExplainer
from .gradient import Gradient, InputXGradient
from .integrated_gradients import IntegratedGradients
from .occlusion import Occlusion
from .shapley import Shapley

__all__ = [
    "Game",
    "GameExplainer",
    "Gradient",
    "InputXGradient",
    "IntegratedGradients",
    "Occlusion",
    "Shapley",
    "View",
    "ViewExplainer",
]
