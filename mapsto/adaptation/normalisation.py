"""Batch norm for learners: the statistics come from the support set and travel in the state.

    mean = Σ w·m / Σ w,   var = Σ w·(v + (m − mean)²) / Σ w,   y = (x − mean) / √(var + eps) · weight + bias

with `m`, `v` each example's mean and variance over space (law of total variance). So padding of weight 0 never counts,
but among transductive queries, whose rows all weigh alike, and a query row is normalised without its neighbours. Bodies
stay ordinary modules: `prepare` swaps their batch-norm layers for `SupportNorm`, which computes the same function
(Ioffe & Szegedy 2015, Algorithm 1) when called alone.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from ..errors import MapstoError

Tensors = dict[str, Tensor]


class SupportNorm(nn.Module):
    """Batch norm that can be given the weights of its batch, or the statistics to use instead of its batch's own.

    `w`, `mean` and `var` are buffers that are always empty, except inside `functional_call`, which fills them and
    hands back what the layer measured. Nothing is ever stored between calls.
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
        """Normalise each channel of `x`, by its own weighted statistics unless `mean` and `var` are given."""
        mean, var = self.mean, self.var
        if mean is None or var is None:
            mean, var = moments(x, self.w)
        elif self.w is not None:
            raise MapstoError("body: a batch-norm layer runs twice in one pass; expected one layer for each place.")
        if self.w is not None:
            self.mean, self.var = mean, var
        scale = (var + self.eps).rsqrt() if self.weight is None else (var + self.eps).rsqrt() * self.weight  # [c]
        shift = -mean * scale if self.bias is None else self.bias - mean * scale  # [c]
        space = (1,) * (x.dim() - 2)
        return torch.addcmul(shift.view(-1, *space), x, scale.view(-1, *space))


def moments(x: Float[Tensor, "n c ..."], w: Float[Tensor, " n"] | None = None) -> tuple[Tensor, Tensor]:
    """Return each channel's mean and variance `[c]`, examples weighing `w` (equally without); 0 and 1 where all w = 0.

    >>> moments(torch.tensor([[1.0], [3.0], [99.0]]), torch.tensor([0.5, 0.5, 0.0]))
    (tensor([2.]), tensor([1.]))
    """
    if len(x) == 0:
        return x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
    space = tuple(range(2, x.dim()))
    v, m = torch.var_mean(x, space, correction=0) if space else (torch.zeros_like(x), x)  # [n, c] each
    w = torch.ones_like(m[:, 0]) if w is None else w
    mass = w.sum()
    share = w / torch.where(mass > 0, mass, 1.0)  # [n]
    mean = share @ m  # [c]
    var = share @ (v + (m - mean).square())  # [c]
    return mean, torch.where(mass > 0, var, 1.0)


def prepare(body: nn.Module) -> nn.Module:
    """Swap the batch-norm layers of `body`, in place, for `SupportNorm` on the same parameters.

    Raises `MapstoError` for a layer with running statistics: they mix tasks, and each call of a learner would change
    them behind its back; and for one layer in two places, whose statistics would be mixed up.
    """
    if isinstance(body, _BatchNorm) and not body.track_running_stats:
        raise MapstoError("body: got a batch-norm layer alone; put it into nn.Sequential.")
    seen: set[nn.Module] = set()
    for name, layer in list(body.named_modules(remove_duplicate=False)):
        if isinstance(layer, _NormBase) and layer.track_running_stats:
            raise MapstoError(
                f"body: layer {name!r} is a {type(layer).__name__} with running statistics, which mix tasks; expected "
                "statistics of the support set. Build it with track_running_stats=False."
            )
        if isinstance(layer, _BatchNorm):
            if layer in seen:
                raise MapstoError(f"body: layer {name!r} is in more than one place; expected one layer for each place.")
            seen.add(layer)
            parent, _, leaf = name.rpartition(".")
            setattr(body.get_submodule(parent), leaf, SupportNorm(layer))
    return body


def on_support(
    body: nn.Module, params: Tensors, x: Float[Tensor, "n ..."], w: Float[Tensor, " n"]
) -> tuple[Tensor, Tensors]:
    """Run `body` with `params` on a support set; return the outputs and the statistics its norm layers measured."""
    norms = _norms(body)
    tensors: dict = {**params, **{f"{name}.w": w for name in norms}}
    tensors |= {f"{name}.{moment}": None for name in norms for moment in ("mean", "var")}
    outputs = functional_call(body, tensors, (x,))  # writes what the layers measured back into `tensors`
    return outputs, {f"{name}.{moment}": tensors[f"{name}.{moment}"] for name in norms for moment in ("mean", "var")}


def statistics_of(body: nn.Module, params: Tensors, x: Float[Tensor, "n ..."], w: Float[Tensor, " n"]) -> Tensors:
    """Return what the norm layers measure on a support set; a body that has none is not run."""
    return on_support(body, params, x, w)[1] if _norms(body) else {}


def on_query(body: nn.Module, params: Tensors, statistics: Tensors, x: Float[Tensor, "n ..."]) -> Tensor:
    """Run `body` with `params` row by row on given `statistics`; with none, on those of `x` itself (transductive)."""
    return functional_call(body, {**params, **statistics}, (x,))


def _norms(body: nn.Module) -> list[str]:
    return [name for name, layer in body.named_modules() if isinstance(layer, SupportNorm)]
