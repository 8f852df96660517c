"""Exact routes that keep only some states of the loop, and recompute the steps between them when differentiating.

    forwards: keep φ_0, φ_b, φ_2b, …;     backwards, block by block: v ← (∂φ_{i+b}/∂φ_i)ᵀ v, from a recomputed graph

Griewank & Walther 2000, "Revolve", §1; for meta-learning Maclaurin et al. 2015, "Gradient-based Hyperparameter
Optimization through Reversible Learning", Algorithm 2. They recover earlier states by running the loop backwards; here
the states are kept.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ... import checks
from .pulling import Tensors, pull, split
from .route import Differentiation, Reverse, State, Step


class Blocked(Differentiation):
    """Differentiate exactly: keep one state for each block of `size` steps, and unroll one block at a time.

    Args:
        size: the number of steps in a block. For K steps, the memory is the graph of `size` steps and `K / size`
            states.

    Raises:
        MapstoError: if `size` is below 1.
    """

    def __init__(self, size: int):
        checks.count(size=size)
        self.size = size

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Return the state after `steps`; see `Differentiation`."""
        for start in range(0, len(steps), self.size):
            state = _recomputed(step, [steps[start : start + self.size]], state, inputs)
        return state


class Adjoint(Blocked):
    """Differentiate exactly: keep the state before each step, and unroll one step at a time.

    The derivative is passed backwards by v ← (∂step/∂φ)ᵀ v, with the graph of each step recomputed.
    """

    def __init__(self) -> None:
        super().__init__(1)


class Checkpointed(Differentiation):
    """Differentiate exactly: keep every √K-th of K states, and recompute the states between them block by block."""

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Return the state after `steps`; see `Differentiation`."""
        size = max(1, math.isqrt(len(steps)))
        for start in range(0, len(steps), size):
            block = steps[start : start + size]
            state = _recomputed(step, [block[i : i + 1] for i in range(len(block))], state, inputs)
        return state


def _recomputed(step: Step, pieces: list[range], state: State, inputs: Any) -> State:
    """Take the steps of all pieces without a graph; to differentiate, take them again and unroll piece by piece."""
    leaves, spec = pytree.tree_flatten(state)
    tensors, join = split(inputs)

    def run(piece: range, *both: Tensor) -> Tensors:
        state = pytree.tree_unflatten(both[: len(leaves)], spec)
        return tuple(pytree.tree_leaves(Reverse()(step, state, join(both[len(leaves) :]), piece)))

    runs = [partial(run, piece) for piece in pieces]
    return pytree.tree_unflatten(_Recomputed.apply(runs, len(leaves), *leaves, *tensors), spec)


class _Recomputed(torch.autograd.Function):
    """A sequence of runs from the state; the graph of a run exists only while the run is differentiated."""

    generate_vmap_rule = True

    @staticmethod
    def forward(runs: list[Callable[..., Tensors]], size: int, *tensors: Tensor) -> Tensors:
        state, inputs = tensors[:size], tensors[size:]
        for run in runs:
            state = run(*state, *inputs)
        return state

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensors) -> None:
        ctx.runs, ctx.size, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple:
        size, states, inputs = ctx.size, [ctx.saved_tensors[: ctx.size]], ctx.saved_tensors[ctx.size :]
        for run in ctx.runs[:-1]:
            states.append(run(*states[-1], *inputs))
        by_inputs: list[Tensor | None] = [None] * len(inputs)
        for run, state in zip(reversed(ctx.runs), reversed(states), strict=True):
            products = pull(run, (*state, *inputs), cotangents)
            cotangents = tuple(gradient for gradient in products[:size] if gradient is not None)  # all floating
            by_inputs = [_sum(a, b) for a, b in zip(by_inputs, products[size:], strict=True)]
        return None, None, *cotangents, *by_inputs


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b
