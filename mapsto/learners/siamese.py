"""Learn an embedding in which examples of one class are close; a query gets the class of its nearest example.

    ℓ(a, b) = (1 − y)·d² + y·max(0, margin − d)²,   d = ‖f(a) − f(b)‖,   y = 0 if a and b have one class, else 1

    loss = Σ_q w_q · mean of ℓ over the pairs of query q and a support example, weighted by the examples' w

Koch, Zemel & Salakhutdinov 2015, "Siamese Neural Networks for One-shot Image Recognition" (twin networks trained to
verify, and §4.3: the class of the most similar example). The loss, with the same labels y but without the factor ½, is
eq. 4 of Hadsell, Chopra & LeCun 2006, "Dimensionality Reduction by Learning an Invariant Mapping".

Differences: Koch et al. learn a weighted L1 distance by cross-entropy; here the distance is Euclidean and the loss
contrastive. They draw as many pairs of the same class as of different classes; here all pairs of the episode have equal
weight, as in Hadsell et al. Most pairs of different classes are soon far apart. If pairs of different classes get only
half of the total weight, little is left for the few that are still close (95.2 % on 5-way Omniglot after ten minutes of
training, against 98.1 %).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from .. import checks
from ..adaptation.labels import one_hot
from ..adaptation.learner import Learner, Metrics
from ..adaptation.normalisation import on_query, on_support, prepare
from ..adaptation.watching import watch
from ..episodes import Episode, Examples


class Gallery(NamedTuple):
    """The state: the embedded support set, its labels as rows of zeros and ones, and the batch-norm statistics."""

    embeddings: Float[Tensor, "n f"]
    labels: Float[Tensor, "n k"]
    w: Float[Tensor, " n"]
    statistics: dict[str, Tensor]


class SiameseNetwork(Learner):
    """Classify a query by its nearest labelled example in an embedding learned from pairs of examples.

    The score of a class is −d², where d is the distance from the query to the nearest example of the class. The network
    is trained to decide whether *two* examples match. So scores rank the classes, but their softmax is not a calibrated
    probability. A class has score −∞ if the weights of its support examples are all 0. If the whole support set is
    empty, all classes have equal scores instead.

    Weights matter only in that examples of weight 0 are ignored, so derivatives with respect to `w` are 0. To measure
    the influence of an example, delete the example.

    Args:
        body: any `nn.Module` from `[n, ...]` to embeddings `[n, f]`. Batch-norm layers must have
            `track_running_stats=False`. They are replaced in place by layers that use the statistics of the support
            set.
        ways: the number of classes. The attribute `ways` may be changed later, for example to train with 20 classes and
            test with 5.
        margin: the distance beyond which a pair of examples of different classes has loss 0. Choose a margin close to
            the usual distance between two examples in the embedding of the untrained body. If the margin is much
            smaller, training first has to shrink the whole embedding.
        transductive: if False, batch norm normalises query rows by the statistics of the support set. If True, it uses
            the statistics of the query rows, as in published results; the prediction for a row then depends on the
            other rows, and the functions in `mt.views` raise MapstoError.

    Raises:
        MapstoError: if `ways` is below 1, `margin` is not above 0, or a batch-norm layer has
            `track_running_stats=True`.

    >>> from mapsto.episodes import examples
    >>> learner = SiameseNetwork(nn.Identity(), ways=2)
    >>> state = learner.adapt(examples(torch.tensor([[0.0], [2.0], [5.0]]), torch.tensor([0, 0, 1])))
    >>> learner.predict(state, torch.tensor([[3.0]]))
    tensor([[-1., -4.]])
    """

    family = "metric-based"

    def __init__(self, body: nn.Module, ways: int, margin: float = 1.0, transductive: bool = False):
        super().__init__()
        checks.count(ways=ways)
        checks.above(0, margin=margin)
        self.body, self.ways, self.margin, self.transductive = prepare(body), ways, margin, transductive

    def adapt(self, support: Examples) -> Gallery:
        """Return the state: the embeddings, the labels and the weights of the support examples."""
        f, statistics = on_support(self.body, {}, support.x, support.w)  # [n, f]
        labels = one_hot(support.y, self.ways, f)
        return Gallery(f, labels, support.w, {} if self.transductive else statistics)

    def predict(self, state: Gallery, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the scores `[n, ways]` of the classes for `n` rows.

        A score is minus the squared distance from the row to the nearest example of the class.
        """
        return _nearest(state, self._squared(state, x))

    def features(self, state: Gallery, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the outputs of the body's submodules, and with `embedding` and `distance`.

        `embedding` is the embedding of each row. `distance` is the distance from each row to each support example.
        """
        embed = on_query(self.body, {}, state.statistics, x)
        parts = watch(self.body, lambda: on_query(self.body, {}, state.statistics, x))
        return parts | {"embedding": embed, "distance": _root(self._squared(state, x))}

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is the contrastive loss of all pairs of a query and a support example."""
        state, query = self.adapt(episode.support), episode.query
        squared = self._squared(state, query.x)  # [m, n]
        same = one_hot(query.y, self.ways, squared) @ state.labels.T  # [m, n]
        cost = same * squared + (1 - same) * (self.margin - _root(squared)).relu().square()  # [m, n]
        mass = state.w.sum()
        loss = (query.w * (cost @ state.w)).sum() / torch.where(mass > 0, mass, 1.0)
        scores = _nearest(state, squared.detach())
        return loss, {"loss": loss.detach()} | self.criterion.metrics(scores, query)

    def _squared(self, state: Gallery, x: Tensor) -> Tensor:
        f = on_query(self.body, {}, state.statistics, x)  # [m, f]
        return (f[:, None] - state.embeddings).square().sum(-1)  # [m, n]


def _nearest(state: Gallery, squared: Float[Tensor, "m n"]) -> Float[Tensor, "m k"]:
    present = state.labels * state.w[:, None] > 0  # [n, k]
    candidates = torch.where(present, squared[..., None], torch.inf)  # [m, n, k]
    nowhere = candidates.new_full((squared.shape[0], 1, present.shape[-1]), torch.inf)  # also if there is no row
    least = torch.cat([nowhere, candidates], 1).amin(1)  # [m, k]
    return torch.where(present.any(), -least, 0.0)


def _root(squared: Tensor) -> Tensor:
    """Return the square root, with derivative 0 at 0, for two equal embeddings."""
    return torch.where(squared > 0, squared, 1.0).sqrt() * (squared > 0)
