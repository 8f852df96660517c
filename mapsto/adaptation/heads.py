"""A head that adapts alone: the layers below it run once for a task, and the inner steps run the head only.

    h = layers below(x),      φ_{i+1} = φ_i − lr · ∇_φ Σ w·ℓ(head_φ(h), y)

Raghu et al. 2020, "Rapid Learning or Feature Reuse?", eq. 2.
"""

from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from . import sequences
from .normalisation import SupportNorm, Tensors, on_query, on_support


class Parts(NamedTuple):
    """A network as two sequences of layers, with the names of their parameters in the network."""

    below: nn.Sequential
    head: nn.Sequential


def split(body: nn.Module, adapted: Collection[str]) -> Parts | None:
    """Return the layers below those that adapt, and the others; None if the layers below have to run in every step.

    They run once if `body` is a plain sequence of layers of torch and mapsto, without active dropout, which draws a new
    mask in every step. None is also returned if no layer with parameters is below.
    """
    layers = list(body.named_children())
    first = next((i for i, (name, _) in enumerate(layers) if any(p.startswith(f"{name}.") for p in adapted)), 0)
    saves = any(True for _, layer in layers[:first] for _ in layer.parameters())  # first, as it costs the least
    if not saves or not sequences.plain(body) or not all(_repeats(layer) for layer in body.modules()):
        return None
    below, head = (nn.Sequential(OrderedDict(part)) for part in (layers[:first], layers[first:]))
    normed = any(isinstance(layer, SupportNorm) for layer in head.modules())
    return None if normed else Parts(below, head)


def inputs_of(
    parts: Parts, params: Tensors, x: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "n ..."], Tensors]:
    """Return the inputs of the head for a support set, and the statistics of the batch-norm layers below it."""
    return on_support(parts.below, _of(parts.below, params), x, w)


def scores_of(parts: Parts, params: Tensors, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
    """Return the scores of the head for its inputs `x`; `params` are parameters of the network."""
    return on_query(parts.head, _of(parts.head, params), {}, x.clone())  # the head may work in place


def _of(part: nn.Module, params: Tensors) -> Tensors:
    return {name: params[name] for name, _ in part.named_parameters() if name in params}


def _repeats(layer: nn.Module) -> bool:
    """Return whether a layer is known to compute the same each time."""
    known = type(layer).__module__.partition(".")[0] in ("torch", "mapsto")
    draws = isinstance(layer, _DropoutNd | nn.RReLU | nn.MultiheadAttention | nn.RNNBase)
    return known and not (draws and layer.training)
