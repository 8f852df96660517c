"""A task as an `Episode`: the examples to adapt to and the examples to test on.

The whole package uses the tuples `Episode` and `Examples`. A batch of tasks is an `Episode` with one more leading axis
on every tensor, so that `torch.func.vmap` maps any function of one `Episode` over a batch.
"""

from collections.abc import Callable, Iterator, Sized
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.utils import _pytree as pytree

from . import checks

__all__ = ["Episode", "Examples", "examples", "over_tasks", "unstack"]

AT_ONCE = 25  # tasks that an evaluation takes from a source at a time

State = Any
"""The result of `Learner.adapt`, a pytree (tuple, dict or NamedTuple) of tensors."""


class Examples(NamedTuple):
    """A set of `n` labelled examples: inputs `x` `[n, ...]`, targets `y` `[n, ...]` and weights `w` `[n]`.

    A source of tasks gives weight 1/n to each of n real examples and weight 0 to padding. An example of weight 0 has no
    effect, as if it were deleted while the other weights stay the same. Therefore, padding can make tasks of different
    sizes equally large, and a change of one weight shows the influence of this example.
    """

    x: Shaped[Tensor, "n ..."]  # numbers, or int64 tokens
    y: Shaped[Tensor, "n ..."]  # class index (int64), or target vector
    w: Float[Tensor, " n"]

    def to(self, *args: Any) -> "Examples":
        """Return the examples with their tensors moved to a device or converted to a dtype.

        The arguments are those of `Tensor.to`. Only floating-point tensors are converted to a dtype.
        """
        return to(self, *args)


class Episode(NamedTuple):
    """A task: a support set to adapt to and a query set to test on.

    `noise` holds random numbers for stochastic learners. `context` holds examples of other tasks, for learners with a
    memory. Both may be None.
    """

    support: Examples
    query: Examples
    noise: Tensor | None = None  # random numbers for the learner, such as draws of a latent; from the source of tasks
    context: Examples | None = None  # examples of other tasks, for learners with a memory and continual learning

    def to(self, *args: Any) -> "Episode":
        """Return the episode with its tensors moved to a device or converted to a dtype.

        The arguments are those of `Tensor.to`. Only floating-point tensors are converted to a dtype.
        """
        return to(self, *args)


class Source(Protocol):
    """A source of tasks, such as those of `mapsto.tasks`; it returns the same batch for the same arguments."""

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        """Return the batch number `index`, which consists of `count` tasks."""
        ...


def examples(x: Tensor, y: Tensor, w: Tensor | None = None) -> Examples:
    """Return inputs `x`, targets `y` and weights `w` as `Examples`; if `w` is None, each of n weights is 1/n.

    Weights have the dtype of `x`, or torch's default dtype if `x` holds whole numbers such as tokens. In rows of weight
    0, NaN and infinite numbers become 0.

    Raises:
        MapstoError: if a weight is negative or NaN.

    >>> examples(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])).w
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    if w is None:
        dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        w = torch.full((len(x),), 1 / max(len(x), 1), dtype=dtype, device=x.device)
    return _checked(Examples(x, y, w))


def checked(episode: Episode) -> Episode:
    """Return a task or a batch of tasks whose rows of weight 0 hold 0 in place of NaN and infinite numbers.

    Otherwise, such a row would make gradients NaN: 0 · NaN is NaN.

    Raises:
        MapstoError: if a weight is negative or NaN.
    """
    context = None if episode.context is None else _checked(episode.context)
    return episode._replace(support=_checked(episode.support), query=_checked(episode.query), context=context)


def _checked(part: Examples) -> Examples:
    if not checks.readable(part.w):
        return part
    least = float(part.w.detach().min()) if part.w.numel() else 0.0
    checks.expect(least >= 0, "w", least, "weights from 0", "give an example that is not to count the weight 0")
    return Examples(blank(part.x, part.w), blank(part.y, part.w), part.w)


def blank(rows: Shaped[Tensor, "..."], w: Float[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """Return `rows` with 0 in place of each NaN and infinite number in a row of weight 0.

    Inside a transform of `torch.func`, the rows are returned as they are.

    >>> blank(torch.tensor([[torch.nan], [1.0]]), torch.tensor([0.0, 1.0]))
    tensor([[0.],
            [1.]])
    """
    if not checks.readable(w) or bool((w != 0).all()) or not rows.is_floating_point():
        return rows
    counts = (w != 0).view(*w.shape, *[1] * (rows.dim() - w.dim()))
    return torch.where(counts | rows.isfinite(), rows, 0.0)


def over_tasks(function: Callable[[Episode], Any], chunk_size: int | None = None) -> Callable[[Episode], Any]:
    """Return a function that applies `function` to all tasks of a batch at once, by `torch.func.vmap`.

    Fields of an episode may be None, which plain `vmap` does not accept. If `chunk_size` is given, at most `chunk_size`
    tasks are computed at a time.
    """

    def mapped(batch: Episode) -> Any:
        axes = pytree.tree_map(lambda leaf: None if leaf is None else 0, batch)
        return torch.func.vmap(function, in_dims=(axes,), chunk_size=chunk_size, randomness="different")(batch)

    return mapped


def real(rows: Examples) -> Examples:
    """Return the rows with a weight above 0: those that are no padding."""
    return Examples(*(part[rows.w > 0] for part in rows))


def first_tasks(tasks: Source, episodes: int, batch: int, seed: int) -> Iterator[Episode]:
    """Yield the first `episodes` tasks of a source in parts of at most `batch` tasks.

    A source draws 25 tasks at a time, whatever `batch` is, so that the tasks do not depend on `batch`. A source of
    finitely many tasks, which has a length, draws each of them at most once.

    Raises:
        MapstoError: if `episodes` or `batch` is below 1, a weight is negative, or there are no tasks.
    """
    checks.count(episodes=episodes, batch=batch)
    size = AT_ONCE
    if isinstance(tasks, Sized):
        checks.expect(len(tasks) > 0, "tasks", "an empty source", "at least one task", "give the split some rows")
        episodes, size = min(episodes, len(tasks)), 1
    for index, start in enumerate(range(0, episodes, size)):
        sample = checked(tasks.batch(index, min(size, episodes - start), seed))
        for first in range(0, len(sample.support.w), batch):
            yield some(sample, slice(first, first + batch))


def stack(trees: list[Any]) -> Any:
    """Return episodes or other pytrees of equal shapes as one batch, stacked along a new leading task axis."""
    return pytree.tree_map(lambda *leaves: None if leaves[0] is None else torch.stack(leaves), *trees)


def some(batch: Episode, index: int | slice) -> Episode:
    """Return one task of a batch, or a slice of them as a smaller batch."""
    return pytree.tree_map_only(Tensor, lambda leaf: leaf[index], batch)


def unstack(batch: Episode) -> list[Episode]:
    """Return the tasks of a batch, whose tensors have a leading task axis, as a list of episodes."""
    return [some(batch, i) for i in range(len(batch.support.w))]


def to(tree: Any, *args: Any) -> Any:
    """Return a pytree with its tensors moved to a device or converted to a dtype.

    `args` are those of `Tensor.to`. Only floating-point tensors are converted to a dtype.
    """
    places = [a for a in args if not isinstance(a, torch.dtype)]
    return pytree.tree_map_only(
        Tensor, lambda t: t.to(*args) if t.is_floating_point() else t.to(*places) if places else t, tree
    )
