"""Read-outs of the teaching examples behind a prediction: how many it rests on, and which of them it looks like.

    perplexity(a) = exp(−Σ_i a_i·log a_i)                     1 where one example decides, n where n count alike
    similarity_i  = log((‖f(x) − f(x_i)‖² + 1) / (‖f(x) − f(x_i)‖² + ε)),   share_i = similarity_i / Σ_j similarity_j

`attended` reads the attention of learners that look at their support set (matching networks: Vinyals et al. 2016, eq.
1); `reliance` makes shares of any attribution to teaching examples, which asks the same of learners that do not attend.
`looks_like` is the "this looks like that" of Chen et al. 2019 (ProtoPNet, §2.1, eq. of g_p), with teaching examples in
the place of learned prototypes: for learners that compare or regress embeddings.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import views
from ..adaptation.fitting import answering
from ..adaptation.learner import Learner
from ..episodes import Examples, State
from ..errors import MapstoError

_EPSILON = 1e-4  # of the paper's similarity: at distance 0 it is log(1 + 1/ε)


class Reliance(NamedTuple):
    """What each prediction rests on; not an attribution to an input but to the lesson."""

    share: Float[Tensor, "... n"]  # of each teaching example, 0 to 1, adding up to 1
    perplexity: Float[Tensor, "..."]  # how many examples that is


class Resemblance(NamedTuple):
    """The teaching examples that each query row looks most like, nearest first."""

    nearest: Int[Tensor, "m k"]  # their places in the support set
    y: Int[Tensor, "m k"]  # their classes
    distance: Float[Tensor, "m k"]  # of embeddings
    share: Float[Tensor, "m k"]  # of the similarity to all teaching examples, 0 to 1


def perplexity(share: Float[Tensor, "... n"]) -> Float[Tensor, "..."]:
    """Return exp(entropy) of shares that add up to 1, an effective number of examples.

    >>> perplexity(torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]))
    tensor([1., 2.])
    """
    return torch.special.entr(share).sum(-1).exp()


def reliance(attribution: Float[Tensor, "... n"]) -> Reliance:
    """Return the shares of the absolute values of an attribution to teaching examples, and their perplexity.

    Shares are 0 where nothing is attributed to any example, and the perplexity is then 1.

    >>> reliance(torch.tensor([3.0, -3.0, 0.0])).perplexity
    tensor(2.)
    """
    size = attribution.abs()
    total = size.sum(-1, keepdim=True)
    share = size / torch.where(total == 0, 1.0, total)  # NaN stays NaN
    return Reliance(share, perplexity(share))


def attended(learner: Learner, state: State, x: Float[Tensor, "m ..."]) -> Reliance:
    """Return the attention of `m` query rows to each teaching example, and how many it comes to.

    Raises MapstoError for a learner whose features name no attention.

    >>> from torch import nn
    >>> from mapsto.episodes import examples
    >>> from mapsto.learners import MatchingNetwork
    >>> learner = MatchingNetwork(nn.Identity(), ways=2, scale=40.0)
    >>> state = learner.adapt(examples(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])))
    >>> attended(learner, state, torch.tensor([[1.0, 1.0], [5.0, 0.0]])).perplexity
    tensor([2., 1.])
    """
    features = _features(learner, state, x)
    if "attention" not in features:
        raise MapstoError(
            f"learner: {type(learner).__name__} names no attention to its support set; pass an explainer's values on "
            "views.weights to seeing.reliance instead."
        )
    return Reliance(features["attention"], perplexity(features["attention"]))


def looks_like(learner: Learner, state: State, support: Examples, x: Float[Tensor, "m ..."], k: int = 3) -> Resemblance:
    """Return the `k` teaching examples whose embeddings are nearest to those of `m` query rows.

    Compares with examples as the networks of Chen et al. 2019 do with prototypes.
    Examples of weight 0 are absent. Raises MapstoError for a learner whose features name no embedding, or more than the
    present examples asked for.

    >>> from torch import nn
    >>> from mapsto.episodes import examples
    >>> from mapsto.learners import PrototypicalNetwork
    >>> support = examples(torch.tensor([[0.0], [3.0], [9.0]]), torch.tensor([0, 1, 1]))
    >>> learner = PrototypicalNetwork(nn.Identity(), ways=2)
    >>> looks_like(learner, learner.adapt(support), support, torch.tensor([[4.0]]), k=2).nearest
    tensor([[1, 0]])
    """
    present = int((support.w > 0).sum())
    if not 1 <= k <= present:
        raise MapstoError(f"k: got {k}, expected 1 to {present}, the examples that the support set has.")
    squared = (_embedding(learner, state, x)[:, None] - _embedding(learner, state, support.x)).square().sum(-1)
    similarity = ((squared + 1) / (squared + _EPSILON)).log() * (support.w > 0)  # [m, n]
    nearest = squared.masked_fill(support.w <= 0, torch.inf).topk(k, largest=False).indices  # [m, k]
    share = similarity / similarity.sum(-1, keepdim=True)
    return Resemblance(nearest, support.y[nearest], squared.gather(1, nearest).sqrt(), share.gather(1, nearest))


def _features(learner: Learner, state: State, x: Tensor) -> dict[str, Tensor]:
    with answering(learner, x):
        return views.deterministic(learner).features(state, x)


def _embedding(learner: Learner, state: State, x: Tensor) -> Float[Tensor, "m f"]:
    features = _features(learner, state, x)
    if "embedding" not in features:
        raise MapstoError(
            f"learner: {type(learner).__name__} names no embedding to compare by, expected one that does, as "
            "PrototypicalNetwork, MatchingNetwork, SiameseNetwork or RidgeHead."
        )
    return features["embedding"].flatten(1)
