"""Questions to the network for pupils: probabilities, contributions of earlier answers, and the gain of an item.

    gain(q, s) = H(p_s) − Σ_a P(a)·H(p_s|a),      p_s = Σ_a P(a)·p_s|a,      H(p) = −p·log₂ p − (1−p)·log₂(1−p)

P(a) is the probability of a right or wrong answer a to the item q, and p_s|a the probability of a right answer to a
typical item of skill s in the step after that. So the gain is the mutual information, in bits, between the answer to q
and the answer to a typical item of s (Lindley 1956, "On a Measure of the Information Provided by an Experiment").
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from .. import weights
from ..episodes import Examples
from ..explainers import coalitions, kriging

_EXACT = 10  # answers of which all selections are asked about
_AT_ONCE = 512  # support sets at a time; results do not change


class Contributions(NamedTuple):
    """The contributions of the answers of a support set to a prediction, their standard errors, and the base value."""

    values: Float[Tensor, " n"]
    errors: Float[Tensor, " n"]
    base: float


def probabilities(supports: Examples, x: Float[Tensor, "t m d"]) -> Float[Tensor, "t m"]:
    """Return the probability of a right answer to each of `m` items after each of `t` support sets, in float64."""
    learner = weights.load_pupils()

    def predicted(x: Tensor, *support: Tensor) -> Tensor:
        return learner.predict(learner.adapt(Examples(*support)), x)

    parts = zip(x.split(_AT_ONCE), *(leaf.split(_AT_ONCE) for leaf in supports), strict=True)
    return torch.cat([torch.func.vmap(predicted)(*part) for part in parts]).double().softmax(-1)[..., 1]


def stacked(supports: list[Examples]) -> Examples:
    """Return support sets as one batch, padded by answers of weight 0."""
    most = max(len(support.w) for support in supports)
    short = [most - len(support.w) for support in supports]
    x = torch.stack([F.pad(support.x, (0, 0, 0, n)) for support, n in zip(supports, short, strict=True)])
    y = torch.stack([F.pad(support.y, (0, n)) for support, n in zip(supports, short, strict=True)])
    return Examples(x, y, torch.stack([F.pad(support.w, (0, n)) for support, n in zip(supports, short, strict=True)]))


def contributions(support: Examples, x: Float[Tensor, " d"], looks: int) -> Contributions:
    """Return the Shapley value of each answer in the prediction for the item `x`; a hidden answer has weight 0."""
    n = len(support.w)
    few, looks = n <= _EXACT, max(looks, 4 * n)
    design = coalitions.exact(n, torch.float64) if few else kriging.design(n, looks, dtype=torch.float64)
    versions = Examples(*(leaf.expand(len(design.masks), *leaf.shape) for leaf in support))
    versions = versions._replace(w=support.w * design.masks)
    v = probabilities(versions, x.expand(len(design.masks), 1, -1))  # [c, 1]
    errors = torch.zeros(n, 1) if few else kriging.error(n, looks, 0, v)
    return Contributions((design.weights @ v)[:, 0], errors[:, 0].double(), float(v[0, 0]))


def gains(
    support: Examples, items: Float[Tensor, "q d"], typical: Float[Tensor, "s d"]
) -> tuple[Float[Tensor, " q"], Float[Tensor, "q s"]]:
    """Return the probability of a right answer to each item, and its gain about each skill, in bits.

    `items` are asked in the step after the support set, and the items `typical` of each skill in the step after that.
    """
    right = probabilities(Examples(*(leaf[None] for leaf in support)), items[None])[0]  # [q]
    n, q = len(support.w), len(items)
    longer = Examples(
        torch.cat([support.x.expand(2 * q, n, -1), items.repeat(2, 1)[:, None]], 1),
        torch.cat([support.y.expand(2 * q, n), torch.arange(2).repeat_interleave(q)[:, None]], 1),
        torch.full((2 * q, n + 1), 1 / (n + 1)),
    )
    after = probabilities(longer, typical.expand(2 * q, -1, -1)).view(2, q, -1)  # [wrong or right, q, s]
    share = torch.stack([1 - right, right])[..., None]
    return right, entropy((share * after).sum(0)) - (share * entropy(after)).sum(0)


def entropy(p: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return the entropy of an answer that is right with probability `p`, in bits."""
    return torch.special.entr(torch.stack([p, 1 - p])).sum(0) / torch.log(torch.tensor(2.0, dtype=p.dtype))
