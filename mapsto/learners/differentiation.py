"""How a loop of inner steps is differentiated: one value, several derivatives of it, each at a price of its own.

    φ_{i+1} = step(φ_i, inputs, i),  i = 0 … K − 1;     v_i = (∂φ_{i+1}/∂φ_i)ᵀ v_{i+1},  backwards from v_K

`Reverse` keeps the graph of all K steps. The exact routes that recompute (`Blocked`, and `Adjoint` and `Checkpointed`,
which are blocks of one step and blocks within blocks) keep only the parameters between blocks (Griewank & Walther 2000,
"Revolve"; for meta-learning Maclaurin et al. 2015, "Gradient-based Hyperparameter Optimization through Reversible
Learning", Algorithm 2). `Truncated` and `Implicit` approximate.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import vjp
from torch.utils import _pytree as pytree

from ..errors import MapstoError

State = Any
Step = Callable[[State, Any, int], State]
Tensors = tuple[Tensor, ...]


class Differentiation(ABC):
    """Take the steps of a range: `state ← step(state, inputs, i)`; state and inputs are pytrees of tensors."""

    @abstractmethod
    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Return the state after `steps`; how its derivatives by `state` and `inputs` are made is what differs."""


class Reverse(Differentiation):
    """Unroll: derivatives flow back through every step, and memory grows with their number. Exact."""

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        for i in steps:
            state = step(state, inputs, i)
        return state


class Blocked(Differentiation):
    """Keep the state between blocks of `size` steps; unroll one block at a time on the way back. Exact.

    Args:
        size: steps in a block; memory is that of the graph of `size` steps and of `K / size` states.
    """

    def __init__(self, size: int):
        self.size = _positive("size", size)

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        for start in range(0, len(steps), self.size):
            state = _recomputed(step, [steps[start : start + self.size]], state, inputs)
        return state


class Adjoint(Blocked):
    """Blocks of one step: v ← (∂step/∂φ)ᵀ v, each step's graph made anew. Memory flat in the steps, but for states."""

    def __init__(self) -> None:
        super().__init__(1)


class Checkpointed(Differentiation):
    """Keep every √K-th state: blocks of √K steps, whose own states are recomputed and gone through one by one. Exact."""

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        size = max(1, math.isqrt(len(steps)))
        for start in range(0, len(steps), size):
            block = steps[start : start + size]
            state = _recomputed(step, [block[i : i + 1] for i in range(len(block))], state, inputs)
        return state


class Truncated(Differentiation):
    """Differentiate the last `last` steps; what came before is taken to move with the start, ∂φ_{K−last}/∂φ_0 ≈ 1.

    With `last = 0` that is first-order MAML by the start, with `last ≥ K` it is `Reverse`
    (Shaban et al. 2019, "Truncated Back-propagation for Bilevel Optimization", §2.3).
    """

    def __init__(self, last: int):
        if last < 0:
            raise MapstoError(f"last: got {last}, expected 0 or more steps to differentiate.")
        self.last = last

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        early = steps[: max(0, len(steps) - self.last)]
        moved = Reverse()(step, _detach(state), _detach(inputs), early)
        state = pytree.tree_map(lambda start, end: start + (end - start).detach(), state, moved)
        return Reverse()(step, state, inputs, steps[len(early) :])


class Implicit(Differentiation):
    """Differentiate the fixed point φ* = step(φ*, inputs), not the way to it: the memory of one step, whatever K.

        u = (1 − ∂step/∂φ)⁻ᵀ v  by conjugate gradient,    (∂φ*/∂inputs)ᵀ v = (∂step/∂inputs)ᵀ u

    For gradient descent with one rate, where ∂step/∂φ is symmetric as conjugate gradient wants. The start gets no
    gradient: let it enter through `inputs`, as the anchor of a proximal term does
    (Rajeswaran et al. 2019, "Meta-Learning with Implicit Gradients", eq. 6 and Algorithm 2).

    Args:
        iterations: of conjugate gradient, five in the paper.
    """

    def __init__(self, iterations: int = 5):
        self.iterations = _positive("iterations", iterations)

    def __call__(self, step: Step, state: State, inputs: Any, steps: range) -> State:
        """Take the steps; see `Differentiation`."""
        found = Reverse()(step, _detach(state), _detach(inputs), steps)
        leaves, spec = pytree.tree_flatten(found)
        tensors, join = _split(inputs)

        def at(*both: Tensor) -> Tensors:
            state = pytree.tree_unflatten(both[: len(leaves)], spec)
            return tuple(pytree.tree_leaves(step(state, join(both[len(leaves) :]), steps.stop)))

        return pytree.tree_unflatten(_AtRest.apply(at, self.iterations, len(leaves), *leaves, *tensors), spec)


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise MapstoError(f"{name}: got {value}, expected at least 1.")
    return value


def _detach(tree: Any) -> Any:
    return pytree.tree_map_only(Tensor, Tensor.detach, tree)


def _split(tree: Any) -> tuple[list[Tensor], Callable[[Tensors], Any]]:
    """Return the tensors of a pytree, and how to put others in their places."""
    leaves, spec = pytree.tree_flatten(tree)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def join(tensors: Tensors) -> Any:
        filled = dict(zip(places, tensors, strict=True))
        return pytree.tree_unflatten([filled.get(i, leaf) for i, leaf in enumerate(fixed)], spec)

    fixed = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    return [leaves[i] for i in places], join


def _recomputed(step: Step, pieces: list[range], state: State, inputs: Any) -> State:
    """Take the steps of all pieces, keeping nothing: the way back takes them again, and unrolls piece by piece."""
    leaves, spec = pytree.tree_flatten(state)
    tensors, join = _split(inputs)

    def run(piece: range, *both: Tensor) -> Tensors:
        state = pytree.tree_unflatten(both[: len(leaves)], spec)
        return tuple(pytree.tree_leaves(Reverse()(step, state, join(both[len(leaves) :]), piece)))

    runs = [partial(run, piece) for piece in pieces]
    return pytree.tree_unflatten(_Recomputed.apply(runs, len(leaves), *leaves, *tensors), spec)


def _pull(run: Callable[..., Tensors], tensors: Tensors, cotangents: Tensors) -> list[Tensor | None]:
    """Return the vector-Jacobian product of `run` by each floating tensor, None for the others."""
    floating = [i for i, tensor in enumerate(tensors) if tensor.is_floating_point()]

    def moved(*values: Tensor) -> Tensors:
        given = dict(zip(floating, values, strict=True))
        return run(*(given.get(i, tensor) for i, tensor in enumerate(tensors)))

    gradients = vjp(moved, *(tensors[i] for i in floating))[1](cotangents)
    found: list[Tensor | None] = [None] * len(tensors)
    for i, gradient in zip(floating, gradients, strict=True):
        found[i] = gradient
    return found


class _Recomputed(torch.autograd.Function):
    """Run after run from the state, whose graphs exist only while they are differentiated."""

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
            found = _pull(run, (*state, *inputs), cotangents)
            cotangents = tuple(found[:size])
            by_inputs = [_sum(a, b) for a, b in zip(by_inputs, found[size:], strict=True)]
        return None, None, *cotangents, *by_inputs


class _AtRest(torch.autograd.Function):
    """The state itself, with the derivatives of a fixed point of `run`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(run: Callable[..., Tensors], iterations: int, size: int, *tensors: Tensor) -> Tensors:
        return tuple(tensor.clone() for tensor in tensors[:size])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensors) -> None:
        ctx.run, ctx.iterations, ctx.size, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple:
        tensors, size = ctx.saved_tensors, ctx.size
        by_state = lambda *state: ctx.run(*state, *tensors[size:])  # noqa: E731
        pull = vjp(by_state, *tensors[:size])[1]
        u = _conjugate_gradient(lambda u: _minus(u, pull(u)), cotangents, ctx.iterations)
        return None, None, None, *[None] * size, *_pull(ctx.run, tensors, u)[size:]


def _conjugate_gradient(matrix: Callable[[Tensors], Tensors], b: Tensors, iterations: int) -> Tensors:
    """Solve `matrix(x) = b` for a symmetric positive definite matrix (Hestenes & Stiefel 1952)."""
    x, r, p = tuple(torch.zeros_like(t) for t in b), b, b
    for _ in range(iterations):
        q = matrix(p)
        alpha = _ratio(_dot(r, r), _dot(p, q))
        x, rest = _plus(x, p, alpha), _plus(r, q, -alpha)
        p, r = _plus(rest, p, _ratio(_dot(rest, rest), _dot(r, r))), rest
    return x


def _dot(a: Tensors, b: Tensors) -> Tensor:
    return torch.stack([(s * t).sum() for s, t in zip(a, b, strict=True)]).sum()


def _plus(a: Tensors, b: Tensors, times: Tensor) -> Tensors:
    return tuple(s + times * t for s, t in zip(a, b, strict=True))


def _minus(a: Tensors, b: Tensors) -> Tensors:
    return tuple(s - t for s, t in zip(a, b, strict=True))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return a / torch.where(b != 0, b, 1.0)
