"""Dead and saturated units: activations that pass no gradient, on all or on most rows.

    slope = ∂activation(z)/∂z,     shut: |slope| ≤ 0.05·max_z |slope|
    dead: slope 0 on all rows;     saturated: not dead, but shut on at least 95 % of the rows

A dead ReLU is never active and no gradient reaches the layers before it; a saturated tanh is near ±1 (|h| > 0.975) and
hardly learns (Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", §3).
The slope gives one definition for every activation: a ReLU shut on 95 % of the rows is nearly dead. A unit of an
image's layer is a channel, with each of its places counting as a row; otherwise units lie on the last axis.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.func import grad

from .. import checks, views
from ..adaptation.fitting import answering
from ..adaptation.learner import Learner
from ..episodes import State

ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign,
    nn.Tanh, nn.Hardtanh, nn.Sigmoid, nn.Hardsigmoid, nn.Hardswish, nn.LogSigmoid,
)  # fmt: skip
_SHUT, _ROWS = 0.05, 0.95


class Units(NamedTuple):
    """Which of the `u` units of one activation layer are dead or saturated on the given rows."""

    shut: Float[Tensor, " u"]  # share of the rows on which hardly anything passes
    dead: Bool[Tensor, " u"]
    saturated: Bool[Tensor, " u"]


def units(learner: Learner, state: State, x: Shaped[Tensor, "n ..."]) -> dict[str, Units]:
    """Return, for each activation layer, which units are dead or saturated on the rows `x`.

    `state` is the learner's state after adaptation. The result maps the name of each layer to a record. Its fields
    `dead` and `saturated` are True for the dead and for the saturated units. A unit is dead if its activation function
    has slope 0 on all rows. A unit is saturated if it is not dead and the slope is nearly 0 on at least 95 % of the
    rows. If a network calls one activation module several times, the calls are pooled; to separate them, give the
    network one module for each call.

    Raises:
        MapstoError: if there is no row, the rows do not fit the learner, an activation layer receives numbers that are
            not finite, the learner has stochastic layers, or the learner runs no activation layer that is a module of
            `torch.nn`.
    """
    views.deterministic(learner)
    checks.expect(len(x) > 0, "x", "no row", "at least one")
    inputs = _inputs(learner, state, x)
    got = f"{type(learner).__name__}, which ran no activation layer"
    remedy = "functions that a network calls cannot be watched"
    checks.expect(bool(inputs), "learner", got, "modules such as torch.nn.ReLU", remedy)
    layers = dict(learner.named_modules())
    return {name: health(layers[name], z) for name, z in inputs.items()}


def health(activation: nn.Module, z: Float[Tensor, "n ..."]) -> Units:
    """Return the health of units whose activation receives `z`.

    Raises:
        MapstoError: if numbers are not finite.

    >>> health(nn.ReLU(), torch.tensor([[-1.0, -1.0], [-2.0, 3.0]])).dead
    tensor([ True, False])
    """
    lost, name = int((~z.isfinite()).sum()), type(activation).__name__
    remedy = "fill missing cells, and see that the state is finite"
    got = f"{lost} of {z.numel()} numbers that are not finite on the way to {name}"
    checks.expect(lost == 0, "x", got, "finite numbers", remedy)
    slope_at = grad(lambda z: activation(z).sum())
    slope = slope_at(z).movedim(1 if z.dim() > 3 else -1, -1).flatten(0, -2).abs()  # [rows · places, u]
    steepest = slope_at(torch.linspace(-8, 8, 257).to(z)).abs().max()
    shut = (slope <= _SHUT * steepest).to(z).mean(0)
    dead = (slope == 0).all(0)
    return Units(shut, dead, (shut >= _ROWS) & ~dead)


def _inputs(learner: Learner, state: State, x: Tensor) -> dict[str, Tensor]:
    """Return the inputs of each activation layer during a prediction."""
    seen: dict[str, list[Tensor]] = {}
    handles = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: seen.setdefault(name, []).append(inputs[0]))
        for name, layer in learner.named_modules()
        if isinstance(layer, ACTIVATIONS)
    ]
    try:
        with torch.no_grad(), answering(learner, x):
            learner.predict(state, x)
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.cat(inputs) for name, inputs in seen.items()}
