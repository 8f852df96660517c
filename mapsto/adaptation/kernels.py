"""Choose kernels that can be differentiated twice, as an inner loop needs.

The fused kernels of `scaled_dot_product_attention` have no second derivative. The kernel "math" computes the same
function by matrix products, which have derivatives of every order.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.backends import cuda
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Let attention within the block use the kernel "math"; a block inside such a block does nothing.

    The choice holds for all threads, so enter the block before starting threads or compiling.
    """
    fused = (cuda.flash_sdp_enabled, cuda.mem_efficient_sdp_enabled, cuda.cudnn_sdp_enabled)
    if torch.compiler.is_compiling() or not any(enabled() for enabled in fused):
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield
