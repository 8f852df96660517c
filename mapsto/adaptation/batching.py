"""Choose between `vmap` over tasks and a loop: the same numbers, at different speeds.

Under `vmap` a convolution whose weights differ from task to task becomes a grouped convolution, which the CPU computes
more than twice as slowly as a loop over tasks. All other learners are several times faster under `vmap`.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from ..episodes import Episode, over_tasks, stack, unstack
from .learner import Learner

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def brings_batch_loss(learner: Learner) -> bool:
    """Return whether the learner overrides `batch_loss` with a faster method than `vmap`."""
    return type(learner).batch_loss is not Learner.batch_loss


def vectorises(learner: Learner) -> bool:
    """Return whether `vmap` over tasks is faster: not for CPU convolutions or an overridden `batch_loss`."""
    on_cpu = all(parameter.device.type == "cpu" for parameter in learner.parameters())
    convolves = any(isinstance(module, _CONVOLUTIONS) for module in learner.modules())
    return not (brings_batch_loss(learner) or (on_cpu and convolves))


def each_task(learner: Learner, function: Callable[[Episode], Any], episodes: Episode) -> Any:
    """Map a function of one episode that runs `learner` over a batch of tasks, by the faster method."""
    if vectorises(learner):
        return over_tasks(function)(episodes)
    return stack([function(episode) for episode in unstack(episodes)])
