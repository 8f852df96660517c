"""How much memory a computation may take: by default a quarter of the machine's, or of its container's."""

import os
from collections.abc import Iterator
from pathlib import Path

from . import checks

GIGABYTE = 10**9
_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def bound(max_memory: float | None = None) -> int:
    """Return a bound given in gigabytes (10⁹ bytes) as bytes; None is a quarter of the memory of `of_machine`.

    Raises:
        MapstoError: if `max_memory` is not a finite number above 0.

    >>> bound(0.5)
    500000000
    """
    if max_memory is None:
        return of_machine() // 4
    checks.above(0, max_memory=max_memory)
    return int(max_memory * GIGABYTE)


def of_machine() -> int:
    """Return the bytes of memory of this machine, or of the container that limits this process, if it has fewer."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_limits(_GROUPS, _OWN)])


def written(size: float) -> str:
    """Write a number of bytes in gigabytes with two digits.

    >>> written(1_234_567_890)
    '1.2 GB'
    """
    return f"{size / GIGABYTE:.2g} GB"


def _limits(groups: Path, own: Path) -> Iterator[int]:
    """Yield the limits of the control groups of this process (Linux), those of version 1 and of version 2."""
    for line in own.read_text().splitlines() if own.is_file() else ():
        _, controllers, group = line.split(":", 2)
        first = "memory" in controllers.split(",")
        top = groups / "memory" if first else groups
        here = top / group.strip("/")
        for folder in (here, *here.parents):
            if folder.is_relative_to(top):
                yield from _limit(folder / ("memory.limit_in_bytes" if first else "memory.max"))


def _limit(file: Path) -> Iterator[int]:
    """Yield the number in a file; there may be none, or the word max."""
    text = file.read_text().strip() if file.is_file() else ""
    if text.isdecimal():
        yield int(text)
