"""Measures: how well a learner predicts, whether its probabilities are calibrated, and whether its reasons are true."""

from ..estimate import Estimate, estimate
from .audit import audit
from .evaluation.calibration import expected_calibration_error, reliability
from .evaluation.evaluate import evaluate, summary
from .evaluation.likelihood import log_likelihoods
from .evaluation.similarity import by_outputs, by_state, cosine, task_map
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
from .robustness.attacks import FGSM, PGD, Attack, surprise, teaching_loss
from .robustness.sensitivity import around, max_sensitivity
from .robustness.stability import query_stability, teaching_stability

__all__ = [
    "FGSM",
    "PGD",
    "Attack",
    "Estimate",
    "EvalX",
    "LinearRegression",
    "NoisyLinear",
    "agreement",
    "around",
    "audit",
    "auroc",
    "by_outputs",
    "by_state",
    "complexity",
    "cosine",
    "estimate",
    "evaluate",
    "expected_calibration_error",
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
    "summary",
    "surprise",
    "task_map",
    "teaching_loss",
    "teaching_stability",
    "trust",
]
