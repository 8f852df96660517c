"""Choose between `vmap` over tasks and a Python loop, which give the same numbers at different speeds.

Under `vmap`, a convolution whose weights differ from task to task becomes a grouped convolution. On the CPU this is
more than twice as slow as a loop over tasks. All other learners are several times faster under `vmap`.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from ..episodes import Episode, over_tasks, stack, unstack
from .learner import Learner

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def brings_batch_loss(learner: Learner) -> bool:
    """Return whether the learner overrides `batch_loss`, which it does if it has a faster way than `vmap`."""
    return type(learner).batch_loss is not Learner.batch_loss


def vectorises(learner: Learner) -> bool:
    """Return whether to use `vmap` over tasks: not for convolutions on the CPU or for an overridden `batch_loss`."""
    on_cpu = all(parameter.device.type == "cpu" for parameter in learner.parameters())
    convolves = any(isinstance(module, _CONVOLUTIONS) for module in learner.modules())
    return not (brings_batch_loss(learner) or (on_cpu and convolves))


def each_task(learner: Learner, function: Callable[[Episode], Any], episodes: Episode) -> Any:
    """Return the stacked results of `function` for each task of a batch, by the faster of `vmap` and a loop.

    `function` takes one episode and runs `learner` on it.
    """
    if vectorises(learner):
        return over_tasks(function)(episodes)
    return stack([function(episode) for episode in unstack(episodes)])
