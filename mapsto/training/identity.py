"""Describe a learner by its choices, so that a run is resumed by the learner that began it and by no other."""

import hashlib
import inspect
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..adaptation.learner import Learner

_LONG = 200


def choices(learner: Learner, prefix: str = "learner") -> dict[str, Any]:
    """Return the choices of a learner as plain values, by names such as `learner.lr`.

    These are the public attributes of the learner and of the learners that it wraps, the name of its loss, and the
    printed form of its networks.

    >>> from mapsto.learners import MAML
    >>> choices(MAML(nn.Linear(1, 1), "mse", lr=0.5))["learner.lr"]
    0.5
    """
    values = {name: value for name, value in vars(learner).items() if name[0] != "_" and name != "training"}
    values |= {"loss_name": learner.criterion.name}
    plain = {f"{prefix}.{name}": _plain(value) for name, value in values.items()}
    for name, module in learner.named_children():
        key = f"{prefix}.{name}"
        plain |= choices(module, key) if isinstance(module, Learner) else {key: _plain(module)}
    return plain


def _plain(value: Any) -> Any:
    """Return a value that YAML can hold and that does not depend on the process."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, Tensor):
        return f"tensor {list(value.shape)}"
    if isinstance(value, Mapping):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(member) for member in (value if isinstance(value, list | tuple) else sorted(value, key=str))]
    if isinstance(value, nn.Module):
        return _short(re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(value).split())))
    if inspect.isroutine(value) or inspect.isclass(value):
        return name_of(value)
    members = getattr(value, "__dict__", {})
    return _short(
        f"{type(value).__name__}({', '.join(f'{name}={_plain(member)}' for name, member in members.items())})"
    )


def name_of(function: Any) -> str:
    """Return the name of a function or a class; for any other object, the name of its class."""
    return getattr(function, "__qualname__", type(function).__name__)


def _short(text: str) -> str:
    """Return the text, or if it is long its beginning and a digest of all of it."""
    return text if len(text) <= _LONG else f"{text[:_LONG]}… {hashlib.sha256(text.encode()).hexdigest()[:12]}"
