"""Explainers: (view, point) ↦ attribution or game ↦ attribution, one method a file; `learned` ones have parameters.

Rules, surrogate trees and counterfactuals are no attributions: they ask a classifier about rows.
"""

from .across_tasks.global_explanation import global_importance, partial_dependence
from .across_tasks.task_influence import task_influence
from .activation_maps import GradCAM, HiResCAM
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
from .rules.anchors import Anchors
from .rules.counterfactual import Counterfactual
from .rules.surrogate_tree import SurrogateTree
from .shapley import Shapley
from .smooth import Smooth

__all__ = [
    "LIME",
    "Anchors",
    "BayesianShapley",
    "Counterfactual",
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
    "SurrogateTree",
    "View",
    "ViewExplainer",
    "attention_rollout",
    "global_importance",
    "knn_shapley",
    "partial_dependence",
    "patches",
    "superpixels",
    "task_influence",
]
