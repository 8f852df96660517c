"""Environments of gymnasium (farama.org) as tasks, stepped in one process or in several."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ... import checks
from ..sampling import each_once
from ..source import SPLITS
from .bundle import Assign, Bundle, Expert, Make
from .environment import Environment


class Gymnasium(Environment):
    """Tasks of a gymnasium environment: each task is an object that is given to the environment before an episode.

    Actions are clipped to the environment's action space. An episode ends where the environment ends or truncates it,
    or at the horizon; it has reached its aim if `info["success"]` or `info["is_success"]` was ever true. For each
    episode that is played at once, an environment is made, and kept for later tasks.

    Args:
        make: a function without arguments that returns a new environment, such as `lambda: gymnasium.make("…")`.
        tasks: the tasks of the splits "train", "validation" and "test": any objects that can be pickled.
        assign: a function `assign(environment, task)` that sets the task; by default, it calls the method
            `environment.unwrapped.set_task(task)`.
        expert: a function `expert(environment, observation)` that returns the action of a scripted policy, for
            demonstrations; it may read the environment's state.
        horizon: the largest number of steps in an episode.
        workers: the number of processes that step the environments; with 1, this process does. With more, a script
            must start its work below `if __name__ == "__main__":`.

    Raises:
        MapstoError: if a number is below 1, a split has no task, observations or actions of the environment are not
            vectors of numbers, or a split without tasks is drawn from.
    """

    def __init__(
        self,
        make: Make,
        tasks: Mapping[str, Sequence[Any]],
        assign: Assign | None = None,
        expert: Expert | None = None,
        horizon: int = 500,
        workers: int = 1,
    ):
        checks.count(horizon=horizon, workers=workers)
        for split in tasks:
            checks.one_of(SPLITS, tasks=split)
        one = make()
        self.observations, self.actions = (_size(one, name) for name in ("observation", "action"))
        one.close()
        self.tasks = [task for split in SPLITS for task in tasks.get(split, ())]
        self._places = dict(zip(SPLITS, _ranges([len(tasks.get(split, ())) for split in SPLITS]), strict=True))
        self.horizon, self.workers = horizon, workers
        self._scripted, self._arguments = expert is not None, (make, assign or _set_task, expert)
        self._bundles: list[Any] = []

    def draw(self, generator: torch.Generator, count: int, split: str) -> Int[Tensor, " T"]:
        """Draw `count` tasks of a split, as their places in `self.tasks`; each comes once before any comes again."""
        known = self._places[split]
        checks.expect(len(known) > 0, "tasks", f"no task for {split}", "at least one", "add some")
        return known.start + each_once(generator, len(known), count)

    def reset(self, tasks: Int[Tensor, " T"], rollouts: int, generator: torch.Generator) -> Float[Tensor, "T r o"]:
        """Begin `rollouts` episodes of each task, each with a random seed of its own."""
        self._shape = (len(tasks), rollouts)
        each = [self.tasks[i] for i in tasks.tolist() for _ in range(rollouts)]
        seeds = torch.randint(2**31, (len(each),), generator=generator).tolist()
        places = np.array_split(np.arange(len(each)), min(self.workers, len(each)))
        parts = [([each[i] for i in place], [seeds[i] for i in place]) for place in places]
        self._parts = [slice(int(place[0]), int(place[-1]) + 1) for place in places]
        return self._joined(self._all("reset", parts))

    def step(
        self, action: Float[Tensor, "T r a"]
    ) -> tuple[Float[Tensor, "T r o"], Float[Tensor, "T r"], Bool[Tensor, "T r"]]:
        """Take one action in every episode."""
        actions = action.double().flatten(0, 1).numpy()
        observation, reward, done = zip(*self._all("step", [(actions[part],) for part in self._parts]), strict=True)
        return self._joined(observation), self._joined(reward), self._joined(done)

    def solved(self) -> Bool[Tensor, "T r"] | None:
        """Return which episodes are at their aim, or ended there; None if the environment does not say."""
        parts = self._all("solved", [() for _ in self._parts])
        return None if any(part is None for part in parts) else self._joined(parts)

    def expert(self) -> Float[Tensor, "T r a"]:
        """Return the actions of the scripted policy, 0 in episodes that have ended."""
        if not self._scripted:
            return super().expert()
        return self._joined(self._all("expert", [() for _ in self._parts]))

    def _joined(self, parts: Sequence[np.ndarray]) -> Tensor:
        whole = torch.from_numpy(np.concatenate(parts))
        whole = whole if whole.dtype == torch.bool else whole.float()
        return whole.unflatten(0, self._shape)

    def _all(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Call a method of every process's environments at once."""
        if not self._bundles:
            self._start()
        call = lambda bundle, of: getattr(bundle, method)(*of)  # noqa: E731
        return list(self._threads.map(call, self._bundles, arguments))

    def _start(self) -> None:
        self._threads = ThreadPoolExecutor(self.workers)
        if self.workers == 1:
            self._bundles = [Bundle(*self._arguments)]
            return
        from gymnasium.vector.utils import CloudpickleWrapper  # sends functions that are defined anywhere

        self._processes = [_Process(ctx=get_context("spawn")) for _ in range(self.workers)]
        for process in self._processes:
            process.start()
        sent = [CloudpickleWrapper(argument) for argument in self._arguments]  # type: ignore[arg-type]
        self._bundles = [process.Bundle(*sent) for process in self._processes]  # type: ignore[attr-defined]


class _Process(BaseManager):
    """A process that holds a bundle of environments."""


def _bundle(make: Any, assign: Any, expert: Any) -> Bundle:
    return Bundle(make.fn, assign.fn, expert.fn)


_Process.register("Bundle", _bundle, exposed=("reset", "step", "solved", "expert"))


def _set_task(environment: Any, task: Any) -> None:
    environment.unwrapped.set_task(task)


def _ranges(sizes: Sequence[int]) -> list[range]:
    return [range(a, b) for a, b in pairwise(accumulate(sizes, initial=0))]


def _size(environment: Any, name: str) -> int:
    """Return the number of entries of an observation or an action."""
    space: Any = getattr(environment, f"{name}_space", None)
    numbers = hasattr(space, "low") and len(space.shape) == 1
    remedy = "wrap the environment, for example in gymnasium.wrappers.FlattenObservation"
    checks.expect(numbers, f"{name}_space", space, "a Box with one axis", remedy)
    return int(space.shape[0])
