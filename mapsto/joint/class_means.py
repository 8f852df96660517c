"""The mean of each class over the rows of a support set."""

import torch
from jaxtyping import Float
from torch import Tensor


def means(mass: Float[Tensor, "k n"], values: Float[Tensor, "n ..."]) -> Float[Tensor, "k ..."]:
    """Return the mean of `values` for each class, given the weight of each row in it; NaN does not count.

    >>> means(torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]]), torch.tensor([[1.0], [torch.nan], [5.0]]))
    tensor([[1.],
            [5.]])
    """
    there = (~values.isnan()).to(mass)
    total = torch.einsum("kn,n...->k...", mass, values.to(mass).nan_to_num(0.0))
    return total / torch.einsum("kn,n...->k...", mass, there).clamp(min=1e-12)
