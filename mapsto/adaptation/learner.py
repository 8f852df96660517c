"""A learner is a mapping from a support set to a model.

    support ──adapt──▶ state ──predict(x)──▶ scores

All methods are pure and written for **one task**: `vmap(learner.loss)` is the batch. What is learned is a parameter,
what is chosen is a constructor argument.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from ..episodes import Episode, Examples, State, over_tasks
from . import losses

Metrics = dict[str, Tensor]


class Learner(nn.Module, ABC):
    """support ↦ model.

    Subclasses set `loss_name` to one of `losses.LOSSES` ("cross_entropy" for class scores, "mse" for targets).
    """

    family: ClassVar[str] = "learner"  # of the literature: optimisation-based, metric-based, model-based …
    loss_name: str = "cross_entropy"
    transductive: bool = False  # True: a row's prediction depends on its neighbours; views and games refuse it

    @abstractmethod
    def adapt(self, support: Examples) -> State:
        """Return the state (a pytree of tensors) of the model that `support` teaches. Parameters stay untouched."""

    @abstractmethod
    def predict(self, state: State, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Score `n` rows: class logits, or real outputs. Row-wise: no answer depends on the other rows."""

    def adapt_to(self, episode: Episode) -> State:
        """Return the state that an episode teaches: by its support set, and its context in learners that remember."""
        return self.adapt(episode.support)

    def features(self, state: State, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the intermediate features of `n` rows, each `[n, ...]`; empty where a learner has none."""
        return {}

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return what meta-training minimises on one task (`Σ w·ℓ` over its query set), and numbers worth watching."""
        scores = self.predict(self.adapt_to(episode), episode.query.x)
        loss = losses.LOSSES[self.loss_name](scores, episode.query.y, episode.query.w)
        return loss, {"loss": loss.detach()} | losses.METRICS[self.loss_name](scores.detach(), episode.query)

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return what weights are judged by on one task: `loss`, or another where that is not of the adapted model."""
        return self.loss(episode)[0]

    def forward(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return `loss(episode)`: `functional_call(learner, params, (episode,))` is the outer loss at `params`."""
        return self.loss(episode)

    def batch_loss(self, episodes: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean loss and mean metrics of a batch of tasks (one leading task axis on every tensor).

        Override it only where all tasks at once can be computed faster than `vmap` does.
        """
        values, metrics = over_tasks(self.loss)(episodes)
        return values.mean(), {name: value.mean() for name, value in metrics.items()}
