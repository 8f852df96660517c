"""A learner whose adapted model also has to be of a certain kind: readable, stable, balanced.

    loss = learner.loss + weight · penalty(x ↦ features of the adapted model, query rows)

The penalty sees the named intermediate features of what adaptation made, so that it applies to the tree or the concepts
that a new task gets, not to the start they came from: Frosst & Hinton 2017, eq. 5, and Alvarez-Melis & Jaakkola 2018,
§2, each meta-learned. Adaptation itself is the learner's and does not know of it.
"""

from jaxtyping import Float
from torch import Tensor

from ..adaptation.learner import Learner, Metrics
from ..adaptation.penalties import Penalty
from ..episodes import Episode, Examples, State
from ..errors import MapstoError


class Regularised(Learner):
    """Any learner, and a penalty on what it adapts to.

    The penalty adapts once more, and reads features by hooks, which cannot be compiled: train with `compile=False`.

    Args:
        learner: adapts and predicts.
        penalty: as `penalties.Balance` for a soft tree, `penalties.ConceptStability` for a self-explaining network.
        weight: of the penalty.

    Raises:
        MapstoError: a negative weight; in use, a penalty on features that the learner's body does not have.

    >>> import torch
    >>> from torch import nn
    >>> from mapsto.learners import PrototypicalNetwork
    >>> learner = PrototypicalNetwork(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), ways=2)
    >>> small = Regularised(learner, lambda read, x, w: w @ read(x)["1"].square().sum(1), weight=0.1)
    >>> support = Examples(torch.ones(2, 2), torch.tensor([0, 1]), torch.ones(2) / 2)
    >>> sorted(small.loss(Episode(support, support))[1])
    ['accuracy', 'loss', 'penalty']
    """

    family = "interpretable by design"

    def __init__(self, learner: Learner, penalty: Penalty, weight: float = 0.1):
        super().__init__()
        if not weight >= 0:
            raise MapstoError(f"weight: got {weight}, expected a number from 0.")
        self.learner, self.penalty, self.weight = learner, penalty, weight
        self.loss_name, self.transductive = learner.loss_name, learner.transductive

    def adapt(self, support: Examples) -> State:
        """Adapt as the learner does."""
        return self.learner.adapt(support)

    def adapt_to(self, episode: Episode) -> State:
        """Adapt as the learner does."""
        return self.learner.adapt_to(episode)

    def predict(self, state: State, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Predict as the learner does."""
        return self.learner.predict(state, x)

    def features(self, state: State, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the learner's features."""
        return self.learner.features(state, x)

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return the loss without the penalty."""
        return self.learner.query_loss(episode)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the learner's loss with the weighted penalty on the query rows."""
        loss, metrics = self.learner.loss(episode)
        state, (x, _, w) = self.learner.adapt_to(episode), episode.query
        penalty = self.penalty(lambda rows: self.learner.features(state, rows), x, w)
        total = loss + self.weight * penalty
        return total, metrics | {"loss": total.detach(), "penalty": penalty.detach()}
