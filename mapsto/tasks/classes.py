"""N-way K-shot episodes: each task has a few classes of a large labelled set, numbered anew.

A task's classes are drawn without replacement from a pool (the classes of a split, or a group of them). The examples of
each class are drawn without replacement, so that no example is in both support and query. Rows are shuffled, so that
their order says nothing about the classes. Vinyals et al. 2016, "Matching Networks for One Shot Learning", §4.1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from .. import checks
from ..episodes import Episode, Examples
from .sampling import Shots, bounds, choose, ends, orders
from .source import SPLITS

Pools = dict[str, list[Tensor]]
"""The groups of classes of each split; the classes of an episode come from one group. Usually there is one group."""
Splits = tuple[float, float, float] | Mapping[str, Sequence[Any]]
"""Fractions of the classes for train, validation and test, or the names of the classes of each split."""


class Shape(NamedTuple):
    """The size of every episode of a source."""

    ways: int
    shots: tuple[int, int]  # lowest and highest number of support examples of a class
    queries: int  # number of query examples of a class

    @property
    def examples(self) -> int:
        """The number of examples that a class must have."""
        return self.shots[1] + self.queries


def shape(ways: int, shots: Shots, queries: int) -> Shape:
    """Return the size of an episode.

    Raises:
        MapstoError: if `ways` is below 2, or `shots` or `queries` is below 1.
    """
    checks.count(2, ways=ways)
    checks.count(queries=queries)
    return Shape(ways, bounds("shots", shots), queries)


def pick(generator: torch.Generator, pools: list[Tensor], ways: int, count: int) -> Int[Tensor, "T ways"]:
    """Choose `ways` distinct classes for each of `count` tasks, all from one of the `pools` that are large enough.

    Raises:
        MapstoError: if no pool holds `ways` classes.
    """
    most = max((len(pool) for pool in pools), default=0)
    remedy = "lower ways, or give the split more classes"
    checks.expect(most >= ways, "ways", ways, f"at most {most}, the classes of this split", remedy)
    pools = [pool for pool in pools if len(pool) >= ways]
    sizes = torch.tensor([len(pool) for pool in pools])
    group = torch.randint(len(pools), (count,), generator=generator)
    first = (sizes.cumsum(0) - sizes)[group]  # [T]
    return torch.cat(pools)[first[:, None] + choose(generator, sizes[group], ways)]


def episodes(
    generator: torch.Generator,
    classes: Int[Tensor, "T ways"],
    starts: Int[Tensor, "T ways"],
    sizes: Int[Tensor, "T ways"],
    shape: Shape,
    look: Callable[[Tensor, Tensor], Tensor],
) -> Episode:
    """Draw a batch of episodes from the chosen `classes`; the i-th class of a task has label i.

    The examples of a class are the rows `starts` … `starts + sizes − 1`. The function `look(classes [T, n], rows
    [T, n])` returns the inputs `[T, n, ...]`.
    """
    most = shape.shots[1]
    rows = starts[..., None] + choose(generator, sizes, shape.examples)  # [T, ways, shots + queries]
    shots = torch.randint(shape.shots[0], most + 1, (len(classes),), generator=generator)
    queries = torch.full_like(shots, shape.queries)
    support = _examples(generator, classes, rows[..., :most], shots, look)
    return Episode(support, _examples(generator, classes, rows[..., most:], queries, look))


def _examples(
    generator: torch.Generator, classes: Tensor, rows: Tensor, real: Tensor, look: Callable[[Tensor, Tensor], Tensor]
) -> Examples:
    """Gather `real[t]` examples of each class of task t, pad them with examples of weight 0, and shuffle."""
    order = orders(generator, len(rows), rows[0].numel())  # [T, ways·n]

    def flat(t: Tensor) -> Tensor:
        return t.expand(rows.shape).flatten(1).gather(1, order)

    y = flat(torch.arange(rows.shape[1])[:, None])
    present = flat(torch.arange(rows.shape[2]) < real[:, None, None])  # [T, ways·n]
    x = look(flat(classes[..., None]), flat(rows))
    x = x if present.all() else torch.where(present.view(*present.shape, *[1] * (x.dim() - 2)), x, 0)
    return Examples(x, y, present / present.sum(1, keepdim=True))


def divide(names: Sequence[Any], splits: Splits, seed: int) -> Pools:
    """Divide the classes 0 … len(names)−1 among the splits, by name or, after shuffling by `seed`, by fraction.

    Raises:
        MapstoError: if the fractions are not valid, or a name is unknown or in two splits.
    """
    if isinstance(splits, Mapping):
        return _by_name(names, splits)
    stops = (len(names) * ends(splits)).round().long().tolist()
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    return {split: [order[a:b]] for split, a, b in zip(SPLITS, [0, *stops[:2]], stops, strict=True)}


def require(names: Sequence[Any], sizes: Int[Tensor, " c"], shape: Shape, pools: Pools, where: str) -> None:
    """Raise MapstoError if a class has too few examples, or if no split has enough classes for an episode."""
    most = max((len(pool) for groups in pools.values() for pool in groups), default=0)
    checks.expect(
        most >= shape.ways, where, f"{len(names)} class(es), at most {most} in one split",
        f"at least ways={shape.ways}", "lower ways, add classes, or change splits",
    )  # fmt: skip
    used = torch.cat([pool for groups in pools.values() for pool in groups])
    smallest = int(used[sizes[used].argmin()])
    checks.expect(
        sizes[smallest] >= shape.examples, where, f"{int(sizes[smallest])} example(s) of class {names[smallest]!r}",
        f"at least shots + queries = {shape.examples}", "lower shots or queries, or leave the class out",
    )  # fmt: skip


def _by_name(names: Sequence[Any], splits: Mapping[str, Sequence[Any]]) -> Pools:
    index, every = {name: i for i, name in enumerate(names)}, [name for split in splits.values() for name in split]
    for split, members in splits.items():
        checks.expect(split in SPLITS, "splits", f"the name {split!r}", f"one of {', '.join(SPLITS)}")
        for name in members:
            checks.expect(name in index, "splits", f"{name!r} in {split!r}", "a class of the data")
            checks.expect(every.count(name) == 1, "splits", f"class {name!r} twice", "each class in one split only")
    return {split: [torch.tensor([index[n] for n in splits.get(split, ())], dtype=torch.long)] for split in SPLITS}
