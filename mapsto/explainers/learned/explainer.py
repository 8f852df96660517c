"""The base of explainer networks: they read what a model computes, and are trained with it by `Joint`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ... import checks

Metrics = dict[str, Tensor]


class Prediction(NamedTuple):
    """An adapted model's prediction for `n` rows: everything that an explainer network may read or ask."""

    x: Shaped[Tensor, "n ..."]
    outcome: Float[Tensor, "n k"]  # probabilities if `of_classes`, else scores, such as predicted numbers
    features: Mapping[str, Tensor]  # intermediate values of the model, each [n, ...]
    ask: Callable[[Tensor], Tensor]  # rows [m, ...] ↦ outcomes [m, k]
    classes: Mapping[str, Tensor]  # means over the support set of each class [k, ...]: of inputs ("x") and features
    of_classes: bool = True


class LearnedExplainer(nn.Module, ABC):
    """The base of all explainer networks.

    Args:
        reads: the intermediate features to read, as `{name: channels}` with the names of `learner.features`. A feature
            `[n, c]`, `[n, t, c]` or `[n, c, h, w]` has c channels. If empty, the network reads no feature.

    Raises:
        MapstoError: if `reads` is not such a mapping.
    """

    steps: Tensor  # the number of training steps so far
    by_class: bool = False  # True if the network reads the means of the support set's classes

    def __init__(self, reads: Mapping[str, int] | None = None):
        super().__init__()
        expected = "the channels of each feature by name, such as {'body.3': 64}"
        checks.expect(isinstance(reads, Mapping | None), "reads", reads, expected)
        self.reads: dict[str, int] = dict(reads or {})
        counts = all(isinstance(channels, int) and channels > 0 for channels in self.reads.values())
        checks.expect(counts, "reads", reads, expected)
        self.register_buffer("steps", torch.zeros(()))

    @abstractmethod
    def loss(
        self, prediction: Prediction, y: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics) of the explainer on rows with targets `y` and weights `w`, for training."""

    @abstractmethod
    def explain(self, prediction: Prediction) -> Any:
        """Return the explanation of each row's prediction, as a tuple of tensors with `n` rows."""

    def read(self, features: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "n t c"]]:
        """Return the features to read, each as tokens: one for each position, such as a pixel or a time step.

        Raises:
            MapstoError: if the model has no feature of this name, or another number of channels.
        """
        for name, channels in self.reads.items():
            names = ", ".join(features) or "none"
            checks.expect(name in features, "reads", repr(name), f"a feature of the model: {names}")
            there = channels_of(features[name])
            checks.expect(channels == there, "reads", f"{channels} channels for {name!r}", f"{there}")
        return {name: positions(features[name]) for name in self.reads}

    def trained(self) -> Self:
        """Return the explainer, or raise MapstoError if it has not been trained."""
        checks.expect(
            float(self.steps) > 0, "explainer", f"an untrained {type(self).__name__}", "a trained one",
            "train the Joint that holds it, or load its weights",
        )  # fmt: skip
        return self


def channels_of(feature: Float[Tensor, "n ..."]) -> int:
    """Return the number of channels of a feature `[n, c]`, `[n, t, c]` or `[n, c, h, w]`."""
    return feature.shape[1 if feature.dim() > 3 else -1]


def positions(feature: Float[Tensor, "n ..."]) -> Float[Tensor, "n t c"]:
    """Return the channels at each position of a feature: one position for `[n, c]`, h·w for a map `[n, c, h, w]`."""
    if feature.dim() > 3:
        return feature.flatten(2).mT
    return feature[:, None] if feature.dim() == 2 else feature
