"""Networks that predict the outcome from shown players, to judge what explainers show."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ...episodes import Source
from ...explainers.learned.explainer import LearnedExplainer, Metrics, PlayerExplainer, Prediction, Target, targets
from ...explainers.learned.players import random_masks, strongest
from ...explainers.learned.selector import Predictor, Selector
from ...joint.joint import Joint
from ...training.loop import train

Choice = Callable[[Prediction], Float[Tensor, "n p"]]
"""A function from a prediction to the players to show: 1 if shown, else 0."""


class Reader(LearnedExplainer):
    """A network that is trained to predict the outcome from the players that `choice` shows.

    Args:
        explainer: the explainer that shows players, with the same players, outcomes and target as the reader.
        choice: the choice of players in training.
        values: whether to read the values of the shown players; if False, the network sees which are shown only.
        width: the number of hidden units.
    """

    def __init__(self, explainer: PlayerExplainer, choice: Choice, values: bool = True, width: int = 200):
        super().__init__(explainer.reads)  # the choice may read the classes' means of these features
        self.by_class, self.target, self.choice, self.values = explainer.by_class, target_of(explainer), choice, values
        self.predictor = Predictor(explainer.players, explainer.outputs, width)

    def loss(
        self, prediction: Prediction, y: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the error of the outcome that is predicted from the shown players."""
        masks, target = self.choice(prediction).detach(), targets(prediction, y, self.target).detach()
        return w @ self.predictor.errors(self._seen(prediction), masks[:, None], target)[:, 0], {}

    def explain(self, prediction: Prediction) -> Float[Tensor, "n k"]:
        """Return the outcome that is predicted from the players of `choice`."""
        return self.read_from(prediction, self.choice(prediction))

    def read_from(self, prediction: Prediction, masks: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the outcome that is predicted from the shown players."""
        return self.predictor.outcome(self._seen(prediction), masks)

    def _seen(self, prediction: Prediction) -> Prediction:
        return prediction if self.values else prediction._replace(x=torch.zeros_like(prediction.x))


def at_random(explainer: PlayerExplainer) -> Choice:
    """Return the choice of EVAL-X: random players, see `random_masks`."""

    def choice(prediction: Prediction) -> Float[Tensor, "n p"]:
        return random_masks(explainer.players.visible(prediction.x), 1)[:, 0].to(prediction.outcome)

    return choice


def choice_of(explainer: PlayerExplainer, count: int) -> Choice:
    """Return the choice of an explainer: the players that it selects or, without a selection, its `count` strongest."""
    if isinstance(explainer, Selector):
        return lambda prediction: explainer.explain(prediction).shown.to(prediction.outcome)

    def choice(prediction: Prediction) -> Float[Tensor, "n p"]:
        importance = explainer.trained().importance(prediction)
        return (strongest(importance, count) & explainer.players.visible(prediction.x)).to(importance)

    return choice


def own_outcome(
    explainer: PlayerExplainer, prediction: Prediction, masks: Float[Tensor, "n p"]
) -> Float[Tensor, "n k"]:
    """Return the outcome that a selector's own predictor or, without one, the model predicts from shown players."""
    if isinstance(explainer, Selector):
        return explainer.predicted(prediction, masks)
    return explainer.outcomes(prediction, masks[:, None])[:, 0]


def target_of(explainer: PlayerExplainer) -> Target:
    """Return the outcome that an explainer explains: the label, or the prediction of the model."""
    return explainer.target if isinstance(explainer, Selector) else "model"


def train_readers(
    joint: Joint, readers: Iterable[Reader], tasks: Source, seed: int, options: Mapping[str, Any]
) -> None:
    """Train the readers on predictions of the joint's learner, which does not change."""
    named = {f"reader_{index}": reader for index, reader in enumerate(readers)}
    reading = Joint(copy.deepcopy(joint.learner), named, trains="explainers")
    for _ in train(reading, tasks, schedule="cosine", seed=seed, **options):
        pass
