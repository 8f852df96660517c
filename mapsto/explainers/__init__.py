"""Explainers: (view, point) ↦ attribution or game ↦ attribution, one method a file; with parameters: `learned`."""

from .explainer import Game, GameExplainer, View, ViewExplainer
from .gradient import Gradient, InputXGradient
from .groups import patches, superpixels
from .integrated_gradients import IntegratedGradients
from .interactions import ShapleyInteractions
from .lime import LIME
from .occlusion import Occlusion
from .permutation_shapley import PermutationShapley
from .shapley import Shapley

__all__ = [
    "LIME",
    "Game",
    "GameExplainer",
    "Gradient",
    "InputXGradient",
    "IntegratedGradients",
    "Occlusion",
    "PermutationShapley",
    "Shapley",
    "ShapleyInteractions",
    "View",
    "ViewExplainer",
    "patches",
    "superpixels",
]
