"""Choose kernels that can be differentiated twice, as an inner loop needs.

The fused kernels of `scaled_dot_product_attention` have no second derivative. The kernel "math" computes the same
function by matrix products, which have derivatives of every order.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.backends import cuda

_FUSED = (
    (cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
    (cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
    (cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp),
)


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Let attention within the block use the kernel "math"; a block inside such a block does nothing.

    The choice holds for all threads, so enter the block before starting threads or compiling. It is made by the
    switches themselves, which take a tenth of the time of `torch.nn.attention.sdpa_kernel`.
    """
    before = [] if torch.compiler.is_compiling() else [enabled() for enabled, _ in _FUSED]
    if not any(before):
        yield
        return
    for _, enable in _FUSED:
        enable(False)
    try:
        yield
    finally:
        for (_, enable), was in zip(_FUSED, before, strict=True):
            enable(was)
