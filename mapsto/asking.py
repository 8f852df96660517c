"""Ask a model for the scores of many rows at once, also inside the transforms of `torch.func`.

    ask(answer, rows) = answer(rows)        [b, ...] ↦ [b] or [b, k]

`answer` always gets ordinary tensors: nested `vmap`s become one batch of rows, which is cut into parts of limited size.
So it may be any function of rows: a module that `vmap` cannot trace, a random forest, or a call of another program. Its
backward pass is a question of the same kind, from slopes and rows to gradients, and so is the backward pass of that. So
`vmap` also applies to derivatives of any order. Parameters of the model are constants.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .errors import MapstoError

Answer = Callable[..., Tensor]  # rows [b, ...], and further tensors [b, ...], to scores [b] or [b, k]
_Answers = Callable[..., tuple[Tensor, ...]]  # tensors [b, ...] to tensors [b, ...]


def ask(
    answer: Answer, batch_size: int, rows: Shaped[Tensor, "b ..."], *constants: Shaped[Tensor, "b ..."]
) -> Float[Tensor, "b ..."]:
    """Return `answer(rows, *constants)`, computed for at most `batch_size` rows at a time.

    Gradients flow to `rows` if the answer is differentiable; `constants` are further inputs for each row without a
    gradient.

    Raises:
        MapstoError: if a gradient is needed and the answer has none, or in forward-mode differentiation.

    >>> rows = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    >>> steps = lambda rows: torch.stack([row.sum() if row[1] > 0 else row[0] for row in rows])  # vmap cannot trace it
    >>> torch.func.vmap(torch.func.grad(lambda row: ask(steps, 256, row[None])[0]))(rows)
    tensor([[1., 1.],
            [1., 0.]])
    """
    return _Ask.apply(lambda *parts: (_ordinary(answer, *parts),), 1, batch_size, rows, *constants)[0]


def ask_one(
    answer: Answer, batch_size: int, rows: Shaped[Tensor, "b ..."], *constants: Shaped[Tensor, "b ..."]
) -> Float[Tensor, " b"]:
    """Return `ask(...)` of an answer with one score for each row; where rows move, it is asked once, not twice.

    If `rows` requires a gradient, each batch of rows gives its scores and their gradients together.
    """
    if rows.requires_grad and torch.is_grad_enabled():
        scores, slopes = _Ask.apply(_with_slopes(answer), 1, batch_size, rows, *constants)
        if slopes.shape == rows.shape:
            return _Sloped.apply(rows, scores, slopes)
    return ask(answer, batch_size, rows, *constants)


class _Sloped(torch.autograd.Function):
    """The scores `[b]` of rows `[b, ...]`, whose gradients `[b, ...]` are known."""

    @staticmethod
    def forward(rows: Tensor, scores: Tensor, slopes: Tensor) -> Tensor:
        return scores.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, by: Tensor) -> tuple[Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        return by.reshape(-1, *[1] * (slopes.ndim - 1)) * slopes, None, None

    @staticmethod
    def jvp(ctx: Any, *moves: Any) -> Tensor:
        raise MapstoError(_FORWARD)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *parts: Tensor) -> tuple[Tensor, int]:
        return _Sloped.apply(*_folded(info.batch_size, in_dims, parts)).unflatten(0, (info.batch_size, -1)), 0


class _Ask(torch.autograd.Function):
    """The answers to rows; gradients flow to the first `moving` of the tensors of rows."""

    @staticmethod
    def forward(answers: _Answers, moving: int, batch_size: int, *rows: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            count = max(1, -(-len(rows[0]) // batch_size))  # parts of equal size; no rows are one part
            split = (each.detach().tensor_split(count) for each in rows)
            parts = [answers(*part) for part in zip(*split, strict=True)]
            return tuple(torch.cat(each) for each in zip(*parts, strict=True))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        ctx.answers, ctx.moving, ctx.batch_size, *rows = inputs
        ctx.save_for_backward(*rows, *output)
        ctx.set_materialize_grads(False)  # where no gradient comes, nothing is asked

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor | None) -> tuple[Tensor | None, ...]:
        count = len(slopes)
        rows, scores = ctx.saved_tensors[:-count], ctx.saved_tensors[-count:]
        if all(slope is None for slope in slopes):
            return (None,) * (3 + len(rows))
        slopes = tuple(torch.zeros_like(s) if slope is None else slope for slope, s in zip(slopes, scores, strict=True))
        moved = _Ask.apply(_pulled(ctx.answers, count, ctx.moving), count + ctx.moving, ctx.batch_size, *slopes, *rows)
        return None, None, None, *moved, *[None] * (len(rows) - ctx.moving)

    @staticmethod
    def jvp(ctx: Any, *moves: Any) -> Tensor:
        raise MapstoError(_FORWARD)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple, answers: _Answers, moving: int, batch_size: int, *rows: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        scores = _Ask.apply(answers, moving, batch_size, *_folded(info.batch_size, in_dims[3:], rows))
        return tuple(each.unflatten(0, (info.batch_size, -1)) for each in scores), (0,) * len(scores)


def _with_slopes(answer: Answer) -> _Answers:
    """Return the function to the scores `[b]` and their gradients by the rows, which are empty if there is none."""

    def both(rows: Tensor, *constants: Tensor) -> tuple[Tensor, ...]:
        with torch.inference_mode(False), torch.enable_grad():
            again = rows.requires_grad  # the gradients will be differentiated
            moved = rows if again else rows.clone().requires_grad_()
            scores = _ordinary(answer, moved, *constants)
            if not scores.requires_grad:
                return scores, scores.new_zeros(len(scores), 0)
            (slopes,) = torch.autograd.grad(scores.sum(), moved, create_graph=again)
        return scores if again else scores.detach(), slopes

    return both


def _pulled(answers: _Answers, count: int, moving: int) -> _Answers:
    """Return the vector-Jacobian product of `answers`: from `count` slopes and the rows to gradients of `moving` rows.

    The product is itself differentiable if the rows or slopes that it gets require gradients.
    """

    def pulled(*parts: Tensor) -> tuple[Tensor, ...]:
        with torch.inference_mode(False), torch.enable_grad():
            parts = tuple(part.clone() if part.is_inference() else part for part in parts)
            slopes, moved, constants = parts[:count], parts[count : count + moving], parts[count + moving :]
            again = any(part.requires_grad for part in parts)  # the gradients will be differentiated
            moved = tuple(part if part.requires_grad else part.detach().requires_grad_() for part in moved)
            scores = answers(*moved, *constants)
            read = [i for i, each in enumerate(scores) if each.requires_grad]
            chosen = [scores[i] for i in read], moved, [slopes[i] for i in read]
            moves = torch.autograd.grad(*chosen, create_graph=again, allow_unused=True) if read else (None,) * moving
        if count == 1 and moves[0] is None and moving == 1:  # zeros would look like "nothing matters"
            raise MapstoError(f"{_NO_GRADIENT}.")
        # A gradient that does not depend on the rows, as of a linear model, has the derivative 0.
        return tuple(torch.zeros_like(part) if move is None else move for move, part in zip(moves, moved, strict=True))

    return pulled


def _ordinary(answer: Answer, *parts: Tensor) -> Tensor:
    """Return the answer; name the remedy if NumPy refuses rows that require a gradient."""
    try:
        return answer(*parts)
    except RuntimeError as error:
        if "numpy" not in str(error) or not parts[0].requires_grad:
            raise
        raise MapstoError(f"{_NO_GRADIENT} ({error}).") from error


_FORWARD = "f: got a derivative in forward mode (jvp, jacfwd), expected reverse mode; use grad or vjp."
_NO_GRADIENT = "f: got a model whose score has no gradient; use an explainer that hides, such as Shapley"


def _folded(size: int, dims: tuple[int | None, ...], rows: tuple[Tensor, ...]) -> list[Tensor]:
    """Return tensors `[size · b, ...]`: the axis that `vmap` maps joins the axis of rows."""
    first = (
        part.expand(size, *part.shape) if dim is None else part.movedim(dim, 0)
        for dim, part in zip(dims, rows, strict=True)
    )
    return [part.flatten(0, 1) for part in first]
