"""Measures: what a learner achieves, whether its probabilities can be believed, and whether its reasons are true."""

from ..estimate import Estimate, estimate
from .audit import Audit, Group, audit
from .evaluation.calibration import Reliability, expected_calibration_error, reliability
from .evaluation.evaluate import Classification, Evaluation, Regression, evaluate, summary
from .evaluation.likelihood import log_likelihoods
from .evaluation.similarity import TaskMap, by_outputs, by_state, cosine, task_map
from .faithfulness.agreement import Agreement, agreement
from .faithfulness.complexity import Complexity, complexity
from .faithfulness.eval_x import EvalX, Judgement, most
from .faithfulness.infidelity import Infidelity, hiding_infidelity, infidelity, noise, squares
from .faithfulness.known_truth import Recovery, Selection, auroc, recovery, selection
from .faithfulness.perturbation_curves import Curves, insertion_deletion
from .faithfulness.randomisation import (
    SanityCheck,
    cascading,
    independent,
    layers_of,
    randomised_model,
    shuffled_labels,
)
from .faithfulness.ranking import midranks, rank_correlation
from .faithfulness.road import LinearRegression, NoisyLinear, imputed
from .faithfulness.sufficiency import Rationale, rationale
from .faithfulness.trust import Trust, judged, over_rows, trust
from .robustness.attacks import FGSM, PGD, Attack, surprise, teaching_loss
from .robustness.sensitivity import Sensitivity, around, max_sensitivity
from .robustness.stability import Stability, query_stability, teaching_stability

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
    "Group",
    "Infidelity",
    "Judgement",
    "LinearRegression",
    "NoisyLinear",
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
    "task_map",
    "teaching_loss",
    "teaching_stability",
    "trust",
]
