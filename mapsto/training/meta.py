"""The meta-gradient: one pure function `(params, episodes, index) ↦ (grads, metrics)`.

It returns `∇_params mean_t loss(params, episode_t)`, the gradient of the learner's loss after adaptation, averaged over
the tasks (Finn et al. 2017, "Model-Agnostic Meta-Learning", Algorithm 1, line 8). Because it is pure, it can be
compiled as one graph and computed a few tasks at a time. Only estimators with random directions read the index of the
step.
"""

import copy
import functools
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils import _pytree as pytree

from ..adaptation import batching
from ..adaptation.learner import Learner, Metrics
from ..episodes import Episode, some
from ..errors import MapstoError
from ..processes import ALONE, Processes
from .estimators import Estimator, Exact, Params

MetaGradient = Callable[..., tuple[Params, Metrics]]  # arguments: params, episodes, index of the step (default 0)
Chunked = Callable[[Params, Episode, Params], tuple[Params, Metrics]]  # arguments: params, chunk of tasks, directions

_LIBRARIES = re.compile(r"G\['(?!__import_(?!(?:torch|mapsto)(?:_dot_|')))")  # in Dynamo's words; with builtins

_log = logging.getLogger(__name__)


def meta_gradient(
    learner: Learner,
    *,
    compile: bool = False,
    vectorise: bool | None = None,
    chunk_size: int | None = None,
    threads: int = 1,
    estimator: Estimator | None = None,
    processes: Processes = ALONE,
) -> MetaGradient:
    """Return a function `f(params, episodes, index=0)` that returns the mean meta-gradient and metrics of a batch.

    `params` is a dictionary from names to the learner's parameters, and `episodes` is a batch of tasks. The result is a
    pair (grads, metrics) of means over these tasks. `index` is the number of the training step; only estimators with
    random directions use it.

    Args:
        learner: the learner whose `loss` is differentiated with respect to `params`.
        compile: if True, compile the gradient of each chunk of tasks as one graph. If there is no C++ compiler, a
            warning is logged and nothing is compiled.
        vectorise: if True, `learner.batch_loss` computes all tasks of a chunk at once. If False, tasks are computed one
            after the other. If None, the faster way is chosen, see `adaptation.batching`.
        chunk_size: the number of tasks to compute at a time. Smaller chunks take less memory, and the result stays the
            same, unless the learner draws random numbers, as dropout does. If None, all tasks are one chunk.
        threads: the number of chunks to compute in parallel. For small networks this is faster than torch's own
            threads. If the learner draws random numbers, the result then changes from call to call, and `train` raises
            MapstoError. Set OMP_NUM_THREADS=1, because torch's own threads would compete for the same cores.
        estimator: how to compute the gradient of the loss, see `training.estimators`. If None, the gradient is exact.
        processes: the processes that share the tasks, or the directions if the estimator has some; each of them returns
            the means over all. They call the function together.
    """
    estimator = estimator or Exact()
    chunk = _Chunk(learner, vectorise)
    # `functional_call` swaps parameters inside its module, so each thread needs a module of its own; buffers are shared
    modules = [chunk, *(copy.deepcopy(chunk, {id(b): b for b in chunk.buffers()}) for _ in range(threads - 1))]
    gradients: list[Chunked] = [partial(_gradient, module, estimator) for module in modules]
    if compile and _can_compile(learner):
        options: dict[str, Any] = {
            "guard_filter_fn": _guards,
            "cpp_wrapper": _on_cpu(learner),
        }
        graphs = [torch.compile(gradient, fullgraph=True, options=options) for gradient in gradients]
        gradients = [partial(_compiled, graph) for graph in graphs]

    def gradient(params: Params, episodes: Episode, index: int = 0) -> tuple[Params, Metrics]:
        with batching.kernels_for(learner):
            episodes, directions, share = _own(processes, episodes, estimator.directions(params, index))
            at_once = chunk.decide(episodes)
            for module in modules:
                module.at_once = at_once
            means = _in_chunks(gradients, chunk_size if at_once else 1, params, episodes, directions)
            return means if processes.size == 1 else processes.sum(_scaled(means, share))

    return gradient


class _Chunk(nn.Module):
    """The mean loss of a chunk of tasks as a module, because `functional_call` calls modules."""

    def __init__(self, learner: Learner, vectorise: bool | None):
        super().__init__()
        self.learner, self.vectorise, self.at_once = learner, vectorise, bool(vectorise)
        names = [name for name, _ in learner.named_parameters(remove_duplicate=False)]
        self.tied = len(names) > len(list(learner.parameters()))  # weights with two names; looking for them takes time
        self.maps: bool | None = None  # until the first batch of several tasks shows it

    def decide(self, episodes: Episode) -> bool:
        """Return whether to compute tasks at once: as asked for, else in the faster way that can compute `episodes`."""
        of = self.learner
        if self.vectorise is not None or batching.brings_batch_loss(of):
            return self.vectorise is not False
        if batching.alone(episodes):
            return False
        if self.maps is None:
            self.maps = batching.vectorises(of) and batching.maps(of.loss, episodes)
        return self.maps

    def forward(self, episodes: Episode) -> tuple[Tensor, Metrics]:
        return self.learner.batch_loss(episodes) if self.at_once else self.learner.loss(some(episodes, 0))


def _guards(entries: Sequence[Any]) -> list[bool]:
    """Return which guards a compiled step checks: not those on names in modules of torch and mapsto, which stay."""
    return [not (entry.is_global and _LIBRARIES.match(entry.name)) for entry in entries]


def _gradient(
    chunk: _Chunk, estimator: Estimator, params: Params, episodes: Episode, directions: Params
) -> tuple[Params, Metrics]:
    return estimator(partial(_loss, chunk, episodes), params, directions)


def _loss(chunk: _Chunk, episodes: Episode, params: Params) -> tuple[Tensor, Metrics]:
    named = {f"learner.{name}": p for name, p in params.items()}
    value, metrics = functional_call(chunk, named, (episodes,), tie_weights=chunk.tied)
    return value, {**metrics, "loss": value.detach()}


def _compiled(gradient: Chunked, params: Params, episodes: Episode, directions: Params) -> tuple[Params, Metrics]:
    try:
        return gradient(params, episodes, directions)
    except torch._dynamo.exc.Unsupported as error:
        reason = str(error).splitlines()[0]
        raise MapstoError(f"compile: the learner is not one graph ({reason}); train it without compile.") from error


def _own(processes: Processes, episodes: Episode, directions: Params) -> tuple[Episode, Params, float]:
    """Return this process's part of the directions, or else of the tasks, and which fraction of all it is."""
    if processes.size == 1:
        return episodes, directions, 1.0
    own, share = processes.part(len(next(iter(directions.values()), episodes.support.w)))
    if directions:
        return episodes, {name: v[own] for name, v in directions.items()}, share
    return some(episodes, own), {}, share


def _in_chunks(
    gradients: list[Chunked], size: int | None, params: Params, episodes: Episode, directions: Params
) -> tuple[Params, Metrics]:
    params = {name: p.detach() for name, p in params.items()}  # otherwise autograd keeps a graph of the gradient too
    tasks = len(episodes.support.w)
    if size is None or size >= tasks:
        return gradients[0](params, episodes, directions)
    chunks = [some(episodes, slice(start, start + size)) for start in range(0, tasks, size)]
    all_of = _by_threads if len(gradients) > 1 else _in_turn
    parts = all_of(gradients, params, chunks, directions)
    scaled = (_scaled(part, len(chunk.support.w) / tasks) for part, chunk in zip(parts, chunks, strict=True))
    return functools.reduce(partial(pytree.tree_map, torch.add), scaled)


def _in_turn(
    gradients: list[Chunked], params: Params, chunks: list[Episode], directions: Params
) -> Iterator[tuple[Params, Metrics]]:
    return (gradients[0](params, chunk, directions) for chunk in chunks)


def _by_threads(
    gradients: list[Chunked], params: Params, chunks: list[Episode], directions: Params
) -> Iterator[tuple[Params, Metrics]]:
    """Yield the gradients of the chunks in order, each computed by the next free function."""
    free: SimpleQueue[Chunked] = SimpleQueue()
    for gradient in gradients:
        free.put(gradient)

    def compute(chunk: Episode) -> tuple[Params, Metrics]:
        gradient = free.get()
        try:
            return gradient(params, chunk, directions)
        finally:
            free.put(gradient)

    with ThreadPoolExecutor(len(gradients)) as pool:
        yield from pool.map(compute, chunks)


def _scaled(tree: Any, factor: float) -> Any:
    return pytree.tree_map(lambda leaf: factor * leaf, tree)


def _can_compile(learner: Learner) -> bool:
    compiler = os.environ.get("CXX", "g++")
    if not _on_cpu(learner) or shutil.which(compiler.split()[0]):
        return True
    _log.warning("compile: found no C++ compiler (%s), so training runs uncompiled; install one, or set CXX.", compiler)
    return False


def _on_cpu(learner: Learner) -> bool:
    return all(parameter.device.type == "cpu" for parameter in learner.parameters())
