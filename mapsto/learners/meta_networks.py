"""A network writes another's weights: fast weights made from loss gradients are added to slow, learned ones.

    Q* = d(∇_Q ℓ(u_Q(x_1), y_1), ∇_Q ℓ(u_Q(x_2), y_2), …)                 fast weights of the task, an LSTM's last word
    k_i = u_{Q,Q*}(x_i),   M_i = m(∇_W ℓ(b_W(x_i), y_i))                  memory: a key and fast weights an example
    a_i = w_i·exp(scale·cos(u_{Q,Q*}(x), k_i)) / Σ_j …,   W* = Σ_i a_i·M_i
    scores = b_{W,W*}(x)                                                  layer by layer: h ← σ(W h) + σ(W* h)

`d` and `m` see one coordinate of a gradient at a time, as (log|g| / 7, sign g), or (−1, e⁷·g) where |g| < e⁻⁷.
Munkhdalai & Yu 2017, "Meta Networks", Algorithm 1 and eq. 1 to 9, with the preprocessing of Andrychowicz et al. 2016.

Where we depart: all derivatives are taken, where the published code takes the gradients to be constants; `d` reads
every example, one at a time, and each layer has a `d` and an `m` of its own, but for the last of `u`, from which no key
comes; both networks' losses are that of the task (the paper has a contrastive one for the keys where there are pairs);
biases and norms have no fast counterpart, and pooling comes before the sum of slow and fast.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase

from ..adaptation import losses
from ..adaptation.coordinates import read
from ..adaptation.labels import below
from ..adaptation.learner import Learner
from ..adaptation.lstm_cell import Cell
from ..adaptation.normalisation import SupportNorm, on_query, on_support, prepare
from ..episodes import Examples
from ..errors import MapstoError
from .matching import attention

Weights = tuple[Tensor, ...]  # one tensor a layer; fast ones may have one more axis in front, a row each
Statistics = dict[str, dict[str, Tensor]]
Rest = Callable[[str, nn.Module, Tensor], Tensor]  # what follows a layer's weights: its name, the module, its input
Weighted = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
_P = 7.0  # gradients below e⁻⁷ are told by their size, those above by its logarithm


class Fast(NamedTuple):
    """What the support set wrote: fast weights of the key network, and the memory of fast weights with its keys."""

    task: Weights
    memory: Weights  # each [n, ...]
    keys: Float[Tensor, "n f"]
    w: Float[Tensor, " n"]
    statistics: tuple[Statistics, Statistics]  # of the key network and of the body


class MetaNetwork(Learner):
    """A body whose fast weights a query reads from a memory of the support set's gradients.

    With an empty support set fast weights are 0: the body answers by its slow weights, and what its activations and
    norms make of 0 is added. A derivative by `w` misses the jump at 0, where the LSTM begins to read an example. The
    key network's last layer is a head that only its own loss reads; a key is what comes before it.

    Args:
        body: the network that answers, `[n, ...]` to `[n, k]`: an `nn.Sequential`, as `MLP` and `Conv4` are, of linear
            layers and convolutions, each followed by its norm, activation or pooling, best without norms, as in the
            paper: a norm blows up what fast weights make of little, before they say anything. Batch norm normalises by
            the support set, see `normalisation`.
        keys: the network that makes the keys, such a module too.
        loss: of the support and the query set, "mse" or "cross_entropy".
        scale: sharpness of the attention, 1 in the paper. A cosine is between −1 and 1: the larger the scale, the
            sooner training leaves the plateau where every query reads the mean of the memory.
        hidden: units of the networks that write weights; the LSTM keeps four times as many numbers for each weight of
            `keys` and each example.

    Raises:
        MapstoError: an unknown `loss`, `hidden` below 1, `scale` not above 0, a network that is no such chain, has no
            weights or has weights elsewhere than in its layers, or batch norm with running statistics.

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
        if loss not in losses.LOSSES:
            raise MapstoError(f"loss: got {loss!r}, expected one of {', '.join(losses.LOSSES)}.")
        if hidden < 1:
            raise MapstoError(f"hidden: got {hidden}, expected at least 1 unit.")
        if not scale > 0:
            raise MapstoError(f"scale: got {scale}, expected a sharpness above 0.")
        self.body, self.keys, self.loss_name, self.scale = Layers("body", body), Layers("keys", keys), loss, scale
        self.task_writers = nn.ModuleList(TaskWriter(hidden) for _ in self.keys.layers[:-1])
        self.example_writers = nn.ModuleList(_example_writer(hidden) for _ in self.body.layers)

    def adapt(self, support: Examples) -> Fast:
        """Write fast weights from the gradients of the support set's losses."""
        gradients = self._gradients(self.keys, support)
        task = tuple(write(g, support.w) for write, g in zip(self.task_writers, gradients[:-1], strict=True))
        outputs, of_keys = self.keys.on_support(support, task)
        keys = outputs[-2].flatten(1)
        gradients = self._gradients(self.body, support)
        memory = tuple(write(read(g, _P))[..., 0] for write, g in zip(self.example_writers, gradients, strict=True))
        looked_up = _read(attention(self.scale * _cosine(keys, keys), support.w), memory)
        of_body = self.body.on_support(support, looked_up)[1] if self.body.normalises else {}
        return Fast(task, memory, keys, support.w, (of_keys, of_body))

    def predict(self, state: Fast, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Let each row read fast weights of its own, and answer by slow and fast ones together."""
        return self._layers(state, x, self._attend(state, self._key(state, x)))[-1]

    def features(self, state: Fast, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the key, the attention to each support example, and the output of each layer of the body."""
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

    def _gradients(self, network: "Layers", support: Examples) -> Weights:
        """Return the gradient of each example's loss by the slow weights, `[n, ...]` a layer; norms stay."""
        slow = network.slow()
        if self.loss_name == "cross_entropy":
            below(len(slow[-1]), support.y)
        if len(support.w) == 0:
            return tuple(weight.new_zeros(0, *weight.shape) for weight in slow)
        statistics = network.on_support(support, ())[1] if network.normalises else {}

        def loss(slow: Weights, x: Tensor, y: Tensor) -> Tensor:
            scores = network.on_query(x[None], (), statistics, slow)[-1]
            return losses.LOSSES[self.loss_name](scores, y[None], torch.ones_like(scores[:, 0]))

        return vmap(grad(loss), (None, 0, 0))(slow, support.x, support.y)


class Layers(nn.Module):
    """A network as a chain of layers with weights, run once by slow and, as far as these go, once by fast weights."""

    def __init__(self, name: str, network: nn.Module):
        super().__init__()
        first, layers = _chain(name, network)
        self.first = nn.Sequential(*first)
        self.layers = nn.ModuleList(weighted for weighted, _ in layers)
        self.rests = nn.ModuleList(prepare(nn.Sequential(*rest)) for _, rest in layers)
        self.normalises = any(isinstance(module, SupportNorm) for module in self.rests.modules())

    def slow(self) -> Weights:
        """Return the slow weights."""
        return tuple(layer.weight for layer in self._weighted())

    def on_support(self, support: Examples, fast: Weights) -> tuple[list[Tensor], Statistics]:
        """Return the input and the output of each layer, and what the norms measured."""
        statistics: Statistics = {}

        def rest(name: str, module: nn.Module, h: Tensor) -> Tensor:
            h, statistics[name] = on_support(module, {}, h, support.w)
            return h

        return self._run(support.x, self.slow(), fast, rest), statistics

    def on_query(self, x: Tensor, fast: Weights, statistics: Statistics, slow: Weights | None = None) -> list[Tensor]:
        """Return the input and the output of each layer, row by row on given statistics."""
        slow = self.slow() if slow is None else slow
        return self._run(x, slow, fast, lambda name, module, h: on_query(module, {}, statistics.get(name, {}), h))

    def _weighted(self) -> list[Weighted]:
        return [layer for layer in self.layers if isinstance(layer, Weighted)]

    def _run(self, x: Tensor, slow: Weights, fast: Weights, rest: Rest) -> list[Tensor]:
        outputs = [self.first(x)]
        for i, (layer, module) in enumerate(zip(self._weighted(), self.rests, strict=True)):
            h = rest(f"{i} slow", module, functional_call(layer, {"weight": slow[i]}, (outputs[-1],)))
            if i < len(fast):
                h = h + rest(f"{i} fast", module, _by_fast(layer, fast[i], outputs[-1]))
            outputs.append(h)
        return outputs


class TaskWriter(nn.Module):
    """An LSTM that reads what each example's gradient says of a weight, and writes the fast weight after the last."""

    def __init__(self, hidden: int):
        super().__init__()
        self.cell, self.out = Cell(2 + hidden, hidden), _quiet(nn.Linear(hidden, 1))

    def forward(self, g: Float[Tensor, "n ..."], w: Float[Tensor, " n"]) -> Float[Tensor, "..."]:
        """Return the fast weights; an example of weight 0 is passed over, and nothing read writes the bias."""
        said = read(g, _P)  # [n, ..., 2]
        h = c = said.new_zeros(*said.shape[1:-1], self.out.in_features)
        for i in range(len(w)):
            new_h, new_c = self.cell(torch.cat([said[i], h], -1), c)
            h, c = torch.where(w[i] > 0, new_h, h), torch.where(w[i] > 0, new_c, c)
        return self.out(h)[..., 0]


def _example_writer(hidden: int) -> nn.Module:
    out = _quiet(nn.Linear(hidden, 1))
    return nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), out)


def _quiet(out: nn.Linear) -> nn.Linear:
    """Start at fast weights that are small: being written alike for all units of a layer, they would drown the slow."""
    nn.init.zeros_(out.bias)
    with torch.no_grad():
        out.weight *= 0.1
    return out


def _cosine(a: Tensor, b: Tensor) -> Float[Tensor, "m n"]:
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def _read(a: Float[Tensor, "m n"], memory: Weights) -> Weights:
    return tuple((a @ written.flatten(1)).reshape(len(a), *written.shape[1:]) for written in memory)


def _by_fast(layer: Weighted, weight: Tensor, x: Tensor) -> Tensor:
    """Run a layer by fast weights, all rows by the same or each by its own, without a bias."""
    if len(x) == 0:
        return layer(x)  # vmap has no convolution of no rows
    bias = {} if layer.bias is None else {"bias": torch.zeros_like(layer.bias)}
    if weight.dim() == layer.weight.dim():
        return functional_call(layer, {"weight": weight, **bias}, (x,))
    return vmap(lambda w, row: functional_call(layer, {"weight": w, **bias}, (row[None],))[0])(weight, x)


def _chain(name: str, network: nn.Module) -> tuple[list[nn.Module], list[tuple[Weighted, list[nn.Module]]]]:
    """Return what comes before the first layer with weights, and each such layer with what follows it."""
    first: list[nn.Module] = []
    layers: list[tuple[Weighted, list[nn.Module]]] = []
    modules = [module for _, module in network.named_modules(remove_duplicate=False)]  # one runs as often as it occurs
    parents, leaves = ([m for m in modules if any(True for _ in m.children()) == parent] for parent in (True, False))
    for leaf in leaves:
        if isinstance(leaf, Weighted):
            layers.append((leaf, []))
        else:
            (layers[-1][1] if layers else first).append(leaf)
    known = {id(p) for leaf in leaves[len(first) :] for p in leaf.parameters()}
    normed = any(isinstance(leaf, _NormBase) for leaf in first)
    in_turn = all(type(parent).forward is nn.Sequential.forward for parent in parents)
    twice = len({id(layer) for layer, _ in layers}) < len(layers)
    if not layers or normed or not in_turn or twice or any(id(p) not in known for p in network.parameters()):
        raise MapstoError(
            f"{name}: got {type(network).__name__}, expected an nn.Sequential, as MLP and Conv4 are, of linear layers "
            "or convolutions, each there once, that begins with one and has all its parameters in them and in the "
            "norms between."
        )
    return first, layers
