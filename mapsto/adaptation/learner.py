"""A learner is a mapping from a support set to a model.

    support ──adapt──▶ state ──predict(x)──▶ scores

All methods are pure functions of **one task**; `vmap(learner.loss)` handles a batch of tasks. Learned numbers are
parameters of the module, and choices are arguments of its constructor.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ..episodes import Episode, Examples, State, over_tasks
from . import losses
from .differentiation import Differentiation

Metrics = dict[str, Tensor]


@contextmanager
def evaluating(learner: nn.Module) -> Iterator[None]:
    """Switch off layers that behave differently in training, such as dropout, within the block."""
    training = [module for module in learner.modules() if module.training]
    learner.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def within(prefix: str, metrics: Metrics, module: nn.Module) -> Metrics:
    """Return metrics of `module`, which is the submodule `prefix`, with the names that its buffers have outside."""
    buffers = dict(module.named_buffers())
    return {f"{prefix}.{name}" if name in buffers else name: value for name, value in metrics.items()}


class Learner(nn.Module, ABC):
    """The base of all learners: it adapts to a task's support set, and the adapted model scores query rows.

    A subclass implements `adapt` and `predict`, and sets `loss_name` to one of `losses.LOSSES`: "cross_entropy" if
    scores are class logits, "mse" if they are predicted numbers. A subclass whose loss may be any function sets
    `criterion` instead; `loss_name` then follows from it.
    """

    family: ClassVar[str] = "learner"  # its name in the literature: optimisation-based, metric-based, model-based …
    loss_name: str = "cross_entropy"  # "custom" if the loss is a function of the user's
    _custom_loss: losses.Loss | None = None
    transductive: bool = False  # True if a row's prediction depends on the other rows; `mt.views` raises MapstoError
    differentiation: Differentiation | None = None  # how `loss` is differentiated through the inner loop, if any

    @property
    def criterion(self) -> losses.Loss:
        """The loss of scores, with its metrics: the one named `loss_name`, or a function of the user's."""
        return self._custom_loss or losses.LOSSES[self.loss_name]

    @criterion.setter
    def criterion(self, loss: losses.LossChoice) -> None:
        choice = losses.chosen(loss)
        self._custom_loss = None if choice.outcome else choice
        self.loss_name = choice.name if choice.outcome else "custom"

    @property
    def route(self) -> Differentiation | None:
        """The way in which derivatives of the result of `adapt` pass through the inner loop.

        The value is one of the routes in `mapsto.adaptation.differentiation`, such as `Reverse()`. It is None if there
        is no inner loop.
        """
        return self.differentiation

    @route.setter
    def route(self, route: Differentiation) -> None:
        self.differentiation = route

    @abstractmethod
    def adapt(self, support: Examples) -> State:
        """Return the state of the model learned from `support`, without changing the parameters of the learner.

        The state is a pytree of tensors, which `predict` reads.
        """

    @abstractmethod
    def predict(self, state: State, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the adapted model's scores of `n` rows: class logits, or predicted numbers.

        The scores of a row do not depend on the other rows, unless the learner is transductive.
        """

    def adapt_to(self, episode: Episode) -> State:
        """Return the state learned from an episode's support set and, if the learner has a memory, from its context.

        The context holds the examples of earlier tasks. By default, `loss` and `evaluate` both use the model in this
        state.
        """
        return self.adapt(episode.support)

    def features(self, state: State, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary of intermediate values for `n` rows, each `[n, ...]`; by default it is empty."""
        return {}

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics) of one task: the loss for training, and a dictionary of metrics to log.

        If a metric has the name of one of the learner's buffers, its mean over the tasks becomes the new value of this
        buffer: `train` writes it after the step.

        By default, the loss is the sum of the losses of the query rows, weighted by `w`.
        """
        scores = self.predict(self.adapt_to(episode), episode.query.x)
        loss = self.criterion(scores, episode.query.y, episode.query.w)
        return loss, {"loss": loss.detach()} | self.criterion.metrics(scores.detach(), episode.query)

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return the validation loss of one task; by default, it is the training loss.

        Learners whose training loss does not measure the adapted model, such as `MultiTask` and `Reptile`, override
        this method.
        """
        return self.loss(episode)[0]

    def forward(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return `loss(episode)`.

        Therefore, `functional_call(learner, params, (episode,))` evaluates the loss at the parameters `params`.
        """
        return self.loss(episode)

    def batch_loss(self, episodes: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean loss and the mean metrics of a batch of tasks.

        The tensors of `episodes` have a leading task axis. Override this method only if there is a faster way than
        `vmap` to compute the losses of all tasks at once.
        """
        return self._at_once(episodes)

    def _at_once(self, episodes: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return what `batch_loss` returns; unlike an override of that, one of this is still a choice of `training`."""
        values, metrics = over_tasks(self.loss)(episodes)
        return values.mean(), {name: value.mean(0) for name, value in metrics.items()}
