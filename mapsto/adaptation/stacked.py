"""Compute a network of linear layers for all tasks of a batch at once, each task with parameters of its own.

    h_t ← h_t·W_tᵀ + b_t  for all tasks t, by one batched product for each layer

`torch.func.vmap` computes the same, for any network, but a small product then takes less time than the bookkeeping
around it.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from . import sequences
from .inner import Params

_BY_ENTRY = (nn.Identity, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Sigmoid, nn.Tanh)


def stacks(body: nn.Module) -> bool:
    """Return whether `outputs` can compute `body`: a plain sequence of linear layers and of functions of each entry."""
    return sequences.plain(body) and all(_known(layer) for _, layer in _layers(body))


def reads(body: nn.Module, x: Tensor) -> bool:
    """Return whether `outputs` can read inputs like `x`: rows of numbers, or any shape if `body` flattens it first."""
    return x.dim() == 3 or type(next(_layers(body))[1]) is nn.Flatten


def outputs(body: nn.Module, params: Params, x: Float[Tensor, "tasks n ..."]) -> Float[Tensor, "tasks n k"]:
    """Return the outputs of `body` for `n` rows of each task.

    A parameter with one more axis than that of `body` holds the values of each task; others are shared by the tasks.
    """
    for name, layer in _layers(body):
        if isinstance(layer, nn.Linear):
            x = _linear(x, params[f"{name}.weight"], params.get(f"{name}.bias"))
        else:
            x = x.flatten(2) if isinstance(layer, nn.Flatten) else layer(x)
    return x


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if weight.dim() == 2:
        bias, each = (bias, None) if bias is None or bias.dim() == 1 else (None, bias)
        x = F.linear(x, weight, bias)
        return x if each is None else x + each[:, None]
    if bias is None:
        return torch.bmm(x, weight.mT)
    return torch.baddbmm(bias[:, None] if bias.dim() == 2 else bias, x, weight.mT)


def _layers(body: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers in the order in which nested sequences call them, with their names."""
    for name, layer in body.named_children():
        if sequences.in_turn(layer):
            yield from _layers(layer, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", layer


def _known(layer: nn.Module) -> bool:
    if type(layer) is nn.Linear:
        return {"weight", "bias"} == {*layer._parameters}  # neither is a buffer or computed
    whole_rows = type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1)
    return whole_rows or (type(layer) in _BY_ENTRY and not getattr(layer, "inplace", False))
