"""Explainers: (view, point) ↦ attribution or game ↦ attribution, one method a file; with parameters: `learned`."""

from .activation_maps import GradCAM, HiResCAM, enlarge
from .attention_rollout import attention_rollout
from .bayesian_shapley import BayesianShapley
from .expected_gradients import ExpectedGradients
from .explainer import Game, GameExplainer, View, ViewExplainer
from .gradient import Gradient, InputXGradient
from .groups import patches, superpixels
from .integrated_gradients import IntegratedGradients
from .interactions import ShapleyInteractions
from .lime import LIME
from .neighbours import knn_shapley
from .occlusion import Occlusion
from .permutation_shapley import PermutationShapley
from .shapley import Shapley
from .smooth import Smooth

__all__ = [
    "LIME",
    "BayesianShapley",
    "ExpectedGradients",
    "Game",
    "GameExplainer",
    "GradCAM",
    "Gradient",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "Occlusion",
    "PermutationShapley",
    "Shapley",
    "ShapleyInteractions",
    "Smooth",
    "View",
    "ViewExplainer",
    "attention_rollout",
    "enlarge",
    "knn_shapley",
    "patches",
    "superpixels",
]
