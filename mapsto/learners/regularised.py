"""Add a penalty on the adapted model to a learner's loss, so that the model is easier to explain.

    loss = learner.loss + weight · penalty(adapted model, query rows)

The penalty reads the features and the scores of the adapted model, so it applies to the model of each new task, not to
its learned start. This meta-learns penalties such as those of Frosst & Hinton 2017, eq. 5, of Alvarez-Melis & Jaakkola
2018, §2, and of Wu et al. 2018. The inner loop does not see the penalty.
"""

from collections.abc import Callable
from functools import partial

from jaxtyping import Float
from torch import Tensor

from .. import checks
from ..adaptation.learner import Learner, Metrics, within
from ..episodes import Episode, State
from ..penalties.penalty import AdaptedModel, Penalty
from .wrapped import Wrapped


class Regularised(Wrapped):
    """Train any learner with an additional penalty on its adapted model, such as one on the number of active units.

    `loss` adapts the learner twice: once for the learner's own loss, and once for the penalty. The penalty reads
    features through forward hooks, which cannot be compiled, so train with `compile=False`. To add several penalties,
    wrap the learner several times.

    Args:
        learner: the learner that adapts and predicts. It may be a `Joint`.
        penalty: one of `mapsto.penalties`, or any function from `(model, x, w)` to a number. Its arguments x and w are
            the inputs and the weights of the query rows. `model(x)` returns the features of the adapted model by name,
            and `model.scores(x)` returns its scores.
        weight: the multiplier on the penalty, at least 0.

    Raises:
        MapstoError: if `penalty` is not a function, or `weight` is negative. The method `loss` raises MapstoError if
            the penalty needs features that the learner's body does not have, or does not return one number.

    >>> import torch
    >>> from torch import nn
    >>> from mapsto.episodes import Examples
    >>> from mapsto.learners import PrototypicalNetwork
    >>> learner = PrototypicalNetwork(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), ways=2)
    >>> small = Regularised(learner, lambda model, x, w: w @ model(x)["1"].square().sum(1), weight=0.1)
    >>> support = Examples(torch.ones(2, 2), torch.tensor([0, 1]), torch.ones(2) / 2)
    >>> sorted(small.loss(Episode(support, support))[1])
    ['accuracy', 'loss', 'penalty']
    """

    family = "interpretable by design"

    def __init__(
        self,
        learner: Learner,
        penalty: Penalty | Callable[[AdaptedModel, Tensor, Tensor], Tensor],
        weight: float = 0.1,
    ):
        super().__init__(learner)
        function = callable(penalty) and not isinstance(penalty, type)
        checks.expect(function, "penalty", repr(penalty), "one of mt.penalties, such as TreeLikeness(), or a function")
        checks.at_least(0, weight=weight)
        self.learner, self.penalty, self.weight = learner, penalty, weight

    @property
    def inner(self) -> Learner:
        """The wrapped learner, without the penalty."""
        return self.learner

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return the wrapped learner's validation loss, without the penalty."""
        return self.learner.query_loss(episode)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is the sum of the wrapped learner's loss and the weighted penalty.

        The penalty is computed on the query rows and multiplied by `weight`.
        """
        loss, metrics = self.learner.loss(episode)
        metrics = within("learner", metrics, self.learner)
        state, (x, _, w) = self.adapt_to(episode), episode.query
        penalty = self.penalty(self._adapted(state), x, w)
        number = isinstance(penalty, Tensor) and penalty.dim() == 0
        got = f"a result of shape {tuple(penalty.shape)}" if isinstance(penalty, Tensor) else repr(penalty)
        checks.expect(number, "penalty", got, "a tensor with one number")
        total = loss + self.weight * penalty
        return total, metrics | {"loss": total.detach(), "penalty": penalty.detach()}

    def _adapted(self, state: State) -> AdaptedModel:
        of_classes = self.criterion.outcome == "classes"
        return AdaptedModel(partial(self.features, state), partial(self.predict, state), of_classes)
