"""How many rows of a table the mapping reads at a time, so that its memory stays below a bound.

    memory ≈ 4 bytes · 12 · (numbers of a row's largest intermediate) · rows · cores

The factor 12 covers all intermediates that are in memory together (measured: up to 10). Results do not depend on the
chunk, because a row is predicted and explained by itself.
"""

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree as pytree

from .. import checks
from ..attention import fused
from ..memory import bound, written
from ..threads import one_thread

T = TypeVar("T")
FILL = 8  # the number of rows in a chunk is a multiple of this
NUMBERS, MOST = 2**21, 128  # without a bound: numbers in the largest intermediate of a chunk, and rows
_BYTES = 4 * 12
_STATE = 4 * 2 * 6 * 96  # bytes of the keys and values of a cell: of 6 layers of width 96
_READING = 1.6  # the peak of reading the training rows is so many times their keys and values (measured: 1.55)


class Chunk(NamedTuple):
    """The number of rows that are read at a time, and the number of cores that do so."""

    rows: int
    cores: int


def unbounded(numbers: int) -> int:
    """Return the number of rows to read at a time if memory does not matter; a row has so many `numbers`."""
    return min(max(FILL, NUMBERS // numbers // FILL * FILL), MOST)


def chunk(numbers: int, free: int, at_once: int = 1) -> Chunk:
    """Return the largest chunk that fits into `free` bytes; a row has so many `numbers`, and `at_once` questions.

    A warning says so if the chunk would be larger without the bound.

    Raises:
        MapstoError: if 8 rows do not fit.
    """
    with one_thread() as cores:
        wanted = Chunk(max(FILL, unbounded(numbers) // at_once), cores)
    rows = free // (_BYTES * numbers)
    need = f"{written(_BYTES * numbers * FILL)} to read {FILL} rows at a time, besides what they return"
    checks.expect(rows >= FILL, "max_memory", f"room for {written(free)}", need, "raise it, or pass fewer rows")
    cores = min(wanted.cores, rows // FILL)
    found = Chunk(min(wanted.rows, rows // cores // FILL * FILL), cores)
    if found != wanted:
        slower = f"max_memory: {found.rows} rows are read at a time on {cores} core(s), not {wanted.rows} on "
        warnings.warn(f"{slower}{wanted.cores}, which takes longer; raise it if there is memory.", stacklevel=3)
    return found


def refuse_large_state(rows: int, columns: int, members: int, max_memory: float | None) -> None:
    """Raise MapstoError if the mapping cannot read so many training rows within `max_memory`."""
    got, need = bound(max_memory), _READING * _STATE * members * (rows + 1) * (columns + 1)
    what = f"{written(need)} to read {rows:,} training rows of {columns} columns"
    checks.expect(need <= got, "max_memory", written(got), what, "raise it, or fit fewer rows or columns")


def room(max_memory: float | None, rows: int, kept: int, remedy: str) -> int:
    """Return the bytes of `max_memory` beside the results of so many rows, which are `kept` bytes each.

    Raises:
        MapstoError: if the results take more than half of it.
    """
    got, kept = bound(max_memory), kept * rows
    need = f"{written(2 * kept)} for the results of {rows:,} rows"
    checks.expect(2 * kept <= got, "max_memory", written(got), need, f"{remedy}, or raise it")
    return got - kept


def each(function: Callable[[Tensor], T], x: Float[Tensor, "n d"], by: Chunk) -> Iterator[T]:
    """Apply `function` to chunks of the rows `x`, several at once, and yield the results in order.

    Chunks are padded to multiples of 8 rows, so that a single row is rounded in the same way as among others.
    """

    def quickly(rows: Tensor) -> T:
        filled = torch.cat([rows, rows[-1:].expand(-len(rows) % FILL, -1)])
        with torch.no_grad(), fused():
            return pytree.tree_map(lambda leaf: leaf[: len(rows)], function(filled))

    with one_thread(), ThreadPoolExecutor(by.cores) as pool:
        yield from pool.map(quickly, x.split(by.rows))
