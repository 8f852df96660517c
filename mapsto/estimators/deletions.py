"""How predictions change when a training row is deleted: f(w without the row) − f(w), for weights w of training rows.

A deleted row has weight 0. The exact change takes an adaptation of the model for each row. The changes for all rows are
estimated at once by the derivative with respect to the weights, which takes one adaptation and, for each output, one
backward pass (the infinitesimal jackknife, Jaeckel 1972; influence functions, Koh & Liang 2017, arXiv 1703.04730):

    f(w without row i) − f(w) ≈ −w_i · ∂f/∂w_i

Here f is a predicted number, or the logarithm of the ratio of two probabilities, whose derivative still says something
if a probability is close to 0 or 1.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from .. import checks
from ..attention import fused
from ..threads import one_thread

Predict = Callable[[Tensor, Tensor], Tensor]  # from the weights [n] and m rows to their predictions [m, ...]
Changes = Callable[[Predict, Tensor, Tensor, Tensor], Tensor]  # of predict, w, deleted [r, n] and rows: [r, m, ...]

_COST = 2  # of the derivative of one output, in adaptations of the model


def changes(largest: int | None, at_once: int) -> Changes:
    """Return `exact`, or `largest_exact` if only the `largest` changes are to be exact; see there for `at_once`."""
    if largest is None:
        return partial(exact, at_once=at_once)
    checks.count(0, exact=largest)
    return partial(largest_exact, largest=largest, at_once=at_once)


def mapped(
    predict: Predict, w: Float[Tensor, " n"], deleted: Float[Tensor, "r n"], x: Tensor, at_once: int
) -> Float[Tensor, "r m ..."]:
    """Return the exact changes, for `at_once` deletions at a time."""
    with torch.no_grad(), one_thread():
        without = torch.func.vmap(predict, in_dims=(0, None), chunk_size=at_once)(w * (1 - deleted), x)
        return without - predict(w, x)


def exact(
    predict: Predict, w: Float[Tensor, " n"], deleted: Float[Tensor, "r n"], x: Tensor, at_once: int = 1
) -> Float[Tensor, "r m ..."]:
    """Return the exact changes, for one deletion after another on each of at most `at_once` cores."""

    def predicted(w: Tensor) -> Tensor:
        with torch.no_grad(), fused():
            return predict(w, x)

    with one_thread() as cores, ThreadPoolExecutor(min(cores, at_once)) as pool:
        outputs = torch.stack(list(pool.map(predicted, [w, *(w * (1 - deleted))])))
    return outputs[1:] - outputs[0]


def estimated(
    predict: Predict, w: Float[Tensor, " n"], deleted: Float[Tensor, "r n"], x: Tensor, at_once: int = 1
) -> Float[Tensor, "r m ..."]:
    """Return the changes as estimated by the derivative, for some of the rows `x` on each of `at_once` cores."""

    def slopes(x: Tensor) -> tuple[Tensor, Tensor]:
        at = w.clone().requires_grad_()
        with fused():
            outputs = predict(at, x)
            score = _score(outputs)
            each = [torch.autograd.grad(one, at, retain_graph=True)[0] for one in score.flatten()]
        return outputs.detach(), torch.stack(each).to(outputs).view(*score.shape, -1)

    with one_thread() as cores, ThreadPoolExecutor(cores := min(cores, at_once)) as pool:
        outputs, slope = (torch.cat(parts) for parts in zip(*pool.map(slopes, x.chunk(cores)), strict=True))
    change = -(slope @ (w * deleted).to(slope).mT).movedim(-1, 0)  # [r, m, ...]
    if outputs.ndim == 1:
        return change
    return (outputs.log() + F.pad(change, (0, 1))).softmax(-1) - outputs


def largest_exact(
    predict: Predict,
    w: Float[Tensor, " n"],
    deleted: Float[Tensor, "r n"],
    x: Tensor,
    largest: int,
    at_once: int = 1,
) -> Float[Tensor, "r m ..."]:
    """Return the changes: for each of the `m` rows, the `largest` ones are exact, and the others are estimates.

    If this would cost more than all exact changes, all changes are exact.
    """
    with torch.no_grad(), fused():
        outputs = _score(predict(w, x)).numel()
    if not len(x) or cost(outputs, len(x), largest) >= len(deleted):
        return exact(predict, w, deleted, x, at_once)
    found = estimated(predict, w, deleted, x, at_once)
    size = found.abs().flatten(2).amax(-1) if found.ndim == 3 else found.abs()  # [r, m]
    again = size.topk(largest, dim=0).indices.unique()
    found[again] = exact(predict, w, deleted[again], x, at_once)
    return found


def cost(outputs: int, rows: int, largest: int) -> int:
    """Return how many adaptations of the model `largest_exact` costs, if it estimates."""
    return _COST * outputs + largest * rows


def _score(outputs: Float[Tensor, "m ..."]) -> Tensor:
    """Return numbers as they are, and of probabilities the logarithms of their ratios to that of the last class."""
    if outputs.ndim == 1:
        return outputs
    log = outputs.clamp(min=torch.finfo(torch.float32).tiny).log()
    return log[:, :-1] - log[:, -1:]
