"""The normalisations that image networks are built with. None keeps statistics from one call to the next."""

from typing import Literal

from torch import nn

from ..errors import MapstoError

Norm = Literal["batch", "layer", "none"]


def normalise(norm: Norm, channels: int) -> nn.Module:
    """Return a new layer for images `[n, channels, ...]`.

    "batch" normalises each channel over a batch (Ioffe & Szegedy 2015), for which a learner takes the support set;
    "layer" each image over all its channels and pixels (Ba et al. 2016, eq. 3), whatever else is in the task; "none"
    leaves images as they are.

    >>> normalise("layer", 8).num_groups  # all channels are one
    1
    """
    if norm not in ("batch", "layer", "none"):
        raise MapstoError(f"norm: got {norm!r}, expected 'batch', 'layer' or 'none'.")
    if norm == "none":
        return nn.Identity()
    return nn.BatchNorm2d(channels, track_running_stats=False) if norm == "batch" else nn.GroupNorm(1, channels)


def started(convolution: nn.Conv2d, norm: Norm) -> nn.Conv2d:
    """Return a new convolution; what no norm follows starts so large that nothing shrinks (He et al. 2015, eq. 10)."""
    if norm == "none":
        nn.init.kaiming_normal_(convolution.weight)
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    return convolution
