"""The tasks of another source, with wrong labels on some support examples.

The positions of the wrong labels are known, so that methods which look for misleading examples can be tested.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from .. import checks
from ..episodes import Episode
from .source import Tasks


class Mislabelled(Tasks):
    """The tasks of another source, in which `mislabelled` support examples of each task have a wrong label.

    A wrong label is another class of the task. Inputs, weights and query sets are unchanged, and padding is never
    mislabelled. The method `truth` has the same arguments as `batch` and returns which examples are mislabelled. The
    episodes do not hold this information, so that no learner can read it.

    Raises:
        MapstoError: if `mislabelled` is below 1. The method `batch` raises MapstoError if the tasks have no classes,
            only one class, or too few examples.

    >>> from mapsto.tasks import Logistic
    >>> tasks = Mislabelled(Logistic(features=2, shots=8), mislabelled=1)
    >>> turned = tasks.batch(0, count=3).support.y != Logistic(features=2, shots=8).batch(0, count=3).support.y
    >>> torch.equal(turned, tasks.truth(0, count=3))
    True
    """

    def __init__(self, tasks: Tasks, mislabelled: int = 1):
        checks.count(mislabelled=mislabelled)
        self.tasks, self.mislabelled, self.split = tasks, mislabelled, tasks.split

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw `count` tasks, then the positions and classes of their wrong labels; see `Tasks.draw`."""
        return self._draw(generator, count)[0]

    def truth(self, index: int, count: int, seed: int = 0) -> Bool[Tensor, "T n"]:
        """Return which support examples of `batch(index, count, seed)` have a wrong label."""
        return self._draw(self.generator(index, count, seed), count)[1]

    def _draw(self, generator: torch.Generator, count: int) -> tuple[Episode, Bool[Tensor, "T n"]]:
        batch = self.tasks.of(self.split).draw(generator, count)
        support = batch.support
        classes = not support.y.is_floating_point()
        checks.expect(
            classes, "tasks", f"targets of {support.y.dtype}", "class indices, because only classes have labels"
        )
        ways = int(support.y.max()) + 1
        checks.expect(ways > 1, "tasks", "1 class", "at least 2, because there is no wrong class otherwise")
        chance = torch.rand(support.w.shape, generator=generator, dtype=torch.float64)
        turns = 1 + torch.randint(ways - 1, support.y.shape, generator=generator)  # every other class is equally likely
        fewest = int((support.w > 0).sum(1).min())
        at_most = f"at most {fewest}, the number of examples in a support set"
        checks.expect(self.mislabelled <= fewest, "mislabelled", self.mislabelled, at_most)
        which = torch.where(support.w > 0, chance, -1.0).topk(self.mislabelled, dim=1).indices
        wrong = torch.zeros(support.w.shape, dtype=torch.bool).scatter(1, which, True)
        y = torch.where(wrong, (support.y + turns) % ways, support.y)
        return batch._replace(support=support._replace(y=y)), wrong
