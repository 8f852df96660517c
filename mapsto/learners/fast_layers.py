"""Run each layer of a chain once with slow (learned) and once with fast (generated) weights, and add the outputs.

    h ← σ(W h) + σ(W* h)      with slow weights W and fast weights W*

σ stands for everything between the weights of this layer and of the next: norm, activation and pooling. For
`MetaNetwork`: Munkhdalai & Yu 2017, "Meta Networks", §3.3 (layer augmentation). Pooling comes before the sum.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _NormBase

from .. import checks
from ..adaptation.normalisation import SupportNorm, on_query, on_support, prepare
from ..episodes import Examples

Weights = tuple[Tensor, ...]  # one tensor for each layer; fast ones may have a leading axis of rows
Statistics = dict[str, dict[str, Tensor]]
Rest = Callable[[str, nn.Module, Tensor], Tensor]  # runs what follows a layer's weights: its name, module and input
Weighted = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


class Layers(nn.Module):
    """A chain of layers with slow weights; fast weights can be given for the first layers or for all."""

    def __init__(self, name: str, network: nn.Module):
        super().__init__()
        first, layers = _chain(name, network)
        self.first = nn.Sequential(*first)
        self.layers = nn.ModuleList(weighted for weighted, _ in layers)
        self.rests = nn.ModuleList(prepare(nn.Sequential(*rest)) for _, rest in layers)
        self.normalises = any(isinstance(module, SupportNorm) for module in self.rests.modules())

    def slow(self) -> Weights:
        """Return the slow weights: the learned weight tensor of each layer."""
        return tuple(layer.weight for layer in self._weighted())

    def on_support(self, support: Examples, fast: Weights) -> tuple[list[Tensor], Statistics]:
        """Return the input of the chain and the output of each layer, and the statistics of the norms."""
        statistics: Statistics = {}

        def rest(name: str, module: nn.Module, h: Tensor) -> Tensor:
            h, statistics[name] = on_support(module, {}, h, support.w)
            return h

        return self._run(support.x, self.slow(), fast, rest), statistics

    def on_query(self, x: Tensor, fast: Weights, statistics: Statistics, slow: Weights | None = None) -> list[Tensor]:
        """Return the input of the chain and the output of each layer, row by row with given statistics of the norms."""
        slow = self.slow() if slow is None else slow
        return self._run(x, slow, fast, lambda name, module, h: on_query(module, {}, statistics.get(name, {}), h))

    def _weighted(self) -> list[Weighted]:
        return [layer for layer in self.layers if isinstance(layer, Weighted)]

    def _run(self, x: Tensor, slow: Weights, fast: Weights, rest: Rest) -> list[Tensor]:
        outputs = [self.first(x)]
        for i, (layer, module) in enumerate(zip(self._weighted(), self.rests, strict=True)):
            h = rest(f"{i} slow", module, functional_call(layer, {"weight": slow[i]}, (outputs[-1],)))
            if i < len(fast):
                h = h + rest(f"{i} fast", module, by_fast(layer, fast[i], outputs[-1]))
            outputs.append(h)
        return outputs


def by_fast(layer: Weighted, weight: Tensor, x: Tensor) -> Tensor:
    """Return the output of a layer that uses the fast weights `weight` in place of its own, and no bias.

    `weight` is the same for all rows, or has a leading axis with one set of weights for each row.
    """
    if x.shape[0] == 0:
        return layer(x)  # vmap cannot convolve zero rows
    bias = {} if layer.bias is None else {"bias": torch.zeros_like(layer.bias)}
    if weight.dim() == layer.weight.dim():
        return functional_call(layer, {"weight": weight, **bias}, (x,))
    return vmap(lambda w, row: functional_call(layer, {"weight": w, **bias}, (row[None],))[0])(weight, x)


def _chain(name: str, network: nn.Module) -> tuple[list[nn.Module], list[tuple[Weighted, list[nn.Module]]]]:
    """Return the modules before the first layer with weights, and each such layer with the modules that follow it."""
    first: list[nn.Module] = []
    layers: list[tuple[Weighted, list[nn.Module]]] = []
    modules = [module for _, module in network.named_modules(remove_duplicate=False)]  # a module may occur twice
    parents, leaves = ([m for m in modules if any(True for _ in m.children()) == parent] for parent in (True, False))
    for leaf in leaves:
        if isinstance(leaf, Weighted):
            layers.append((leaf, []))
        else:
            (layers[-1][1] if layers else first).append(leaf)
    in_chain = {id(p) for leaf in leaves[len(first) :] for p in leaf.parameters()}
    normed = any(isinstance(leaf, _NormBase) for leaf in first)
    in_turn = all(type(parent).forward is nn.Sequential.forward for parent in parents)
    twice = len({id(layer) for layer, _ in layers}) < len(layers)
    complete = all(id(p) in in_chain for p in network.parameters())
    checks.expect(
        bool(layers) and in_turn and complete and not normed and not twice, name, type(network).__name__,
        "an nn.Sequential, such as MLP and Conv4, of distinct linear layers or convolutions, which starts with one of "
        "them and has all its parameters in them and in the norms between",
    )  # fmt: skip
    return first, layers
