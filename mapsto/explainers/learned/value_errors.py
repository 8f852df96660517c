"""How far Shapley values from one forward pass are from exact ones: a network predicts the squared error of each value.

    loss = ε / exp(η) + η,     η = log of the predicted squared error,  ε = the measured one

Its minimum in expectation is at exp(η) = E[ε], whatever the distribution of ε, and it weighs small and large errors
alike (the quasi-likelihood of a gamma distribution; McCullagh & Nelder 1989, §8.2). If the measured error is the
product of two independent estimates, it may be below 0 by chance.

The network knows a class only by its values, so renaming the classes renames the errors.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEVELS = tuple(i / 100 for i in range(1, 100))
"""The levels of the quantiles `ValueErrors.ratios`."""

_LEAST = 1e-4  # smaller values and errors are alike, in probabilities or standard deviations of the outcome
_START = -8.0


class Values(NamedTuple):
    """The values of `m` rows of `t` tasks in each of `e` readings, and what they are values of.

    Attributes:
        values: in probability, or in standard deviations of the outcome.
        full: the predictions, in the same unit.
        base: the predictions if no column is visible.
        pairs: the sum of the absolute terms of all pairs with a column in the game that the values are of.
        gap: what was added to this game so that its outcome for all columns is the prediction.
        visible: 1 for each column that is not missing.
        rows: the number of rows in each support set.
    """

    values: Float[Tensor, "t e m d k"]
    full: Float[Tensor, "t e m k"]
    base: Float[Tensor, "t e k"]
    pairs: Float[Tensor, "t e m d k"]
    gap: Float[Tensor, "t e m k"]
    visible: Float[Tensor, "t m d"]
    rows: Float[Tensor, " t"]


class ValueErrors(nn.Module):
    """Predict the squared error of each Shapley value, from the tokens of its column and from the values.

    The buffer `ratios` holds the quantiles `LEVELS` of the absolute error divided by its predicted root mean square,
    over tables that were not trained on. At first, they are those of a normal distribution.

    Args:
        width: the number of channels of a token.
        hidden: the number of units in both hidden layers.
    """

    ratios: Tensor

    def __init__(self, width: int, hidden: int = 64):
        super().__init__()
        self.tokens, self.signs = nn.Linear(2 * width, hidden), nn.Linear(_SIGNS, hidden)
        self.rest = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 1))
        nn.init.constant_(self.rest[-1].bias, _START)  # type: ignore[arg-type]
        normal = torch.distributions.Normal(0.0, 1.0)
        self.register_buffer("ratios", normal.icdf(0.5 + torch.tensor(LEVELS) / 2))

    def forward(self, tokens: Float[Tensor, "t e m c v"], of: Values) -> Float[Tensor, "t m d k"]:
        """Return the logarithm of the squared error of each value, averaged over the readings.

        The `tokens` are those of the columns, then the label token. The error of the only visible column is 0, because
        its value is the whole difference between the prediction and the base.
        """
        cells, label = tokens[..., :-1, :], tokens[..., -1:, :]
        read = self.tokens(torch.cat([cells, label.expand_as(cells)], -1)).mean(1)  # [t, m, d, h]
        doubt = self.rest(read[..., None, :] + self.signs(_signs(of)))[..., 0]
        if doubt.shape[-1] == 2:  # what one of two classes wins, the other loses
            doubt = doubt.mean(-1, keepdim=True).expand_as(doubt)
        uncertain = of.visible * (of.visible.sum(-1, keepdim=True) > 1)
        return doubt.masked_fill(uncertain[..., None] == 0, -torch.inf)

    @staticmethod
    def loss(doubt: Float[Tensor, "..."], error: Float[Tensor, "..."]) -> Float[Tensor, ""]:
        """Return the mean loss over the values, without those whose error is known to be 0."""
        known = doubt.isneginf()
        safe = doubt.masked_fill(known, 0.0).clamp(min=2 * math.log(_LEAST))
        loss = (error + _LEAST**2) * (-safe).exp() + safe
        return loss.masked_fill(known, 0.0).sum() / (~known).sum().clamp(min=1)


_SIGNS = 13


def _signs(of: Values) -> Float[Tensor, "t m d k s"]:
    """Return what tells of the error of a value, the same for all permutations of the classes."""
    values, full, base = of.values.mean(1), of.full.mean(1), of.base.mean(1)  # [t, m, d, k], [t, m, k], [t, k]
    seen = of.visible.sum(-1)
    size = (values.square().sum(2) / seen.clamp(min=1)[..., None]).sqrt()[:, :, None]
    apart = (of.values - values[:, None]).square().mean(1).sqrt()
    t, m, d, k = values.shape
    number = 1.0 if k == 1 else 0.0
    unsure = full.abs() if number else full * (1 - full)
    before = base.abs() if number else base * (1 - base)
    parts = [
        _log(values), _log(size), _log(apart), _log(values.abs().sum(-1, keepdim=True)), _log(unsure[:, :, None]),
        _log(before[:, None, None]), _log(of.pairs.abs().mean(1)), _log(of.gap.abs().mean(1)[:, :, None]),
        seen.clamp(min=1).log()[..., None, None], of.rows.log()[:, None, None, None],
        values.new_tensor(number), values.new_ones(k).sum().log(), values.new_tensor(math.log(of.values.shape[1])),
    ]  # fmt: skip
    return torch.stack([part.expand(t, m, d, k) for part in parts], -1)


def _log(x: Tensor) -> Tensor:
    return (x.abs() + _LEAST).log() / 4
