"""Selectors that learn by the score function: they draw masks, and the better ones become more probable.

    ∇ = E_m[(ℓ(m) − b)·∇ log p(m)] + cost·∇ mean(s),    p(m) = Π_j s_j^{m_j}·(1 − s_j)^{1 − m_j}

ℓ(m) is the error of a judge that sees the shown players only. The baseline b does not depend on the mask; it reduces
the variance of the gradient, and not its mean (Williams 1992, §2).
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from ... import checks
from .explainer import Prediction, Target
from .players import Players, random_masks
from .selector import Losses, Network, Selector


class Judgement(NamedTuple):
    """The errors of `c` masks of each of `n` rows, the baselines, and the loss that trains the judge."""

    error: Float[Tensor, "n c"]
    baseline: Float[Tensor, "n c"]
    training: Float[Tensor, " n"]


class Policy(Selector):
    """The base of the selectors that draw masks and learn from the errors of a judge.

    Args:
        draws: the number of masks per row in a training step.
        players, outputs, reads, target, cost, restraint, warmup, network, width: see `Selector`.
    """

    def __init__(
        self, players: Players, outputs: int | None, reads: Mapping[str, int] | None, target: Target, cost: float,
        restraint: float, warmup: int, draws: int, network: Network, width: int,
    ):  # fmt: skip
        super().__init__(players, outputs, reads, target, cost, restraint, warmup, network, width)
        checks.count(draws=draws)
        self.draws = draws

    @abstractmethod
    def judge(
        self, prediction: Prediction, masks: Float[Tensor, "n c p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Judgement:  # fmt: skip
        """Return the errors with which the target is predicted from the players of each mask, and the baselines."""

    def losses(
        self, prediction: Prediction, logits: Float[Tensor, "n p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Losses:  # fmt: skip
        """Return the losses whose gradient is that of the score function, and the losses of the judge."""
        learning = self.steps >= self.warmup
        masks = sample_masks(logits.detach(), visible, self.draws)
        masks = torch.where(learning, masks, random_masks(visible, self.draws).to(masks))
        error, baseline, training = self.judge(prediction, masks, visible, target)
        selection = (error - baseline).detach() * log_probability(logits, masks, visible)
        return Losses(selection.mean(1), training, masks.sum(-1).mean(1))


def others(error: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """Return the mean error of the other masks of the same row, a baseline that varies little (Kool et al. 2019).

    >>> others(torch.tensor([[1.0, 2.0, 6.0]]))
    tensor([[4.0000, 3.5000, 1.5000]])
    """
    return (error.sum(1, keepdim=True) - error) / (error.shape[1] - 1)


def sample_masks(logits: Float[Tensor, "n p"], visible: Bool[Tensor, "n p"], draws: int) -> Float[Tensor, "n c p"]:
    """Draw masks: each visible player is shown with probability σ(logit)."""
    chance = (logits.sigmoid() * visible)[:, None].expand(-1, draws, -1)
    return (torch.rand_like(chance) < chance).to(logits)


def log_probability(
    logits: Float[Tensor, "n p"], masks: Float[Tensor, "n c p"], visible: Bool[Tensor, "n p"]
) -> Float[Tensor, "n c"]:
    """Return the logarithm of the probability with which `sample_masks` returns each mask."""
    each = F.binary_cross_entropy_with_logits(logits[:, None].expand_as(masks), masks, reduction="none")
    return -(each * visible[:, None]).sum(-1)
