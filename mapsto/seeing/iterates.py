"""The way of an adaptation: every state that the inner loop passes, taken from the loop itself.

    φ_0 = θ,  φ_{i+1} = step(φ_i, inputs, i);    state_i = what `adapt` makes of φ_i;    g_i = the gradient of step i

How an inner loop is differentiated is a route that is handed the loop's own step (`learners.differentiation`). So the
way is read by a route that takes the same steps and keeps where it was, and state i is made by a route that arrives at
φ_i at once: nothing of a learner's steps is written a second time, and the last state is `adapt`'s. Beyond the last
state one more step is taken, for the slope where adaptation stops. A learned rule has no rate; in its place stands how
far it goes against the gradient, −⟨φ_{i+1} − φ_i, g_i⟩ / ‖g_i‖² for each parameter.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .. import views
from ..adaptation.coordinates import parted
from ..adaptation.differentiation import Differentiation
from ..adaptation.differentiation.route import detached
from ..adaptation.fitting import fitting
from ..adaptation.inner import Inputs, Params
from ..adaptation.learner import Learner
from ..episodes import Episode, Examples, State
from ..errors import MapstoError


class Iterates(NamedTuple):
    """Each step of one adaptation, 0 … steps; a list has one entry a step."""

    learners: list[Learner]  # the learner, stopped there: its `adapt` of the same support set returns that state
    states: list[State]
    params: list[Params]  # those that adapt
    gradients: list[Params]  # there, by which the next step is taken; the last one's is not
    rates: list[Params]  # of that step; the last one's is not taken


def iterates(learner: Learner, support: Examples) -> Iterates:
    """Adapt to `support`, and return every state on the way.

    Raises:
        MapstoError: the learner has no inner gradient steps that end in its parameters, or draws at random; or what
            teaches does not fit it, or leads to gradients that are not finite.
    """
    place, of = _loop(views.deterministic(learner))
    route = _Kept(of)
    with torch.no_grad(), fitting(learner, Episode(support, support)):
        _along(learner, place, route).adapt(support)
        if not route.loops:
            raise _refused(learner)
        learners = [_along(learner, place, _Arrived(loop)) for loop in route.loops[:-1]]
        states = [detached(stopped.adapt(support)) for stopped in learners]
    part = learner.get_submodule(place.rpartition(".")[0])
    params = [_named(loop, part) for loop in route.loops]
    gradients = [{**{n: torch.zeros_like(p) for n, p in params[0].items()}, **_named(g, part)} for g in route.gradients]
    _refuse_lost(gradients)
    ways = zip(params, params[1:], gradients, strict=False)
    rates = [route.rates(params[0], i) or _against(*way) for i, way in enumerate(ways)]
    return Iterates(learners, states, params[:-1], gradients, rates)


def by_layer(params: Params) -> dict[str, Tensor]:
    """Return the entries of each layer's parameters as one vector, in the order of the network.

    >>> by_layer({"0.weight": torch.zeros(1, 2), "0.bias": torch.ones(1)})
    {'0': tensor([0., 0., 1.])}
    """
    layers: dict[str, list[Tensor]] = {}
    for name, p in params.items():
        layers.setdefault(name.rpartition(".")[0] or name, []).append(p.flatten())
    return {layer: torch.cat(parts) for layer, parts in layers.items()}


class _Kept(Differentiation):
    """Take the steps as another route does, and one more, and keep every state and gradient."""

    def __init__(self, of: Differentiation):
        self.of = of
        self.inputs: Any = None
        self.loops: list[Any] = []
        self.gradients: list[Any] = []

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        gradient = self.of.gradient(objective)

        def kept(*arguments: Any) -> Any:
            self.gradients.append(detached(found := gradient(*arguments)))
            return found

        return kept

    def __call__(self, step: Callable[..., Any], state: Any, inputs: Any, steps: range) -> Any:
        self.inputs, self.loops = detached(inputs), [detached(state)]
        for i in range(steps.start, steps.stop + 1):
            self.loops.append(detached(step(self.loops[-1], inputs, i)))
        return self.loops[-2]

    def rates(self, params: Params, i: int) -> Params:
        """Return the rate of each entry of each parameter at step `i`, none of a learned rule; see `inner.Inputs`."""
        if not isinstance(self.inputs, Inputs):
            return {}
        given = {n: rates[min(i, len(rates) - 1)] for n, rates in self.inputs.rates.items()}
        return {n: torch.as_tensor(given[n], dtype=p.dtype, device=p.device).expand_as(p) for n, p in params.items()}


class _Arrived(Differentiation):
    """Be where a loop has come to."""

    def __init__(self, at: Any):
        self.at = at

    def __call__(self, step: Any, state: Any, inputs: Any, steps: range) -> Any:
        return self.at


def _named(found: Any, part: nn.Module) -> Params:
    """Return parameters or their gradients by name: of a loop, or of one vector of all coordinates."""
    if isinstance(found, dict):
        return found
    if hasattr(found, "params"):
        return found.params
    theta = getattr(found, "theta", found)
    theta = theta if isinstance(theta, Tensor) else theta[0]  # a gradient that comes with the loss
    return parted(theta, {name: part.body.get_parameter(name) for name in part.adapted})  # type: ignore


def _against(here: Params, there: Params, gradient: Params) -> Params:
    """Return how far a move goes against the gradient, in gradients; 0 where that is 0."""
    rates = {}
    for name, g in gradient.items():
        size = g.square().sum()
        rate = ((here[name] - there[name]) * g).sum() / torch.where(size > 0, size, 1.0)
        rates[name] = rate.expand_as(g)
    return rates


def _refuse_lost(gradients: list[Params]) -> None:
    lost = sum(int((~g.isfinite()).sum()) for step in gradients for g in step.values())
    if lost:
        raise MapstoError(
            f"support: {lost} entries of the inner gradients are not finite, expected finite ones: fill missing cells, "
            "and adapt with a lower rate or fewer steps."
        )


def _loop(learner: Learner) -> tuple[str, Differentiation]:
    """Name the attribute that holds the route of `adapt` through the inner loop, and return that route."""
    for name, part in learner.named_modules():
        for attribute in ("adapting", "differentiation"):
            if isinstance(route := vars(part).get(attribute), Differentiation):
                return f"{name}.{attribute}", route
    raise _refused(learner)


def _refused(learner: Learner) -> MapstoError:
    return MapstoError(
        f"learner: {type(learner).__name__} takes no inner gradient steps that could be followed, expected MAML or "
        "another whose `adapt` follows gradients; to see what its support set taught it, explain "
        "`views.weights` or `views.support` instead."
    )


def _along(learner: Learner, place: str, route: Differentiation) -> Learner:
    """Return the learner with another route through its loop; its tensors are shared, not copied."""
    tensors = (*learner.parameters(), *learner.buffers())
    twin = copy.deepcopy(learner, {id(tensor): tensor for tensor in tensors})
    part, _, attribute = place.rpartition(".")
    setattr(twin.get_submodule(part), attribute, route)
    return twin
