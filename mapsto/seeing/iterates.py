"""The path of an adaptation: every state of the inner loop, taken from the loop itself.

    φ_0 = θ,  φ_{i+1} = step(φ_i, inputs, i),    state_i = the state that `adapt` makes of φ_i,    g_i = ∇ℓ(φ_i)

The route through an inner loop is given the loop's own step (`adaptation.differentiation`). So one route takes the same
steps and records them, and state i comes from a route that returns φ_i at once: no learner's step is written a second
time, and the last state is the one `adapt` returns. One step more is taken for the gradient at the last state. A
learned rule has no rate; instead its effective learning rate is reported, −⟨φ_{i+1} − φ_i, g_i⟩ / ‖g_i‖² for each
parameter.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import checks, views
from ..adaptation.coordinates import parted
from ..adaptation.differentiation import Differentiation
from ..adaptation.differentiation.route import detached
from ..adaptation.fitting import fitting
from ..adaptation.inner import Inputs, Loop, Params
from ..adaptation.learner import Learner
from ..episodes import Episode, Examples, State
from ..errors import MapstoError
from ..learners.coordinate_rule import Loop as RuleLoop


class Iterates(NamedTuple):
    """One adaptation, step by step, 0 … steps; each list has one entry for each step."""

    learners: list[Learner]  # the learner stopped there: its `adapt_to` of the same episode returns that state
    states: list[State]
    params: list[Params]  # the adapted parameters
    gradients: list[Params]  # at these parameters; the last one is not followed
    rates: list[Params]  # of the step from here; the last step is not part of the adaptation


def iterates(learner: Learner, support: Examples | Episode) -> Iterates:
    """Adapt to a support set or an episode; return the state, the parameters and the gradients of each inner step.

    Raises:
        MapstoError: if the learner has no inner steps or is stochastic, the support set does not fit the learner, or
            gradients are not finite.
    """
    episode = support if isinstance(support, Episode) else Episode(support, support)
    route = views.deterministic(learner).route
    if route is None:
        raise MapstoError(
            f"learner: got {type(learner).__name__}, which takes no inner gradient steps, expected MAML or another one "
            "whose `adapt` follows gradients; to see how its support set matters, explain `views.weights` or "
            "`views.support` instead."
        )
    path = _Recorded(route)
    with torch.no_grad(), fitting(learner, episode):
        _along(learner, path).adapt_to(episode)
        learners = [_along(learner, _At(loop)) for loop in path.loops[:-1]]
        states = [detached(stopped.adapt_to(episode)) for stopped in learners]
    params, given = ([_by_name(part, states[0]) for part in parts] for parts in (path.loops, path.gradients))
    gradients = [{name: g.get(name, torch.zeros_like(p)) for name, p in params[0].items()} for g in given]
    _check_finite(gradients)
    steps = zip(params, params[1:], gradients, strict=False)
    rates = [path.rates(params[0], i) or _effective_rates(*step) for i, step in enumerate(steps)]
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


class _Recorded(Differentiation):
    """Take the steps of another route and one more, and record every loop state and gradient."""

    def __init__(self, of: Differentiation):
        self.of = of
        self.inputs: Any = None
        self.loops: list[Any] = []
        self.gradients: list[Any] = []

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        gradient = self.of.gradient(objective)

        def recorded(*arguments: Any) -> Any:
            self.gradients.append(detached(result := gradient(*arguments)))
            return result

        return recorded

    def __call__(self, step: Callable[..., Any], state: Any, inputs: Any, steps: range) -> Any:
        self.inputs, self.loops = detached(inputs), [detached(state)]
        for i in range(steps.start, steps.stop + 1):
            self.loops.append(detached(step(self.loops[-1], inputs, i)))
        return self.loops[-2]

    def rates(self, params: Params, i: int) -> Params:
        """Return the rate of each parameter entry at step `i`; empty for a learned rule; see `inner.Inputs`."""
        if not isinstance(self.inputs, Inputs):
            return {}
        rates = {name: steps[min(i, len(steps) - 1)] for name, steps in self.inputs.rates.items()}
        return {n: torch.as_tensor(rates[n], dtype=p.dtype, device=p.device).expand_as(p) for n, p in params.items()}


class _At(Differentiation):
    """Return one state of the loop, without a step."""

    def __init__(self, loop: Any):
        self.loop = loop

    def __call__(self, step: Any, state: Any, inputs: Any, steps: range) -> Any:
        return self.loop


def _by_name(part: Any, state: State) -> Params:
    """Return the parameters of a loop, or a gradient, by name; a learned rule moves one vector of all coordinates."""
    match part:
        case dict():
            return part
        case Loop():
            return part.params
        case RuleLoop():
            return parted(part.theta, state.params)
        case (Tensor() as gradient, _):  # with the loss, see `gradient_and_value`
            return parted(gradient, state.params)
    return parted(part, state.params)


def _effective_rates(here: Params, there: Params, gradient: Params) -> Params:
    """Return the effective learning rate of a step, 0 if the gradient is 0."""
    rates = {}
    for name, g in gradient.items():
        size = g.square().sum()
        rate = ((here[name] - there[name]) * g).sum() / torch.where(size > 0, size, 1.0)
        rates[name] = rate.expand_as(g)
    return rates


def _check_finite(gradients: list[Params]) -> None:
    lost = sum(int((~g.isfinite()).sum()) for step in gradients for g in step.values())
    checks.expect(
        lost == 0, "support", f"{lost} entries of the inner gradients that are not finite", "finite ones",
        "fill missing cells, and adapt with a lower rate or fewer steps",
    )  # fmt: skip


def _along(learner: Learner, route: Differentiation) -> Learner:
    """Return a copy of the learner with another route; its tensors are shared, not copied."""
    tensors = (*learner.parameters(), *learner.buffers())
    twin = copy.deepcopy(learner, {id(tensor): tensor for tensor in tensors})
    twin.route = route
    return twin
