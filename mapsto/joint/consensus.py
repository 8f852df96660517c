"""Several explainers of one prediction: how much their importances differ, and what they say together.

    s_e = importance_e / Σ_j importance_ej,    disagreement = mean over pairs of ‖s_e − s_f‖²,    consensus = mean_e s_e

Only the relative importance of the players counts, because explainers measure in different units: Shapley values in
probability, selectors in the probability with which they show a player.
"""

import itertools
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..explainers.learned.explainer import PlayerExplainer


def alike(explainers: Mapping[str, PlayerExplainer]) -> list[PlayerExplainer]:
    """Return the explainers; none if their players differ."""
    of = list(explainers.values())
    same = all(torch.equal(of[0].players.groups, explainer.players.groups) for explainer in of)
    return of if same else []


def shares(importance: Float[Tensor, "n p"]) -> Float[Tensor, "n p"]:
    """Return the share of each player in a row's total importance; all shares are 0 if no player matters.

    >>> shares(torch.tensor([[1.0, 3.0], [0.0, 0.0]]))
    tensor([[0.2500, 0.7500],
            [0.0000, 0.0000]])
    """
    return importance / importance.sum(1, keepdim=True).clamp(min=1e-9)


def disagreement(importances: Sequence[Float[Tensor, "n p"]]) -> Float[Tensor, " n"]:
    """Return the mean squared distance between the shares of two explainers, over all pairs of them.

    >>> disagreement([torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])])
    tensor([2.])
    """
    pairs = itertools.combinations([shares(importance) for importance in importances], 2)
    return torch.stack([(a - b).square().sum(1) for a, b in pairs]).mean(0)


def consensus(importances: Sequence[Float[Tensor, "n p"]]) -> Float[Tensor, "n p"]:
    """Return the mean of the shares over the explainers."""
    return torch.stack([shares(importance) for importance in importances]).mean(0)
