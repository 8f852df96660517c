"""The sentences of a page about images."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from ...explanation import Explanation
from ...figures import numbers
from ..words import count, listing
from .answer import Answer

_NAMED = 3  # patches that a sentence names
_WRITTEN = 0.0005  # a smaller contribution would be written as 0.0 points


def overview(answer: Answer) -> list[str]:
    """Return the whole page in a few sentences."""
    s = answer.summary
    right = round(s["accuracy"] * s["images"])
    examples = "one example of each" if s["training_images"] == s["classes"] else f"{s['training_images']} examples"
    r2 = s["agreement"]["r2"]
    sentences = [
        f"The model saw {examples} of {s['classes']} classes, and then {count(s['images'], 'new image')}.",
        f"It recognised {right} of {s['images']}. Guessing would recognise about {s['images'] / s['classes']:.0f}.",
        "Every prediction is taken apart into the contributions of 16 patches, which add up to it exactly.",
    ]
    if r2 is not None:
        sentences.append(f"Compared with exact Shapley values of the same model, the contributions have R² = {r2:.3f}.")
    return sentences


def quality(answer: Answer) -> list[dict[str, str]]:
    """Return each measured number with its meaning."""
    s = answer.summary
    accuracy, certainty = s["accuracy"], s["probability_of_the_true_class"]
    guessing = f"Guessing gives {numbers.percent(1 / s['classes'])}."
    return [
        {"name": "Accuracy", "value": numbers.percent(accuracy),
         "meaning": f"The share of new images that were put in the right class. {guessing}"},
        {"name": "Probability of the true class", "value": numbers.percent(certainty),
         "meaning": "The mean probability that the model gave to the right class; 100 % is perfect."},
        {"name": "Time per explained image", "value": f"{s['ms_per_image']:.1f} ms",
         "meaning": "To predict and explain one image, on this computer."},
    ]  # fmt: skip


def strongest(values: Float[np.ndarray, " p"], names: list[str]) -> str:
    """Name the patches that moved a probability most, with their contributions in percentage points."""
    order = [j for j in np.argsort(-np.abs(values), kind="stable")[:_NAMED] if abs(values[j]) >= _WRITTEN]
    return listing([f"{names[j]} ({numbers.points(values[j])})" for j in order]) or "no patch moved it by 0.1 points"


def trust(reasons: Explanation, i: int) -> str:
    """Say how far the contributions of one image can be trusted."""
    if reasons.trust is None:
        return ""
    share = f"{100 * reasons.trust[i]:.0f} %"
    return f"Trust: the contributions are expected to reproduce {share} of the variation of the exact ones."


def agreement(measures: dict[str, Any]) -> list[str]:
    """Explain the agreement with exact Shapley values."""
    r2, patches = float(measures["r2"]), int(measures["patches"])
    verdict = "close to" if r2 >= 0.95 else "roughly like" if r2 >= 0.8 else "NOT close to"
    return [
        "There is one fair way to divide a prediction among the patches: the Shapley value, which asks how much each "
        "patch adds to every possible combination of the others. To compute it exactly, the same model must be asked "
        f"about each combination of the patches with ink, up to {2**patches:,} for one image. An empty patch adds "
        "nothing to any combination, so its value is 0.",
        f"That was done here for {count(measures['images'], 'image')}. The contributions on this page, which take one "
        f"pass of a network and about a hundred questions to the model, were {verdict} the exact ones: they reproduce "
        f"{100 * r2:.1f} % of the variation (R² = {r2:.3f}). The cosine, which says how closely both point in the same "
        "direction, is "
        f"{measures['cosine']:.3f}; 1 is perfect.",
        "Anyone can repeat this from outside: set the pixels of some patches to NaN, ask for the prediction, and "
        "compare.",
    ]
