"""Infidelity: the error of attributions in predicting the change of the output when the input is perturbed.

    plain  = E_I [(I·a − (f(x) − f(x − I)))²]                                                    (Definition 2.1)
    scaled = E_I [(β·I·a − (f(x) − f(x − I)))²],      β = E[I·a (f(x) − f(x − I))] / E[(I·a)²]

Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations". `a` are slopes, in units of output per unit of
input. For attributions in units of output (Shapley, Integrated Gradients, occlusion) the same formula applies with
hidden players instead of moved entries, where I marks the hidden players: `hiding_infidelity`, for any game.

captum's `infidelity` is `plain`, with `normalize=True` it is `scaled`. Quantus' Infidelity differs: it removes patches
one after the other without putting them back, so that its patches add up.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ... import checks
from ...views import View
from .perturbation_curves import Games, answered, fitting, play
from .ranking import refuse_lost


class Infidelity(NamedTuple):
    """The mean squared error of `n` attributions as they are, and of the best multiple of each: small is good."""

    plain: Float[Tensor, " n"]
    scaled: Float[Tensor, " n"]


def infidelity(
    view: View,
    points: Float[Tensor, "n ..."],
    slopes: Float[Tensor, "n ..."],
    perturbations: Float[Tensor, "n s ..."],
    chunk_size: int | None = None,
) -> Infidelity:
    """Measure the infidelity of `slopes` of `view` at `n` points by `s` perturbations of each: `noise` or `squares`.

    Raises:
        MapstoError: if slopes or perturbations have another shape, slopes or outcomes are not finite, or the view has
            several scores.

    >>> view, x = lambda x: 3 * x[0] + x[1], torch.tensor([[1.0, 1.0]])
    >>> infidelity(view, x, torch.tensor([[3.0, 0.0]]), torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]))
    Infidelity(plain=tensor([2.]), scaled=tensor([2.]))
    """
    checks.shape(tuple(points.shape), "the shape of points", slopes=slopes)
    expected = (len(points), "s", *points.shape[1:])
    checks.shape(expected, "at least one for each point", perturbations=perturbations)
    some = perturbations.shape[1] > 0
    checks.expect(some, "perturbations", f"shape {tuple(perturbations.shape)}", "at least one for each point")
    refuse_lost(slopes, "slopes")
    with torch.no_grad():
        moved = vmap(lambda x, by: view(x) - vmap(lambda step: view(x - step))(by), chunk_size=chunk_size)
        change = moved(points, perturbations)
    checks.expect(change.ndim == 2, "view", f"scores of shape {tuple(change.shape[2:])}", "one number; give a target")
    return _error((perturbations * slopes[:, None]).flatten(2).sum(-1), answered("view", change))


def hiding_infidelity(
    games: Games,
    points: Float[Tensor, "n ..."],
    values: Float[Tensor, "n p"],
    samples: int = 64,
    seed: int = 0,
    chunk_size: int | None = None,
) -> Infidelity:
    """Measure the infidelity of values in units of outcome by `samples` coalitions that hide each player half the time.

    Raises:
        MapstoError: if values do not fit the points or the players, values or outcomes are not finite, or `samples` is
            0.
    """
    players = fitting(games, points, values)
    checks.count(samples=samples)
    generator = torch.Generator().manual_seed(seed)
    hidden = (torch.rand(samples, players, generator=generator) < 0.5).to(values)  # [s, p]
    masks = torch.cat([torch.ones_like(hidden[:1]), 1 - hidden]).expand(len(points), -1, -1)
    outcomes = play(games, points, masks, chunk_size)  # [n, 1 + s]
    return _error(values @ hidden.T, outcomes[:, :1] - outcomes[:, 1:])


def noise(
    points: Float[Tensor, "n ..."], samples: int, deviation: float = 0.1, seed: int = 0
) -> Float[Tensor, "n s ..."]:
    """Return Gaussian perturbations, the same for all points: the paper's noisy baseline, around the point."""
    normal = torch.randn(samples, *points.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (deviation * normal).to(points).expand(len(points), *normal.shape)


def squares(points: Float[Tensor, "n ..."], side: int, baseline: float = 0.0) -> Float[Tensor, "n s ..."]:
    """Return the perturbations that set one square of an image `[..., h, w]` to `baseline`, for every such square.

    Raises:
        MapstoError: if points do not have two axes of at least `side`.

    >>> squares(torch.ones(1, 3, 3), side=2).shape
    torch.Size([1, 4, 3, 3])
    """
    fits = points.ndim >= 3 and 1 <= side <= min(points.shape[-2:])
    checks.expect(fits, "side", f"{side} for points of shape {tuple(points.shape)}", "a square that fits")
    h, w = points.shape[-2:]
    rows, columns = (
        (torch.arange(size) >= start[:, None]) & (torch.arange(size) < start[:, None] + side)
        for size, start in ((h, torch.arange(h - side + 1)), (w, torch.arange(w - side + 1)))
    )
    inside = (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1).to(points)  # [s, h, w]
    inside = inside.reshape(len(inside), *[1] * (points.ndim - 3), h, w)
    return (points - baseline)[:, None] * inside


def _error(predicted: Float[Tensor, "n s"], change: Float[Tensor, "n s"]) -> Infidelity:
    square = predicted.square().mean(-1)
    scale = torch.where(square > 0, (predicted * change).mean(-1) / torch.where(square > 0, square, 1.0), 0.0)
    errors = [(by[:, None] * predicted - change).square().mean(-1) for by in (torch.ones_like(scale), scale)]
    return Infidelity(*errors)
