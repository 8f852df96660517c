"""Classify a query by the labels of all support examples, averaged by the query's attention to each example.

    P(y | x, S) = Σ_i a_i·y_i,   a_i = w_i·exp(scale·cos(f(x), g(x_i))) / Σ_j w_j·exp(scale·cos(f(x), g(x_j)))

Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra 2016, "Matching Networks for One Shot Learning", eq. 1 and the
attention of §2.1.1. With full context embeddings (§2.1.2) the embedding of an example depends on the other examples,
and the embedding of a query on all examples (eq. 3 to 6 and the bidirectional LSTM of appendix A.2):

    g(x_i) = h⃗_i + h⃖_i + g'(x_i),   h⃗_i, c⃗_i = LSTM(g'(x_i), h⃗_{i−1}, c⃗_{i−1}),   h⃖ the same in reverse order
    ĥ_k, c_k = LSTM(f'(x), [h_{k−1}, r_{k−1}], c_{k−1}),   h_k = ĥ_k + f'(x),   f(x) = h_K
    r_k = Σ_i a_i·g(x_i),   a_i = w_i·exp(h_k·g(x_i)) / Σ_j w_j·exp(h_k·g(x_j))

Differences: the examples have weights w. The paper does not scale the cosine (`scale=1`, the default). Without scaling,
if each of k classes has one example, the probability of a class is at most e² / (e² + k − 1). The paper does not define
ĥ_0 and c_0; here they are 0, so h_0 = f'(x).
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from .. import checks
from ..adaptation.labels import one_hot
from ..adaptation.learner import Learner
from ..adaptation.lstm_cell import Cell
from ..adaptation.normalisation import on_query, on_support, prepare
from ..adaptation.watching import watch
from ..episodes import Examples

SHARPEST = 40.0  # e^(−2·40), the smallest ratio of two attentions, is still a number in single precision


class Memory(NamedTuple):
    """The state: the embedded support set, its labels as rows of zeros and ones, and the batch-norm statistics."""

    embeddings: Float[Tensor, "n f"]
    labels: Float[Tensor, "n k"]
    w: Float[Tensor, " n"]
    statistics: dict[str, Tensor]


class FullContext(nn.Module):
    """Full context embeddings: the embedding of each example and each query depends on the whole support set.

    Args:
        width: the size of the embeddings, such as `Conv4.width`.
        processing_steps: the number of times that a query reads the support set, K in the paper.

    Raises:
        MapstoError: if `width` or `processing_steps` is below 1; in use, if the size of the embeddings is not `width`.
    """

    def __init__(self, width: int, processing_steps: int = 5):
        super().__init__()
        checks.count(width=width, processing_steps=processing_steps)
        self.onward, self.backward, self.reader = (Cell(n * width, width) for n in (2, 2, 3))
        self.width, self.processing_steps = width, processing_steps

    def support(self, f: Float[Tensor, "n f"], w: Float[Tensor, " n"]) -> Float[Tensor, "n f"]:
        """Return the embeddings of the support examples, read in both orders by LSTMs that skip examples of weight 0.

        `f` are the embeddings of the examples without context.
        """
        features = f.shape[-1]
        checks.expect(features == self.width, "width", self.width, f"{features}, the number of the body's features")
        order = range(len(f))
        return f + _read(self.onward, f, w, order) + _read(self.backward, f, w, reversed(order)).flip(0)

    def query(self, f: Float[Tensor, "m f"], g: Float[Tensor, "n f"], w: Float[Tensor, " n"]) -> Float[Tensor, "m f"]:
        """Return the embeddings of query rows after reading the support embeddings `g` `processing_steps` times.

        `f` are the embeddings of the query rows without context.
        """
        h, c = f, torch.zeros_like(f)
        for _ in range(self.processing_steps):
            r = attention(h @ g.T, w) @ g  # [m, f]
            h, c = self.reader(torch.cat([f, h, r], -1), c)
            h = h + f
        return h


class MatchingNetwork(Learner):
    """Classify a query by attention: its class probabilities are a weighted average of the support labels.

    The attention of a query to each support example depends on the cosine between their learned embeddings. Scores are
    log-probabilities. A class has probability 0 (score −∞) if the weights of its support examples sum to 0. If the
    whole support set is empty, all classes have equal scores instead.

    Args:
        body: any `nn.Module` from `[n, ...]` to embeddings `[n, f]`. Batch-norm layers must have
            `track_running_stats=False`. They are replaced in place by layers that use the statistics of the support
            set.
        ways: the number of classes. The attribute `ways` may be changed later, for example to train with 20 classes and
            test with 5.
        context: a `FullContext`, which makes the embedding of each row depend on the whole support set. If None, each
            row is embedded by itself. A `FullContext` reads the support examples with an LSTM, so their order matters.
            The LSTM skips examples of weight 0, so predictions jump when a weight becomes 0; derivatives with respect
            to `w` do not show this jump.
        scale: the multiplier on the cosine, above 0 and at most 40; 1 in the paper.
        transductive: if False, batch norm normalises query rows by the statistics of the support set. If True, it uses
            the statistics of the query rows, as in published results; the prediction for a row then depends on the
            other rows, and the functions in `mt.views` raise MapstoError.

    Raises:
        MapstoError: if `ways` is below 1, `scale` is not in (0, 40], or a batch-norm layer has
            `track_running_stats=True`.

    >>> from mapsto.episodes import examples
    >>> learner = MatchingNetwork(nn.Identity(), ways=2)
    >>> state = learner.adapt(examples(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])))
    >>> learner.predict(state, torch.tensor([[3.0, 0.0]])).exp()  # the cosines are 1 and 0, so e¹ against e⁰
    tensor([[0.7311, 0.2689]])
    """

    family = "metric-based"

    def __init__(
        self,
        body: nn.Module,
        ways: int,
        context: FullContext | None = None,
        scale: float = 1.0,
        transductive: bool = False,
    ):
        super().__init__()
        checks.count(ways=ways)
        checks.above(0, scale=scale)
        checks.expect(scale <= SHARPEST, "scale", scale, f"at most {SHARPEST:g}")
        self.body, self.context, self.ways = prepare(body), context, ways
        self.scale, self.transductive = scale, transductive

    def adapt(self, support: Examples) -> Memory:
        """Return the state: the embeddings, the labels and the weights of the support examples."""
        g, statistics = on_support(self.body, {}, support.x, support.w)  # [n, f]
        if self.context is not None:
            g = self.context.support(g, support.w)
        labels = one_hot(support.y, self.ways, g)
        return Memory(g, labels, support.w, {} if self.transductive else statistics)

    def predict(self, state: Memory, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the log-probabilities of the classes for `n` rows.

        The probabilities are the one-hot support labels, averaged with the row's attention as weights.
        """
        p = self._attend(state, self._embed(state, x)) @ state.labels  # [m, k]
        present = state.w @ state.labels > 0  # [k]
        log_p = torch.where(present, p, 1.0).log().masked_fill(~present, -torch.inf)
        return torch.where(present.any(), log_p, -math.log(p.shape[-1]))

    def features(self, state: Memory, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the outputs of the body's submodules, and with `embedding` and `attention`.

        `embedding` is the embedding of each row. `attention` is the attention of each row to each support example.
        """
        f = self._embed(state, x)
        parts = watch(self.body, lambda: on_query(self.body, {}, state.statistics, x))
        return parts | {"embedding": f, "attention": self._attend(state, f)}

    def _embed(self, state: Memory, x: Tensor) -> Tensor:
        f = on_query(self.body, {}, state.statistics, x)  # [m, f]
        return f if self.context is None else self.context.query(f, state.embeddings, state.w)

    def _attend(self, state: Memory, f: Tensor) -> Tensor:
        cosine = F.normalize(f, dim=-1) @ F.normalize(state.embeddings, dim=-1).T  # [m, n]
        return attention(self.scale * cosine, state.w)


def attention(scores: Float[Tensor, "m n"], w: Float[Tensor, "... n"]) -> Float[Tensor, "m n"]:
    """Return `w·exp(scores)` divided by its sum over the examples; 0 if all weights are 0.

    The weights are `[n]`, one for each example, or `[m, n]`, one for each row and example. They multiply exp(scores)
    instead of entering the scores as log w, because this keeps the derivative at weight 0.
    """
    lowest = torch.finfo(scores.dtype).min
    top = F.pad(scores.masked_fill(w <= 0, lowest), (1, 0), value=lowest).amax(-1, keepdim=True)
    mass = w * (scores - top.detach()).clamp(max=SHARPEST).exp()  # [m, n]: only an example of weight 0 is above the top
    total = mass.sum(-1, keepdim=True)
    return mass / torch.where(total > 0, total, 1.0)


def _read(cell: Cell, x: Float[Tensor, "n f"], w: Float[Tensor, " n"], order: Iterable[int]) -> Float[Tensor, "n f"]:
    """Return the cell's output after each row, in the given order."""
    h = c = torch.zeros_like(x[:1].sum(0))  # [f]
    outputs = [x[:0]]
    for i in order:
        new_h, new_c = cell(torch.cat([x[i], h]), c)
        h, c = torch.where(w[i] > 0, new_h, h), torch.where(w[i] > 0, new_c, c)
        outputs.append(h[None])
    return torch.cat(outputs)
