"""Measures: what a learner achieves, whether its probabilities can be believed, and whether its reasons are true."""

from .agreement import Agreement, agreement
from .attacks import FGSM, PGD, Attack, Stability, query_stability, surprise, teaching_loss, teaching_stability
from .audit import Audit, Group, audit
from .calibration import Reliability, expected_calibration_error, reliability
from .estimate import Estimate, estimate
from .evaluation import Classification, Evaluation, Regression, evaluate, summary
from .global_explanation import (
    GlobalImportance,
    PartialDependence,
    attributions,
    global_importance,
    partial_dependence,
)
from .likelihood import log_likelihoods
from .similarity import TaskMap, by_outputs, by_state, cosine, task_map

__all__ = [
    "FGSM",
    "PGD",
    "Agreement",
    "Attack",
    "Audit",
    "Classification",
    "Estimate",
    "Evaluation",
    "GlobalImportance",
    "Group",
    "PartialDependence",
    "Regression",
    "Reliability",
    "Stability",
    "TaskMap",
    "agreement",
    "attributions",
    "audit",
    "by_outputs",
    "by_state",
    "cosine",
    "estimate",
    "evaluate",
    "expected_calibration_error",
    "global_importance",
    "log_likelihoods",
    "partial_dependence",
    "query_stability",
    "reliability",
    "summary",
    "surprise",
    "task_map",
    "teaching_loss",
    "teaching_stability",
]
