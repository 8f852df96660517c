"""Measures: what a learner achieves, whether its probabilities can be believed, and whether its reasons are true."""

from .agreement import Agreement, agreement
from .calibration import Reliability, expected_calibration_error, reliability
from .estimate import Estimate, estimate
from .evaluation import Classification, Evaluation, Regression, evaluate, summary
from .influence import task_influence
from .likelihood import log_likelihoods
from .similarity import TaskMap, by_outputs, by_state, cosine, task_map

__all__ = [
    "Agreement",
    "Classification",
    "Estimate",
    "Evaluation",
    "Regression",
    "Reliability",
    "TaskMap",
    "agreement",
    "by_outputs",
    "by_state",
    "cosine",
    "estimate",
    "evaluate",
    "expected_calibration_error",
    "log_likelihoods",
    "reliability",
    "summary",
    "task_influence",
    "task_map",
]
