"""Moments of the channels of images, and the scaling of channels, with derivatives that read each image only once.

    mean = Σ s·m,    var = Σ s·v,    y = x·scale + shift      for each channel

The share s of an image in all weights multiplies its mean m over the pixels, and the mean v of their squared distances
to `mean`. Autograd's own derivatives read and write all images a dozen times, which takes as long as the convolutions.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .. import checks

_AT_ONCE = 2**18  # numbers that fit into the processor's cache


def moments(x: Float[Tensor, "n c ..."], share: Tensor) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """Return the mean and the variance of each channel; the `share` of each row, `[n]` or one for all, adds up to 1."""
    return _Moments.apply(x, share) if x.numel() and checks.recording() else _moments(x, share)


def scaled(x: Float[Tensor, "n c ..."], scale: Float[Tensor, " c"], shift: Float[Tensor, " c"]) -> Tensor:
    """Return x · scale + shift for each channel."""
    return _Scaled.apply(x, scale, shift) if checks.recording() else _scaled(x, scale, shift)


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        mean, var = _equal_moments(x) if x.device.type == "cpu" and not share.dim() else _moments(x, share)
        ctx.save_for_backward(x, share, mean)
        return mean, var

    @staticmethod
    def backward(ctx: Any, by_mean: Tensor, by_var: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[override]
        x, share, mean = ctx.saved_tensors
        by_x = by_share = None
        if ctx.needs_input_grad[0]:
            each = (share * (len(x) / max(x[:, 0].numel(), 1))).view(-1, 1)  # the share of each pixel
            by_x = _scaled(x, 2 * each * by_var, each * (by_mean - 2 * by_var * mean))
        if ctx.needs_input_grad[1]:
            by_share = (_over_pixels(x) * by_mean + _squares(x, mean) * by_var).sum(1)
        return by_x, by_share


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale)
        return _scaled(x, scale, shift)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, scale = ctx.saved_tensors
        by_x, by_scale, by_shift = ctx.needs_input_grad
        pairs = zip(_parts(g), _parts(x), strict=True)
        all_but_channels = (0, *range(2, x.dim()))
        return (
            g * _by_channel(scale, x) if by_x else None,
            torch.stack([(a * b).sum(all_but_channels) for a, b in pairs]).sum(0) if by_scale else None,
            g.sum(all_but_channels) if by_shift else None,
        )


def _moments(x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    mean = _total(share, _over_pixels(x))  # [c]
    return mean, _total(share, _squares(x, mean))


def _equal_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the moments over rows of equal weight from those of parts, because torch loses digits in long sums."""
    parts = _parts(x)
    share = x.new_tensor([len(part) / len(x) for part in parts])
    of_parts = [torch.batch_norm_update_stats(part, None, None, 0.0) for part in parts]
    means, within = (torch.stack(moments) for moments in zip(*of_parts, strict=True))  # [parts, c]
    mean = _total(share, means)
    return mean, _total(share, within + (means - mean).square())


def _total(share: Tensor, rows: Float[Tensor, "n c"]) -> Float[Tensor, " c"]:
    return (share.view(-1, 1) * rows).sum(0)


def _squares(x: Tensor, mean: Tensor) -> Float[Tensor, "n c"]:
    return torch.cat([_over_pixels((part - _by_channel(mean, x)).square()) for part in _parts(x)])


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    rows = _AT_ONCE // max(x.shape[1:].numel(), 1) if x.device.type == "cpu" else len(x)
    return x.split(max(rows, 1))


def _scaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return torch.addcmul(_by_channel(shift, x), x, _by_channel(scale, x))


def _by_channel(values: Float[Tensor, "... c"], x: Tensor) -> Tensor:
    return values.view(*values.shape, *(1,) * (x.dim() - 2))


def _over_pixels(x: Float[Tensor, "n c ..."]) -> Float[Tensor, "n c"]:
    return x.mean(tuple(range(2, x.dim()))) if x.dim() > 2 else x
