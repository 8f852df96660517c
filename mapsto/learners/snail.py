"""The support set is a sequence and the query its last item; causal convolutions gather what is near, attention picks.

    s = [body(x), √features·y]
    dense_d(s)_t = [s_t, tanh(F·[s_{t−d}, s_t]) ⊙ σ(G·[s_{t−d}, s_t])],      d = 1, 2, 4 … one temporal block
    attend(s)_t = [s_t, Σ_{j ≤ t} softmax_j(q_t·k_j / √keys) v_j]
    scores = read(attend(convolve(attend(convolve(attend(s))))))  at the query, whose y is 0

Mishra et al. 2018, "A Simple Neural Attentive Meta-Learner", §3, Figure 1 and 2 and Appendix B (filters=128 gives the
sizes for Omniglot). Only the query is scored: the paper predicts the support's items alike, and trains on the last.
Ours are the length of y (a class is as long as an embedding of unit entries) and queries that start like their keys:
without both, training stays on the plateau where every query answers alike. Nothing looks ahead, so that what the
layers make of the support is computed once and each query row is one more item.

Weight 0 is deletion: items are moved up against the query, absent ones to the front, where they are 0 in every layer
as the padding of a causal convolution is. What is read of an item, and what each layer adds to it, is multiplied by its
weight w (in examples), and its part in attention too. The order of the support set matters, as in any sequence.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..adaptation import losses
from ..adaptation.labels import numbers, one_hot
from ..adaptation.learner import Learner
from ..adaptation.normalisation import on_query, on_support, prepare
from ..adaptation.watching import watch
from ..episodes import Examples
from ..errors import MapstoError
from .matching import attention
from .process import counts


class Past(NamedTuple):
    """What every layer was given of the support, its weights, and the statistics of the body's batch-norm layers."""

    items: list  # of [n, channels], one a layer
    w: Float[Tensor, " n"]
    statistics: dict[str, Tensor]


class SNAIL(Learner):
    """Attention and temporal convolutions over the support set as a sequence.

    A derivative by `w` misses the jump at 0, where an example takes its place in the sequence and moves others.

    Args:
        body: any `nn.Module` from `[n, ...]` to `[n, features]`; its batch-norm layers are swapped in place for ones
            that normalise by the support set, see `normalisation`.
        features: of the body.
        outputs: classes, or numbers in a target.
        length: longest support set that the convolutions span; attention spans any.
        loss: "cross_entropy" for classes, "mse" for targets.
        filters: of the convolutions; the attention's sizes follow.

    Raises MapstoError for a size below 1, an unknown loss, or batch norm with running statistics.

    >>> learner = SNAIL(nn.Flatten(), features=3, outputs=2, length=5, filters=8)
    >>> support = Examples(torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 1]), torch.full((5,), 0.2))
    >>> learner.predict(learner.adapt(support), torch.randn(4, 3)).shape
    torch.Size([4, 2])
    """

    family = "model-based"

    def __init__(
        self,
        body: nn.Module,
        features: int,
        outputs: int,
        length: int,
        loss: Literal["cross_entropy", "mse"] = "cross_entropy",
        filters: int = 128,
    ):
        super().__init__()
        if min(features, outputs, length) < 1 or filters < 4:
            raise MapstoError(
                f"features, outputs, length, filters: got {features}, {outputs}, {length}, {filters}, expected sizes "
                "from 1, and 4 or more filters."
            )
        if loss not in losses.LOSSES:
            raise MapstoError(f"loss: got {loss!r}, expected one of {', '.join(losses.LOSSES)}.")
        self.body, self.outputs, self.loss_name = prepare(body), outputs, loss
        layers, width = _layers(features + outputs, length, filters)
        self.layers, self.readout = nn.ModuleList(layers), nn.Linear(width, outputs)

    def adapt(self, support: Examples) -> Past:
        """Run the support through the layers, keeping what each was given."""
        embedded, statistics = on_support(self.body, {}, support.x, support.w)  # [n, f]
        order = (support.w > 0).long().argsort(stable=True)  # absent ones first, the others as they came
        w = counts(support.w)[order]
        items = torch.cat([embedded.flatten(1), self._told(support.y, embedded)], -1)[order] * w[:, None]
        kept = [items]
        for layer in self.layers:
            items = torch.cat([items, layer(items, items, w, _places(items)) * w[:, None]], -1)
            kept.append(items)
        return Past(kept[:-1], w, statistics)

    def predict(self, state: Past, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Run each row through the layers as the last item of the sequence."""
        return self.readout(self._last(state, x))

    def features(self, state: Past, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the output of each part of the body, and the item that is read."""
        return watch(self.body, lambda: self.predict(state, x)) | {"last": self._last(state, x)}

    def _last(self, state: Past, x: Tensor) -> Float[Tensor, "m c"]:
        embedded = on_query(self.body, {}, state.statistics, x).flatten(1)
        rows = torch.cat([embedded, embedded.new_zeros(len(x), self.outputs)], -1)  # [m, f + k]
        for layer, items in zip(self.layers, state.items, strict=True):
            rows = torch.cat([rows, layer(rows, items, state.w, None)], -1)
        return rows

    def _told(self, y: Tensor, like: Tensor) -> Float[Tensor, "n k"]:
        if self.loss_name == "cross_entropy":
            length = like.shape[1:].numel() ** 0.5  # of an embedding of unit entries
            return length * one_hot(y, self.outputs, like)
        return numbers(y)


class _Dense(nn.Module):
    """A causal convolution of two taps, gated."""

    def __init__(self, width: int, filters: int, dilation: int):
        super().__init__()
        self.dilation = dilation
        self.now, self.before = nn.Linear(width, 2 * filters), nn.Linear(width, 2 * filters, bias=False)

    def forward(self, rows: Tensor, items: Tensor, w: Tensor, places: Tensor | None) -> Tensor:
        """Return what is put beside `rows`, at `places` of the sequence `items` or (None) each right behind it."""
        padded = F.pad(items, (0, 0, self.dilation, 0))  # [d + n, c]
        before = padded[len(items), None] if places is None else padded[: len(items)]
        signal, gate = (self.now(rows) + self.before(before)).chunk(2, -1)
        return signal.tanh() * gate.sigmoid()


class _Attention(nn.Module):
    """Each row looks at the items up to its own."""

    def __init__(self, width: int, keys: int, values: int):
        super().__init__()
        self.query, self.key, self.value = nn.Linear(width, keys), nn.Linear(width, keys), nn.Linear(width, values)
        self.query.load_state_dict(self.key.state_dict())  # like looks at like

    def forward(self, rows: Tensor, items: Tensor, w: Tensor, places: Tensor | None) -> Tensor:
        """Return what is put beside `rows`, at `places` of the sequence `items` or (None) each right behind it."""
        query = self.query(rows) * self.key.out_features**-0.5  # [m, e]
        score = query @ self.key(items).T  # [m, n]
        itself = (query * self.key(rows)).sum(-1, keepdim=True)  # [m, 1]
        part = w.expand_as(score) if places is None else w * (places[:, None] > places)  # the items before it
        own = torch.ones_like(itself) if places is None else w[:, None]
        share = attention(torch.cat([score, itself], -1), torch.cat([part, own], -1))  # [m, n + 1]
        return share[:, :-1] @ self.value(items) + share[:, -1:] * self.value(rows)


def _layers(width: int, length: int, filters: int) -> tuple[list[nn.Module], int]:
    """Return the paper's five blocks, layer by layer, and the channels that come out."""
    dilations = [2**i for i in range(max(1, math.ceil(math.log2(length + 1))))]
    layers: list[nn.Module] = []
    for keys, values in ((filters // 2, filters // 4), (2 * filters, filters), (4 * filters, 2 * filters)):
        if layers:
            for dilation in dilations:
                layers.append(_Dense(width, filters, dilation))
                width += filters
        layers.append(_Attention(width, keys, values))
        width += values
    return layers, width


def _places(items: Tensor) -> Tensor:
    return torch.arange(len(items), device=items.device)
