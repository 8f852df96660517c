"""Audits: whether a model is sound and fair, and whether what its learned explainers show are the reasons.

`mapsto.measures.audit(...)`, the name of `bias` in earlier versions, can still be called.
"""

import sys
from types import ModuleType
from typing import Any

from .bias import Audit, bias
from .check import check
from .selections import eval_x, label_leak

__all__ = ["bias", "check", "eval_x", "label_leak"]


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Audit:
        return bias(*args, **options)


sys.modules[__name__].__class__ = _Callable
