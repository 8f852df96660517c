"""Ask a model for the scores of many rows at once, also inside the transforms of `torch.func`.

    ask(answer, rows) = answer(rows)        [b, ...] ↦ [b] or [b, k]

`answer` always gets ordinary tensors: nested `vmap`s become one batch of rows, which is cut into parts of limited size.
So it may be any function of rows: a module that `vmap` cannot trace, a random forest, or a call of another program. The
backward pass is an operation of this kind too, so that `vmap` also applies to gradients (one batched vector-Jacobian
product). Parameters of the model are constants.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .errors import MapstoError

Answer = Callable[..., Tensor]  # rows [b, ...], and further tensors [b, ...], to scores [b] or [b, k]


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
    return _Ask.apply(answer, batch_size, rows, *constants)


class _Ask(torch.autograd.Function):
    @staticmethod
    def forward(answer: Answer, batch_size: int, *rows: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([answer(*part) for part in _parts(batch_size, rows)])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.answer, ctx.batch_size, *rows = inputs
        ctx.save_for_backward(*rows)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        moved = _Pull.apply(ctx.answer, ctx.batch_size, slope, *ctx.saved_tensors)
        return None, None, moved, *[None] * (len(ctx.saved_tensors) - 1)

    @staticmethod
    def jvp(ctx: Any, *moves: Any) -> Tensor:
        raise MapstoError("f: got a derivative in forward mode (jvp, jacfwd), expected reverse mode; use grad or vjp.")

    @staticmethod
    def vmap(info: Any, in_dims: tuple, answer: Answer, batch_size: int, *rows: Tensor) -> tuple[Tensor, int]:
        scores = _Ask.apply(answer, batch_size, *_folded(info.batch_size, in_dims[2:], rows))
        return scores.unflatten(0, (info.batch_size, -1)), 0


class _Pull(torch.autograd.Function):
    """The vector-Jacobian product of `answer`: slopes by the scores to slopes by the entries of the rows."""

    @staticmethod
    def forward(answer: Answer, batch_size: int, *rows: Tensor) -> Tensor:
        return torch.cat([_pull(answer, *part) for part in _parts(batch_size, rows)])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> None:
        raise MapstoError("f: got a second derivative of a model, expected a first one; explain a learner's view.")

    @staticmethod
    def vmap(info: Any, in_dims: tuple, answer: Answer, batch_size: int, *rows: Tensor) -> tuple[Tensor, int]:
        moved = _Pull.apply(answer, batch_size, *_folded(info.batch_size, in_dims[2:], rows))
        return moved.unflatten(0, (info.batch_size, -1)), 0


def _pull(answer: Answer, slope: Tensor, rows: Tensor, *constants: Tensor) -> Tensor:
    with torch.inference_mode(False), torch.enable_grad():
        parts = (slope, rows.detach(), *constants)
        slope, rows, *others = (part.clone() if part.is_inference() else part for part in parts)
        rows.requires_grad_()
        try:
            scores = answer(rows, *others)
        except RuntimeError as error:
            if "numpy" not in str(error):  # NumPy reads no tensor that requires a gradient
                raise
            raise MapstoError(f"{_NO_GRADIENT} ({error}).") from error
        moved = torch.autograd.grad(scores, rows, slope, allow_unused=True)[0] if scores.requires_grad else None
    if moved is None:  # zeros would look like "nothing matters"
        raise MapstoError(f"{_NO_GRADIENT}.")
    return moved


_NO_GRADIENT = "f: got a model whose score has no gradient; use an explainer that hides, such as Shapley"


def _parts(batch_size: int, rows: tuple[Tensor, ...]) -> Any:
    return zip(*(part.split(batch_size) for part in rows), strict=True)


def _folded(size: int, dims: tuple[int | None, ...], rows: tuple[Tensor, ...]) -> list[Tensor]:
    """Return tensors `[size · b, ...]`: the axis that `vmap` maps joins the axis of rows."""
    first = (
        part.expand(size, *part.shape) if dim is None else part.movedim(dim, 0)
        for dim, part in zip(dims, rows, strict=True)
    )
    return [part.flatten(0, 1) for part in first]
