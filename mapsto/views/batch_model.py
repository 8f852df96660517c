"""Any model as a function from a batch of rows to scores, both as tensors.

A module gets tensors of its own dtype and device. A scikit-learn estimator gets an array, or a DataFrame if it was
fitted on one. A function gets a tensor; if it fails on tensors, an array; if it fails on arrays too, a tensor of single
precision, as its weights may be. This is found by asking for the first row.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from .. import checks
from ..adaptation import chance
from ..adaptation.learner import Learner
from ..adaptation.outputs import scores_in
from ..errors import MapstoError
from .memberships import memberships

Way = Callable[[Tensor], Any]  # rows to the model's own output
_METHODS = ("predict_proba", "decision_function", "predict")
_ROWS = 4  # in the first batches, which show whether answers are random or rows are mixed
_ALONE = 0.02  # the tolerance between batches of two sizes, whose sums are rounded in different ways
_EXPECTED = "one number, or k numbers, for each row"


class BatchModel:
    """The function from rows `[b, ...]` to the scores of a model, `[b]` or `[b, k]`, in the dtype of the rows.

    If the rows are integers, the scores are of torch's default dtype.

    Args:
        model: the module, estimator or function.
        columns: the names of the columns, if the model is a function of a pandas DataFrame.
        batch_size: the largest number of rows to ask for at a time; None for many.
        name: the class that is explained, if it is given by name. A function may return the names of classes as text;
            its score is then 1 for the rows that it calls by this name, and 0 for the others.

    Raises:
        MapstoError: if the model is of another kind, or it is a module that draws at random or mixes rows. The first
            call raises MapstoError if the model fails on the row, returns no numbers, or returns other numbers for the
            same row when it is evaluated again, or among other rows.
    """

    def __init__(self, model: Any, columns: Sequence[str] | None, batch_size: int | None, name: str | None = None):
        method = method_of(model)
        owner = getattr(method, "__self__", method)
        if isinstance(owner, nn.Module):
            _refuse_training(owner)
        self.ways, self.chosen = _ways(method, owner, columns), dict[torch.dtype, Way]()
        self.classes = None if isinstance(owner, nn.Module) else getattr(owner, "classes_", None)
        self.nameless = self.classes is None and not isinstance(owner, nn.Module)  # until its answer has named columns
        self.name, self.called = name, set[str]()
        if self.nameless:
            self.ways = [self._naming(way) for way in self.ways]
        self.signed = getattr(method, "__name__", "") == "decision_function"  # one number for two classes
        self.tabular = not isinstance(owner, nn.Module) and (columns is not None or _is_estimator(owner))
        self.size = min(_ROWS, batch_size or _ROWS)

    def __call__(self, rows: Shaped[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        """Return the scores of the rows."""
        return _scores(self.prepare(rows), rows)

    def prepare(self, rows: Shaped[Tensor, "b ..."]) -> Way:
        """Return the way to ask for rows of this dtype; on the first call, find it by asking for the first row."""
        if rows.dtype not in self.chosen:
            self.chosen[rows.dtype] = self._choose(rows[:1])
        return self.chosen[rows.dtype]

    def _naming(self, way: Way) -> Way:
        """Return a way that takes the names of the columns of its answers for the names of classes."""

        def named(rows: Tensor) -> Any:
            output = way(rows)
            if self.name is not None and _are_labels(output):
                return self._calls(np.asarray(output, dtype=str), self.name)
            names = list(output.columns) if type(output).__name__ == "DataFrame" else []  # of pandas or polars
            self.classes = names if names and all(isinstance(name, str) for name in names) else None
            return output

        return named

    def _calls(self, labels: np.ndarray, name: str) -> np.ndarray:
        """Return 1 for the rows with the label `name`, else 0; raise MapstoError if only a similar label is known."""
        self.classes = [name]
        self.called.update(labels.tolist())
        folded = {label.casefold(): label for label in self.called}
        near = [] if name in self.called else get_close_matches(name.casefold(), folded, cutoff=0.8)
        known = ", ".join(repr(label) for label in sorted(self.called))
        checks.expect(not near, "target", repr(name), f"one of the classes that f names, such as {known}")
        return (labels == name).astype(float)[:, None]

    def _choose(self, row: Tensor) -> Way:
        """Return the first way in which the model answers `row`, a batch of one."""
        failures: list[Exception] = []
        copies = row.expand(self.size, *row.shape[1:])
        for way in self.ways:
            try:
                scores = _scores(way, copies)
            except Exception as error:  # models raise errors of any kind, and the next way may work
                failures.append(error)
                continue
            _refuse_chance(scores, _scores(way, copies))
            _refuse_mixing(way, row, scores)
            return way
        for failure in failures:
            if isinstance(failure, MapstoError):
                raise failure
            fitted = type(failure).__name__ != "NotFittedError"
            checks.expect(fitted, "f", "an estimator that is not fitted", "a fitted one", "call its fit first")
        reasons = (f"{type(failure).__name__}: {failure}".partition("\n")[0].rstrip(".") for failure in failures)
        remedy = "see that x is one row without a batch axis"
        if self.tabular and any(isinstance(failure, TypeError | AttributeError) for failure in failures):
            remedy = (
                "if it reads texts, give x a numeric code for each text, and pass a function that decodes a DataFrame, "
                "with columns=[...]"
            )
        raise MapstoError(
            f"f: fails on rows of shape {tuple(row.shape[1:])} ({'; '.join(dict.fromkeys(reasons))}), expected a model "
            f"of a batch of such rows; {remedy}."
        ) from failures[-1]


def method_of(model: Any) -> Callable[..., Any]:
    """Return a module or a function itself, and of an estimator its method for the most detailed answer."""
    remedy = "use mt.views.query(learner, support) and the other views of learners"
    checks.expect(not isinstance(model, Learner), "f", f"the learner {type(model).__name__}", "another model", remedy)
    methods = [] if isinstance(model, nn.Module) else [getattr(model, name, None) for name in _METHODS]
    method = next(filter(callable, methods), model)
    expected = "a module, a scikit-learn estimator, or a function of a batch of rows"
    checks.expect(callable(method), "f", f"a {type(model).__name__}", expected)
    return memberships(method) if getattr(method, "__name__", "") == "predict" else method


def _are_labels(output: Any) -> bool:
    """Return whether a model's output is one text for each row."""
    if isinstance(output, Tensor) or np.ndim(output) != 1:
        return False
    return all(isinstance(label, str) for label in np.asarray(output, dtype=object))


def _ways(method: Callable[..., Any], owner: Any, columns: Sequence[str] | None) -> list[Way]:
    """Return the ways to try, the preferred one first."""
    if isinstance(method, nn.Module):
        checks.expect(
            columns is None, "columns", "names for a module", "None", "names are for functions of a DataFrame"
        )
        ways: list[Way] = [
            lambda rows: _run(method, rows, rows.is_floating_point()),
            lambda rows: _run(method, rows, True),
        ]
        return [lambda rows, way=way: way(_channels_last(rows)) for way in ways] + ways  # type: ignore[misc]
    names = getattr(owner, "feature_names_in_", None) if columns is None else columns
    if names is not None:
        return [lambda rows: method(_frame(rows, list(names)))]
    arrays = lambda rows: method(rows.detach().cpu().numpy())  # noqa: E731
    single = lambda rows: method(rows.float() if rows.is_floating_point() else rows)  # noqa: E731
    return [arrays] if _is_estimator(owner) else [method, arrays, single]


def _is_estimator(owner: Any) -> bool:
    return any(getattr(owner, name, None) for name in _METHODS)


def _run(module: nn.Module, rows: Tensor, cast: bool) -> Any:
    """Run a module on its own device, on rows of its own dtype if `cast`; token numbers must stay integers."""
    like = next((p for p in (*module.parameters(), *module.buffers()) if p.is_floating_point()), None)
    if like is not None:
        rows = rows.to(like.device, like.dtype if cast else None)
    # cuDNN's recurrent layers have no backward pass in evaluation mode.
    recurrent = rows.is_cuda and torch.is_grad_enabled() and any(isinstance(m, nn.RNNBase) for m in module.modules())
    with _frozen(module), torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext():
        return module(rows)


def _channels_last(rows: Tensor) -> Tensor:
    """Return images `[b, c, h, w]` on a CPU with the channels of a pixel side by side, which makes convolutions faster.

    A module that reshapes them by `view` fails on them.
    """
    images = rows.ndim == 4 and rows.device.type == "cpu"
    return rows.clone(memory_format=torch.channels_last) if images else rows


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Treat parameters as constants, so that a graph keeps nothing for their gradients, only for those of the rows."""
    live = [p for p in module.parameters() if p.requires_grad and p.is_leaf] if torch.is_grad_enabled() else []
    try:
        for parameter in live:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in live:
            parameter.requires_grad_(True)


def _frame(rows: Tensor, names: list[str]) -> Any:
    import pandas as pd

    return pd.DataFrame(rows.detach().cpu().numpy(), columns=names)


def _scores(way: Way, rows: Tensor) -> Tensor:
    scores = _numbers(way(rows.clone()), len(rows))  # some models overwrite their input
    fits = scores.ndim in (1, 2) and len(scores) == len(rows)
    got = f"an output of shape {tuple(scores.shape)} for {len(rows)} rows"
    checks.expect(fits, "f", got, _EXPECTED, "pass a function that selects them, such as lambda rows: f(rows)[:, 0]")
    return scores.to(rows.device, rows.dtype if rows.is_floating_point() else torch.get_default_dtype())


def _numbers(output: Any, rows: int) -> Tensor:
    """Return the output of a model as a tensor: itself, its `logits`, its only tensor of scores, or its numbers."""
    kind = type(output).__name__
    remedy = 'pass a function that selects it, such as lambda rows: f(rows)["scores"] or f(rows)[0]'
    output = scores_in(output, rows, "f", remedy)
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


def _refuse_chance(scores: Tensor, again: Tensor) -> None:
    """Raise MapstoError if the scores of the same batch differ by more than rounding."""
    remedy = "call model.eval() first, or fix its random numbers"
    checks.expect(_same(scores, again), "f", "different scores for equal batches", "a model that is not random", remedy)


def _refuse_mixing(way: Way, row: Tensor, scores: Tensor) -> None:
    """Raise MapstoError if the scores of a row depend on its batch: its copies, other rows, or their order."""
    unmixed = _same(scores, scores[:1].expand_as(scores)) and _same(scores[:1], _scores(way, row), _ALONE)
    if unmixed and len(scores) > 1:
        shifted, shrunk = _different(row)
        batch = torch.cat([shifted, row, shrunk, shrunk])[: len(scores)]  # `row` neither first nor last, if possible
        try:
            among, turned = _scores(way, batch), _scores(way, batch.roll(-1, 0)).roll(1, 0)
        except Exception:  # the model need not accept rows that it was not given
            return
        unmixed = _same(among, turned)
        if not unmixed:  # at some rows, such as zeros, dropout is not seen
            _refuse_chance(among, _scores(way, batch))
        unmixed = unmixed and _same(scores[1], among[1])
    checks.expect(
        unmixed, "f", "scores of a row that depend on the other rows of its batch",
        "a model that scores each row alone",
        "build recurrent layers and transformers with batch_first=True, and compute nothing across the first axis",
    )  # fmt: skip


def _different(row: Tensor) -> tuple[Tensor, Tensor]:
    """Return two rows, each of whose entries differ from those of `row`.

    Whole numbers may be codes, and a code out of range stops all work on a GPU. So the first row adds less than 1 to
    those of a floating-point dtype, and the second row halves them and swaps 0 and 1.
    """
    numbers = row.detach().cpu().double()
    whole = numbers == numbers.trunc()
    halves = torch.where(numbers == 0, 1.0, (numbers / 2).trunc())
    shifted = torch.where(whole, numbers + 0.25, -2 * numbers) if row.is_floating_point() else halves
    return shifted.to(row), torch.where(whole, halves, numbers / 2).to(row)


def _same(scores: Tensor, others: Tensor, share: float = 1e-3) -> bool:
    """Whether scores differ by at most a share of the largest of them."""
    size = scores.detach().nan_to_num(0.0, 0.0, 0.0).abs().max().item()
    return torch.allclose(scores, others, rtol=0.0, atol=share * size, equal_nan=True)
