"""Represent each class by the mean of its embedded examples, and classify a query by the nearest mean.

    c_k = Σ_{i: y_i = k} w_i·f(x_i) / Σ_{i: y_i = k} w_i,      scores_k = −‖f(x) − c_k‖²

Snell, Swersky & Zemel 2017, "Prototypical Networks for Few-shot Learning", eq. 1 and 2 with the squared Euclidean
distance of §2.4.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from .. import checks
from ..adaptation.labels import one_hot
from ..adaptation.learner import Learner
from ..adaptation.normalisation import on_query, on_support, prepare
from ..adaptation.watching import watch
from ..episodes import Examples


class Prototypes(NamedTuple):
    """The state: the class means, the total weight of each class, and the statistics of the batch-norm layers."""

    means: Float[Tensor, "k f"]
    mass: Float[Tensor, " k"]
    statistics: dict[str, Tensor]


class PrototypicalNetwork(Learner):
    """Classify a query by the nearest class mean in a learned embedding.

    A class has probability 0 (score −∞) if the weights of its support examples sum to 0. If the whole support set is
    empty, all classes have equal scores instead.

    Args:
        body: any `nn.Module` from `[n, ...]` to embeddings `[n, f]`. Batch-norm layers must have
            `track_running_stats=False`. They are replaced in place by layers that use the statistics of the support
            set.
        ways: the number of classes. The attribute `ways` may be changed later, for example to train with 60 classes and
            test with 5.
        transductive: if False, batch norm normalises query rows by the statistics of the support set. If True, it uses
            the statistics of the query rows, as in published results; the prediction for a row then depends on the
            other rows, and the functions in `mt.views` raise MapstoError.

    Raises:
        MapstoError: if `ways` is below 1, or a batch-norm layer has `track_running_stats=True`.

    >>> from mapsto.episodes import examples
    >>> learner = PrototypicalNetwork(nn.Identity(), ways=2)
    >>> state = learner.adapt(examples(torch.tensor([[0.0], [2.0], [4.0], [6.0]]), torch.tensor([0, 0, 1, 1])))
    >>> learner.predict(state, torch.tensor([[2.0]]))
    tensor([[-1., -9.]])
    """

    family = "metric-based"

    def __init__(self, body: nn.Module, ways: int, transductive: bool = False):
        super().__init__()
        checks.count(ways=ways)
        self.body, self.ways, self.transductive = prepare(body), ways, transductive

    def adapt(self, support: Examples) -> Prototypes:
        """Return the state: for each class, the mean of its support examples' embeddings, weighted by `w`."""
        f, statistics = on_support(self.body, {}, support.x, support.w)  # [n, f]
        share = one_hot(support.y, self.ways, f) * support.w[:, None]  # [n, k]
        mass = share.sum(0)  # [k]
        means = (share.T @ f) / torch.where(mass > 0, mass, 1.0)[:, None]  # [k, f]
        return Prototypes(means, mass, {} if self.transductive else statistics)

    def predict(self, state: Prototypes, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the scores `[n, ways]`: minus the squared distances from each row's embedding to the class means."""
        total = state.mass.sum()
        centre = (state.mass @ state.means / torch.where(total > 0, total, 1.0)).detach()  # [f]
        means = state.means - centre  # keeps the digits that squaring far from 0 would lose
        f = on_query(self.body, {}, state.statistics, x) - centre
        squared = f.square().sum(1, keepdim=True) - 2 * f @ means.T + means.square().sum(1)  # [n, k]
        present = torch.where(state.mass > 0, -squared, -torch.inf)
        return torch.where(total > 0, present, torch.zeros_like(squared))

    def features(self, state: Prototypes, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the output of each submodule of the body, and each row's `embedding`.

        `predict` compares this embedding with the class means.
        """
        return watch(self.body, lambda: self.predict(state, x)) | {
            "embedding": on_query(self.body, {}, state.statistics, x)
        }
