"""Explainers: (view, point) ↦ attribution or game ↦ attribution, one method a file; with parameters: `learned`.

Rules, surrogate trees and counterfactuals are no attributions: they ask a classifier about rows (`TableExplainer`).
"""

from .anchors import Anchor, Anchors
from .classifier import TableExplainer
from .counterfactual import Change, Counterfactual
from .explainer import Game, GameExplainer, View, ViewExplainer
from .gradient import Gradient, InputXGradient
from .integrated_gradients import IntegratedGradients
from .occlusion import Occlusion
from .shapley import Shapley
from .surrogate_tree import Fidelity, Leaf, Surrogate, SurrogateTree

__all__ = [
    "Anchor",
    "Anchors",
    "Change",
    "Counterfactual",
    "Fidelity",
    "Game",
    "GameExplainer",
    "Gradient",
    "InputXGradient",
    "IntegratedGradients",
    "Leaf",
    "Occlusion",
    "Shapley",
    "Surrogate",
    "SurrogateTree",
    "TableExplainer",
    "View",
    "ViewExplainer",
]
