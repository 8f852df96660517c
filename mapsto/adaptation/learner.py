"""A learner is a mapping from a support set to a model.

    support ──adapt──▶ state ──predict(x)──▶ scores

All methods are pure and written for **one task**; `vmap(learner.loss)` handles a batch. Learned numbers are parameters,
choices are constructor arguments.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from ..episodes import Episode, Examples, State, over_tasks
from . import losses
from .differentiation import Differentiation

Metrics = dict[str, Tensor]


class Learner(nn.Module, ABC):
    """The mapping support ↦ model.

    Subclasses set `loss_name` to one of `losses.LOSSES` ("cross_entropy" for class scores, "mse" for targets).
    """

    family: ClassVar[str] = "learner"  # in the literature: optimisation-based, metric-based, model-based …
    loss_name: str = "cross_entropy"
    transductive: bool = False  # True if a row's prediction depends on its neighbours; views and games refuse it
    differentiation: Differentiation | None = None  # the route of `loss` through the inner loop; None without a loop

    @property
    def route(self) -> Differentiation | None:
        """The route of `adapt` through the inner loop on the support set; None if the learner has no inner loop."""
        return self.differentiation

    @route.setter
    def route(self, route: Differentiation) -> None:
        self.differentiation = route

    @abstractmethod
    def adapt(self, support: Examples) -> State:
        """Return the state (a pytree of tensors) of the model learned from `support`, without changing parameters."""

    @abstractmethod
    def predict(self, state: State, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Score `n` rows: class logits, or real outputs. The scores of a row do not depend on the other rows."""

    def adapt_to(self, episode: Episode) -> State:
        """Return the state learned from an episode: from its support set, and its context if the learner has a memory.

        This is the model that `loss` trains and `evaluate` scores.
        """
        return self.adapt(episode.support)

    def features(self, state: State, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return the named intermediate features of `n` rows, each `[n, ...]`; empty if the learner has none."""
        return {}

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the training loss of one task, `Σ w·ℓ` over its query set, and metrics to watch."""
        scores = self.predict(self.adapt_to(episode), episode.query.x)
        loss = losses.LOSSES[self.loss_name](scores, episode.query.y, episode.query.w)
        return loss, {"loss": loss.detach()} | losses.METRICS[self.loss_name](scores.detach(), episode.query)

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return the validation loss of one task: `loss`, unless the training loss is not one of the adapted model."""
        return self.loss(episode)[0]

    def forward(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return `loss(episode)`: `functional_call(learner, params, (episode,))` is the outer loss at `params`."""
        return self.loss(episode)

    def batch_loss(self, episodes: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean loss and mean metrics of a batch of tasks, with a leading task axis on every tensor.

        Override it only if all tasks at once can be computed faster than `vmap` does.
        """
        values, metrics = over_tasks(self.loss)(episodes)
        return values.mean(), {name: value.mean() for name, value in metrics.items()}
