"""Share the tasks of a training or an evaluation among several processes, on one machine or on many.

Every process calls the same function with the same arguments. It computes its own part of the tasks, and the parts are
put together over all processes, so that each has the result that one process would have, to float rounding.
lightning-fabric starts the processes, or finds those that torchrun or a cluster has started. One process is a group of
size 1, which computes everything and asks nobody.
"""

import atexit
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils import _pytree as pytree

from . import checks
from .errors import ElsewhereError, MapstoError

_CPU = torch.device("cpu")
_WAIT = timedelta(minutes=10)  # for a process that neither answers nor ends, such as one of a machine without power


class Part(NamedTuple):
    """The part of a number of tasks that one process computes."""

    own: slice
    share: float  # the weight of the mean over these tasks in the mean over all; the shares sum to 1


@dataclass(frozen=True)
class Processes:
    """A group of processes that share their work: the number of this one, how many there are, and its device."""

    rank: int = 0  # 0 … size−1; the first process writes the files
    size: int = 1
    device: torch.device = _CPU
    autocast: Callable[[], AbstractContextManager] = nullcontext  # computes in the precision of `start`

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def part(self, count: int) -> Part:
        """Return this process's part of `count` tasks, and the weight of the part's mean in the mean over all.

        Parts differ by one task at most. If there are fewer tasks than processes, each process computes all of them.
        """
        if count < self.size:
            return Part(slice(0, count), 1 / self.size)
        first, last = (count * rank // self.size for rank in (self.rank, self.rank + 1))
        return Part(slice(first, last), (last - first) / count)

    def sum(self, tree: Any) -> Any:
        """Return the sums over all processes of the tensors in a pytree, which are sent together as one tensor.

        Raises:
            MapstoError: if another process has ended.
        """
        if self.size == 1:
            return tree
        leaves, structure = pytree.tree_flatten(tree)
        dtype = functools.reduce(torch.promote_types, [leaf.dtype for leaf in leaves])
        bucket = torch.cat([leaf.detach().reshape(-1).to(self.device, dtype) for leaf in leaves])
        self._together(dist.all_reduce, bucket)
        parts = bucket.split([leaf.numel() for leaf in leaves])
        sums = [part.view(leaf.shape).to(leaf) for part, leaf in zip(parts, leaves, strict=True)]
        return pytree.tree_unflatten(sums, structure)

    def gather(self, tree: Any, own: slice, count: int) -> Any:
        """Return all `count` rows of the tensors in a pytree, of which each process gives its `own`; see `part`."""
        if self.size == 1 or count < self.size:
            return tree
        return self.sum(pytree.tree_map(lambda rows: _among_zeros(rows, own, count), tree))

    def from_first(self, value: Tensor) -> Tensor:
        """Return the tensor of the first process; `value` has its shape and dtype in every process.

        Raises:
            MapstoError: if another process has ended.
        """
        if self.size == 1:
            return value
        sent = value.detach().to(self.device, copy=True)
        self._together(functools.partial(dist.broadcast, src=0), sent)
        return sent.to(value.device)

    @contextmanager
    def led(self) -> Iterator[None]:
        """End all processes if the first one raises an error within the block, where it alone may read or write files.

        Raises:
            ElsewhereError: in the other processes, once they have left the block.
        """
        try:
            yield
        except Exception:
            if self.first:
                self.from_first(torch.tensor(1))
            raise
        if int(self.from_first(torch.tensor(0))):
            raise ElsewhereError(
                f"processes: the first of {self.size} has raised an error, expected none; start all again as it says."
            )

    def _together(self, communicate: Callable[[Tensor], Any], tensor: Tensor) -> None:
        try:
            communicate(tensor)
        except RuntimeError as error:
            reason = " ".join(str(error).split()).rpartition("] ")[2].partition(". ")[0]
            raise MapstoError(
                f"processes: lost one of {self.size} ({reason}), expected all of them alive; start all "
                "again, and continue a training from its last checkpoint with resume=True (--resume)."
            ) from error


ALONE = Processes()


def start(devices: int = 1, num_nodes: int = 1, device: str | None = None, precision: str = "32-true") -> Processes:
    """Return the group of `devices` processes on each of `num_nodes` machines, starting those that do not run yet.

    The other processes of this machine run the same script with the same arguments, from its beginning. On several
    machines, start the script on each, by torchrun, by a cluster's own launcher, or by hand with the environment
    variables MASTER_ADDR, MASTER_PORT and NODE_RANK.

    Raises:
        MapstoError: if more or fewer processes have been started than requested, there are more of them than cores, the
            device or the precision is unknown, or the processes cannot reach one another.
    """
    checks.count(devices=devices, num_nodes=num_nodes)
    size, running = devices * num_nodes, _running()
    got = f"{devices} on {num_nodes} machine{'s' * (num_nodes > 1)}, but {running} processes have been started"
    remedy = f"pass devices={running} (--devices {running}), or on several machines their number too (num_nodes)"
    checks.expect(running in (1, size), "devices", got, f"{running} in all", remedy)
    if device in (None, "cpu") and running == 1:
        cores = max(2, os.cpu_count() or 1)  # two, so that what needs several processes can be tried anywhere
        most = f"at most {cores}, a process for each core of this machine"
        checks.expect(devices <= cores, "devices", devices, most, "pass fewer, or num_nodes for several machines")
    if size == 1 and device is None and precision == "32-true":  # saves the import of lightning
        return ALONE
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    strategy = DDPStrategy(timeout=_WAIT) if size > 1 else "auto"
    try:
        fabric = Fabric(
            accelerator=device or "cpu", strategy=strategy, devices=devices, num_nodes=num_nodes,
            precision=precision,  # type: ignore[arg-type]
        )  # fmt: skip
        if size > 1:
            fabric.launch()
            atexit.register(_leave)  # a group that lives until Python ends may abort the process
    except (RuntimeError, ValueError) as error:
        name, got, remedy = "device", repr(device), "train on the CPU"
        if size > 1:
            name, got, remedy = "devices", f"{got} in {size} processes", "see how to start them in docs/scaling.md"
        reason = " ".join(str(error).split())
        raise MapstoError(f"{name}: got {got} with {precision!r} ({reason}); {remedy}.") from error
    return Processes(fabric.global_rank, fabric.world_size, fabric.device, fabric.autocast)


def joined(devices: int, num_nodes: int, device: torch.device) -> Processes:
    """Return the group of `start` if more than one process is requested, else this process alone."""
    checks.count(devices=devices, num_nodes=num_nodes)
    return start(devices, num_nodes, device.type) if devices * num_nodes > 1 else ALONE


def _running() -> int:
    """Return how many processes have been started together with this one, itself included."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _among_zeros(rows: Tensor, own: slice, count: int) -> Tensor:
    whole = rows.new_zeros(count, *rows.shape[1:])
    whole[own] = rows
    return whole
