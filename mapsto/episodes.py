"""One task: what to learn from, what to be judged on.

Everything in the package speaks in these two tuples. A batch of tasks is the same tuple with one more leading axis on
every tensor, so `torch.func.vmap` maps any function of one `Episode` over many.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.utils import _pytree as pytree

State = Any
"""What `Learner.adapt` returns: a pytree (tuple, dict, NamedTuple) of tensors."""


class Examples(NamedTuple):
    """A task's labelled set.

    `w` are weights: padding, ragged tasks and influence in one. Tasks emit `1/n` for a real example and 0 for padding;
    weight 0 means exactly "this example was deleted, the other weights unchanged".
    """

    x: Float[Tensor, "n ..."]
    y: Shaped[Tensor, "n ..."]  # class index (int64), or target vector
    w: Float[Tensor, " n"]


class Episode(NamedTuple):
    """A task: its support set (teaches) and its query set (judges)."""

    support: Examples
    query: Examples
    noise: Tensor | None = None  # latent draws, minibatch orders: made by tasks, never by the core
    context: Examples | None = None  # earlier tasks, for memory and continual learners


class Source(Protocol):
    """Anything whose batches are a pure function of their index, as those of `mapsto.tasks` are."""

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        """Return batch `index` of `count` tasks."""
        ...


def examples(x: Tensor, y: Tensor, w: Tensor | None = None) -> Examples:
    """Put `x` and `y` in an `Examples`, each example weighing `1/n` unless `w` is given.

    >>> examples(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])).w
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    if w is None:
        w = torch.full((len(x),), 1 / max(len(x), 1), dtype=x.dtype, device=x.device)
    return Examples(x, y, w)


def over_tasks(function: Callable[[Episode], Any], chunk_size: int | None = None) -> Callable[[Episode], Any]:
    """Map a function of one episode over a batch of tasks: `vmap`, which by itself refuses an absent (None) field."""

    def mapped(batch: Episode) -> Any:
        axes = pytree.tree_map(lambda leaf: None if leaf is None else 0, batch)
        return torch.func.vmap(function, in_dims=(axes,), chunk_size=chunk_size, randomness="different")(batch)

    return mapped


def stack(episodes: list[Episode]) -> Episode:
    """Stack episodes of equal shapes into a batch with one leading task axis."""
    return pytree.tree_map(lambda *leaves: None if leaves[0] is None else torch.stack(leaves), *episodes)


def unstack(batch: Episode) -> list[Episode]:
    """Split a batch of tasks into a list of episodes; the inverse of `stack`."""
    return [pytree.tree_map_only(Tensor, lambda leaf: leaf[i], batch) for i in range(len(batch.support.w))]  # noqa: B023


def to(tree: Any, *args: Any) -> Any:
    """Move every floating tensor of a pytree to a dtype or device, and every other tensor to the device."""
    float_only = any(isinstance(a, torch.dtype) for a in args)
    return pytree.tree_map_only(Tensor, lambda t: t if float_only and not t.is_floating_point() else t.to(*args), tree)
