"""Teaching examples behind a prediction: how many it relies on, and which of them the row resembles.

    perplexity(a) = exp(−Σ_i a_i·log a_i)                     1 if one example decides, n if n count equally
    similarity_i  = log((‖f(x) − f(x_i)‖² + 1) / (‖f(x) − f(x_i)‖² + ε)),   share_i = similarity_i / Σ_j similarity_j

`attended` reads the attention of learners that attend to their support set (matching networks: Vinyals et al. 2016, eq.
1); `reliance` turns any attribution to teaching examples into shares, for learners that do not attend. `looks_like` is
the "this looks like that" of Chen et al. 2019 (ProtoPNet, §2.1, eq. of g_p), with teaching examples in place of learned
prototypes, for learners that compare or regress embeddings.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import checks, views
from ..adaptation.fitting import answering
from ..adaptation.learner import Learner
from ..episodes import Examples, State

_EPSILON = 1e-4  # of the paper's similarity: at distance 0 it is log(1 + 1/ε)


class Reliance(NamedTuple):
    """The fraction to which each prediction relies on each support example, and how many examples this is in effect."""

    share: Float[Tensor, "... n"]  # of each teaching example, 0 to 1, adding up to 1
    perplexity: Float[Tensor, "..."]  # how many examples that is


class Resemblance(NamedTuple):
    """The support examples that each query row resembles most, the nearest first."""

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
    """Return each support example's fraction of the summed |attributions|, and the perplexity of these fractions.

    The perplexity is exp(entropy), the effective number of examples on which the prediction relies: 1 if one example
    has all attribution, n if n examples have equal amounts. If all attributions are 0, the fractions are 0 and the
    perplexity is 1.

    >>> reliance(torch.tensor([3.0, -3.0, 0.0])).perplexity
    tensor(2.)
    """
    size = attribution.abs()
    total = size.sum(-1, keepdim=True)
    share = size / torch.where(total == 0, 1.0, total)  # NaN stays NaN
    return Reliance(share, perplexity(share))


def attended(learner: Learner, state: State, x: Float[Tensor, "m ..."]) -> Reliance:
    """Return the attention of each of `m` query rows to each support example, and the perplexity of this attention.

    `state` is the learner's state after adaptation, and `x` holds the query rows. The perplexity is exp(entropy), the
    effective number of support examples to which a row attends.

    Raises:
        MapstoError: if the learner does not attend to its support set.

    >>> from torch import nn
    >>> from mapsto.episodes import examples
    >>> from mapsto.learners import MatchingNetwork
    >>> learner = MatchingNetwork(nn.Identity(), ways=2, scale=40.0)
    >>> state = learner.adapt(examples(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])))
    >>> attended(learner, state, torch.tensor([[1.0, 1.0], [5.0, 0.0]])).perplexity
    tensor([2., 1.])
    """
    features = _features(learner, state, x)
    name = type(learner).__name__
    there, remedy = "attention" in features, "pass an explainer's values on views.weights to seeing.reliance instead"
    checks.expect(there, "learner", f"{name} without attention to its support set", "one that attends", remedy)
    return Reliance(features["attention"], perplexity(features["attention"]))


def looks_like(learner: Learner, state: State, support: Examples, x: Float[Tensor, "m ..."], k: int = 3) -> Resemblance:
    """Return, for each of `m` query rows, the `k` support examples with the nearest embeddings.

    `state` is the learner's state after adapting to `support`, and `x` holds the query rows. Examples of weight 0 are
    ignored. The result holds the indices, classes and distances of the `k` examples, and `share`: the similarity of
    each of them, as a fraction of the summed similarity of all support examples. Chen et al. 2019 ("This Looks Like
    That") compare parts of images with learned prototypes in the same way.

    Raises:
        MapstoError: if the learner's features contain no embedding, or there are fewer than `k` examples of weight
            above 0.

    >>> from torch import nn
    >>> from mapsto.episodes import examples
    >>> from mapsto.learners import PrototypicalNetwork
    >>> support = examples(torch.tensor([[0.0], [3.0], [9.0]]), torch.tensor([0, 1, 1]))
    >>> learner = PrototypicalNetwork(nn.Identity(), ways=2)
    >>> looks_like(learner, learner.adapt(support), support, torch.tensor([[4.0]]), k=2).nearest
    tensor([[1, 0]])
    """
    present = int((support.w > 0).sum())
    checks.between(1, present, k=k)
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
    name, there = type(learner).__name__, "embedding" in features
    expected = "one with it, such as PrototypicalNetwork, MatchingNetwork, SiameseNetwork or RidgeHead"
    checks.expect(there, "learner", f"{name} without an embedding to compare", expected)
    return features["embedding"].flatten(1)
