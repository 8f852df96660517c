"""Activation maximisation: which input does a unit like best?

    x* = argmax_x  view(x) − l2·‖x‖² − variation·TV(x),        TV(x) = Σ |x_{i+1,j} − x_ij| + |x_{i,j+1} − x_ij|

Simonyan, Vedaldi & Zisserman 2014, "Deep Inside Convolutional Networks", eq. 1, by gradient ascent. What keeps images
from dissolving into high frequencies is the list of Olah, Mordvintsev & Schubert 2017, "Feature Visualization": the
total variation TV, `jitter` (each step sees the image moved by up to so many pixels, at random) and `blur` (a Gaussian
of so many pixels after each step). Where we depart: TV sums absolute differences, and edges wrap around in a jitter.
The ascent is Adam's, with a rate that falls to 0, so that it comes to rest whatever the unit's scale.

The result is an input, not an attribution: what a unit likes says nothing of why a given row was answered as it was.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad_and_value
from torch.nn import functional as F

from .. import views
from ..adaptation.fitting import answering
from ..adaptation.inner import Adam
from ..adaptation.learner import Learner
from ..checks import readable
from ..episodes import State
from ..errors import MapstoError
from ..explainers.explainer import View


class Preferred(NamedTuple):
    """The input that was found, and the way there."""

    x: Float[Tensor, "..."]
    value: Float[Tensor, ""]  # view(x), without the penalties
    start: Float[Tensor, ""]  # view at the start
    objective: Float[Tensor, " steps"]  # before each step: as jittered, and with the penalties


def maximise(
    view: View,
    start: Float[Tensor, "..."],
    steps: int = 256,
    lr: float = 0.05,
    l2: float = 0.01,
    variation: float = 0.0,
    jitter: int = 0,
    blur: float = 0.0,
    seed: int = 0,
) -> Preferred:
    """Find the input that `view` likes best: climb from `start`, in `steps` steps of size `lr` at first.

    `variation`, `jitter` and `blur` are for images `[..., h, w]`. `seed` draws the jitter. Batch over starts with vmap.

    Raises:
        MapstoError: a view with several outputs, a negative strength, an image's penalty for what is no image, or
            numbers that are not finite, at the start or where the climb ends.

    >>> maximise(lambda x: 2 * x[0] - x[1], torch.zeros(2), l2=0.5).x.round(decimals=2)  # w / 2·l2
    tensor([ 2., -1.])
    """
    _check(view, start, steps, lr, {"l2": l2, "variation": variation, "jitter": jitter, "blur": blur})
    climber, x, objectives = Adam(), start, []
    memory = climber.start({"x": x})
    for i, shift in enumerate(_shifts(jitter, steps, seed)):

        def objective(x: Tensor, shift: tuple[int, ...] = shift) -> Tensor:
            seen = x.roll(shift, (-2, -1)) if jitter else x
            return view(seen) - l2 * x.square().sum() - (variation * total_variation(x) if variation else 0.0)

        slope, value = grad_and_value(objective)(x)
        direction, memory = climber.direction({"x": slope}, memory, i)
        x = x + lr * (1 - i / steps) * direction["x"]
        x = blurred(x, blur) if blur else x
        objectives.append(value.detach())
    value = _finite("view: got {} after the climb", view(x).detach(), "take a lower lr, or a view that has a top")
    return Preferred(x.detach(), value, view(start).detach(), torch.stack(objectives))


def unit(learner: Learner, state: State, layer: str, index: int | tuple[int, ...]) -> View:
    """Return the view of one unit of a named layer: input ↦ entry `index` of the layer's output.

    Where `index` names a channel of a map, that is the mean over its places: the "channel" objective of Olah et al.

    Raises:
        MapstoError: a learner that draws at random; a layer or a unit that it does not have, when the view is first
            asked.
    """
    views.deterministic(learner)
    at = (index,) if isinstance(index, int) else index

    def view(x: Tensor) -> Tensor:
        with answering(learner, x[None]):
            features = learner.features(state, x[None])
        if layer not in features:
            raise MapstoError(f"layer: got {layer!r}, expected one of {', '.join(features) or 'none: it names none'}.")
        output = features[layer][0]
        if len(at) > output.dim() or any(not -n <= i < n for i, n in zip(at, output.shape, strict=False)):
            raise MapstoError(f"index: got {at}, expected a place in the output {tuple(output.shape)} of {layer!r}.")
        return output[at].mean()

    return view


def total_variation(x: Float[Tensor, "... h w"]) -> Float[Tensor, ""]:
    """Return the sum of the absolute differences of neighbouring pixels, down and across.

    >>> total_variation(torch.tensor([[0.0, 1.0], [0.0, 3.0]]))
    tensor(6.)
    """
    return x.diff(dim=-2).abs().sum() + x.diff(dim=-1).abs().sum()


def blurred(x: Float[Tensor, "... h w"], sigma: float) -> Float[Tensor, "... h w"]:
    """Blur an image by a Gaussian of `sigma` pixels, the border's pixels going on beyond it."""
    reach = max(1, round(3 * sigma))
    way = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.softmax(-way.square() / (2 * sigma**2), 0)  # [2·reach + 1]
    planes = F.pad(x.reshape(-1, 1, *x.shape[-2:]), (reach,) * 4, mode="replicate")
    planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return planes.reshape(x.shape)


def _shifts(jitter: int, steps: int, seed: int) -> list[tuple[int, ...]]:
    drawn = np.random.default_rng(seed).integers(-jitter, jitter + 1, (steps, 2))  # not torch's: vmap forbids it
    return [tuple(shift) for shift in drawn.tolist()]


def _check(view: View, start: Tensor, steps: int, lr: float, strengths: dict[str, float]) -> None:
    if steps < 1 or not lr > 0:
        raise MapstoError(f"steps, lr: got {steps} and {lr}, expected at least 1 step and a rate above 0.")
    for name, strength in strengths.items():
        if not strength >= 0:
            raise MapstoError(f"{name}: got {strength}, expected 0 or more.")
        if strength and name != "l2" and start.dim() < 2:
            raise MapstoError(f"{name}: got {strength} for an input of shape {tuple(start.shape)}, expected an image.")
    _finite("start: got {} in it", start.sum(), "fill what is missing")
    if (output := view(start)).shape != ():
        raise MapstoError(f"view: got an output of shape {tuple(output.shape)}, expected one number: choose a target.")
    _finite("view: got {} at the start", output, "begin elsewhere")


def _finite(got: str, value: Float[Tensor, ""], remedy: str) -> Float[Tensor, ""]:
    """Return a number, or raise MapstoError where it is none; under vmap nobody looks."""
    if readable(value) and not value.isfinite():
        raise MapstoError(f"{got.format(float(value))}, expected a finite number; {remedy}.")
    return value
