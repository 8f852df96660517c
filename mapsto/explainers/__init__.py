"""Explainers: (view, point) ↦ attribution or game ↦ attribution, one method a file; with parameters: `learned`.

Rules, surrogate trees and counterfactuals are no attributions: they ask a classifier about rows (`TableExplainer`).
"""

from .activation_maps import GradCAM, HiResCAM, enlarge
from .anchors import Anchor, Anchors
from .attention_rollout import attention_rollout
from .bayesian_shapley import BayesianShapley
from .classifier import TableExplainer
from .counterfactual import Change, Counterfactual
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
from .surrogate_tree import Fidelity, Leaf, Surrogate, SurrogateTree

__all__ = [
    "LIME",
    "Anchor",
    "Anchors",
    "BayesianShapley",
    "Change",
    "Counterfactual",
    "ExpectedGradients",
    "Fidelity",
    "Game",
    "GameExplainer",
    "GradCAM",
    "Gradient",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "Leaf",
    "Occlusion",
    "PermutationShapley",
    "Shapley",
    "ShapleyInteractions",
    "Smooth",
    "Surrogate",
    "SurrogateTree",
    "TableExplainer",
    "View",
    "ViewExplainer",
    "attention_rollout",
    "enlarge",
    "knn_shapley",
    "patches",
    "superpixels",
]
