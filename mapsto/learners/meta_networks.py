"""Generate fast weights of a network from loss gradients on the support set, and use them beside learned weights.

    Q* = d(∇_Q ℓ(u_Q(x_1), y_1), ∇_Q ℓ(u_Q(x_2), y_2), …)                 fast weights of the task, by an LSTM
    k_i = u_{Q,Q*}(x_i),   M_i = m(∇_W ℓ(b_W(x_i), y_i))                  memory: a key, fast weights per example
    a_i = w_i·exp(scale·cos(u_{Q,Q*}(x), k_i)) / Σ_j …,   W* = Σ_i a_i·M_i
    scores = b_{W,W*}(x)                                                  layer by layer: h ← σ(W h) + σ(W* h)

u is the network that makes the keys, with slow weights Q and fast weights Q*. b is the body, with W and W*. The small
networks `d` and `m` read one coordinate of a gradient at a time, as (log|g| / 7, sign g), or (−1, e⁷·g) if |g| < e⁻⁷.
Munkhdalai & Yu 2017, "Meta Networks", Algorithm 1 and eq. 1 to 9, with the preprocessing of Andrychowicz et al. 2016.

Differences: the gradients are differentiated too, while the published code treats them as constants. `d` reads every
example, one at a time. Each layer has its own `d` and `m`, except the last layer of `u`, which makes no key. Both
networks use the task's loss (the paper has a contrastive loss for the keys if there are pairs). Biases and norms have
no fast weights, and pooling comes before the sum of the slow and the fast output.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn import functional as F

from .. import checks
from ..adaptation import losses
from ..adaptation.coordinates import read
from ..adaptation.kernels import twice_differentiable
from ..adaptation.labels import below
from ..adaptation.learner import Learner
from ..adaptation.lstm_cell import Cell
from ..episodes import Examples
from .fast_layers import Layers, Statistics, Weights
from .matching import attention

_P = 7.0  # gradients below e⁻⁷ are read linearly, larger ones by their logarithm


class Fast(NamedTuple):
    """The state: fast weights of the key network, and a memory with a key and fast weights for each example."""

    task: Weights
    memory: Weights  # each [n, ...]
    keys: Float[Tensor, "n f"]
    w: Float[Tensor, " n"]
    statistics: tuple[Statistics, Statistics]  # for the key network and for the body


class MetaNetwork(Learner):
    """A network with learned slow weights and, for each query, fast weights read from a memory of the support set.

    For each support example, the memory holds a key and fast weights. The fast weights are generated from the gradient
    of the example's loss. The fast weights of a query are the average of the fast weights in the memory, weighted by
    the query's attention to the keys. A second network makes the keys. It has fast weights too, which an LSTM generates
    from the support examples. The LSTM skips examples of weight 0, so predictions jump when a weight becomes 0;
    derivatives with respect to `w` do not show this jump. If the support set is empty, the body's fast weights are 0,
    and their only effect is a constant added to each layer's output: the value of the layer's norm and activation for
    input 0.

    Args:
        body: the network that predicts, from `[n, ...]` to `[n, k]`. It must be an `nn.Sequential`, such as `MLP` or
            `Conv4`, of linear layers and convolutions, each followed by its norm, activation or pooling. As in the
            paper, it is best without norms, because a norm amplifies the small outputs of untrained fast weights.
            Batch-norm layers must have `track_running_stats=False`; they use the statistics of the support set.
        keys: the network that makes the keys, an `nn.Sequential` of the same kind. A key is the input of this network's
            last layer. The last layer itself serves only to compute the network's own loss.
        loss: the loss on the support set and the query set, "mse" or "cross_entropy".
        hidden: the width of the networks that generate fast weights. The LSTM takes much memory: it keeps 4·`hidden`
            numbers for each weight of `keys` and each example.
        scale: the multiplier on the cosine of two keys; it sets how sharp the attention is. It is 1 in the paper. A
            larger scale shortens the early phase of training in which every query reads the mean of the memory.

    Raises:
        MapstoError: if `loss` is unknown, `hidden` is below 1, `scale` is not above 0, `body` or `keys` does not have
            the structure described above, or a batch-norm layer has `track_running_stats=True`.

    >>> from mapsto.episodes import examples
    >>> learner = MetaNetwork(nn.Linear(2, 3), nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)))
    >>> state = learner.adapt(examples(torch.eye(2), torch.tensor([0, 2])))
    >>> learner.predict(state, torch.ones(5, 2)).shape
    torch.Size([5, 3])
    """

    family = "memory-based"

    def __init__(
        self, body: nn.Module, keys: nn.Module, loss: str = "cross_entropy", hidden: int = 20, scale: float = 1.0
    ):
        super().__init__()
        checks.one_of(losses.LOSSES, loss=loss)
        checks.count(hidden=hidden)
        checks.above(0, scale=scale)
        self.body, self.keys, self.loss_name, self.scale = Layers("body", body), Layers("keys", keys), loss, scale
        self.task_writers = nn.ModuleList(TaskWriter(hidden) for _ in self.keys.layers[:-1])
        self.example_writers = nn.ModuleList(_example_writer(hidden) for _ in self.body.layers)

    def adapt(self, support: Examples) -> Fast:
        """Return the fast weights of the key network, and the memory with a key and fast weights for each example."""
        gradients = self._gradients(self.keys, support)
        task = tuple(write(g, support.w) for write, g in zip(self.task_writers, gradients[:-1], strict=True))
        outputs, of_keys = self.keys.on_support(support, task)
        keys = outputs[-2].flatten(1)
        gradients = self._gradients(self.body, support)
        memory = tuple(write(read(g, _P))[..., 0] for write, g in zip(self.example_writers, gradients, strict=True))
        fast = _read(attention(self.scale * _cosine(keys, keys), support.w), memory)
        of_body = self.body.on_support(support, fast)[1] if self.body.normalises else {}
        return Fast(task, memory, keys, support.w, (of_keys, of_body))

    def predict(self, state: Fast, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the scores of `n` rows; each row uses the slow weights and its own fast weights from the memory."""
        return self._layers(state, x, self._attend(state, self._key(state, x)))[-1]

    def features(self, state: Fast, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with `key`, `attention` and the output of each layer of the body.

        `key` is the key of each row. `attention` is the attention of each row to each support example.
        """
        key = self._key(state, x)
        a = self._attend(state, key)
        outputs = self._layers(state, x, a)[1:]
        return {"key": key, "attention": a} | {f"layer {i}": h for i, h in enumerate(outputs)}

    def _key(self, state: Fast, x: Tensor) -> Float[Tensor, "n f"]:
        return self.keys.on_query(x, state.task, state.statistics[0])[-2].flatten(1)

    def _attend(self, state: Fast, key: Tensor) -> Float[Tensor, "m n"]:
        return attention(self.scale * _cosine(key, state.keys), state.w)

    def _layers(self, state: Fast, x: Tensor, a: Tensor) -> list[Tensor]:
        return self.body.on_query(x, _read(a, state.memory), state.statistics[1])

    def _gradients(self, network: Layers, support: Examples) -> Weights:
        """Return the gradient of each example's loss by the slow weights, `[n, ...]` a layer; norms are constant."""
        slow = network.slow()
        if self.loss_name == "cross_entropy":
            below(len(slow[-1]), support.y)
        if len(support.w) == 0:
            return tuple(weight.new_zeros(0, *weight.shape) for weight in slow)
        statistics = network.on_support(support, ())[1] if network.normalises else {}

        def loss(slow: Weights, x: Tensor, y: Tensor) -> Tensor:
            scores = network.on_query(x[None], (), statistics, slow)[-1]
            return self.criterion(scores, y[None], torch.ones_like(scores[:, 0]))

        with twice_differentiable():
            return vmap(grad(loss), (None, 0, 0))(slow, support.x, support.y)


class TaskWriter(nn.Module):
    """An LSTM that reads the gradients of all examples by one weight, and then returns the fast weight."""

    def __init__(self, hidden: int):
        super().__init__()
        self.cell, self.out = Cell(2 + hidden, hidden), _small(nn.Linear(hidden, 1))

    def forward(self, g: Float[Tensor, "n ..."], w: Float[Tensor, " n"]) -> Float[Tensor, "..."]:
        """Return the fast weights from the gradients `g` of all examples; an example of weight 0 is skipped.

        If the support set is empty, each fast weight is the bias of `out`.
        """
        gradients = read(g, _P)  # [n, ..., 2]
        h = c = gradients.new_zeros(*gradients.shape[1:-1], self.out.in_features)
        for i in range(len(w)):
            new_h, new_c = self.cell(torch.cat([gradients[i], h], -1), c)
            h, c = torch.where(w[i] > 0, new_h, h), torch.where(w[i] > 0, new_c, c)
        return self.out(h)[..., 0]


def _example_writer(hidden: int) -> nn.Module:
    out = _small(nn.Linear(hidden, 1))
    return nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), out)


def _small(out: nn.Linear) -> nn.Linear:
    """Make the first fast weights small: they are similar for all units of a layer and would dominate the slow ones."""
    nn.init.zeros_(out.bias)
    with torch.no_grad():
        out.weight *= 0.1
    return out


def _cosine(a: Tensor, b: Tensor) -> Float[Tensor, "m n"]:
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def _read(a: Float[Tensor, "m n"], memory: Weights) -> Weights:
    return tuple((a @ fast.flatten(1)).reshape(a.shape[0], *fast.shape[1:]) for fast in memory)
