"""A model of several inputs, as a model of one row that holds the entries of all inputs one after the other.

    (a [p], b [q, r])  ↦  row [p + q·r]        f(a, b) = joined(row)

So explainers and games, which change or hide the entries of one row, also explain models of several inputs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from .. import checks

Inputs = Tensor | tuple[Tensor, ...] | list[Tensor] | Mapping[str, Tensor]
"""What a model reads of one row, without a batch axis: one tensor, or several by place or by name."""


def join(x: Inputs) -> Shaped[Tensor, " p"]:
    """Return the entries of several inputs as one row; integers become floats if another input has floats.

    Raises:
        MapstoError: if an input is not a tensor.

    >>> join((torch.tensor([1, 2]), torch.tensor([[0.5]])))
    tensor([1.0000, 2.0000, 0.5000])
    """
    parts = _parts(x)
    dtypes = [part.dtype for part in parts]
    dtype = dtypes[0]
    for other in dtypes[1:]:
        dtype = torch.promote_types(dtype, other)
    return torch.cat([part.flatten().to(dtype) for part in parts])


def signature(x: Inputs) -> tuple:
    """Return the names, shapes and dtypes of several inputs; models of one signature share one joined model."""
    names = tuple(x) if isinstance(x, Mapping) else ()
    return names, tuple((tuple(part.shape), part.dtype) for part in _parts(x))


def joined(f: Any, x: Inputs) -> Any:
    """Return the module or function `f` of several inputs, such as `x`, as one of rows `[b, p]`."""
    split = _Split(x)
    return _Joined(f, split) if isinstance(f, nn.Module) else lambda rows: split(f, rows)


def _parts(x: Any) -> list[Tensor]:
    several = isinstance(x, tuple | list | Mapping)
    parts = list(x.values() if isinstance(x, Mapping) else x) if several else [x]
    wrong = [type(part).__name__ for part in parts if not isinstance(part, Tensor)]
    got = f"a {type(x).__name__}" + (f" that holds {', '.join(wrong) or 'nothing'}" if several else "")
    checks.expect(parts and not wrong, "x", got, "a tensor, or several", "pass torch.as_tensor(x)")
    return parts


class _Split:
    def __init__(self, x: Inputs):
        self.names, self.kinds = signature(x)

    def __call__(self, f: Callable[..., Any], rows: Tensor | np.ndarray) -> Any:
        """Return the output of `f` for rows of joined inputs; if the rows are an array, `f` gets arrays."""
        sizes = [int(np.prod(shape)) for shape, _ in self.kinds]
        columns = torch.as_tensor(rows).split(sizes, 1)
        parts: list[Any] = [
            _as(column, dtype).unflatten(1, shape) if shape else _as(column, dtype)[:, 0]
            for column, (shape, dtype) in zip(columns, self.kinds, strict=True)
        ]
        if isinstance(rows, np.ndarray):
            parts = [part.numpy() for part in parts]
        return f(**dict(zip(self.names, parts, strict=True))) if self.names else f(*parts)


class _Joined(nn.Module):
    def __init__(self, module: nn.Module, split: _Split):
        super().__init__()
        self.module, self.split = module, split
        self.training = module.training

    def forward(self, rows: Shaped[Tensor, "b p"]) -> Any:
        return self.split(self.module, rows)


def _as(column: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a column of integers in its own dtype; floats keep the dtype of the module."""
    if dtype.is_floating_point:
        return column
    return (column.round() if column.is_floating_point() else column).to(dtype)
