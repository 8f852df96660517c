"""The base of penalties, and the adapted model that they read."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxtyping import Float, Shaped
from torch import Tensor

from .. import checks


class AdaptedModel(NamedTuple):
    """A model adapted to one task: `model(x)` returns its features for rows x, and `model.scores(x)` its scores.

    `Regularised` makes it and passes it to the penalty as the first argument. Gradients of features and scores reach
    the learner's parameters through adaptation.

    Args:
        features: the function from rows to a dictionary of features, see `Learner.features`.
        scores: the function from rows to scores `[n, k]`, see `Learner.predict`.
        of_classes: True if scores are class logits, False if they are predicted numbers.
    """

    features: Callable[[Tensor], Mapping[str, Tensor]]
    scores: Callable[[Tensor], Tensor]
    of_classes: bool = True

    def __call__(self, x: Shaped[Tensor, "n ..."]) -> Mapping[str, Tensor]:
        """Return a dictionary from names to the features of the rows `x`."""
        return self.features(x)

    def layer(self, x: Shaped[Tensor, "n ..."], name: str) -> Shaped[Tensor, "n ..."]:
        """Return the feature with this name for the rows `x`.

        Raises:
            MapstoError: if the model has no feature with this name.
        """
        features = self.features(x)
        checks.expect(name in features, "layer", repr(name), f"a feature of the model: {', '.join(features) or 'none'}")
        return features[name]


class Penalty(ABC):
    """The base of penalties on a model that a learner has adapted to one task, for `learners.Regularised`."""

    @abstractmethod
    def __call__(self, model: AdaptedModel, x: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """Return the penalty of the adapted model, measured on query rows `x` with weights `w`."""
