"""Run a function in several processes that share their work, as torchrun would start them, but forked from one server.

The server has imported the package once, so that a pair of processes starts in a fraction of a second. The functions
and their results are pickled: a test gives a function of a module, and gets plain numbers and arrays.
"""

import multiprocessing
import os
import signal
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import torch

SECONDS = 120  # after which processes that do not end have failed
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([
    *("mapsto.training", "mapsto.learners", "mapsto.tasks", "mapsto.measures", "mapsto.explainers.across_tasks"),
    *("mapsto.models", "lightning_fabric", "lightning_fabric.strategies.ddp"),
])  # fmt: skip


class Pair(NamedTuple):
    """Started processes, and where their results arrive."""

    processes: list[BaseProcess]
    results: list[Connection]

    def kill(self, rank: int) -> None:
        """Kill one of the processes as `kill -9` does."""
        os.kill(self.processes[rank].pid or 0, signal.SIGKILL)

    def ends(self) -> list[Any]:
        """Return what each process returned, or the text of its exception, or None if it was killed."""
        found = []
        for process, result in zip(self.processes, self.results, strict=True):
            in_time = result.poll(SECONDS)
            try:
                found.append(result.recv() if in_time else None)
            except EOFError:
                found.append(None)
            process.join(5)
            process.kill()
            assert in_time, "a process does not end"
        return found


def begun(work: Callable[..., Any], *arguments: Any, size: int = 2) -> Pair:
    """Start `work(*arguments)` in processes that torchrun's variables describe."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pair = Pair([], [])
    for rank in range(size):
        result, end = _SERVER.Pipe(duplex=False)
        pair.processes.append(_SERVER.Process(target=_run, args=(work, arguments, rank, size, port, end), daemon=True))
        pair.processes[-1].start()
        end.close()
        pair.results.append(result)
    return pair


def together(work: Callable[..., Any], *arguments: Any, size: int = 2) -> list[Any]:
    """Return what `work(*arguments)` returns in each process."""
    ends = begun(work, *arguments, size=size).ends()
    for end in ends:
        assert not isinstance(end, str), end
    return ends


def rank() -> int:
    """Return the number of this process."""
    return int(os.environ.get("RANK", 0))


def _run(work: Callable[..., Any], arguments: tuple, rank: int, size: int, port: int, end: Connection) -> None:
    torch.set_num_threads(1)
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(number) for name, number in numbers.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="test")
    try:
        end.send(work(*arguments))
    except BaseException:
        end.send(traceback.format_exc())
