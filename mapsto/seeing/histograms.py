"""Histograms of the gradients' sizes, layer by layer and step by step: whether they vanish, explode, or stay 0.

    counts[i, l, b] = |{j : edge_b ≤ log₁₀|g_ij| < edge_{b+1}}|,    zero[i, l] = share of entries with g = 0

All layers and steps, and gradients and updates `φ_{i+1} − φ_i`, share their bins, so that any two can be compared;
signs are left out. The figures of Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward
neural networks", show normalised histograms on linear axes; decades show small gradients better.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import checks
from ..adaptation.inner import Params
from ..adaptation.learner import Learner
from ..episodes import Episode, Examples
from .iterates import by_layer, iterates


class Histograms(NamedTuple):
    """Counts of entries by magnitude, for `l` layers and `b` bins; gradients at all steps, updates of each step."""

    layers: tuple[str, ...]
    edges: Float[Tensor, " e"]  # b + 1 of them: log₁₀ of the magnitude
    gradients: Int[Tensor, "s l b"]
    zero_gradients: Float[Tensor, "s l"]  # share of entries that are exactly 0, in no bin
    updates: Int[Tensor, "u l b"]
    zero_updates: Float[Tensor, "u l"]


def gradient_histograms(learner: Learner, support: Examples | Episode, bins: int = 30) -> Histograms:
    """Return histograms of the magnitudes of each layer's gradients and updates, for every inner step of adaptation.

    The learner adapts to `support`. An update is the change of the parameters in one step. All histograms have the same
    bins, which have equal width in log₁₀ of the magnitude; `bins` is the number of bins. The fraction of entries that
    are exactly 0 is returned separately.

    Raises:
        MapstoError: if the learner has no inner gradient steps, `bins` is below 1, or gradients are not finite.
    """
    checks.count(bins=bins)
    path = iterates(learner, support)
    moves = zip(path.params[:-1], path.params[1:], strict=True)
    gradients = [by_layer(g) for g in path.gradients]
    updates = [by_layer({name: after[name] - before[name] for name in before}) for before, after in moves]
    edges = _edges([*gradients, *updates], bins)
    return Histograms(tuple(gradients[0]), edges, *_counted(gradients, edges), *_counted(updates, edges, gradients[0]))


def _edges(steps: list[Params], bins: int) -> Float[Tensor, " e"]:
    """Return edges that span all magnitudes but 0, in equal steps of their logarithm."""
    entries = torch.cat([entries for step in steps for entries in step.values()])
    sizes = entries[entries != 0].abs().log10()
    low, high = (float(sizes.min()), float(sizes.max())) if len(sizes) else (-1.0, 0.0)
    pad = 1e-6 + 0.5 * (high - low < 1e-6)  # the largest value is in the last bin, a single value has a width
    return torch.linspace(low - pad, high + pad, bins + 1).to(entries)


def _counted(
    steps: list[Params], edges: Float[Tensor, " e"], like: Params | None = None
) -> tuple[Int[Tensor, "s l b"], Float[Tensor, "s l"]]:
    if not steps:  # without steps there are no updates
        layers = len(like or {})
        return edges.new_zeros(0, layers, len(edges) - 1).long(), edges.new_zeros(0, layers)
    counts = torch.stack([torch.stack([_count(g, edges) for g in step.values()]) for step in steps])
    zero = torch.stack([torch.stack([(g == 0).to(g).mean() for g in step.values()]) for step in steps])
    return counts, zero


def _count(entries: Float[Tensor, " p"], edges: Float[Tensor, " e"]) -> Int[Tensor, " b"]:
    sizes = entries[entries != 0].abs().log10()
    place = (torch.searchsorted(edges, sizes, right=True) - 1).clamp(0, len(edges) - 2)
    return (
        torch.bincount(place, minlength=len(edges) - 1) if math.prod(sizes.shape) else place.new_zeros(len(edges) - 1)
    )
