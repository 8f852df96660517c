"""The meta-gradient: one pure function `(params, episodes) ↦ (grads, metrics)`.

It is the gradient of the mean over tasks of the learner's loss after adaptation, `∇_params mean_t loss(params, episode_t)`,
so that it can be compiled as one graph, taken a few tasks at a time, and averaged over processes
(Finn et al. 2017, "Model-Agnostic Meta-Learning", Algorithm 1, line 8).
"""

import logging
import os
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value
from torch.utils import _pytree as pytree

from ..episodes import Episode
from ..learners.batching import brings_batch_loss, vectorises
from ..learners.learner import Learner, Metrics

Params = dict[str, Tensor]
MetaGradient = Callable[[Params, Episode], tuple[Params, Metrics]]

_log = logging.getLogger(__name__)


def meta_gradient(
    learner: Learner, *, compile: bool = False, vectorise: bool | None = None, chunk_size: int | None = None
) -> MetaGradient:
    """Return `f(params, episodes) -> (grads, metrics)`, the gradient and the metrics being means over the tasks.

    Args:
        learner: whose `loss` is differentiated with respect to `params`, by the names of `named_parameters`.
        compile: make one graph of each chunk's gradient; without a C++ compiler it stays eager and logs that.
        vectorise: all tasks at once through `learner.batch_loss` (True) or one task at a time (False); None chooses
            the faster, see `learners.batching`.
        chunk_size: so many tasks at a time, their gradients being summed, which bounds the memory.
    """
    at_once = brings_batch_loss(learner) or vectorises(learner) if vectorise is None else vectorise
    gradient: MetaGradient = partial(_gradient, _Chunk(learner, not at_once))
    if compile and _can_compile(learner):
        gradient = torch.compile(gradient, fullgraph=True)
    return partial(_in_chunks, gradient, chunk_size if at_once else 1)


class _Chunk(nn.Module):
    """The mean loss of a chunk of tasks as a module, because `functional_call` calls modules."""

    def __init__(self, learner: Learner, one_by_one: bool):
        super().__init__()
        self.learner, self.one_by_one = learner, one_by_one

    def forward(self, episodes: Episode) -> tuple[Tensor, Metrics]:
        return self.learner.loss(_tasks(episodes, 0)) if self.one_by_one else self.learner.batch_loss(episodes)


def _gradient(chunk: _Chunk, params: Params, episodes: Episode) -> tuple[Params, Metrics]:
    grads, (_, metrics) = grad_and_value(partial(_loss, chunk, episodes), has_aux=True)(params)
    return grads, metrics


def _loss(chunk: _Chunk, episodes: Episode, params: Params) -> tuple[Tensor, Metrics]:
    value, metrics = functional_call(chunk, {f"learner.{name}": p for name, p in params.items()}, (episodes,))
    return value, {**metrics, "loss": value.detach()}


def _in_chunks(gradient: MetaGradient, size: int | None, params: Params, episodes: Episode) -> tuple[Params, Metrics]:
    tasks = len(episodes.support.w)
    if size is None or size >= tasks:
        return gradient(params, episodes)
    total = None
    for start in range(0, tasks, size):
        chunk = _tasks(episodes, slice(start, start + size))
        part = _scaled(gradient(params, chunk), len(chunk.support.w) / tasks)
        total = part if total is None else pytree.tree_map(torch.add, total, part)
    return total  # type: ignore[return-value]


def _tasks(episodes: Episode, which: int | slice) -> Episode:
    return pytree.tree_map_only(Tensor, lambda leaf: leaf[which], episodes)


def _scaled(tree: Any, by: float) -> Any:
    return pytree.tree_map(lambda leaf: by * leaf, tree)


def _can_compile(learner: Learner) -> bool:
    compiler = os.environ.get("CXX", "g++")
    on_cpu = all(parameter.device.type == "cpu" for parameter in learner.parameters())
    if not on_cpu or shutil.which(compiler.split()[0]):
        return True
    _log.warning("compile: found no C++ compiler (%s), so training runs uncompiled; install one, or set CXX.", compiler)
    return False
