"""A penalty on models that no small decision tree imitates.

    classes    Σ_x w·Σ_c p_c(x)·log(p_c(x) / T_c(x)),    T = the tree with few leaves that is nearest to p
    numbers    Σ_x w·‖s(x) − T(x)‖²,                     T = the same for the scores s

In each step, the tree is fitted to the probabilities p, or to the predicted numbers s, of the query rows by squared
error (CART, Breiman et al. 1984). A leaf of T predicts the mean over its rows. Among all predictions of this leaf, the
mean minimises the penalty, so the derivative with respect to T is 0, and only the split of the rows into leaves is
treated as a constant. The first formula is the information about the prediction, in nats, that the leaf of a row does
not give.

At a constant model the derivative of the penalty is 0, and that of the learner's loss is not, so the penalty alone does
not hold a model there. This is not true of the fraction of variance that the tree leaves unexplained, which does not
change if all scores become smaller.

Wu et al. 2018, "Beyond Sparsity: Tree Regularization of Deep Models for Interpretability", penalise the average length
of the paths in such a tree. This length has no derivative, so they train a second network to predict it from the
parameters. Here, the number of leaves bounds the length, and the model is pulled towards the tree itself.
"""

from functools import partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks
from ..asking import ask
from .penalty import AdaptedModel, Penalty

_TINY = 1e-12


@final
class TreeLikeness(Penalty):
    """A penalty on models whose predictions a decision tree with few leaves does not imitate.

    The tree is fitted to the query rows of each task. If there are few of them, the tree changes from step to step, and
    the penalty makes the model smooth rather than tree-like: use several hundred rows.

    Args:
        leaves: the largest number of leaves of the tree.

    Raises:
        MapstoError: if there are fewer than two leaves.

    >>> steps = AdaptedModel(lambda x: {}, lambda x: torch.where(x > 0, 2.0, -1.0), of_classes=False)
    >>> TreeLikeness(leaves=2)(steps, torch.tensor([[-1.0], [1.0], [2.0]]), torch.ones(3) / 3)
    tensor(0.)
    """

    def __init__(self, leaves: int = 8):
        checks.count(2, leaves=leaves)
        self.leaves = leaves

    def __call__(self, model: AdaptedModel, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty for rows `x` with weights `w`."""
        scores = model.scores(x)
        outcome = scores.softmax(1) if model.of_classes else scores
        imitation = _imitated(self.leaves, x.flatten(1), outcome.detach(), w)
        if not model.of_classes:
            return w @ (outcome - imitation).square().sum(1)
        p, q = outcome.clamp(min=_TINY), imitation.clamp(min=_TINY)
        return w @ (outcome * (p.log() - q.log())).sum(1)


def _imitated(
    leaves: int, x: Float[Tensor, "n d"], outcome: Float[Tensor, "n k"], w: Float[Tensor, " n"]
) -> Float[Tensor, "n k"]:
    """Return the tree's outcome for the rows that it is fitted to; under `vmap`, each task has its own tree."""
    task = torch.cat([x.to(outcome), outcome, w[:, None].to(outcome)], 1)
    return ask(partial(_trees, leaves, x.shape[1]), 1, task.detach()[None])[0].view_as(outcome)


def _trees(leaves: int, inputs: int, tasks: Float[Tensor, "b n c"]) -> Float[Tensor, "b nk"]:
    """Return the outcomes of one tree for each task, whose columns are inputs, outcomes and the weight."""
    from sklearn.tree import DecisionTreeRegressor

    imitations = []
    for task in tasks.double().numpy():
        x, outcome, w = task[:, :inputs], task[:, inputs:-1], task[:, -1]
        tree = DecisionTreeRegressor(max_leaf_nodes=leaves, random_state=0)
        imitations.append(torch.from_numpy(tree.fit(x, outcome, w).predict(x)).flatten())
    return torch.stack(imitations).to(tasks)
