"""Split a pytree into its tensors for an autograd function, and compute vector-Jacobian products by them."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.func import vjp
from torch.utils import _pytree as pytree

Tensors = tuple[Tensor, ...]


def split(tree: Any) -> tuple[list[Tensor], Callable[[Tensors], Any]]:
    """Return the tensors of a pytree, and a function that returns the pytree with other tensors in their places."""
    leaves, spec = pytree.tree_flatten(tree)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def join(tensors: Tensors) -> Any:
        filled = dict(zip(places, tensors, strict=True))
        return pytree.tree_unflatten([filled.get(i, leaf) for i, leaf in enumerate(fixed)], spec)

    fixed = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    return [leaves[i] for i in places], join


def pull(run: Callable[..., Tensors], tensors: Tensors, cotangents: Tensors) -> list[Tensor | None]:
    """Return the vector-Jacobian product of `run` by each floating-point tensor, and None for all other tensors."""
    floating = [i for i, tensor in enumerate(tensors) if tensor.is_floating_point()]

    def moved(*values: Tensor) -> Tensors:
        moving = dict(zip(floating, values, strict=True))
        return run(*(moving.get(i, tensor) for i, tensor in enumerate(tensors)))

    gradients = vjp(moved, *(tensors[i] for i in floating))[1](cotangents)
    products: list[Tensor | None] = [None] * len(tensors)
    for i, gradient in zip(floating, gradients, strict=True):
        products[i] = gradient
    return products
