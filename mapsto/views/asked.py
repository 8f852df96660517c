"""Any model as a function from a batch of rows to scores, both as tensors.

A module gets tensors of its own dtype and device. A scikit-learn estimator gets an array, or a DataFrame if it was
fitted on one. A function gets a tensor or, if it fails on tensors, an array; this is found by asking for the first row.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from .. import checks
from ..adaptation.learner import Learner
from ..errors import MapstoError
from . import chance

Way = Callable[[Tensor], Any]  # rows to the model's own output
_METHODS = ("predict_proba", "decision_function", "predict")
_COPIES = 4  # of the first row, to find random answers
_EXPECTED = "one number, or k numbers, for each row"


class Asked:
    """The function from rows `[b, ...]` to the scores of a model, `[b]` or `[b, k]`, in the dtype of the rows.

    If the rows are integers, the scores are of torch's default dtype.

    Args:
        model: the module, estimator or function.
        columns: the names of the columns, if the model is a function of a pandas DataFrame.
        batch_size: the largest number of rows to ask for at a time.

    Raises:
        MapstoError: if the model is of another kind, or it is a module that draws at random or mixes rows. On the first
            call, if the model fails on the row, returns no numbers, or returns different numbers for equal rows.
    """

    def __init__(self, model: Any, columns: Sequence[str] | None, batch_size: int):
        method = _method(model)
        owner = getattr(method, "__self__", method)
        if isinstance(owner, nn.Module):
            _refuse_training(owner)
        self.ways, self.chosen = _ways(method, owner, columns), dict[torch.dtype, Way]()
        self.classes = None if isinstance(owner, nn.Module) else getattr(owner, "classes_", None)
        self.signed = getattr(method, "__name__", "") == "decision_function"  # one number for two classes
        self.copies = min(_COPIES, batch_size)

    def __call__(self, rows: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Return the scores of the rows."""
        return _scores(self.prepare(rows), rows)

    def prepare(self, rows: Shaped[Tensor, "b ..."]) -> Way:
        """Return the way to ask for rows of this dtype; on the first call, find it by asking for the first row."""
        if rows.dtype not in self.chosen:
            self.chosen[rows.dtype] = self._choose(rows[:1])
        return self.chosen[rows.dtype]

    def _choose(self, row: Tensor) -> Way:
        """Return the first way in which the model answers `row`, a batch of one."""
        failures: list[Exception] = []
        copies = row.expand(self.copies, *row.shape[1:])
        for way in self.ways:
            try:
                first = _scores(way, copies)
            except Exception as error:  # models raise errors of any kind, and the next way may work
                failures.append(error)
                continue
            _refuse_chance(torch.cat([first, _scores(way, copies)]))
            return way
        for failure in failures:
            if isinstance(failure, MapstoError):
                raise failure
        reasons = "; ".join(
            f"{type(failure).__name__}: {failure}".partition("\n")[0].rstrip(".") for failure in failures
        )
        raise MapstoError(
            f"f: fails on rows of shape {tuple(row.shape[1:])} ({reasons}), expected a model of a batch of such rows; "
            "see that x is one row without a batch axis."
        ) from failures[-1]


def _method(model: Any) -> Callable[..., Any]:
    """Return a module or a function itself, and of an estimator its method for the most detailed answer."""
    remedy = "use mt.views.query(learner, support) and the other views of learners"
    checks.expect(not isinstance(model, Learner), "f", f"the learner {type(model).__name__}", "another model", remedy)
    methods = [] if isinstance(model, nn.Module) else [getattr(model, name, None) for name in _METHODS]
    method = next(filter(callable, methods), model)
    expected = "a module, a scikit-learn estimator, or a function of a batch of rows"
    checks.expect(callable(method), "f", f"a {type(model).__name__}", expected)
    return method


def _ways(method: Callable[..., Any], owner: Any, columns: Sequence[str] | None) -> list[Way]:
    """Return the ways to try, the preferred one first."""
    if isinstance(method, nn.Module):
        checks.expect(
            columns is None, "columns", "names for a module", "None", "names are for functions of a DataFrame"
        )
        return [lambda rows: _run(method, rows, rows.is_floating_point()), lambda rows: _run(method, rows, True)]
    names = getattr(owner, "feature_names_in_", None) if columns is None else columns
    if names is not None:
        return [lambda rows: method(_frame(rows, list(names)))]
    arrays = lambda rows: method(rows.detach().cpu().numpy())  # noqa: E731
    return [arrays] if any(getattr(owner, name, None) for name in _METHODS) else [method, arrays]


def _run(module: nn.Module, rows: Tensor, cast: bool) -> Any:
    """Run a module on its own device, on rows of its own dtype if `cast`; token numbers must stay integers."""
    like = next((p for p in (*module.parameters(), *module.buffers()) if p.is_floating_point()), None)
    if like is not None:
        rows = rows.to(like.device, like.dtype if cast else None)
    # cuDNN's recurrent layers have no backward pass in evaluation mode.
    recurrent = rows.is_cuda and torch.is_grad_enabled() and any(isinstance(m, nn.RNNBase) for m in module.modules())
    with torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext():
        return module(rows)


def _frame(rows: Tensor, names: list[str]) -> Any:
    import pandas as pd

    return pd.DataFrame(rows.detach().cpu().numpy(), columns=names)


def _scores(way: Way, rows: Tensor) -> Tensor:
    scores = _numbers(way(rows.clone()))  # some models overwrite their input
    fits = scores.ndim in (1, 2) and len(scores) == len(rows)
    got = f"an output of shape {tuple(scores.shape)} for {len(rows)} rows"
    checks.expect(fits, "f", got, _EXPECTED, "pass a function that selects them, such as lambda rows: f(rows)[:, 0]")
    return scores.to(rows.device, rows.dtype if rows.is_floating_point() else torch.get_default_dtype())


def _numbers(output: Any) -> Tensor:
    """Return the output of a model as a tensor: itself, its `logits`, its only tensor, or its numbers."""
    kind, parts = type(output).__name__, output
    if isinstance(output, Mapping):
        kind, parts = f"{kind} of {', '.join(map(str, output))}", list(output.values())
        output = output.get("logits", output)
    if isinstance(output, Mapping | tuple):
        tensors = [part for part in parts if isinstance(part, Tensor)]
        remedy = 'pass a function that selects it, such as lambda rows: f(rows)["scores"] or f(rows)[0]'
        checks.expect(len(tensors) == 1, "f", f"a {kind} with {len(tensors)} tensors", "one tensor of scores", remedy)
        output = tensors[0]
    if isinstance(output, Tensor):
        return output
    array = np.array(output)  # a copy, because some arrays are read-only
    remedy = "take predict_proba, if these are names of classes"
    checks.expect(array.dtype.kind in "biuf", "f", f"a {kind} of {array.dtype}", _EXPECTED, remedy)
    return torch.as_tensor(array)


def _refuse_training(module: nn.Module) -> None:
    name = type(module).__name__
    random, mixing = chance.random_part(module), chance.mixing_part(module)
    checks.expect(
        not random, "f", f"{name}, whose {random} draws at random in training",
        "a model that gives a row the same scores at each call", "call model.eval() first",
    )  # fmt: skip
    checks.expect(
        not mixing, "f", f"{name}, whose {mixing} uses the statistics of a batch",
        "a model whose scores for a row do not depend on other rows", "call model.eval(), with running statistics",
    )  # fmt: skip


def _refuse_chance(scores: Tensor) -> None:
    """Raise MapstoError if the scores of equal rows differ by more than rounding."""
    size = scores.detach().nan_to_num(0.0, 0.0, 0.0).abs().max().item()
    same = torch.allclose(scores, scores[:1].expand_as(scores), rtol=0.0, atol=1e-3 * size, equal_nan=True)
    remedy = "call model.eval() first, or fix its random numbers"
    checks.expect(same, "f", "different scores for equal rows", "a model that is not random", remedy)
