"""Read the support set and the query as one sequence, with the query last, by causal convolutions and attention.

    s = [body(x), √features·y]
    dense_d(s)_t = [s_t, tanh(F·[s_{t−d}, s_t]) ⊙ σ(G·[s_{t−d}, s_t])],      d = 1, 2, 4 … one temporal block
    attend(s)_t = [s_t, Σ_{j ≤ t} softmax_j(q_t·k_j / √keys) v_j]
    scores = read(attend(convolve(attend(convolve(attend(s))))))  for the query, with y = 0

Mishra et al. 2018, "A Simple Neural Attentive Meta-Learner", §3, Figure 1 and 2 and Appendix B (filters=128 gives the
sizes for Omniglot). Only the query is scored; the paper also predicts the support's items, but trains on the last only.
Two additions: the label y is scaled to the norm of an embedding with unit entries, and the query projection starts
equal to the key projection. Without both additions, training stays on a plateau with equal answers for every query.

No item depends on later items. So the outputs of the layers for the support set are computed once, and each query row
is appended as one more item.

An example of weight 0 has no effect: it moves to the front of the sequence, where it is 0 in every layer, like the
padding of a causal convolution. An item, the output of each layer for it and the attention to it are multiplied by the
item's weight, which is 1 if all weights are equal. The order of the support set matters, as in any sequence.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from .. import checks
from ..adaptation import losses
from ..adaptation.labels import numbers, one_hot
from ..adaptation.learner import Learner
from ..adaptation.normalisation import on_query, on_support, prepare
from ..adaptation.watching import watch
from ..episodes import Examples
from .matching import attention
from .process import counts


class Past(NamedTuple):
    """The state: the input of every layer for the support set, the weights, and the batch-norm statistics."""

    items: list  # of [n, channels], one for each layer
    w: Float[Tensor, " n"]
    statistics: dict[str, Tensor]


class SNAIL(Learner):
    """Read the labelled support examples and then the query as one sequence, by temporal convolutions and attention.

    Examples of weight 0 are left out of the sequence. Therefore, predictions jump when a weight becomes 0; derivatives
    with respect to `w` do not show this jump.

    Args:
        body: any `nn.Module` from `[n, ...]` to features `[n, features]`. Batch-norm layers must have
            `track_running_stats=False`. They are replaced in place by layers that use the statistics of the support
            set.
        features: the number of features that `body` returns.
        outputs: the number of classes or, with "mse", of numbers in a target.
        length: how many of the last support examples before the query the convolutions reach. Attention reaches all
            examples.
        loss: "cross_entropy" for classes, "mse" for numeric targets.
        filters: the number of filters in each convolution, at least 4. The sizes of keys and values in the attention
            are proportional to `filters`.

    Raises:
        MapstoError: if `features`, `outputs` or `length` is below 1, `filters` is below 4, `loss` is unknown, or a
            batch-norm layer has `track_running_stats=True`.

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
        checks.count(features=features, outputs=outputs, length=length)
        checks.count(4, filters=filters)
        checks.one_of(losses.LOSSES, loss=loss)
        self.body, self.outputs, self.loss_name = prepare(body), outputs, loss
        layers, width = _layers(features + outputs, length, filters)
        self.layers, self.readout = nn.ModuleList(layers), nn.Linear(width, outputs)

    def adapt(self, support: Examples) -> Past:
        """Return the state: the input of each layer for the support examples."""
        embedded, statistics = on_support(self.body, {}, support.x, support.w)  # [n, f]
        order = (support.w > 0).long().argsort(stable=True)  # weight 0 first, the others in their order
        w = counts(support.w)[order]
        items = torch.cat([embedded.flatten(1), self._labels(support.y, embedded)], -1)[order] * w[:, None]
        inputs = [items]
        for layer in self.layers:
            items = torch.cat([items, layer(items, items, w, _places(items)) * w[:, None]], -1)
            inputs.append(items)
        return Past(inputs[:-1], w, statistics)

    def predict(self, state: Past, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the scores of `n` rows.

        For each row, the sequence is the support examples followed by this row.
        """
        return self.readout(self._last(state, x))

    def features(self, state: Past, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the output of each submodule of the body, and with `last`.

        `last` is the input of the final linear layer, `readout`.
        """
        return watch(self.body, lambda: self.predict(state, x)) | {"last": self._last(state, x)}

    def _last(self, state: Past, x: Tensor) -> Float[Tensor, "m c"]:
        embedded = on_query(self.body, {}, state.statistics, x).flatten(1)
        rows = torch.cat([embedded, embedded.new_zeros(x.shape[0], self.outputs)], -1)  # [m, f + k]
        for layer, items in zip(self.layers, state.items, strict=True):
            rows = torch.cat([rows, layer(rows, items, state.w, None)], -1)
        return rows

    def _labels(self, y: Tensor, like: Tensor) -> Float[Tensor, "n k"]:
        if self.loss_name == "cross_entropy":
            length = like.shape[1:].numel() ** 0.5  # the norm of an embedding with unit entries
            return length * one_hot(y, self.outputs, like)
        return numbers(y)


class _Dense(nn.Module):
    """A gated causal convolution with two taps, now and `dilation` items earlier."""

    def __init__(self, width: int, filters: int, dilation: int):
        super().__init__()
        self.dilation = dilation
        self.now, self.before = nn.Linear(width, 2 * filters), nn.Linear(width, 2 * filters, bias=False)

    def forward(self, rows: Tensor, items: Tensor, w: Tensor, places: Tensor | None) -> Tensor:
        """Return new channels for `rows` at `places` in the sequence `items`.

        If `places` is None, each row by itself follows the last item.
        """
        padded = F.pad(items, (0, 0, self.dilation, 0))  # [d + n, c]
        before = padded[len(items), None] if places is None else padded[: len(items)]
        signal, gate = (self.now(rows) + self.before(before)).chunk(2, -1)
        return signal.tanh() * gate.sigmoid()


class _Attention(nn.Module):
    """Attention of each row to itself and to the earlier items."""

    def __init__(self, width: int, keys: int, values: int):
        super().__init__()
        self.query, self.key, self.value = nn.Linear(width, keys), nn.Linear(width, keys), nn.Linear(width, values)
        self.query.load_state_dict(self.key.state_dict())  # a query starts like its key

    def forward(self, rows: Tensor, items: Tensor, w: Tensor, places: Tensor | None) -> Tensor:
        """Return new channels for `rows` at `places` in the sequence `items`.

        If `places` is None, each row by itself follows the last item.
        """
        query = self.query(rows) * self.key.out_features**-0.5  # [m, e]
        score = query @ self.key(items).T  # [m, n]
        itself = (query * self.key(rows)).sum(-1, keepdim=True)  # [m, 1]
        part = w.expand_as(score) if places is None else w * (places[:, None] > places)  # the items before it
        own = torch.ones_like(itself) if places is None else w[:, None]
        share = attention(torch.cat([score, itself], -1), torch.cat([part, own], -1))  # [m, n + 1]
        return share[:, :-1] @ self.value(items) + share[:, -1:] * self.value(rows)


def _layers(width: int, length: int, filters: int) -> tuple[list[nn.Module], int]:
    """Return the layers of the paper's five blocks, and the number of output channels."""
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
