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
_SMALL = 2**26  # bytes of data whose content is compared


def choices(learner: Learner, prefix: str = "learner") -> dict[str, Any]:
    """Return the choices of a learner as plain values, by names such as `learner.lr`.

    These are the options of the learner and of each module of `mapsto` in it (such as wrapped learners, explainer
    networks and batch norm), the names of losses, and the printed form of networks.

    >>> from mapsto.learners import MAML
    >>> choices(MAML(nn.Linear(1, 1), "mse", lr=0.5))["learner.lr"]
    0.5
    """
    plain = _options(learner, prefix)
    for name, module in learner.named_children():
        key = f"{prefix}.{name}"
        if isinstance(module, Learner):
            plain |= choices(module, key)
            continue
        plain[key] = _plain(module)
        for path, part in module.named_modules(prefix=key):
            if any(base.__module__.startswith("mapsto.") for base in type(part).__mro__):
                plain |= _options(part, path)
    return plain


def origin(tasks: Any, prefix: str = "tasks") -> dict[str, Any]:
    """Return the options of a source of tasks as plain values, and digests of its data, by names such as `tasks.shots`.

    >>> from mapsto.tasks import Sinusoids
    >>> origin(Sinusoids(queries=7))["tasks.queries"]
    7
    """
    values: dict[str, Any] = {}
    for name, value in getattr(tasks, "__dict__", {}).items():
        if isinstance(value, Tensor):
            content = value.detach().cpu().contiguous().numpy()
            small = content.nbytes <= _SMALL
            values[f"{prefix}.{name}"] = hashlib.sha256(content.tobytes()).hexdigest()[:12] if small else _plain(value)
        elif isinstance(value, bool | int | float | str | tuple | None):
            values[f"{prefix}.{name}"] = _plain(value)
        elif hasattr(value, "batch"):
            values |= origin(value, f"{prefix}.{name}")
    return values


def frozen(learner: Learner) -> str:
    """Return the names of the parameters that a training does not change."""
    return _short(", ".join(name for name, parameter in learner.named_parameters() if not parameter.requires_grad))


def _options(module: nn.Module, prefix: str) -> dict[str, Any]:
    """Return the options of one module: public attributes, properties set by its constructor, and unsaved buffers."""
    values = {name: value for name, value in vars(module).items() if name[0] != "_" and name != "training"}
    for name in inspect.signature(type(module)).parameters:
        if isinstance(getattr(type(module), name, None), property):
            values[name] = getattr(module, name)
    for name in sorted(module._non_persistent_buffers_set):
        buffer = getattr(module, name)
        values[name] = None if buffer is None else _short(str(buffer.tolist()))
    if isinstance(module, Learner):
        values["loss_name"] = module.criterion.name
    return {f"{prefix}.{name}": _plain(value) for name, value in values.items()}


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
