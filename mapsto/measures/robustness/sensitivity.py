"""Max-sensitivity: the largest change of an explanation when the input moves a little.

    absolute = max_{‖y − x‖∞ ≤ radius} ‖a(y) − a(x)‖₂                             relative = absolute / ‖a(x)‖₂

a(x) is the attribution of point x. Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", §3
(absolute), with the maximum over sampled y. Small is good. But an explanation that never changes has the best value of
all, so read it beside a measure of faithfulness.

captum's `sensitivity_max` is `relative` (if a(x) = 0, both divide by 1). Quantus' MaxSensitivity divides by ‖x‖
instead.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ... import checks
from ...explainers.explainer import Explain, refuse_games
from ...views import View
from ..faithfulness.ranking import refuse_lost


class Sensitivity(NamedTuple):
    """The largest change of each of `n` explanations when its point moves a little: small is good."""

    absolute: Float[Tensor, " n"]  # the Euclidean length of the change
    relative: Float[Tensor, " n"]  # that length, divided by the length of the explanation itself


def max_sensitivity(
    explain: Explain,
    views: Callable[[Tensor], View],
    points: Float[Tensor, "n ..."],
    neighbours: Float[Tensor, "n s ..."],
    values: Float[Tensor, "n ..."] | None = None,
    chunk_size: int | None = None,
) -> Sensitivity:
    """Return the largest change of each point's explanation when the point moves to one of its neighbours.

    The field `absolute` of the result is the Euclidean length of this change. The field `relative` is the same length,
    divided by the length of the point's explanation.

    Args:
        explain: a function (view, point) ↦ attribution, such as a `ViewExplainer`.
        views: a function from a point to the view that is explained at this point. If all points share one view, pass
            `lambda x: view`.
        points: the points, `[n, ...]`.
        neighbours: `s` neighbours of each point, `[n, s, ...]`. The function `around` of this module samples
            neighbours.
        values: the explanations of the points. If None, they are computed.
        chunk_size: the number of points to explain at a time, to limit memory; None explains all at once.

    Raises:
        MapstoError: if the neighbours differ in shape from the points, or explanations are not finite.

    >>> x = torch.tensor([[1.0, 2.0]])
    >>> near = x[:, None] + torch.tensor([[[0.3, 0.4], [0.0, 0.1]]])
    >>> max_sensitivity(lambda view, x: 2 * x, lambda x: torch.sum, x, near)
    Sensitivity(absolute=tensor([1.0000]), relative=tensor([0.2236]))
    """
    refuse_games(explain)
    remedy = "at least one neighbour of the points' shape for each point"
    checks.shape((len(points), "s", *points.shape[1:]), remedy, neighbours=neighbours)
    checks.expect(neighbours.shape[1] > 0, "neighbours", f"shape {tuple(neighbours.shape)}", remedy)

    def attribute(points: Tensor) -> Tensor:
        with torch.no_grad():
            return refuse_lost(vmap(lambda x: explain(views(x), x), chunk_size=chunk_size)(points))

    here = (attribute(points) if values is None else refuse_lost(values)).flatten(1)
    there = [attribute(near).flatten(1) for near in neighbours.unbind(1)]
    absolute = (torch.stack(there) - here).norm(dim=-1).amax(0)  # [n]
    length = here.norm(dim=-1)
    return Sensitivity(absolute, absolute / torch.where(length > 0, length, 1.0))


def around(
    points: Float[Tensor, "n ..."], radius: float | Tensor, samples: int = 10, seed: int = 0
) -> Float[Tensor, "n s ..."]:
    """Return `samples` random neighbours of each point, whose entries differ from the point's by at most `radius`.

    `radius` is a number, or a tensor that broadcasts to a point. The moves are uniform, and the same for all points.
    """
    generator = torch.Generator().manual_seed(seed)
    moves = 2 * torch.rand(samples, *points.shape[1:], generator=generator, dtype=torch.float64) - 1
    return points[:, None] + (radius * moves).to(points)
