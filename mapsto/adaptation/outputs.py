"""The scores in the output of any model: a tensor, or one tensor of a dictionary, a dataclass or a tuple."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from torch import Tensor

from .. import checks


def scores_in(output: Any, rows: int, argument: str, remedy: str) -> Any:
    """Return the entry `logits` of an output, or its only tensor of scores; an output without entries as it is.

    If an output without `logits` has several tensors, only one of them may have the shape `[rows]` or `[rows, k]`.

    Raises:
        MapstoError: if the scores are not clear; the message names `argument` and the entries of the output.

    >>> scores_in({"loss": 0.5, "logits": [1.0, 2.0]}, 2, "f", "")
    [1.0, 2.0]
    """
    kind, parts = type(output).__name__, output
    if is_dataclass(output) and not isinstance(output, Mapping | tuple):
        output = vars(output)
    if fields := getattr(output, "_fields", None):  # a named tuple
        output = dict(zip(fields, output, strict=True))
    if isinstance(output, Mapping):
        kind, parts = f"{kind} of {', '.join(map(str, output))}", list(output.values())
        output = output.get("logits", output)
    if not isinstance(output, Mapping | tuple):
        return output
    tensors = [part for part in parts if isinstance(part, Tensor)]
    fitting = [part for part in tensors if part.ndim in (1, 2) and len(part) == rows]
    one = fitting if len(fitting) == 1 else tensors
    checks.expect(len(one) == 1, argument, f"a {kind} with {len(tensors)} tensors", "one tensor of scores", remedy)
    return one[0]
