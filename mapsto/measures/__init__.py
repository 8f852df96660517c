"""Measures: what a learner achieves, whether its probabilities can be believed, and whether its reasons are true."""

from .agreement import Agreement, agreement
from .calibration import Reliability, expected_calibration_error, reliability
from .estimate import Estimate, estimate
from .evaluation import Classification, Evaluation, Regression, evaluate, summary
from .likelihood import log_likelihoods

__all__ = [
    "Agreement",
    "Classification",
    "Estimate",
    "Evaluation",
    "Regression",
    "Reliability",
    "agreement",
    "estimate",
    "evaluate",
    "expected_calibration_error",
    "log_likelihoods",
    "reliability",
    "summary",
]
