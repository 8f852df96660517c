"""Dead and saturated units: those through which nothing passes.

    slope = ∂activation(z)/∂z,     shut: |slope| ≤ 0.05·max_z |slope|
    dead: slope 0 on all rows;     saturated: not dead, but shut on at least 95 % of the rows

A dead ReLU is never active and no gradient reaches what lies before it; a saturated tanh stands at ±1 (|h| > 0.975) and
hardly learns (Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", §3).
By its slope one definition holds for every activation: a ReLU shut on 95 % of the rows is nearly dead. The unit of an
image's layer is a channel, each of its places counting as a row; else the last axis.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import grad

from .. import views
from ..adaptation.fitting import answering
from ..adaptation.learner import Learner
from ..episodes import State
from ..errors import MapstoError

ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign,
    nn.Tanh, nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid, nn.Hardswish, nn.LogSigmoid,
)  # fmt: skip
_SHUT, _ROWS = 0.05, 0.95


class Units(NamedTuple):
    """The health of one activation layer's `u` units over the rows."""

    shut: Float[Tensor, " u"]  # share of the rows on which hardly anything passes
    dead: Bool[Tensor, " u"]
    saturated: Bool[Tensor, " u"]


def units(learner: Learner, state: State, x: Float[Tensor, "n ..."]) -> dict[str, Units]:
    """Return the health of the units of every activation layer, over rows `x`, by the layer's name in the learner.

    An activation that runs more than once counts with all its runs, each place in the network having its own layer.

    Raises:
        MapstoError: no row, rows that do not fit, or are not finite where they reach such a layer, a network without
            activation layers (`torch.nn` modules) that act on the rows, or one that draws at random.
    """
    views.deterministic(learner)
    if len(x) == 0:
        raise MapstoError("x: got no row, expected at least one.")
    inputs = _inputs(learner, state, x)
    if not inputs:
        raise MapstoError(
            f"learner: {type(learner).__name__} ran no activation layer, expected modules such as torch.nn.ReLU: what "
            "a network calls as a function cannot be watched."
        )
    layers = dict(learner.named_modules())
    return {name: health(layers[name], z) for name, z in inputs.items()}


def health(activation: nn.Module, z: Float[Tensor, "n ..."]) -> Units:
    """Return the health of units whose activation receives `z`.

    >>> health(nn.ReLU(), torch.tensor([[-1.0, -1.0], [-2.0, 3.0]])).dead
    tensor([ True, False])

    Raises MapstoError for numbers that are not finite: they say nothing of a unit.
    """
    if lost := int((~z.isfinite()).sum()):
        raise MapstoError(
            f"x: {lost} of the {z.numel()} numbers that reach a {type(activation).__name__} are not finite, expected "
            "finite ones; fill missing cells, and see that the state is finite."
        )
    slope_at = grad(lambda z: activation(z).sum())
    slope = slope_at(z).movedim(1 if z.dim() > 3 else -1, -1).flatten(0, -2).abs()  # [rows · places, u]
    steepest = slope_at(torch.linspace(-8, 8, 257).to(z)).abs().max()
    shut = (slope <= _SHUT * steepest).to(z).mean(0)
    dead = (slope == 0).all(0)
    return Units(shut, dead, (shut >= _ROWS) & ~dead)


def _inputs(learner: Learner, state: State, x: Tensor) -> dict[str, Tensor]:
    """Return what each activation layer received while the learner answered."""
    seen: dict[str, list[Tensor]] = {}
    handles = [
        layer.register_forward_pre_hook(lambda _, given, name=name: seen.setdefault(name, []).append(given[0]))
        for name, layer in learner.named_modules()
        if isinstance(layer, ACTIVATIONS)
    ]
    try:
        with torch.no_grad(), answering(learner, x):
            learner.predict(state, x)
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.cat(given) for name, given in seen.items()}
