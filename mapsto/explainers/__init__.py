"""Explainers: (view, point) ↦ attribution or game ↦ attribution, one method a file; with parameters: `learned`."""

from .bayesian_shapley import BayesianShapley
from .explainer import Game, GameExplainer, View, ViewExplainer
from .gradient import Gradient, InputXGradient
from .integrated_gradients import IntegratedGradients
from .neighbours import knn_shapley
from .occlusion import Occlusion
from .shapley import Shapley

__all__ = [
    "BayesianShapley",
    "Game",
    "GameExplainer",
    "Gradient",
    "InputXGradient",
    "IntegratedGradients",
    "Occlusion",
    "Shapley",
    "View",
    "ViewExplainer",
    "knn_shapley",
]
