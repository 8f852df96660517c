"""How many cores an operation gets: one, while many small ones run side by side."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class OneThread:
    """Lets each operation run on one core: tensors this small lose more by waiting for a second one, and on a busy
    machine twenty times over. Callers may overlap; the last one to leave gives torch its threads back."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, 1

    @contextmanager
    def __call__(self) -> Iterator[int]:
        """Yield how many threads torch had."""
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
