"""Measures: how well a learner predicts, whether its probabilities are calibrated, and whether explanations hold."""

from ..estimate import estimate
from . import audit as audit
from .evaluation.calibration import reliability
from .evaluation.evaluate import evaluate
from .evaluation.likelihood import log_likelihoods
from .evaluation.similarity import by_outputs, by_state, task_map
from .faithfulness.agreement import agreement
from .faithfulness.complexity import complexity
from .faithfulness.eval_x import EvalX
from .faithfulness.infidelity import hiding_infidelity, infidelity
from .faithfulness.known_truth import auroc, recovery, selection
from .faithfulness.perturbation_curves import insertion_deletion
from .faithfulness.randomisation import randomised_model, shuffled_labels
from .faithfulness.road import LinearRegression, NoisyLinear
from .faithfulness.sufficiency import rationale
from .faithfulness.trust import trust
from .robustness.attacks import FGSM, PGD, surprise, teaching_loss
from .robustness.sensitivity import max_sensitivity
from .robustness.stability import query_stability, teaching_stability

__all__ = [
    "FGSM",
    "PGD",
    "EvalX",
    "LinearRegression",
    "NoisyLinear",
    "agreement",
    "auroc",
    "by_outputs",
    "by_state",
    "complexity",
    "estimate",
    "evaluate",
    "hiding_infidelity",
    "infidelity",
    "insertion_deletion",
    "log_likelihoods",
    "max_sensitivity",
    "query_stability",
    "randomised_model",
    "rationale",
    "recovery",
    "reliability",
    "selection",
    "shuffled_labels",
    "surprise",
    "task_map",
    "teaching_loss",
    "teaching_stability",
    "trust",
]
