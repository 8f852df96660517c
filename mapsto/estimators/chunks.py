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
_LOOKS = 2**25  # bytes in which a core asks about coalitions, a part at a time
TOKEN, LAYERS = 4 * 96, 6  # of the shipped mapping: bytes of a cell's token, and layers that keep keys and values


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
    one, looks = _BYTES * numbers, _LOOKS if at_once > 1 else 0
    least = FILL * one + looks  # of a core
    need = f"{written(least)} to read {FILL} rows at a time, besides what they return"
    checks.expect(least <= free, "max_memory", f"room for {written(free)}", need, "raise it, or pass fewer rows")
    with one_thread() as cores:
        wanted = Chunk(max(FILL, unbounded(numbers) // at_once), cores)
    cores = min(wanted.cores, free // least)
    found = Chunk(min(wanted.rows, (free // cores - looks) // one // FILL * FILL), cores)
    if found != wanted:
        slower = f"max_memory: {found.rows} rows are read at a time on {cores} core(s), not {wanted.rows} on "
        warnings.warn(f"{slower}{wanted.cores}, which takes longer; raise it if there is memory.", stacklevel=3)
    return found


def of_reading(rows: int, columns: int, members: int) -> int:
    """Return a bound on the bytes in which the mapping reads so many training rows: the keys and values, and the rest.

    The rest is at most 22 tensors of tokens for few cells; for many, 8 of them and 64 MB (measured: 19; 6 and 30 MB).
    """
    tokens = TOKEN * members * (rows + 1) * (columns + 1)
    return 2 * LAYERS * tokens + min(22 * tokens, 8 * tokens + 2**26)


def readings(rows: int, columns: int, members: int, max_memory: float | None) -> int:
    """Return how many times the mapping can read the training rows at once within `max_memory`, at least once."""
    return max(1, bound(max_memory) // of_reading(rows, columns, members))


def refuse_many_cells(rows: int, columns: int, members: int, max_memory: float | None) -> None:
    """Raise MapstoError if the mapping cannot read so many training rows within `max_memory`."""
    got, need = bound(max_memory), of_reading(rows, columns, members)
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
