"""Every test runs with the annotations of the package checked: shapes, dtypes and types, at each call.

The check is switched on by an import hook before anything of `mapsto` is imported, and works inside `grad` and `vmap`.
It does not run under `torch.compile`: a test that compiles asks for the fixture `unchecked`. So does a long training
whose functions other tests check, because the check takes as long as the training.
"""

import functools
import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any, Self, get_args, runtime_checkable

import pytest
import torch
from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import config, install_import_hook
from typing_extensions import is_protocol

# As mypy does, take an int for a float. The hook decorates methods one by one, so `Self` is not known to beartype.
CONF = BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict({Self: Any}))


_CHECKED: dict[tuple, Callable] = {}


def checked(function: Callable) -> Callable:
    """Check a function's annotations at each call; the name that the import hook writes into the package's modules.

    The hook gives an empty function with the annotations of the one that is checked, and does so anew whenever an inner
    function is defined. Functions of one name with the same arguments and annotations are checked in the same way.
    """
    hints = getattr(function, "__annotations__", {})
    name, code = (function.__module__, function.__qualname__), function.__code__
    optional = (len(function.__defaults__ or ()), *(function.__kwdefaults__ or ()))
    key = (*name, code.co_varnames, code.co_flags, *optional, *hints.items())
    if key not in _CHECKED:
        for hint in hints.values():
            _open_protocols(hint)
        _CHECKED[key] = beartype(conf=CONF)(function)
    return _CHECKED[key]


def _open_protocols(hint: Any) -> None:
    """Let protocols be checked, by the presence of their members, without the package having to say so."""
    for part in (hint, *get_args(hint)):
        if isinstance(part, type) and is_protocol(part):
            runtime_checkable(part)


install_import_hook("mapsto", "conftest.checked")

# More threads than tests need make small tensors slower, and a machine that runs other work much slower.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else int(os.environ.get("OMP_NUM_THREADS", "2")))


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switch the annotation check off for one test that compiles or trains for long."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def two_neighbours() -> Iterator[None]:
    """Move points to two neighbours instead of ten when a report measures how sensitive its explanations are."""
    trust = importlib.import_module("mapsto.measures.faithfulness.trust")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "around", functools.partial(trust.around, samples=2))
        yield
