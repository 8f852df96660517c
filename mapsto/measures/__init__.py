"""Measures: what a learner achieves, whether its probabilities can be believed, and whether its reasons are true."""

from .agreement import Agreement, agreement
from .attacks import FGSM, PGD, Attack, surprise, teaching_loss
from .audit import Audit, Group, audit
from .calibration import Reliability, expected_calibration_error, reliability
from .complexity import Complexity, complexity
from .estimate import Estimate, estimate
from .eval_x import EvalX, Judgement, most
from .evaluation import Classification, Evaluation, Regression, evaluate, summary
from .global_explanation import (
    GlobalImportance,
    PartialDependence,
    attributions,
    global_importance,
    partial_dependence,
)
from .infidelity import Infidelity, hiding_infidelity, infidelity, noise, squares
from .influence import task_influence
from .known_truth import Recovery, Selection, auroc, recovery, selection
from .likelihood import log_likelihoods
from .perturbation_curves import Curves, insertion_deletion
from .randomisation import SanityCheck, cascading, independent, layers_of, randomised_model, shuffled_labels
from .ranking import midranks, rank_correlation
from .road import LinearRegression, NoisyLinear, imputed
from .sensitivity import Sensitivity, around, max_sensitivity
from .similarity import TaskMap, by_outputs, by_state, cosine, task_map
from .stability import Stability, query_stability, teaching_stability
from .sufficiency import Rationale, rationale
from .trust import Trust, judged, over_rows, trust

__all__ = [
    "FGSM",
    "PGD",
    "Agreement",
    "Attack",
    "Audit",
    "Classification",
    "Complexity",
    "Curves",
    "Estimate",
    "EvalX",
    "Evaluation",
    "GlobalImportance",
    "Group",
    "Infidelity",
    "Judgement",
    "LinearRegression",
    "NoisyLinear",
    "PartialDependence",
    "Rationale",
    "Recovery",
    "Regression",
    "Reliability",
    "SanityCheck",
    "Selection",
    "Sensitivity",
    "Stability",
    "TaskMap",
    "Trust",
    "agreement",
    "around",
    "attributions",
    "audit",
    "auroc",
    "by_outputs",
    "by_state",
    "cascading",
    "complexity",
    "cosine",
    "estimate",
    "evaluate",
    "expected_calibration_error",
    "global_importance",
    "hiding_infidelity",
    "imputed",
    "independent",
    "infidelity",
    "insertion_deletion",
    "judged",
    "layers_of",
    "log_likelihoods",
    "max_sensitivity",
    "midranks",
    "most",
    "noise",
    "over_rows",
    "partial_dependence",
    "query_stability",
    "randomised_model",
    "rank_correlation",
    "rationale",
    "recovery",
    "reliability",
    "selection",
    "shuffled_labels",
    "squares",
    "summary",
    "surprise",
    "task_influence",
    "task_map",
    "teaching_loss",
    "teaching_stability",
    "trust",
]
