"""Check the values of patches from outside: exact Shapley values by asking `predict_proba` about every pattern.

    φ_j = Σ_S |S|! (d − |S| − 1)! / d! · (v(S ∪ j) − v(S)),    v(S) = predict_proba of the image with only S visible

Shapley (1953). A hidden patch and an empty one have the value 0, because hiding them changes nothing. So only the d
patches with ink are enumerated, in 2^d patterns.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from ...explainers import coalitions
from ...explainers.groups import bands
from ...measures import agreement

if TYPE_CHECKING:
    from ...estimators import ImageClassifier

IMAGES, PATCHES = 6, 12  # the most images that are checked, and the most patches with ink of such an image


def exact_values(classifier: "ImageClassifier", images: Float[np.ndarray, "n c h w"]) -> Float[np.ndarray, "n p k"]:
    """Return the exact Shapley values of `classifier.predict_proba` for the patches of each image."""
    inked = classifier.explain(images).data > 0
    return np.stack([_exact(classifier, image, players) for image, players in zip(images, inked, strict=True)])


def _exact(
    classifier: "ImageClassifier", image: Float[np.ndarray, "c h w"], players: Bool[np.ndarray, " p"]
) -> Float[np.ndarray, "p k"]:
    design = coalitions.exact(int(players.sum()), dtype=torch.float64)
    visible = np.ones((len(design.masks), len(players)), bool)
    visible[:, players] = design.masks.numpy() > 0.5
    grid = math.isqrt(len(players))
    rows, columns = (bands(length, grid).numpy() for length in image.shape[1:])
    shown = visible[:, rows[:, None] * grid + columns][:, None]  # [patterns, 1, h, w]
    v = classifier.predict_proba(np.where(shown, image, np.nan).astype(np.float32))
    values = np.zeros((len(players), v.shape[1]))
    values[players] = design.weights.numpy() @ v
    return values


def check(
    classifier: "ImageClassifier", images: Float[np.ndarray, "n c h w"], values: Float[np.ndarray, "n p k"]
) -> dict[str, Any]:
    """Return the agreement of `values` with exact ones: `r2`, `cosine`, and the `images` and `patches` checked.

    The first images with at most twelve inked patches are checked. `patches` is the largest number of inked patches.
    """
    inked = (classifier.explain(images).data > 0).sum(1)
    chosen = np.flatnonzero((inked > 0) & (inked <= PATCHES))[:IMAGES]
    measures: dict[str, Any] = {"r2": None, "cosine": None, "images": len(chosen), "patches": 0}
    if len(chosen):
        result = agreement(values[chosen], exact_values(classifier, images[chosen]))
        measures |= {"r2": result.r2, "cosine": result.cosine, "patches": int(inked[chosen].max())}
    return measures
