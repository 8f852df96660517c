"""Choose between `vmap` over tasks and a Python loop, which give the same numbers at different speeds.

Under `vmap`, a convolution whose weights differ from task to task becomes a grouped convolution. On the CPU this is
more than twice as slow as a loop over tasks, unless the network is small; training measures it, see
`training.choosing`. Recurrent layers, and bodies that write to their buffers, have no rule for
`vmap`, so their tasks are computed one by one too. All other learners are several times faster under `vmap`, unless a
batch has one task only.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..episodes import Episode, over_tasks, some, stack, unstack
from ..processes import ALONE, Processes
from .kernels import twice_differentiable
from .learner import Learner

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

_functorch: Any = torch._C._functorch
_log = logging.getLogger(__name__)


def brings_batch_loss(learner: Learner) -> bool:
    """Return whether the learner overrides `batch_loss`, which it does if it has a faster way than `vmap`."""
    return type(learner).batch_loss is not Learner.batch_loss


def vectorises(learner: Learner) -> bool:
    """Return whether to try `vmap` over tasks.

    It is not used for recurrent layers, for convolutions on the CPU, or for an overridden `batch_loss`.
    """
    return _has_rules(learner) and not _on_cpu(learner, _CONVOLUTIONS)


def convolves(learner: Learner) -> bool:
    """Return whether the learner has convolutions on the CPU, for which either `vmap` or the loop may be faster."""
    return _has_rules(learner) and _on_cpu(learner, _CONVOLUTIONS)


def _has_rules(learner: Learner) -> bool:
    return not (brings_batch_loss(learner) or any(isinstance(module, nn.RNNBase) for module in learner.modules()))


def _on_cpu(learner: Learner, kinds: tuple[type[nn.Module], ...]) -> bool:
    cpu = all(parameter.device.type == "cpu" for parameter in learner.parameters())
    return cpu and any(isinstance(module, kinds) for module in learner.modules())


def alone(episodes: Episode) -> bool:
    """Return whether the batch has one task only, which `vmap` would slow down."""
    return len(episodes.support.w) == 1


def each_task(
    learner: Learner,
    function: Callable[[Episode], Any],
    episodes: Episode,
    vectorise: bool | None = None,
    processes: Processes = ALONE,
) -> Any:
    """Return the stacked results of `function` for each task of a batch.

    `function` takes one episode and runs `learner` on it. If `vectorise` is True, `vmap` computes all tasks at once; if
    False, a loop computes them one by one. If None, it is the faster way that can compute `function`. The `processes`
    share the tasks and exchange the results.
    """
    count = len(episodes.support.w)
    own = processes.part(count).own
    results = _each(learner, function, some(episodes, own), vectorise)
    return processes.gather(results, own, count)


def _each(learner: Learner, function: Callable[[Episode], Any], episodes: Episode, vectorise: bool | None) -> Any:
    with kernels_for(learner):
        if vectorise:
            return over_tasks(function)(episodes)
        if vectorise is None and vectorises(learner) and not alone(episodes):
            results, error = _attempt(function, episodes)
            if error is None:
                return results
        return stack([function(episode) for episode in unstack(episodes)])  # raises every error that is not of `vmap`


def kernels_for(learner: Learner) -> AbstractContextManager[None]:
    """Return a context in which attention can be differentiated twice and mapped, if the learner has an inner loop."""
    return nullcontext() if learner.differentiation is None else twice_differentiable()


def maps(function: Callable[[Episode], Any], episodes: Episode) -> bool:
    """Return whether `vmap` can compute `function`, by trying it on two tasks of the batch.

    An error that the function also raises without `vmap` is raised.
    """
    two = pytree.tree_map_only(Tensor, lambda leaf: leaf[:2], episodes)
    with torch.random.fork_rng(devices=[]):
        error = _attempt(function, two)[1]
        if error is not None:
            for episode in unstack(two):
                function(episode)
            _log.info("Tasks are computed one by one, because vmap cannot compute them at once: %s", error)
    return error is None


def _attempt(function: Callable[[Episode], Any], episodes: Episode) -> tuple[Any, Exception | None]:
    """Return the results of `function` under `vmap`, or the error that it raises there.

    An operation without a rule for `vmap` is an error here. Outside, torch would compute it in a slow loop.
    """
    if torch.compiler.is_compiling():  # which cannot trace the switch
        return over_tasks(function)(episodes), None
    fallback = _functorch._is_vmap_fallback_enabled()
    _functorch._set_vmap_fallback_enabled(False)
    try:
        return over_tasks(function)(episodes), None
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return None, error
    finally:
        _functorch._set_vmap_fallback_enabled(fallback)
