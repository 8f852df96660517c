"""Learn classes of images from a few examples, then predict, explain, measure and check new images."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from ...estimators import ImageClassifier
from ...explanation import Explanation
from .exact import check


@dataclass(frozen=True, eq=False)
class Answer:
    """The predictions and explanations of `n` images, learned from `m` training images.

    Args:
        train: the training images.
        labels: the class of each training image.
        images: the images that were predicted.
        truth: the true class of each of them.
        reasons: the explanations of their predictions.
        agreement: the result of `exact.check`.
        ms_per_image: the milliseconds for predicting and explaining an image.
        notes: remarks on the training images.
    """

    train: Float[np.ndarray, "m c h w"]
    labels: Shaped[np.ndarray, " m"]
    images: Float[np.ndarray, "n c h w"]
    truth: Shaped[np.ndarray, " n"]
    reasons: Explanation
    agreement: dict[str, Any]
    ms_per_image: float
    notes: list[str]

    @property
    def classes(self) -> list[str]:
        """The names of the classes."""
        return [str(name) for name in self.reasons.class_names]

    @property
    def probabilities(self) -> Float[np.ndarray, "n k"]:
        """The probability of each class, for each image."""
        return self.reasons.predictions

    @property
    def predicted(self) -> Shaped[np.ndarray, " n"]:
        """The index of the most probable class of each image."""
        return self.probabilities.argmax(1)

    @property
    def true(self) -> Shaped[np.ndarray, " n"]:
        """The index of the true class of each image."""
        return np.searchsorted(np.asarray(self.reasons.class_names), self.truth)

    @property
    def summary(self) -> dict[str, Any]:
        """The numbers of the answer."""
        k, n = len(self.classes), len(self.images)
        return {
            "classes": k,
            "training_images": len(self.labels),
            "images": n,
            "accuracy": float((self.predicted == self.true).mean()),
            "probability_of_the_true_class": float(self.probabilities[np.arange(n), self.true].mean()),
            "agreement": self.agreement,
            "ms_per_image": self.ms_per_image,
        }


def answer(
    train: Float[np.ndarray, "m c h w"],
    labels: Shaped[np.ndarray, " m"],
    images: Float[np.ndarray, "n c h w"],
    truth: Shaped[np.ndarray, " n"],
) -> Answer:
    """Learn from the training images, and predict and explain the other images."""
    classifier = ImageClassifier().fit(train, labels)
    classifier.explain(images[:1])  # the first call takes longer
    start = time.perf_counter()
    reasons = classifier.explain(images)
    milliseconds = 1000 * (time.perf_counter() - start) / len(images)
    agreement = check(classifier, images, reasons.values)
    return Answer(train, labels, images, truth, reasons, agreement, milliseconds, classifier.notes_)
