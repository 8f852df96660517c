"""A decision tree whose every branch is taken with a probability, so that it learns by gradients and can be read.

    p_i(x) = σ(β·(w_i·x + b_i))                      the right branch of inner node i             (eq. 1)
    P_l(x) = Π over the way to leaf l of p_i or 1 − p_i
    scores = log Σ_l P_l(x)·softmax(leaf_l)          classes, whose cross-entropy is eq. 3's aim
    scores = Σ_l P_l(x)·leaf_l                       targets (Irsoy, Yıldız & Alpaydın 2012)

Frosst & Hinton 2017, "Distilling a Neural Network Into a Soft Decision Tree". Eq. 3 as printed takes the logarithm of a
negative number; ours is the likelihood of the mixture of leaves, which is a proper loss and is also what is predicted
(the paper predicts by the most probable leaf). Leaves start at random, β is chosen and not learned.

It is regularised by `learners.penalties.Balance` (eq. 4 and 5), which keeps nodes from sending all rows one way. Wu et
al. 2018 prefer a short average path of a tree fitted to a network; in a complete tree all paths have the same length.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import MapstoError


class Path(NamedTuple):
    """The most probable way of rows through a tree."""

    nodes: Int[Tensor, "n depth"]  # inner nodes passed, the root 0, the children of i being 2i + 1 and 2i + 2
    right: Bool[Tensor, "n depth"]  # the branch taken at each
    probability: Float[Tensor, "n depth"]  # of that branch
    leaf: Int[Tensor, " n"]
    share: Float[Tensor, " n"]  # of the prediction: the probability of the whole way


class SoftDecisionTree(nn.Module):
    """Rows `[n, features]` ↦ scores `[n, outputs]` through a complete soft tree; the head of any body.

    All parameters belong to one layer, so that `MAML(nn.Sequential(body, tree), adapt="head")` adapts the whole tree.
    The log-probability of reaching each node, in breadth-first order, is the feature `paths` `[n, 2^(depth+1) − 1]`.

    Args:
        features: of the body.
        outputs: classes, or numbers in a target.
        depth: decisions on the way to a leaf.
        loss: "cross_entropy" for class scores (log-probabilities), "mse" for targets.
        sharpness: β; larger ones are nearer to a tree of yes and no.

    Raises:
        MapstoError: a size below 1, a `sharpness` that is not above 0, or an unknown `loss`.

    >>> tree = SoftDecisionTree(features=2, outputs=3, depth=2)
    >>> tree(torch.zeros(4, 2)).exp().sum(-1).detach().round(decimals=4)
    tensor([1., 1., 1., 1.])
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        depth: int = 3,
        loss: Literal["cross_entropy", "mse"] = "cross_entropy",
        sharpness: float = 1.0,
    ):
        super().__init__()
        if min(features, outputs, depth) < 1:
            raise MapstoError(
                f"features, outputs, depth: got {features}, {outputs}, {depth}, expected whole numbers from 1."
            )
        if not sharpness > 0:
            raise MapstoError(f"sharpness: got {sharpness}, expected a factor above 0.")
        if loss not in ("cross_entropy", "mse"):
            raise MapstoError(f"loss: got {loss!r}, expected 'cross_entropy' or 'mse'.")
        self.depth, self.loss_name, self.sharpness = depth, loss, sharpness
        self.weight = nn.Parameter(torch.randn(2**depth - 1, features) / math.sqrt(features))
        self.bias = nn.Parameter(torch.zeros(2**depth - 1))
        self.leaves = nn.Parameter(torch.randn(2**depth, outputs))
        self.paths = _Paths(depth)

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n k"]:
        """Return the answer of the mixture of leaves."""
        reach = self.paths(self.sharpness * F.linear(x, self.weight, self.bias))[:, 2**self.depth - 1 :]  # [n, l]
        if self.loss_name == "mse":
            return reach.exp() @ self.leaves
        return torch.logsumexp(reach[:, :, None] + self.leaves.log_softmax(-1), 1)

    def path(self, x: Float[Tensor, "n f"]) -> Path:
        """Read the way to the most probable leaf of each row."""
        logit = self.sharpness * F.linear(x, self.weight, self.bias)  # [n, i]
        reach = self.paths(logit)[:, 2**self.depth - 1 :]
        share, leaf = reach.max(-1)
        place = leaf[:, None] + 2**self.depth  # counted from 1, parents are halves
        steps = torch.arange(self.depth, 0, -1, device=x.device)
        nodes, right = (place >> steps) - 1, (place >> (steps - 1)) % 2 == 1  # [n, depth]
        chance = logit.gather(1, nodes).sigmoid()
        return Path(nodes, right, torch.where(right, chance, 1 - chance), leaf, share.exp())

    def rules(self, x: Float[Tensor, "n f"], names: Sequence[str] | None = None, terms: int = 3) -> list[list[str]]:
        """Say the way of each row, one sentence a decision; `terms` weights are shown, those that moved it most.

        Raises MapstoError for anything but finite rows of its features, one name for each, and a term or more.
        """
        self._readable(x, terms)
        names = [f"x{j + 1}" for j in range(x.shape[1])] if names is None else names
        if len(names) != x.shape[1]:
            raise MapstoError(f"names: got {len(names)}, expected {x.shape[1]}, one for each feature of the tree.")
        with torch.no_grad():
            path = self.path(x)
        return [
            [
                self._rule(row, int(node), bool(right), float(chance), names, terms)
                for node, right, chance in zip(*ways, strict=True)
            ]
            for row, *ways in zip(x, path.nodes, path.right, path.probability, strict=True)
        ]

    def _readable(self, x: Tensor, terms: int) -> None:
        features = self.weight.shape[1]
        if x.ndim != 2 or x.shape[1] != features:
            raise MapstoError(
                f"x: got shape {tuple(x.shape)}, expected [n, {features}], rows of the tree's features; of one row, "
                "x[None]."
            )
        wrong = x[~x.isfinite()]
        if len(wrong):
            raise MapstoError(
                f"x: got {float(wrong[0])}, expected finite numbers: a tree cannot send other rows a way."
            )
        if not isinstance(terms, int) or terms < 1:
            raise MapstoError(f"terms: got {terms}, expected a whole number from 1.")

    def _rule(self, row: Tensor, node: int, right: bool, chance: float, names: Sequence[str], terms: int) -> str:
        weight, bias = self.weight[node].detach(), float(self.bias[node].detach())
        chosen = (weight * row).abs().topk(min(terms, len(row))).indices.tolist()
        told = " ".join(f"{float(weight[j]):+.2f}·{names[j]}" for j in chosen)
        rest = "" if len(chosen) == len(row) else " + …"
        return f"node {node}: {told}{rest} {bias:+.2f} {'>' if right else '<'} 0 (probability {chance:.2f})"

    def at(self, params: Mapping[str, Tensor], prefix: str = "") -> "SoftDecisionTree":
        """Return a copy with a learner's adapted parameters, to be read; `prefix` is its place in the body ("1.").

        Raises MapstoError where the parameters are not named so.
        """
        tree = copy.deepcopy(self)
        for name, parameter in tree.named_parameters():
            if prefix + name not in params:
                raise MapstoError(f"prefix: got {prefix!r}, but no adapted parameter is called {prefix + name!r}.")
            parameter.data = params[prefix + name].detach()
        return tree


class _Paths(nn.Module):
    """Logits of the right branches `[n, i]` ↦ log-probabilities of reaching each node, breadth first."""

    def __init__(self, depth: int):
        super().__init__()
        self.depth = depth

    def forward(self, logit: Float[Tensor, "n i"]) -> Float[Tensor, "n nodes"]:
        levels = [torch.zeros_like(logit[:, :1])]
        for d in range(self.depth):
            here = logit[:, 2**d - 1 : 2 ** (d + 1) - 1]
            ways = torch.stack([F.logsigmoid(-here), F.logsigmoid(here)], -1)  # left, right
            levels.append((levels[-1][..., None] + ways).flatten(1))
        return torch.cat(levels, 1)
