"""A task as an `Episode`: the examples to adapt to and the examples to test on.

The whole package uses these two tuples. A batch of tasks is the same tuple with one more leading axis on every tensor,
so that `torch.func.vmap` maps any function of one `Episode` over a batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.utils import _pytree as pytree

__all__ = ["Episode", "Examples", "examples", "over_tasks", "unstack"]

State = Any
"""The result of `Learner.adapt`, a pytree (tuple, dict or NamedTuple) of tensors."""


class Examples(NamedTuple):
    """A labelled set of examples.

    The weights `w` serve padding, tasks of different sizes, and influence alike. Sources of tasks set 1/n for a real
    example and 0 for padding. Weight 0 has the same effect as deleting the example while the other weights stay the
    same.
    """

    x: Float[Tensor, "n ..."]
    y: Shaped[Tensor, "n ..."]  # class index (int64), or target vector
    w: Float[Tensor, " n"]

    def to(self, *args: Any) -> "Examples":
        """Return the examples with every tensor moved to a device, and floating-point tensors converted to a dtype."""
        return to(self, *args)


class Episode(NamedTuple):
    """A task: its support set, to adapt to, and its query set, to test on."""

    support: Examples
    query: Examples
    noise: Tensor | None = None  # latent draws or minibatch orders; drawn by sources of tasks, never by learners
    context: Examples | None = None  # earlier tasks, for learners with a memory and for continual learning

    def to(self, *args: Any) -> "Episode":
        """Return the episode with every tensor moved to a device, and floating-point tensors converted to a dtype."""
        return to(self, *args)


class Source(Protocol):
    """A source of tasks whose batches are a pure function of their index, such as those of `mapsto.tasks`."""

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        """Return batch `index` of `count` tasks."""
        ...


def examples(x: Tensor, y: Tensor, w: Tensor | None = None) -> Examples:
    """Return the `Examples` of `x` and `y`; if `w` is None, each of the n examples has weight 1/n.

    >>> examples(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])).w
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    if w is None:
        w = torch.full((len(x),), 1 / max(len(x), 1), dtype=x.dtype, device=x.device)
    return Examples(x, y, w)


def over_tasks(function: Callable[[Episode], Any], chunk_size: int | None = None) -> Callable[[Episode], Any]:
    """Return a function that maps `function` over a batch of tasks by `vmap`.

    Fields that are None stay None; plain `vmap` does not accept them. If `chunk_size` is given, so many tasks are
    computed at a time.
    """

    def mapped(batch: Episode) -> Any:
        axes = pytree.tree_map(lambda leaf: None if leaf is None else 0, batch)
        return torch.func.vmap(function, in_dims=(axes,), chunk_size=chunk_size, randomness="different")(batch)

    return mapped


def stack(episodes: list[Episode]) -> Episode:
    """Return a batch of episodes of equal shapes, stacked along a leading task axis."""
    return pytree.tree_map(lambda *leaves: None if leaves[0] is None else torch.stack(leaves), *episodes)


def unstack(batch: Episode) -> list[Episode]:
    """Return the list of the episodes of a batch; the inverse of `stack`."""
    return [pytree.tree_map_only(Tensor, lambda leaf: leaf[i], batch) for i in range(len(batch.support.w))]  # noqa: B023


def to(tree: Any, *args: Any) -> Any:
    """Return a pytree with every tensor moved to a device, and every floating-point tensor to a dtype."""
    float_only = any(isinstance(a, torch.dtype) for a in args)
    return pytree.tree_map_only(Tensor, lambda t: t if float_only and not t.is_floating_point() else t.to(*args), tree)
