"""Batch norm for learners: query rows are normalised by the statistics of the support set, stored in the state.

    mean = Σ w·m / Σ w,   var = Σ w·s / Σ w,   y = (x − mean) / √(var + eps) · weight + bias

`m` is an example's mean over its pixels, and `s` the mean of their squared distances to `mean`. So the result for a
query row does not depend on other query rows, and padding of weight 0 has no effect. The query rows of a transductive
learner are an exception: they are normalised by their own statistics, in which all rows have equal weights.

Bodies are ordinary modules. `prepare` replaces their batch-norm layers by `SupportNorm`, which without given weights
and statistics computes the same function (Ioffe & Szegedy 2015, Algorithm 1).
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from .. import checks
from ..episodes import blank
from . import channels
from .outputs import scores_in

Tensors = dict[str, Tensor]


class SupportNorm(nn.Module):
    """Batch norm that can weight the rows of a batch, or use given statistics instead of the batch's own.

    The buffers `w`, `mean` and `var` are None outside `functional_call`. Inside, they hold the given weights or
    statistics. If weights are given, the layer writes the statistics that it used into `mean` and `var`. Nothing is
    stored between calls.
    """

    w: Tensor | None
    mean: Tensor | None
    var: Tensor | None

    def __init__(self, norm: _BatchNorm):
        super().__init__()
        self.eps, self.weight, self.bias = norm.eps, norm.weight, norm.bias
        for name in ("w", "mean", "var"):
            self.register_buffer(name, None, persistent=False)

    def forward(self, x: Float[Tensor, "n c ..."]) -> Float[Tensor, "n c ..."]:
        """Return `x` with each channel normalised by `mean` and `var`, or by its own statistics if these are None."""
        mean, var = self.mean, self.var
        if mean is None or var is None:
            mean, var = moments(x, self.w)
        else:
            twice = self.w is not None
            checks.expect(not twice, "body", "a batch-norm layer that runs twice in one pass", "one for each place")
        if self.w is not None:
            self.mean, self.var = mean, var
        return normalised(x, mean, var, self)


def moments(x: Float[Tensor, "n c ..."], w: Float[Tensor, " n"] | None = None) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance of each channel, both `[c]`, over all rows and pixels.

    Rows have the weights `w`, or equal weights if `w` is None. If all weights are 0, the mean is 0 and the variance 1.

    >>> moments(torch.tensor([[1.0], [3.0], [99.0]]), torch.tensor([0.5, 0.5, 0.0]))
    (tensor([2.]), tensor([1.]))
    """
    if len(x) == 0:
        return x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
    if w is None:
        return channels.moments(x, x.new_tensor(1 / len(x)))
    mass = w.sum()
    mean, var = channels.moments(x, w / torch.where(mass > 0, mass, 1.0))
    return mean, torch.where(mass > 0, var, 1.0)


def normalised(x: Float[Tensor, "n c ..."], mean: Tensor, var: Tensor, norm: Any) -> Float[Tensor, "n c ..."]:
    """Return (x − mean) / √(var + eps) · weight + bias for each channel, with `eps`, `weight` and `bias` of `norm`."""
    scale = (var + norm.eps).rsqrt() if norm.weight is None else (var + norm.eps).rsqrt() * norm.weight  # [c]
    shift = -mean * scale if norm.bias is None else norm.bias - mean * scale  # [c]
    return channels.scaled(x, scale, shift)


def prepare(body: nn.Module) -> nn.Module:
    """Replace the batch-norm layers of `body` in place by `SupportNorm` layers, and return `body`.

    The new layers have the parameters of the old ones.

    Raises:
        MapstoError: if `body` itself is a batch-norm layer, a layer keeps running statistics, which mix tasks and
            change in every call of a learner, or one layer is used in two places, whose statistics would be mixed up.
    """
    alone = isinstance(body, _BatchNorm) and not body.track_running_stats
    checks.expect(not alone, "body", "a batch-norm layer alone", "a network", "put it into nn.Sequential")
    replaced: set[nn.Module] = set()
    for name, layer in list(body.named_modules(remove_duplicate=False)):
        running = isinstance(layer, _NormBase) and layer.track_running_stats
        checks.expect(
            not running, "body", f"layer {name!r}, a {type(layer).__name__} with running statistics",
            "statistics of the support set, because running ones mix tasks", "build it with track_running_stats=False",
        )  # fmt: skip
        if isinstance(layer, _BatchNorm):
            twice = layer in replaced
            checks.expect(not twice, "body", f"layer {name!r} in more than one place", "one layer for each place")
            replaced.add(layer)
    return swap(body, SupportNorm)


def swap(body: nn.Module, make: Callable[[_BatchNorm], nn.Module]) -> nn.Module:
    """Replace each batch-norm layer of `body` by `make(layer)` in place; return `body`, or its own replacement.

    A layer in several places has one replacement.
    """
    new: dict[nn.Module, nn.Module] = {layer: make(layer) for layer in body.modules() if isinstance(layer, _BatchNorm)}
    for module in body.modules():
        for name, layer in module.named_children():
            if layer in new:
                setattr(module, name, new[layer])
    return new.get(body, body)


def on_support(
    body: nn.Module, params: Tensors, x: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
) -> tuple[Tensor, Tensors]:
    """Return the outputs of `body` with `params` on a support set, and the statistics of its batch-norm layers."""
    norms = _norms(body)
    tensors: dict = {**buffers_of(body), **params, **{f"{name}.w": w for name in norms}}
    tensors |= {f"{name}.{moment}": None for name in norms for moment in ("mean", "var")}
    outputs = scores_of(
        functional_call(body, tensors, (blank(x, w),)), len(x)
    )  # writes the layers' statistics into `tensors`
    return outputs, {f"{name}.{moment}": tensors[f"{name}.{moment}"] for name in norms for moment in ("mean", "var")}


def statistics_of(body: nn.Module, params: Tensors, x: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]) -> Tensors:
    """Return the statistics of the batch-norm layers on a support set; without such layers, `body` does not run."""
    return on_support(body, params, x, w)[1] if _norms(body) else {}


def on_query(body: nn.Module, params: Tensors, statistics: Tensors, x: Shaped[Tensor, "n ..."]) -> Tensor:
    """Return the outputs of `body` for the rows `x`, normalised by `statistics`.

    If `statistics` is empty, batch norm uses the statistics of `x`, as in a transductive learner.
    """
    return scores_of(functional_call(body, {**buffers_of(body), **params, **statistics}, (x,)), x.shape[0])


def _norms(body: nn.Module) -> list[str]:
    return [name for name, layer in body.named_modules() if isinstance(layer, SupportNorm)]


def buffers_of(body: nn.Module) -> Tensors:
    """Return copies of the buffers of `body`, so that a body that writes to them is still a pure function."""
    return {name: buffer.clone() for name, buffer in body.named_buffers()}


def scores_of(outputs: Any, rows: int) -> Tensor:
    """Return the scores in the outputs of a body for `rows` rows, see `scores_in`.

    Raises:
        MapstoError: if the scores are not one tensor.
    """
    kind, remedy = type(outputs).__name__, "put the body into a module that returns the scores alone"
    scores = scores_in(outputs, rows, "body", remedy)
    expected = "one tensor [n, k] of scores"
    checks.expect(isinstance(scores, Tensor), "body", f"one that returns a {kind}", expected, remedy)
    return scores
