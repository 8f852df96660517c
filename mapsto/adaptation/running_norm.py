"""Batch norm for ordinary training: minibatch statistics in training, their moving averages in every prediction.

    running ← (1 − momentum)·running + momentum·(statistics of the minibatch)

Ioffe & Szegedy 2015, Algorithm 2, with the moving averages and the unbiased variance of `torch.nn.BatchNorm2d`.
Bodies are ordinary modules. `prepare_running` replaces their batch-norm layers by `RunningNorm`, which uses its moving
averages unless it is given weights of a minibatch. The moving averages are buffers, and a pass returns their new values
instead of writing them: the training loop writes them after the step.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from .. import checks
from ..episodes import blank
from .normalisation import Tensors, buffers_of, moments, normalised, scores_of, swap


class RunningNorm(nn.Module):
    """Batch norm with moving averages that normalises a row without reading other rows, except in `on_minibatch`.

    The buffer `w` is None outside `on_minibatch`. Inside, it holds the weights of the minibatch's rows; rows of weight
    0 do not count.
    """

    w: Tensor | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: _BatchNorm):
        super().__init__()
        momentum = norm.momentum is not None
        checks.expect(momentum, "body", "a batch-norm layer with momentum=None", "one with a momentum, such as 0.1")
        self.eps, self.momentum, self.weight, self.bias = norm.eps, norm.momentum or 0.0, norm.weight, norm.bias
        like = next(norm.parameters(), torch.empty(()))
        start = like.new_zeros(norm.num_features), like.new_ones(norm.num_features)
        kept = (norm.running_mean, norm.running_var) if norm.track_running_stats else start
        for name, tensor in zip(("running_mean", "running_var"), kept, strict=True):
            self.register_buffer(name, tensor)
        self.register_buffer("w", None, persistent=False)

    def forward(self, x: Float[Tensor, "n c ..."]) -> Float[Tensor, "n c ..."]:
        """Return `x` with each channel normalised by the moving averages, or by the minibatch if `w` is given."""
        if self.w is None or not self.training:
            return normalised(x, self.running_mean, self.running_var, self)
        values = x[:, 0].numel()
        checks.expect(values > 1, "body", "batch norm of a single value", "minibatches of at least two rows")
        mean, var = _wide_moments(x, self.w)
        size = (self.w > 0).sum() * (values // len(x))
        unbiased = var.detach() * size / (size - 1).clamp(min=1)
        self.running_mean = torch.lerp(self.running_mean, mean.detach().to(self.running_mean), self.momentum)
        self.running_var = torch.lerp(self.running_var, unbiased.to(self.running_var), self.momentum)
        return normalised(x, mean, var, self).to(x.dtype)


@contextmanager
def constant_averages(module: nn.Module) -> Iterator[None]:
    """Let the `RunningNorm` layers of a module use and keep their moving averages within the block."""
    norms = [part for part in module.modules() if isinstance(part, RunningNorm) and part.training]
    for norm in norms:
        norm.training = False
    try:
        yield
    finally:
        for norm in norms:
            norm.training = True


def _wide_moments(x: Float[Tensor, "n c ..."], w: Float[Tensor, " n"]) -> tuple[Tensor, Tensor]:
    """Return the moments of a minibatch, computed in single precision if `x` has less."""
    if x.dtype not in (torch.bfloat16, torch.float16):
        return moments(x, w)
    with torch.autocast(x.device.type, enabled=False):
        return moments(x.float(), w.float())


def prepare_running(body: nn.Module) -> nn.Module:
    """Replace the batch-norm layers of `body` by `RunningNorm` layers, which keep their parameters and averages.

    The layers of `body` are replaced in place, unless `body` itself is a batch-norm layer.

    Raises:
        MapstoError: if a layer's momentum is None.
    """
    return swap(body, RunningNorm)


def on_minibatch(body: nn.Module, x: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]) -> tuple[Tensor, Tensors]:
    """Return the outputs of `body` for a minibatch, and the new values of its buffers.

    Batch norm uses the statistics of the minibatch, or its moving averages in evaluation mode. The outputs of rows of
    weight 0 mean nothing.
    """
    norms = [name for name, layer in body.named_modules() if isinstance(layer, RunningNorm)]
    before = buffers_of(body)
    inside: dict = {**before, **{f"{name}.w".lstrip("."): w for name in norms}}
    outputs = scores_of(functional_call(body, inside, (blank(x, w),)), len(x))  # writes the new values into `inside`
    return outputs, {name: inside[name] for name in before}
