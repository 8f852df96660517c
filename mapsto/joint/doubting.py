"""Train the network that predicts the errors of Shapley values from one forward pass; the mapping itself is frozen.

    ε = (φ_A − φ̂) · (φ_B − φ̂),     φ_A = φ̂ + W_A (v − ĝ)(S_A)

φ̂ are the values of the game ĝ that the mapping predicts. φ_A and φ_B estimate the values of the model's game v along
two independent samples of orders of the columns. ĝ is a control variate: only the difference v − ĝ is sampled. The
estimates are unbiased and independent, so the mean of ε over the samples is the squared error. If there are few
columns, all coalitions are asked, and ε is the squared error.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree as pytree

from .. import checks
from ..adaptation.learner import Learner, Metrics
from ..attention import fused
from ..episodes import Episode, Examples, State
from ..explainers.coalitions import Design, exact, permutations
from .looks import residual
from .self_explaining import SelfExplaining, standard

_SEEDS = 30  # different samples of coalitions


class Doubting(Learner):
    """A `SelfExplaining` learner of which only the network `doubt` is trained: it predicts the errors of the values.

    Args:
        mapping: the learner, with a network `doubt`. Its other parts are frozen.
        samples: the largest number of coalitions in each of the two samples, unless one order and its reverse need
            more. If there are no more coalitions, all are asked.
        members: the largest number of readings of a support set; each batch has 1, …, `members` readings in turn, so
            that the errors are right for every number.

    Raises:
        MapstoError: if `mapping` has no `doubt`, or a number is below 1.
    """

    def __init__(self, mapping: SelfExplaining, samples: int = 128, members: int = 3):
        super().__init__()
        remedy = "build it with doubt=ValueErrors(width)"
        checks.expect(mapping.doubt is not None, "mapping", "a mapping without the network doubt", "one with", remedy)
        checks.count(samples=samples, members=members)
        self.mapping, self.samples, self.members = mapping, samples, members
        self.criterion = mapping.criterion
        mapping.learner.requires_grad_(False)
        mapping.explainer.requires_grad_(False)

    def adapt(self, support: Examples) -> State:
        """Return the mapping's state for a support set."""
        return self.mapping.adapt(support)

    def predict(self, state: State, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return the mapping's scores of `n` rows."""
        return self.mapping.predict(state, x)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the loss of one task and its metrics; see `batch_loss`."""
        return self.batch_loss(pytree.tree_map_only(Tensor, lambda leaf: leaf[None], episode))

    def batch_loss(self, episodes: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean loss of the predicted errors, and the metrics `predicted` and `measured`: mean errors."""
        mapping, x = self.mapping, episodes.query.x
        if episodes.support.y.is_floating_point():
            episodes = standard(episodes)
        mapping.learner.members = 1 + int(torch.randint(self.members, ()))
        with torch.no_grad(), fused():
            reading = mapping.read(episodes)
        _, doubt, game = mapping.in_tasks(reading, x)
        with torch.no_grad(), fused():
            designs = _designs(x.shape[2], self.samples, x.dtype)
            errors = [residual(mapping, reading, x, game, design) for design in designs]
        assert doubt is not None and mapping.doubt is not None
        square = errors[0] * errors[-1]
        loss = mapping.doubt.loss(doubt, square)
        counted = ~doubt.isneginf()
        means = {"predicted": doubt.exp(), "measured": square}
        means = {name: (part * counted).sum() / counted.sum().clamp(min=1) for name, part in means.items()}
        return loss, {"loss": loss.detach(), **{name: mean.detach() for name, mean in means.items()}}


def _designs(players: int, samples: int, dtype: torch.dtype) -> list[Design]:
    """Return all coalitions if they are few, else two independent samples."""
    if 2**players <= samples:
        return [exact(players, dtype)]
    pairs, seeds = max(1, samples // (2 * players + 2)), torch.randperm(_SEEDS)[:2].tolist()
    return [permutations(players, pairs, seed, dtype) for seed in seeds]
