"""Activation maximisation: the input to which a unit responds most.

    x* = argmax_x  view(x) − l2·‖x‖² − variation·TV(x),        TV(x) = Σ |x_{i+1,j} − x_ij| + |x_{i,j+1} − x_ij|

Simonyan, Vedaldi & Zisserman 2014, "Deep Inside Convolutional Networks", eq. 1, by gradient ascent. Three regularisers
against high frequencies in images are those listed by Olah, Mordvintsev & Schubert 2017, "Feature Visualization": the
total variation TV, `jitter` (each step shifts the image at random by up to that many pixels) and `blur` (a Gaussian of
that many pixels after each step). Departures: TV sums absolute differences, and edges wrap around in a jitter. The
ascent is Adam's, with a rate that falls to 0, so that it converges whatever the unit's scale.

The result is an input, not an attribution: the preferred input of a unit does not explain the answer for a given row.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad_and_value
from torch.nn import functional as F

from .. import checks, views
from ..adaptation.fitting import answering
from ..adaptation.inner import Adam
from ..adaptation.learner import Learner
from ..episodes import State
from ..explainers.explainer import View


class Preferred(NamedTuple):
    """The input of highest value, with the course of the ascent."""

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
    """Return the input that maximises `view`, found by gradient ascent (activation maximisation).

    Args:
        view: the function to maximise, from an input to one score.
        start: the input from which the ascent starts. To ascend from several inputs at once, use `torch.func.vmap`.
        steps: the number of steps.
        lr: the initial step size, which falls to 0.
        l2: the strength of a penalty on the squared norm of the input.
        variation: the strength of a penalty on the total variation of an image `[..., h, w]`.
        jitter: the largest random shift of an image in each step, in pixels.
        blur: the standard deviation of the Gaussian that blurs an image after each step, in pixels.
        seed: the random seed of the jitter.

    Raises:
        MapstoError: if the view has several outputs; if an argument is out of range; if `variation`, `jitter` or `blur`
            is set, but the input is not an image; or if numbers are not finite at the start or at the end of the
            ascent.

    >>> maximise(lambda x: 2 * x[0] - x[1], torch.zeros(2), l2=0.5).x.round(decimals=2)  # (2, −1) / (2·l2)
    tensor([ 2., -1.])
    """
    _check_start(view, start, steps, lr, {"l2": l2, "variation": variation, "jitter": jitter, "blur": blur})
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
    value = _finite("view", view(x).detach(), "take a lower lr, or a view that has a maximum")
    return Preferred(x.detach(), value, view(start).detach(), torch.stack(objectives))


def unit(learner: Learner, state: State, layer: str, index: int | tuple[int, ...]) -> View:
    """Return the function from an input to the activation of one unit of a learner, for example for `maximise`.

    The unit is entry `index` of the output of the layer named `layer`, in the adapted `state`. If the output is a
    feature map and `index` is a channel, the function returns the mean of the channel over all places. This is the
    "channel" objective of Olah et al.

    Raises:
        MapstoError: if the learner has stochastic layers. The returned function raises MapstoError if there is no such
            layer or unit.
    """
    views.deterministic(learner)
    at = (index,) if isinstance(index, int) else index

    def view(x: Tensor) -> Tensor:
        with answering(learner, x[None]):
            features = learner.features(state, x[None])
        listed = ", ".join(features) or "none: the learner names none"
        checks.expect(layer in features, "layer", repr(layer), f"one of {listed}")
        output = features[layer][0]
        fits = len(at) <= output.dim() and all(-n <= i < n for i, n in zip(at, output.shape, strict=False))
        checks.expect(fits, "index", at, f"a place in the output {tuple(output.shape)} of {layer!r}")
        return output[at].mean()

    return view


def total_variation(x: Float[Tensor, "... h w"]) -> Float[Tensor, ""]:
    """Return the sum of the absolute differences of neighbouring pixels, down and across.

    >>> total_variation(torch.tensor([[0.0, 1.0], [0.0, 3.0]]))
    tensor(6.)
    """
    return x.diff(dim=-2).abs().sum() + x.diff(dim=-1).abs().sum()


def blurred(x: Float[Tensor, "... h w"], sigma: float) -> Float[Tensor, "... h w"]:
    """Blur an image by a Gaussian of `sigma` pixels; border pixels are repeated beyond the border."""
    reach = max(1, round(3 * sigma))
    way = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.softmax(-way.square() / (2 * sigma**2), 0)  # [2·reach + 1]
    planes = F.pad(x.reshape(-1, 1, *x.shape[-2:]), (reach,) * 4, mode="replicate")
    planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return planes.reshape(x.shape)


def _shifts(jitter: int, steps: int, seed: int) -> list[tuple[int, ...]]:
    shifts = np.random.default_rng(seed).integers(-jitter, jitter + 1, (steps, 2))  # vmap forbids torch's
    return [tuple(shift) for shift in shifts.tolist()]


def _check_start(view: View, start: Tensor, steps: int, lr: float, strengths: dict[str, float]) -> None:
    checks.count(steps=steps)
    checks.above(0, lr=lr)
    checks.at_least(0, **strengths)
    for name, strength in strengths.items():
        image = not strength or name == "l2" or start.dim() >= 2
        checks.expect(image, name, f"{strength} for an input of shape {tuple(start.shape)}", "an image")
    _finite("start", start.sum(), "fill missing cells")
    checks.shape((), "one number: choose a target", view=(output := view(start)))
    _finite("view", output, "begin at another start")


def _finite(name: str, value: Float[Tensor, ""], remedy: str) -> Float[Tensor, ""]:
    """Return a number; raise MapstoError if it is not finite. Under vmap it passes."""
    if checks.readable(value):
        checks.expect(bool(value.isfinite()), name, value.item(), "a finite number", remedy)
    return value
