"""Explainers attribute a model's score to the parts of its input; each file holds one method.

A `ViewExplainer` maps a view and a point to an attribution, and a `GameExplainer` maps a game to an attribution: see
`explainer`. The explainers in `learned` have trained parameters. Those in `rules` (rules, surrogate trees and
counterfactuals) return no attributions: they describe a classifier by its answers for rows of a table.
"""

from . import learned as learned
from .across_tasks.effects import ale, ice
from .across_tasks.explainer_of_rows import Explainer
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
from .interaction_indices import Interactions
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
    "Explainer",
    "Game",
    "GameExplainer",
    "GradCAM",
    "Gradient",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "Interactions",
    "Occlusion",
    "PermutationShapley",
    "Shapley",
    "ShapleyInteractions",
    "Smooth",
    "SurrogateTree",
    "View",
    "ViewExplainer",
    "ale",
    "attention_rollout",
    "global_importance",
    "ice",
    "knn_shapley",
    "partial_dependence",
    "patches",
    "superpixels",
    "task_influence",
]
