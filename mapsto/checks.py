"""Checks of arguments at the border: each raises one sentence that names the argument, its value and the remedy.

checks.count(steps=steps, hidden=hidden)          # whole numbers from 1
checks.above(0, lr=lr)                            # finite numbers above 0
checks.one_of(("mean", "max"), readout=readout)
checks.expect(len(x) == len(y), "y", len(y), f"{len(x)} labels, one for each row of x")
"""

import math
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.autograd import forward_ad

from .errors import MapstoError


def spread(name: str, value: float | Tensor, point: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """Return the argument `name`, a number or a tensor, in the point's shape, dtype and device.

    Raises:
        MapstoError: it does not broadcast to the point's shape.

    >>> spread("baseline", 0.5, torch.zeros(2))
    tensor([0.5000, 0.5000])
    """
    value = torch.as_tensor(value, dtype=point.dtype, device=point.device)
    try:
        return value.broadcast_to(point.shape)
    except RuntimeError as error:
        raise MapstoError(
            f"{name}: got shape {tuple(value.shape)}, expected one that broadcasts to {tuple(point.shape)}, that "
            "of the point; pass a number or a tensor of the point's shape."
        ) from error


def readable(values: Tensor) -> bool:
    """Whether the numbers are there: not while `torch.func` or the compiler traces, nor on a device without data."""
    return not (tracing() or values.is_meta)


def tracing() -> bool:
    """Whether a transform of `torch.func` or the compiler is active."""
    return torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None


def recording() -> bool:
    """Whether autograd alone records: no transform, compiler, forward mode or inference mode is active."""
    return not tracing() and forward_ad._current_level < 0 and not torch.is_inference_mode_enabled()


def expect(holds: Any, name: str, got: Any, expected: str, remedy: str = "") -> None:
    """Raise MapstoError unless the condition holds: "`name`: got `got`, expected `expected`; `remedy`."

    >>> expect(2 > 1, "low", 2, "a number below high")
    >>> expect(False, "low", 3, "a number below high", "swap them")
    Traceback (most recent call last):
    mapsto.errors.MapstoError: low: got 3, expected a number below high; swap them.
    """
    if not holds:
        raise MapstoError(f"{name}: got {got}, expected {expected}{'; ' if remedy else ''}{remedy}.")


def count(least: int = 1, **sizes: Any) -> None:
    """Raise MapstoError unless each argument is a whole number from `least` on.

    >>> count(steps=5)
    >>> count(0, steps=-1)
    Traceback (most recent call last):
    mapsto.errors.MapstoError: steps: got -1, expected a whole number from 0.
    """
    for name, size in sizes.items():
        whole = isinstance(size, Integral) and not isinstance(size, bool) and int(size) >= least
        expect(whole, name, repr(size), f"a whole number from {least}")


def chunk(**sizes: Any) -> None:
    """Raise MapstoError unless each argument is None or a whole number from 1.

    >>> chunk(chunk_size=None, batch_size=8)
    """
    count(**{name: size for name, size in sizes.items() if size is not None})


def layers(least: int = 1, most: int = 1000, **depths: Any) -> None:
    """Raise MapstoError unless each argument is a whole number from `least` to `most`, beyond which memory would fill.

    >>> layers(depth=2)
    >>> layers(depth=10**9)
    Traceback (most recent call last):
    mapsto.errors.MapstoError: depth: got 1000000000, expected a whole number from 1 to 1000.
    """
    for name, depth in depths.items():
        whole = isinstance(depth, Integral) and not isinstance(depth, bool) and least <= int(depth) <= most
        expect(whole, name, repr(depth), f"a whole number from {least} to {most}")


def above(bound: float, **values: Any) -> None:
    """Raise MapstoError unless each argument is a finite number above `bound`."""
    for name, value in values.items():
        expect(_number(value) and value > bound, name, repr(value), f"a number above {bound}")


def at_least(bound: float, **values: Any) -> None:
    """Raise MapstoError unless each argument is a finite number of at least `bound`."""
    for name, value in values.items():
        expect(_number(value) and value >= bound, name, repr(value), f"a number from {bound}")


def between(low: float, high: float, **values: Any) -> None:
    """Raise MapstoError unless each argument is a number from `low` to `high`, both included."""
    for name, value in values.items():
        expect(_number(value) and low <= value <= high, name, repr(value), f"a number from {low} to {high}")


def one_of(options: Collection[Any], **choices: Any) -> None:
    """Raise MapstoError unless each argument is one of the options."""
    listed = ", ".join(map(repr, options))
    for name, choice in choices.items():
        expect(choice in tuple(options), name, repr(choice), f"one of {listed}")


def place(names: Sequence[Any], **given: Any) -> int:
    """Return the place of the one argument, which is one of `names` or its place; raise MapstoError if there is none.

    >>> place(["age", "dose"], column="dose"), place(["age", "dose"], column=0)
    (1, 0)
    >>> place(["age", "dose"], column="does")
    Traceback (most recent call last):
    mapsto.errors.MapstoError: column: got 'does', expected one of 'age', 'dose'; perhaps 'dose' is meant.
    """
    ((argument, value),) = given.items()
    found = [j for j, name in enumerate(names) if name == value]
    if not found and isinstance(value, Integral) and 0 <= int(value) < len(names):
        return int(value)
    similar = get_close_matches(str(value), map(str, names), n=1)
    listed = ", ".join(map(repr, names[:6])) + (f", … ({len(names)} in all)" if len(names) > 6 else "")
    remedy = f"perhaps {similar[0]!r} is meant" if similar else ""
    expect(found, argument, repr(value), f"one of {listed}", remedy)
    expect(len(found) == 1, argument, f"{value!r}, which {len(found)} have", "the name of one", "pass its place")
    return found[0]


def shape(expected: Sequence[int | str], remedy: str = "", **arrays: Any) -> None:
    """Raise MapstoError unless each tensor or array has the expected shape; a letter stands for any size.

    >>> shape(("n", 2), x=torch.zeros(5, 2))
    >>> shape(("n", 2), x=torch.zeros(5))
    Traceback (most recent call last):
    mapsto.errors.MapstoError: x: got shape (5,), expected [n, 2].
    """
    for name, array in arrays.items():
        got = tuple(array.shape)
        same = len(got) == len(expected) and all(
            isinstance(e, str) or e == g for e, g in zip(expected, got, strict=True)
        )
        expect(same, name, f"shape {got}", f"[{', '.join(map(str, expected))}]", remedy)


def finite(remedy: str = "", **tensors: Tensor) -> None:
    """Raise MapstoError unless every entry of each tensor is finite; tensors that `torch.func` traces pass.

    >>> finite(x=torch.tensor([1.0, float("nan")]))
    Traceback (most recent call last):
    mapsto.errors.MapstoError: x: got NaN or an infinite value, expected finite numbers.
    """
    for name, tensor in tensors.items():
        if readable(tensor):
            expect(bool(tensor.isfinite().all()), name, "NaN or an infinite value", "finite numbers", remedy)


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
