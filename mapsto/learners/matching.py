"""A query looks at every labelled example, most at those it resembles, and takes the mixture of their labels.

    P(y | x, S) = Σ_i a_i·y_i,   a_i = w_i·exp(scale·cos(f(x), g(x_i))) / Σ_j w_j·exp(scale·cos(f(x), g(x_j)))

Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra 2016, "Matching Networks for One Shot Learning", eq. 1 and the
attention of §2.1.1. With full context embeddings (§2.1.2) an example is embedded in the light of the others, and a
query in the light of the examples (eq. 3 to 6 and the bidirectional LSTM of appendix A.2):

    g(x_i) = h⃗_i + h⃖_i + g'(x_i),   h⃗_i, c⃗_i = LSTM(g'(x_i), h⃗_{i−1}, c⃗_{i−1}),   h⃖ the same from the end
    ĥ_k, c_k = LSTM(f'(x), [h_{k−1}, r_{k−1}], c_{k−1}),   h_k = ĥ_k + f'(x),   f(x) = h_K
    r_k = Σ_i a_i·g(x_i),   a_i = w_i·exp(h_k·g(x_i)) / Σ_j w_j·exp(h_k·g(x_j))

Where we depart: the examples have weights; the paper's cosine is not scaled (`scale=1`, the default), which bounds the
probability of one of k classes, one example each, by e² / (e² + k − 1); ĥ_0 and c_0, which the paper leaves open, are
0, so h_0 = f'(x).
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..adaptation.labels import one_hot
from ..adaptation.learner import Learner
from ..adaptation.lstm_cell import Cell
from ..adaptation.normalisation import on_query, on_support, prepare
from ..adaptation.watching import watch
from ..episodes import Examples
from ..errors import MapstoError

SHARPEST = 40.0  # e^(−2·40) is the least attention of an example to its best; single precision still holds it


class Memory(NamedTuple):
    """The embedded support set, its labels as rows of zeros and ones, and the statistics of the batch-norm layers."""

    embeddings: Float[Tensor, "n f"]
    labels: Float[Tensor, "n k"]
    w: Float[Tensor, " n"]
    statistics: dict[str, Tensor]


class FullContext(nn.Module):
    """Full context embeddings: `support` embeds examples given each other, `query` embeds rows given the examples.

    Args:
        width: of the embeddings, see `Conv4.width`.
        processing_steps: how often a query looks at the support set, K of the formula.

    Raises:
        MapstoError: `width` or `processing_steps` below 1, or embeddings of another width.
    """

    def __init__(self, width: int, processing_steps: int = 5):
        super().__init__()
        if min(width, processing_steps) < 1:
            raise MapstoError(
                f"width, processing_steps: got {width} and {processing_steps}, expected whole numbers from 1."
            )
        self.onward, self.backward, self.reader = (Cell(n * width, width) for n in (2, 2, 3))
        self.width, self.processing_steps = width, processing_steps

    def support(self, f: Float[Tensor, "n f"], w: Float[Tensor, " n"]) -> Float[Tensor, "n f"]:
        """Embed the examples in the order they come in; one of weight 0 is passed over."""
        if f.shape[-1] != self.width:
            raise MapstoError(f"width: got {self.width}, expected {f.shape[-1]}, the features that the body returns.")
        there = range(len(f))
        return f + _read(self.onward, f, w, there) + _read(self.backward, f, w, reversed(there)).flip(0)

    def query(self, f: Float[Tensor, "m f"], g: Float[Tensor, "n f"], w: Float[Tensor, " n"]) -> Float[Tensor, "m f"]:
        """Embed each row after `processing_steps` looks at the support embeddings `g`."""
        h, c = f, torch.zeros_like(f)
        for _ in range(self.processing_steps):
            r = attention(h @ g.T, w) @ g  # [m, f]
            h, c = self.reader(torch.cat([f, h, r], -1), c)
            h = h + f
        return h


class MatchingNetwork(Learner):
    """Attention over labelled examples in a learned embedding; scores are log-probabilities.

    A class without mass gets probability 0 (score −∞), and an empty support set the uniform prediction.

    Args:
        body: any `nn.Module` from `[n, ...]` to embeddings `[n, f]`; its batch-norm layers are swapped in place for
            ones that normalise by the support set, see `normalisation`.
        ways: the number of classes; may be changed at any time, say to train with 20 and test with 5.
        context: full context embeddings; without, examples are embedded one by one. With it the order of the support
            set matters, and a derivative by `w` misses the jump at 0, where the LSTM begins to read an example.
        scale: of the cosine, at most 40; the paper's is 1.
        transductive: normalise query rows by each other, as published batch-norm results do; then `predict` is not
            row-wise and views refuse the learner.

    Raises:
        MapstoError: `ways` below 1, a `scale` outside 0 … 40, or batch norm with running statistics.

    >>> from mapsto.episodes import examples
    >>> learner = MatchingNetwork(nn.Identity(), ways=2)
    >>> state = learner.adapt(examples(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])))
    >>> learner.predict(state, torch.tensor([[3.0, 0.0]])).exp()  # e¹ against e⁰
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
        if ways < 1:
            raise MapstoError(f"ways: got {ways}, expected at least 1 class.")
        if not 0 < scale <= SHARPEST:
            raise MapstoError(f"scale: got {scale}, expected a factor above 0 and up to {SHARPEST:g}.")
        self.body, self.context, self.ways = prepare(body), context, ways
        self.scale, self.transductive = scale, transductive

    def adapt(self, support: Examples) -> Memory:
        """Embed the support set."""
        g, statistics = on_support(self.body, {}, support.x, support.w)  # [n, f]
        if self.context is not None:
            g = self.context.support(g, support.w)
        labels = one_hot(support.y, self.ways, g)
        return Memory(g, labels, support.w, {} if self.transductive else statistics)

    def predict(self, state: Memory, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the logarithm of the mixture of labels."""
        p = self._attend(state, self._embed(state, x)) @ state.labels  # [m, k]
        known = state.w @ state.labels > 0  # [k]
        log_p = torch.where(known, p, 1.0).log().masked_fill(~known, -torch.inf)
        return torch.where(known.any(), log_p, -math.log(p.shape[-1]))

    def features(self, state: Memory, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the output of each part of the body, the embedding, and the attention to each support example."""
        f = self._embed(state, x)
        seen = watch(self.body, lambda: on_query(self.body, {}, state.statistics, x))
        return seen | {"embedding": f, "attention": self._attend(state, f)}

    def _embed(self, state: Memory, x: Tensor) -> Tensor:
        f = on_query(self.body, {}, state.statistics, x)  # [m, f]
        return f if self.context is None else self.context.query(f, state.embeddings, state.w)

    def _attend(self, state: Memory, f: Tensor) -> Tensor:
        cosine = F.normalize(f, dim=-1) @ F.normalize(state.embeddings, dim=-1).T  # [m, n]
        return attention(self.scale * cosine, state.w)


def attention(scores: Float[Tensor, "m n"], w: Float[Tensor, "... n"]) -> Float[Tensor, "m n"]:
    """Return `w·exp(scores)` divided by its sum over the examples; 0 throughout where all w = 0.

    Weights are those of the examples, `[n]`, or of each row, `[m, n]`. Multiplying by w, rather than adding log w to
    the scores, keeps the derivative by a weight that is 0.
    """
    lowest = torch.finfo(scores.dtype).min
    top = F.pad(scores.masked_fill(w <= 0, lowest), (1, 0), value=lowest).amax(-1, keepdim=True)
    mass = w * (scores - top.detach()).clamp(max=SHARPEST).exp()  # [m, n]: only an absent example is above the top
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
