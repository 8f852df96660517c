"""Max-sensitivity: how much an explanation changes where the input hardly does.

    absolute = max_{‖y − x‖∞ ≤ radius} ‖a(y) − a(x)‖₂                             relative = absolute / ‖a(x)‖₂

Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations", §3 (absolute), the largest over drawn y. Small
is good, but an explanation that never changes is the best of all: read it beside a measure of faithfulness.

captum's `sensitivity_max` is `relative` (where a(x) = 0 it divides by 1, as here). Quantus' MaxSensitivity divides by
‖x‖ instead.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import MapstoError
from ..faithfulness.ranking import refuse_lost


class Sensitivity(NamedTuple):
    """The largest change of `n` explanations, in their own unit and as a share of their length: small is good."""

    absolute: Float[Tensor, " n"]
    relative: Float[Tensor, " n"]


def max_sensitivity(
    explain: Callable[[Tensor], Tensor],
    points: Float[Tensor, "n ..."],
    neighbours: Float[Tensor, "n s ..."],
    values: Float[Tensor, "n ..."] | None = None,
) -> Sensitivity:
    """Compare the explanations of `n` points with those of their `neighbours`, see `around`.

    `explain` maps rows `[m, ...]` to their attributions `[m, ...]`, as `over` of an explainer does; it is called once
    for each of the `s` neighbours of all, and for the points, unless these have their `values` already.

    >>> x = torch.tensor([[1.0, 2.0]])
    >>> max_sensitivity(lambda x: 2 * x, x, x[:, None] + torch.tensor([[[0.3, 0.4], [0.0, 0.1]]]))
    Sensitivity(absolute=tensor([1.0000]), relative=tensor([0.2236]))

    Raises:
        MapstoError: neighbours of another shape, or explanations that are not finite.
    """
    if neighbours.shape[:1] + neighbours.shape[2:] != points.shape or not neighbours.shape[1]:
        raise MapstoError(
            f"neighbours: got shape {tuple(neighbours.shape)}, expected [n, s, ...] with points {tuple(points.shape)}: "
            "s of them, at least one, for each point."
        )
    here = refuse_lost(explain(points) if values is None else values).flatten(1)
    there = [refuse_lost(explain(one)).flatten(1) for one in neighbours.unbind(1)]
    absolute = (torch.stack(there) - here).norm(dim=-1).amax(0)  # [n]
    length = here.norm(dim=-1)
    return Sensitivity(absolute, absolute / torch.where(length > 0, length, 1.0))


def around(points: Float[Tensor, "n ..."], radius: float, samples: int = 10, seed: int = 0) -> Float[Tensor, "n s ..."]:
    """Draw neighbours whose entries are all within `radius` of the point's, uniformly; all points move alike."""
    generator = torch.Generator().manual_seed(seed)
    drawn = 2 * torch.rand(samples, *points.shape[1:], generator=generator, dtype=torch.float64) - 1
    return points[:, None] + (radius * drawn).to(points)
