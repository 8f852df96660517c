"""A penalty on an adapted model that no small decision tree imitates, for `Regularised`.

    penalty = Σ_x w·‖s(x) − T(x)‖² / Σ_x w·‖s(x) − s̄‖²,    T = the best tree with few leaves for the scores s

It is 1 − R² of the tree, from 0 (the model is a tree) to 1. In each step, the tree is fitted anew to the scores of the
query rows (CART, Breiman et al. 1984) and is a constant for the gradient, which draws the model towards its tree. The
spread is not a constant, so that nothing is gained by smaller scores.

Wu et al. 2018, "Beyond Sparsity: Tree Regularization of Deep Models for Interpretability", penalise the average path
length of such a tree, through a second network that predicts this length from the parameters. Here the number of leaves
bounds the length, and the tree itself takes the place of that network.
"""

from functools import partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks
from ..asking import ask
from .clarity import outputs
from .penalties import Read


@final
class TreeLikeness:
    """A penalty, for `Regularised`, on scores that a decision tree with few leaves does not imitate.

    Args:
        leaves: the largest number of leaves of the tree.
        layer: the name of the layer whose outputs are the scores; if None, the last one.

    Raises:
        MapstoError: if there are fewer than two leaves. A call raises MapstoError if the model has no such layer.
    """

    def __init__(self, leaves: int = 8, layer: str | None = None):
        checks.count(2, leaves=leaves)
        self.leaves, self.layer = leaves, layer

    def __call__(self, read: Read, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty for rows `x` with weights `w`."""
        scores = outputs(read, x, self.layer).flatten(1)  # [n, k]
        told = _imitated(self.leaves, x.flatten(1), scores.detach(), w)
        mean = (w @ scores) / w.sum().clamp(min=1e-12)
        spread = w @ (scores - mean).square().sum(1)
        return w @ (scores - told).square().sum(1) / spread.clamp(min=1e-12)


def _imitated(
    leaves: int, x: Float[Tensor, "n d"], scores: Float[Tensor, "n k"], w: Float[Tensor, " n"]
) -> Float[Tensor, "n k"]:
    """Return the tree's scores for the rows that it is fitted to; also inside `vmap`, for one tree a task."""
    task = torch.cat([x.to(scores), scores, w[:, None].to(scores)], 1)
    fitted = ask(partial(_trees, leaves, x.shape[1]), 1, task.detach()[None])
    return fitted[0].view_as(scores)


def _trees(leaves: int, inputs: int, tasks: Float[Tensor, "b n c"]) -> Float[Tensor, "b nk"]:
    """Return the scores of one tree for each task, whose columns are inputs, scores and the weight."""
    from sklearn.tree import DecisionTreeRegressor

    fitted = []
    for task in tasks.double().numpy():
        x, scores, w = task[:, :inputs], task[:, inputs:-1], task[:, -1]
        tree = DecisionTreeRegressor(max_leaf_nodes=leaves, random_state=0)
        fitted.append(torch.from_numpy(tree.fit(x, scores, w).predict(x)).flatten())
    return torch.stack(fitted).to(tasks)
