"""Run each tensor operation on one core while many small operations run in parallel."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class OneThread:
    """A context in which torch runs each operation on one core.

    For small tensors, waiting for a second core costs more than it saves, and up to twenty times more on a busy
    machine. Contexts may overlap in several threads; the last one to end restores torch's number of threads.
    """

    _before: int

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0

    @contextmanager
    def __call__(self) -> Iterator[int]:
        """Yield the number of threads that torch had before."""
        with self._lock:
            if not self._inside:
                self._before = torch.get_num_threads()
                torch.set_num_threads(1)
            self._inside += 1
        try:
            yield self._before
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    torch.set_num_threads(self._before)


one_thread = OneThread()
