"""The normalisations of image networks; they keep no statistics from one call to the next."""

from typing import Literal, get_args

from torch import nn

from .. import checks

Norm = Literal["batch", "layer", "none"]


def normalise(norm: Norm, channels: int) -> nn.Module:
    """Return a new normalisation layer for images `[n, channels, ...]`.

    "batch" normalises each channel over a batch (Ioffe & Szegedy 2015); learners use the statistics of the support set.
    "layer" normalises each image over all its channels and pixels (Ba et al. 2016, eq. 3), independently of other
    images. "none" does not change the images.

    Raises:
        MapstoError: if `norm` is unknown.

    >>> normalise("layer", 8).num_groups  # all channels form one group
    1
    """
    checks.one_of(get_args(Norm), norm=norm)
    if norm == "none":
        return nn.Identity()
    return nn.BatchNorm2d(channels, track_running_stats=False) if norm == "batch" else nn.GroupNorm(1, channels)


def started(convolution: nn.Conv2d, norm: Norm) -> nn.Conv2d:
    """Return the convolution, with newly initialised weights if no norm follows.

    The initialisation of He et al. 2015, eq. 10, keeps the magnitude of the activations similar from layer to layer.
    """
    if norm == "none":
        nn.init.kaiming_normal_(convolution.weight)
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    return convolution
