"""Another source's tasks, some of whose teaching examples are told with the wrong class.

The planted fault has a known place, so that whoever claims to find the example that misled a learner can be checked.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..episodes import Episode
from ..errors import MapstoError
from .source import Tasks


class Mislabelled(Tasks):
    """The tasks of `tasks`, with the labels of `mislabelled` support examples of each turned to another class of it.

    Which ones is not in the episode, where a learner could read it: ask `truth`, with the arguments of `batch`. The
    inputs, the weights and the query sets are those of `tasks`; padding is never mislabelled.

    Raises MapstoError where `mislabelled` is below 1; in `batch`, where the tasks are no classification, have one class
    only, or have fewer examples.

    >>> from mapsto.tasks import Logistic
    >>> tasks = Mislabelled(Logistic(features=2, shots=8), mislabelled=1)
    >>> turned = tasks.batch(0, count=3).support.y != Logistic(features=2, shots=8).batch(0, count=3).support.y
    >>> torch.equal(turned, tasks.truth(0, count=3))
    True
    """

    def __init__(self, tasks: Tasks, mislabelled: int = 1):
        if mislabelled < 1:
            raise MapstoError(f"mislabelled: got {mislabelled}, expected at least 1 example; use the tasks themselves.")
        self.tasks, self.mislabelled, self.split = tasks, mislabelled, tasks.split

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks, then their faults; see `Tasks.draw`."""
        return self._drawn(generator, count)[0]

    def truth(self, index: int, count: int, seed: int = 0) -> Bool[Tensor, "T n"]:
        """Return which support examples of `batch(index, count, seed)` are told wrongly."""
        return self._drawn(self.generator(index, count, seed), count)[1]

    def _drawn(self, generator: torch.Generator, count: int) -> tuple[Episode, Bool[Tensor, "T n"]]:
        drawn = self.tasks.of(self.split).draw(generator, count)
        support = drawn.support
        ways = _ways(support.y)
        chance = torch.rand(support.w.shape, generator=generator, dtype=torch.float64)
        turns = 1 + torch.randint(ways - 1, support.y.shape, generator=generator)  # to any other class alike
        _require(support.w, self.mislabelled)
        which = torch.where(support.w > 0, chance, -1.0).topk(self.mislabelled, dim=1).indices
        wrong = torch.zeros(support.w.shape, dtype=torch.bool).scatter(1, which, True)
        y = torch.where(wrong, (support.y + turns) % ways, support.y)
        return drawn._replace(support=support._replace(y=y)), wrong


def _ways(y: Int[Tensor, "T n"] | Tensor) -> int:
    if y.is_floating_point():
        raise MapstoError(f"tasks: got targets of {y.dtype}, expected class indices: only classes can be mislabelled.")
    ways = int(y.max()) + 1
    if ways < 2:
        raise MapstoError("tasks: got 1 class, expected at least 2: there is no wrong class to tell.")
    return ways


def _require(w: Tensor, mislabelled: int) -> None:
    fewest = int((w > 0).sum(1).min())
    if fewest < mislabelled:
        raise MapstoError(f"mislabelled: got {mislabelled}, expected at most {fewest}, the examples of a support set.")
