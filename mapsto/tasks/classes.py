"""N-way K-shot episodes: a task is a few classes of a large labelled set, numbered anew.

Classes come from a pool (those of a split, or a group of them) without replacement, examples from each class without
replacement, so that support and query share none; rows are shuffled, so that their order tells nothing.
Vinyals et al. 2016, "Matching Networks for One Shot Learning", §4.1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from ..episodes import Episode, Examples
from ..errors import MapstoError
from .sampling import Shots, bounds, choose, orders, shares, whole
from .source import SPLITS

Pools = dict[str, list[Tensor]]
"""For each split, groups of classes: an episode's classes come from one group. Usually one group holds them all."""
Splits = tuple[float, float, float] | Mapping[str, Sequence[Any]]
"""Shares of the classes for train, validation and test; or the classes of each, by name."""


class Shape(NamedTuple):
    """What every episode of a source looks like."""

    ways: int
    shots: tuple[int, int]  # lowest and highest examples of a class in the support set
    queries: int  # examples of a class in the query set

    @property
    def examples(self) -> int:
        """How many examples a class must have."""
        return self.shots[1] + self.queries


def shape(ways: int, shots: Shots, queries: int) -> Shape:
    """Check the three numbers; raises MapstoError naming the wrong one."""
    if ways < 2:
        raise MapstoError(f"ways: got {ways}, expected at least 2 classes to tell apart.")
    return Shape(ways, bounds("shots", shots), whole("queries", queries))


def pick(generator: torch.Generator, pools: list[Tensor], ways: int, count: int) -> Int[Tensor, "T ways"]:
    """Choose `ways` distinct classes for each of `count` tasks, from one of the `pools` that have as many."""
    pools = [pool for pool in pools if len(pool) >= ways]
    if not pools:
        raise MapstoError(
            f"ways: got {ways}, more than the classes of this split; lower ways, or give it more classes."
        )
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
    """Draw a batch of episodes from the chosen `classes`, whose examples are rows `starts` … `starts + sizes − 1`.

    `look(classes [T, n], rows [T, n])` returns the inputs `[T, n, ...]`; the i-th chosen class is label i.
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
    """Gather `real[t]` examples of each class of task t, and padding of weight 0 after them; then shuffle."""
    order = orders(generator, len(rows), rows[0].numel())  # [T, ways·n]

    def flat(t: Tensor) -> Tensor:
        return t.expand(rows.shape).flatten(1).gather(1, order)

    y = flat(torch.arange(rows.shape[1])[:, None])
    present = flat(torch.arange(rows.shape[2]) < real[:, None, None])  # [T, ways·n]
    x = look(flat(classes[..., None]), flat(rows))
    x = x if present.all() else torch.where(present.view(*present.shape, *[1] * (x.dim() - 2)), x, 0)
    return Examples(x, y, present / present.sum(1, keepdim=True))


def divide(names: Sequence[Any], splits: Splits, seed: int) -> Pools:
    """Divide classes 0 … len(names)−1 among the splits: by shares, shuffled by `seed`, or by name."""
    if isinstance(splits, Mapping):
        _refuse_shared(splits)
        return {split: [_named(names, split, splits.get(split, ()))] for split in SPLITS}
    ends = (len(names) * shares(splits)).round().long().tolist()
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    return {split: [order[a:b]] for split, a, b in zip(SPLITS, [0, *ends[:2]], ends, strict=True)}


def require(names: Sequence[Any], sizes: Int[Tensor, " c"], shape: Shape, pools: Pools, where: str) -> None:
    """Raise MapstoError where a class has too few examples, or where no split has enough classes for an episode."""
    most = max((len(pool) for groups in pools.values() for pool in groups), default=0)
    if most < shape.ways:
        raise MapstoError(
            f"{where}: got {len(names)} class(es), at most {most} in one split, expected at least ways={shape.ways}; "
            "lower ways, add classes, or change splits."
        )
    used = torch.cat([pool for groups in pools.values() for pool in groups]).sort().values
    short = [int(c) for c in used if sizes[c] < shape.examples]
    if short:
        raise MapstoError(
            f"{where}: class {names[short[0]]!r} has {int(sizes[short[0]])} example(s), expected at least shots + "
            f"queries = {shape.examples} ({len(short)} class(es) have too few); "
            "lower shots or queries, or leave the class out."
        )


def _named(names: Sequence[Any], split: str, wanted: Sequence[Any]) -> Tensor:
    known = {name: i for i, name in enumerate(names)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise MapstoError(f"splits: got {unknown[0]!r} in {split!r}, which is not a class of the data.")
    return torch.tensor([known[name] for name in wanted], dtype=torch.long)


def _refuse_shared(splits: Mapping[str, Sequence[Any]]) -> None:
    """Raise MapstoError where a split is unknown or two splits share a class."""
    unknown = [split for split in splits if split not in SPLITS]
    if unknown:
        raise MapstoError(f"splits: got the name {unknown[0]!r}, expected {', '.join(SPLITS)}.")
    every = [name for classes in splits.values() for name in classes]
    twice = [name for name in every if every.count(name) > 1]
    if twice:
        raise MapstoError(f"splits: got class {twice[0]!r} twice, expected each class in one split only.")
