"""Check the values of words from outside: exact Shapley values by asking `predict_proba` about every shortened text.

    φ_j = Σ_S |S|! (d − |S| − 1)! / d! · (v(S ∪ j) − v(S)),    v(S) = predict_proba of the text with only the parts S

Shapley (1953).
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from ...explainers import coalitions
from ...measures import agreement
from ...texts.words import join

if TYPE_CHECKING:
    from ...estimators import TextClassifier
    from ...estimators.text_explanation import TextExplanation

TEXTS, PARTS = 4, 12  # the most texts that are checked, and the most parts of such a text


def exact_values(classifier: "TextClassifier", parts: list[str]) -> Float[np.ndarray, "p k"]:
    """Return the exact Shapley values of `classifier.predict_proba` for the parts of a text."""
    design = coalitions.exact(len(parts), dtype=torch.float64)
    shortened = [join([part for part, seen in zip(parts, mask, strict=True) if seen]) for mask in design.masks > 0.5]
    return design.weights.numpy() @ classifier.predict_proba(shortened)


def check(classifier: "TextClassifier", reasons: "TextExplanation") -> dict[str, Any]:
    """Return the agreement of the values with exact ones: `r2`, `cosine`, and the `texts` and `parts` checked.

    Texts of 2 to 12 parts can be checked. Those with the most parts are taken: their values are the least exact.
    """
    parts = reasons.parts
    fit = [i for i in range(len(parts)) if 1 < len(parts[i]) <= PARTS]
    chosen = sorted(fit, key=lambda i: -len(parts[i]))[:TEXTS]
    measures: dict[str, Any] = {"r2": None, "cosine": None, "texts": len(chosen), "parts": 0}
    if chosen:
        values = np.concatenate([reasons.values[i, : len(parts[i])] for i in chosen])
        result = agreement(values[None], np.concatenate([exact_values(classifier, parts[i]) for i in chosen])[None])
        measures |= {"r2": result.r2, "cosine": result.cosine, "parts": max(len(parts[i]) for i in chosen)}
    return measures
