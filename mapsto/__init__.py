"""mapsto (↦): learners that adapt to a new task from a handful of examples, and explain what they did."""

import importlib
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "MapstoError": "errors",
    "Joint": "joint",
    "TableClassifier": "estimators",
    "TableRegressor": "estimators",
    "ImageClassifier": "estimators",
    "TextClassifier": "estimators",
    "PupilTracer": "estimators",
    "Explanation": "explanation",
    "train": "training",
    "evaluate": "measures",
    "as_module": "views",
    "Examples": "episodes",
    "Episode": "episodes",
    "examples": "episodes",
}
_ROOMS = (
    "episodes",
    "explainers",
    "figures",
    "joint",
    "learners",
    "measures",
    "models",
    "penalties",
    "reports",
    "seeing",
    "tasks",
    "training",
    "views",
    "weights",
)
__all__ = sorted((*_WHERE, *_ROOMS))


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import mapsto` costs no more than `import torch`."""
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
