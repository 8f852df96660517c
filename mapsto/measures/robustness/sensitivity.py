"""Max-sensitivity: the largest change of an explanation when the input moves a little.

    absolute = max_{‖y − x‖∞ ≤ radius} ‖a(y) − a(x)‖₂                             relative = absolute / ‖a(x)‖₂

Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", §3 (absolute), over sampled y. Small is good,
but an explanation that never changes has the best value of all: read it beside a measure of faithfulness.

captum's `sensitivity_max` is `relative` (if a(x) = 0, it divides by 1, as here). Quantus' MaxSensitivity divides by ‖x‖
instead.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ... import checks
from ...explainers.explainer import Explain
from ...views import View
from ..faithfulness.ranking import refuse_lost


class Sensitivity(NamedTuple):
    """The largest change of `n` explanations, in their own unit and relative to their length: small is good."""

    absolute: Float[Tensor, " n"]
    relative: Float[Tensor, " n"]


def max_sensitivity(
    explain: Explain,
    views: Callable[[Tensor], View],
    points: Float[Tensor, "n ..."],
    neighbours: Float[Tensor, "n s ..."],
    values: Float[Tensor, "n ..."] | None = None,
    chunk_size: int | None = None,
) -> Sensitivity:
    """Compare the explanations of `n` points with those of their neighbours.

    Args:
        explain: (view, point) ↦ attribution, a `ViewExplainer` or a function.
        views: point ↦ the view to explain there; `lambda x: view` if all points share one.
        points: the points.
        neighbours: `s` neighbours of each point, such as the function `around` of this file samples.
        values: the explanations of the points, if they are known already.
        chunk_size: how many points to explain at a time; bounds memory.

    Raises:
        MapstoError: if the neighbours have another shape, or explanations are not finite.

    >>> x = torch.tensor([[1.0, 2.0]])
    >>> near = x[:, None] + torch.tensor([[[0.3, 0.4], [0.0, 0.1]]])
    >>> max_sensitivity(lambda view, x: 2 * x, lambda x: torch.sum, x, near)
    Sensitivity(absolute=tensor([1.0000]), relative=tensor([0.2236]))
    """
    remedy = "at least one neighbour of the points' shape for each point"
    checks.shape((len(points), "s", *points.shape[1:]), remedy, neighbours=neighbours)
    checks.expect(neighbours.shape[1] > 0, "neighbours", f"shape {tuple(neighbours.shape)}", remedy)

    def attribute(points: Tensor) -> Tensor:
        return refuse_lost(vmap(lambda x: explain(views(x), x), chunk_size=chunk_size)(points).detach())

    here = (attribute(points) if values is None else refuse_lost(values)).flatten(1)
    there = [attribute(near).flatten(1) for near in neighbours.unbind(1)]
    absolute = (torch.stack(there) - here).norm(dim=-1).amax(0)  # [n]
    length = here.norm(dim=-1)
    return Sensitivity(absolute, absolute / torch.where(length > 0, length, 1.0))


def around(points: Float[Tensor, "n ..."], radius: float, samples: int = 10, seed: int = 0) -> Float[Tensor, "n s ..."]:
    """Sample neighbours uniformly from the cube of entries within `radius` of each point's; all points move alike."""
    generator = torch.Generator().manual_seed(seed)
    moves = 2 * torch.rand(samples, *points.shape[1:], generator=generator, dtype=torch.float64) - 1
    return points[:, None] + (radius * moves).to(points)
