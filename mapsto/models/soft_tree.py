"""A decision tree with a probability for each branch, so that it can be learned by gradients and read as rules.

    p_i(x) = σ(β·(w_i·x + b_i))                      the right branch of inner node i             (eq. 1)
    P_l(x) = Π over the path to leaf l of p_i or 1 − p_i
    scores = log Σ_l P_l(x)·softmax(leaf_l)          for classes; their cross-entropy is the loss of eq. 3
    scores = Σ_l P_l(x)·leaf_l                       for numbers

Frosst & Hinton 2017, "Distilling a Neural Network Into a Soft Decision Tree"; for numbers, Irsoy, Yıldız & Alpaydın
2012, "Soft Decision Trees". Eq. 3 as printed takes the logarithm of a negative number. Here the loss is the negative
log-likelihood of the mixture of leaves, which is a proper loss, and the mixture is also the prediction (the paper
predicts with the most probable leaf). The leaves have random initial values, and β is fixed.

The penalty `penalties.Balance` (eq. 4 and 5) keeps nodes from sending all rows the same way. Wu et al. 2018
instead penalise the average path length of a tree that is fitted to a network; in a complete tree, all paths are
equally long.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from .. import checks


class Path(NamedTuple):
    """The path of each row through a tree to the row's most probable leaf."""

    nodes: Int[Tensor, "n depth"]  # inner nodes on the path; the root is 0, and the children of i are 2i + 1 and 2i + 2
    right: Bool[Tensor, "n depth"]  # whether the right branch is taken at each node
    probability: Float[Tensor, "n depth"]  # of the branch that is taken
    leaf: Int[Tensor, " n"]
    share: Float[Tensor, " n"]  # the probability of the whole path, which is the weight of this leaf in the prediction


class SoftDecisionTree(nn.Module):
    """A soft decision tree: a row takes each branch with a learned probability, and its scores average over the leaves.

    The tree maps rows `[n, features]` to scores `[n, outputs]`. It is complete: all paths have `depth` decisions. It
    can be the head of any body. All parameters belong to one layer, so `MAML(nn.Sequential(body, tree), adapt="head")`
    adapts the whole tree. The method `features` of a learner with a tree returns `paths` `[n, 2^(depth+1) − 1]`: the
    log-probability that a row reaches each node. The nodes are in breadth-first order.

    Args:
        features: the number of features of a row, such as the outputs of the body that feeds the tree.
        outputs: the number of classes or, if `loss` is "mse", the length of a target vector.
        depth: the number of decisions on the path to a leaf.
        loss: "cross_entropy" for class scores (log-probabilities), "mse" for numbers.
        sharpness: the multiplier β on the logit of each branch. The larger it is, the closer the tree is to a
            deterministic tree.

    Raises:
        MapstoError: if a size is below 1, `depth` is above 20, `sharpness` is not above 0, or `loss` is unknown.

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
        checks.count(features=features, outputs=outputs)
        checks.layers(most=20, depth=depth)
        checks.above(0, sharpness=sharpness)
        checks.one_of(("cross_entropy", "mse"), loss=loss)
        self.depth, self.loss_name, self.sharpness = depth, loss, sharpness
        self.weight = nn.Parameter(torch.randn(2**depth - 1, features) / math.sqrt(features))
        self.bias = nn.Parameter(torch.zeros(2**depth - 1))
        self.leaves = nn.Parameter(torch.randn(2**depth, outputs))
        self.paths = _Paths(depth)

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n k"]:
        """Return the scores of `n` rows, averaged over the leaves.

        The weight of a leaf is the probability that the row reaches it. For classes, the leaves' class probabilities
        are averaged, and the scores are the logarithms of the averages.
        """
        reach = self.paths(self.sharpness * F.linear(x, self.weight, self.bias))[:, 2**self.depth - 1 :]  # [n, l]
        if self.loss_name == "mse":
            return reach.exp() @ self.leaves
        return torch.logsumexp(reach[:, :, None] + self.leaves.log_softmax(-1), 1)

    def path(self, x: Float[Tensor, "n f"]) -> Path:
        """Return the path of each row to its most probable leaf.

        The result holds the nodes on the path, the branch taken at each node, the probabilities of these branches, the
        index of the leaf, and the probability of the whole path.
        """
        logit = self.sharpness * F.linear(x, self.weight, self.bias)  # [n, i]
        reach = self.paths(logit)[:, 2**self.depth - 1 :]
        log_share, leaf = reach.max(-1)
        place = leaf[:, None] + 2**self.depth  # counted from 1, the parent of a node is its half
        steps = torch.arange(self.depth, 0, -1, device=x.device)
        nodes, right = (place >> steps) - 1, (place >> (steps - 1)) % 2 == 1  # [n, depth]
        chance = logit.gather(1, nodes).sigmoid()
        return Path(nodes, right, torch.where(right, chance, 1 - chance), leaf, log_share.exp())

    def rules(self, x: Float[Tensor, "n f"], names: Sequence[str] | None = None, terms: int = 3) -> list[list[str]]:
        """Return the decisions on the path of each row to its most probable leaf, each decision as one line of text.

        A decision compares a sum of terms, each a weight times a feature, with 0. A line shows the largest terms for
        this row, at most `terms` of them, and the probability of the branch that is taken. `names` are the names of the
        features; if None, they are x1, x2, ….

        Raises:
            MapstoError: if `x` is not finite, the number of columns of `x` or of names differs from the number of
                features, or `terms` is below 1.
        """
        features = self.weight.shape[1]
        checks.shape(("n", features), "for a single row, pass x[None]", x=x)
        checks.finite("a tree cannot send other rows left or right", x=x)
        checks.count(terms=terms)
        names = [f"x{j + 1}" for j in range(features)] if names is None else names
        checks.expect(len(names) == features, "names", len(names), f"{features}, one for each feature of the tree")
        with torch.no_grad():
            path = self.path(x)
        return [
            [
                self._rule(row, int(node), bool(right), float(chance), names, terms)
                for node, right, chance in zip(*path_of_row, strict=True)
            ]
            for row, *path_of_row in zip(x, path.nodes, path.right, path.probability, strict=True)
        ]

    def _rule(self, row: Tensor, node: int, right: bool, chance: float, names: Sequence[str], terms: int) -> str:
        weight, bias = self.weight[node].detach(), float(self.bias[node].detach())
        chosen = (weight * row).abs().topk(min(terms, len(row))).indices.tolist()
        weights = " ".join(f"{float(weight[j]):+.2f}·{names[j]}" for j in chosen)
        rest = "" if len(chosen) == len(row) else " + …"
        return f"node {node}: {weights}{rest} {bias:+.2f} {'>' if right else '<'} 0 (probability {chance:.2f})"

    def at(self, params: Mapping[str, Tensor], prefix: str = "") -> "SoftDecisionTree":
        """Return a copy of the tree with the parameters that a learner has adapted to a task.

        `params` is a dictionary from names to the adapted parameters of the learner's body. `prefix` is the start of
        the names of the tree's parameters, such as "1." for the second layer of an `nn.Sequential`.

        Raises:
            MapstoError: if `params` lacks a parameter of the tree with this prefix.
        """
        tree = copy.deepcopy(self)
        for name, parameter in tree.named_parameters():
            checks.expect(prefix + name in params, "prefix", repr(prefix), f"a parameter named {prefix + name!r}")
            parameter.data = params[prefix + name].detach()
        return tree


class _Paths(nn.Module):
    """Logits of the right branches `[n, i]` ↦ log-probabilities of reaching each node, in breadth-first order."""

    def __init__(self, depth: int):
        super().__init__()
        self.depth = depth

    def forward(self, logit: Float[Tensor, "n i"]) -> Float[Tensor, "n nodes"]:
        levels = [torch.zeros_like(logit[:, :1])]
        for d in range(self.depth):
            here = logit[:, 2**d - 1 : 2 ** (d + 1) - 1]
            branches = torch.stack([F.logsigmoid(-here), F.logsigmoid(here)], -1)  # left, right
            levels.append((levels[-1][..., None] + branches).flatten(1))
        return torch.cat(levels, 1)
