"""Infidelity: the error of attributions in predicting how the score changes when the input is perturbed.

    plain  = E_I [(I·a − (f(x) − f(x − I)))²]                                                    (Definition 2.1)
    scaled = E_I [(β·I·a − (f(x) − f(x − I)))²],      β = E[I·a (f(x) − f(x − I))] / E[(I·a)²]

f is the view, I a random perturbation of the point x, and a its attributions; β scales them to their best multiple.

Yeh et al. 2019, "On the (In)fidelity and Sensitivity of Explanations". `a` are slopes, in the unit of the score per
unit of input. `hiding_infidelity` applies the same formula to attributions in the unit of the score (Shapley,
Integrated Gradients, occlusion): players of a game are hidden instead of entries moved, and I marks the hidden players.

captum's `infidelity` is `plain`; with `normalize=True` it is `scaled`. Quantus' Infidelity differs: it removes patches
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
    """The mean squared error of each of `n` attributions in predicting changes of the score: small is good."""

    plain: Float[Tensor, " n"]  # of the attributions as they are
    scaled: Float[Tensor, " n"]  # of the attributions times the number that fits best


def infidelity(
    view: View,
    points: Float[Tensor, "n ..."],
    slopes: Float[Tensor, "n ..."],
    perturbations: Float[Tensor, "n s ..."],
    chunk_size: int | None = None,
) -> Infidelity:
    """Return the mean squared error with which gradients predict how the score changes when the point moves.

    When a perturbation is subtracted from the point, the score should decrease by the dot product of the perturbation
    and the gradient. The field `plain` of the result is the mean squared error of this prediction. The field `scaled`
    is the error after the gradients are multiplied by the number that fits best.

    Args:
        view: the explained function, from a point to one score.
        points: the explained points.
        slopes: the attributions of the points, such as gradients, in the unit of the score per unit of input.
        perturbations: `s` perturbations of each point, `[n, s, ...]`. The functions `noise` and `squares` of this
            module create perturbations.
        chunk_size: the number of points to compute at a time, to limit memory; None computes all at once.

    Raises:
        MapstoError: if the shape of `slopes` or `perturbations` does not fit the points, slopes or scores are not
            finite, or the view has several scores.

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
    """Return the mean squared error of the attributions' predictions of how the outcome changes if players are hidden.

    When the players outside a random coalition are hidden, the outcome should decrease by the sum of the hidden
    players' attributions. The field `plain` of the result is the mean squared error of this prediction. The field
    `scaled` is the error after the attributions are multiplied by the number that fits best.

    Args:
        games: a function from a point to its game.
        points: the explained points.
        values: the attribution of each player, in the unit of the game's outcome.
        samples: the number of random coalitions. Each coalition leaves out, and so hides, each player with probability
            ½.
        seed: the random seed of the coalitions.
        chunk_size: the number of points to compute at a time, to limit memory; None computes all at once.

    Raises:
        MapstoError: if `values` does not hold one number for each point and player, `values` or outcomes are not
            finite, or `samples` is below 1.
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
    """Return `samples` Gaussian perturbations with standard deviation `deviation`, the same for all points."""
    normal = torch.randn(samples, *points.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (deviation * normal).to(points).expand(len(points), *normal.shape)


def squares(points: Float[Tensor, "n ..."], side: int, baseline: float = 0.0) -> Float[Tensor, "n s ..."]:
    """Return the perturbations that set one square of an image `[..., h, w]` to `baseline`, for every such square.

    `side` is the side of the squares, in pixels.

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
