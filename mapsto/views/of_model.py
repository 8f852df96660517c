"""The view of any model: a plain module, a scikit-learn estimator, or a function of a batch of rows.

    model: x ↦ score        at: x ↦ (h ↦ score, h)  with h the output of a layer, or the entries of several inputs

The model is asked for batches of rows outside the transforms of `torch.func` (see `asking`), so it need not be
traceable, or written with PyTorch at all.
"""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import checks
from ..adaptation import watching
from ..asking import ask, ask_one
from ..games import Placed, View, fastest
from .batch_model import BatchModel
from .joined import Inputs, join, joined, signature

_WITH_GRADIENT = 4  # times the memory of a score, about


def model(
    f: Any,
    target: int | str | None = None,
    layer: str | None = None,
    batch_size: int | None = None,
    columns: Sequence[str] | None = None,
) -> "ModelView":
    """Return the function from one row to its score under a model of any kind; explainers and `game` accept it.

    The model gets batches of rows. Explainers that hide parts of the row work for every model. Explainers that take
    gradients need a model that PyTorch can differentiate; the model's parameters are treated as constants.

    Args:
        f: a module, a scikit-learn estimator, or a function from rows `[b, ...]` to numbers `[b]` or `[b, k]`. The
            scores of an estimator are the result of its method `predict_proba` or, if there is no such method,
            `decision_function`, else `predict`. If a classifier or a clusterer has `predict` only, its scores are 1
            for the row's class or cluster and 0 for the others. A function gets a tensor or, if it fails on tensors, a
            NumPy array. A module or function may also return a dictionary, a dataclass or a tuple that contains
            `logits` or a single tensor of shape `[b]` or `[b, k]`. It may read several inputs: then use
            `view, point = h.at((a, b))` with tensors a and b without a batch axis, or `h.at({"name": a})` if the inputs
            have names.
        target: the index of the score, or the name of a class if the estimator has `classes_`, or of a column if the
            scores are a DataFrame. Of a function that returns the name of a class for each row, give the name; the
            score is 1 for the rows that it calls so, and 0 for the others. If None, the function returns all scores.
            If the classes are numbers other than 0 … k − 1, an index is not allowed; give the name of the class as
            text, such as "2".
        layer: the full name of a submodule of the module `f`. If given, the output of this layer is explained instead
            of the row: with `h = model(f, layer=...)`, use `view, point = h.at(x)`. If None, the row is explained.
        batch_size: the largest number of rows that the model gets at a time; if None, as many as is fastest for rows of
            their size.
        columns: the names of the columns, if `f` is a function of a pandas DataFrame. If None, `f` gets no column
            names.

    Raises:
        MapstoError: if `f` is of another kind, or is a module with layers that are random (dropout in training) or that
            mix the rows of a batch (batch norm in training), or if `layer`, `target` or `batch_size` is not valid. The
            function that is returned raises MapstoError on its first use if the scores are not numbers for each row,
            are random, depend on the other rows of the batch, or have no column `target`. To check this, it scores one
            row five times: twice among copies of the row, once alone, and twice among other rows, in two orders.

    >>> from mapsto.explainers import Shapley
    >>> from mapsto.views import game
    >>> h = model(lambda rows: [row[0] * row[1] for row in rows.tolist()])
    >>> Shapley()(game(h, torch.tensor([2.0, 3.0])))
    tensor([3., 3.])
    """
    checks.chunk(batch_size=batch_size)
    name = target if isinstance(target, str) else None
    return ModelView(f, BatchModel(f, columns, batch_size, name), target, layer, batch_size)


@final
class ModelView(Placed):
    """The function from a row to its score under any model; `model` describes the arguments."""

    def __init__(
        self, f: Any, batch_model: BatchModel, target: int | str | None, layer: str | None, batch_size: int | None
    ):
        self.f, self.batch_model, self.batch_size, self.layer = f, batch_model, batch_size, layer
        self.joined = dict[tuple, ModelView]()  # the views of several inputs, by their shapes
        later = isinstance(target, str) and batch_model.nameless  # its answer may name the scores
        self.target = target if later else _index(target, batch_model.classes)
        if layer is not None:
            got = f"{layer!r} for a {type(f).__name__}"
            checks.expect(isinstance(f, nn.Module), "layer", got, "None", "only a module has layers")
            self.part = _layer(f, layer)

    def __call__(self, x: Inputs) -> Float[Tensor, "..."]:
        """Return the score of row `x`, or its scores `[k]` if there is no target.

        `x` is a tensor or, if the model has several inputs, a tuple or dictionary of tensors without a batch axis.

        Raises:
            MapstoError: if the view has a layer, because it then explains the output of this layer: see `at`.
        """
        checks.expect(
            self.layer is None, "layer", f"{self.layer!r} in a call with a row", "the output of this layer",
            "take view, point = h.at(x), then view(point) or explainer(view, point)",
        )  # fmt: skip
        if not isinstance(x, Tensor):
            return self._of(x)(join(x))
        return self._ask()(self._scores, self._at_once(x), x[None])[0]

    def at(self, x: Inputs) -> tuple[View, Tensor]:
        """Return this view and `x`; if there is a layer, the function from its output to the score, and its output.

        The function runs the module on `x` with its argument in place of the layer's output. The output has no row
        axis. If `x` is a tuple or dictionary of tensors, the point holds the entries of all of them, one after the
        other; divide values by `values.split([a.numel(), b.numel()])`.

        Raises:
            MapstoError: if the layer does not run exactly once, or does not return a floating-point tensor with one
                entry for each row.
        """
        if not isinstance(x, Tensor):
            return self._of(x).at(join(x))
        if self.layer is None:
            return self, x
        row = x[None]
        point = ask(self._features, self._at_once(x), row)[0]
        return lambda moved: self._ask()(self._scores_from, self._at_once(moved), moved[None], row)[0], point

    def _ask(self) -> Callable[..., Tensor]:
        return ask if self.target is None else ask_one

    def _at_once(self, x: Tensor) -> int:
        return self.batch_size or fastest(x, _WITH_GRADIENT if x.requires_grad else 1)

    def _of(self, x: Inputs) -> "ModelView":
        """Return the view of rows that hold several inputs; it is kept for further inputs of the same shapes."""
        key = signature(x)
        checks.expect(
            not self.batch_model.tabular, "x", f"a {type(x).__name__}", "a tensor, because f reads rows of a table",
            "pass torch.as_tensor(x)",
        )  # fmt: skip
        if key not in self.joined:
            f = joined(self.f, x)
            layer = None if self.layer is None else f"module.{self.layer}"
            self.joined[key] = ModelView(f, BatchModel(f, None, self.batch_size), self.target, layer, self.batch_size)
        return self.joined[key]

    def _scores(self, rows: Tensor) -> Tensor:
        scores = self.batch_model(rows)
        target = _index(self.target, self.batch_model.classes) if isinstance(self.target, str) else self.target
        if target is None:
            return scores
        if self.batch_model.signed and scores.ndim == 1:
            scores = torch.stack([-scores, scores], 1)  # the score of the second of two classes
        checks.expect(
            scores.ndim == 2, "target", target, "None, because f returns one number for each row",
            "leave target out",
        )  # fmt: skip
        count = scores.shape[1]
        inside = 0 <= target < count
        checks.expect(inside, "target", target, f"None or one of the {count} scores, counted from 0")
        return scores[:, target]

    def _features(self, rows: Tensor) -> Tensor:
        assert self.layer is not None
        self.batch_model.prepare(rows)
        output = watching.only_output(self.layer, self.part, lambda: self.batch_model(rows))
        got = f"{self.layer!r}, whose output has shape {tuple(output.shape)} for {len(rows)} rows"
        fits = output.ndim > 0 and len(output) == len(rows)
        checks.expect(fits, "layer", got, "a layer with rows on the first axis")
        return output

    def _scores_from(self, outputs: Tensor, rows: Tensor) -> Tensor:
        # A layer that follows may work in place, so it gets a copy.
        return watching.replace(self.part, lambda output: outputs.to(output).clone(), lambda: self._scores(rows))


def _layer(module: nn.Module, name: str) -> nn.Module:
    layers = {path: layer for path, layer in module.named_modules() if path}
    names = ", ".join(layers) or "there is none"
    checks.expect(name in layers, "layer", repr(name), f"the name of a layer of the module: {names}")
    return layers[name]


def _index(target: int | str | None, classes: Any) -> int | None:
    """Return the index of the score; raise MapstoError if `target` is neither an index nor the name of a score.

    If the classes are numbers other than their own indices, an integer could mean either, and is refused; the number as
    text is the name of its class.
    """
    names = [] if classes is None else [label for label in classes if np.ndim(label) == 0]
    numbers = all(isinstance(label, Real) for label in names) and names != list(range(len(names)))
    if target is None:
        return None
    if isinstance(target, Integral) and not isinstance(target, bool):
        listed = ", ".join(f'"{label}" (index {i})' for i, label in enumerate(names))
        got = f"{target}, which may be the index or the label of a class"
        checks.expect(not numbers, "target", got, f"a label as text: {listed}")
        return int(target)
    if isinstance(target, str):
        names = [str(label) for label in names]
    known = ", ".join(repr(str(name)) for name in names) or "f has no named scores"
    checks.expect(
        names.count(target) == 1, "target", repr(target), f"None, the index of a score, or the name of one ({known})"
    )
    return names.index(target)
