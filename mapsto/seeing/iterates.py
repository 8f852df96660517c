"""The way of an adaptation: every state that the inner loop passes, taken from the loop itself.

    φ_0 = θ,  φ_{i+1} = step(φ_i, inputs, i);    state_i = what `adapt` makes of φ_i;    g_i = the gradient of step i

How an inner loop is differentiated is a route that is handed the loop's own step (`learners.differentiation`). So the
way is read by a route that takes the same steps and keeps where it was, and state i is made by a route that arrives at
φ_i at once: nothing of a learner's steps is written a second time, and the last state is `adapt`'s. Beyond the last
state one more gradient is taken, for the slope where adaptation stops.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..episodes import Examples, State
from ..errors import MapstoError
from ..learners.differentiation import Differentiation
from ..learners.differentiation.route import Step, detached
from ..learners.inner import Inputs, Loop, Params
from ..learners.learner import Learner


class Iterates(NamedTuple):
    """Each step of one adaptation, 0 … steps; a list has one entry a step."""

    learners: list[Learner]  # the learner, stopped there: its `adapt` of the same support set returns that state
    states: list[State]
    params: list[Params]  # those that adapt
    gradients: list[Params]  # there, by which the next step is taken; the last one's is not
    rates: list[Params]  # of that step


def iterates(learner: Learner, support: Examples) -> Iterates:
    """Adapt to `support`, and return every state on the way.

    Raises:
        MapstoError: the learner has no inner gradient steps that end in its parameters.
    """
    place, of = _loop(learner)
    route = _Kept(of)
    with torch.no_grad():
        _along(learner, place, route).adapt(support)
        if not route.loops:
            raise _refused(learner)
        learners = [_along(learner, place, _Arrived(loop)) for loop in route.loops]
        states = [detached(stopped.adapt(support)) for stopped in learners]
    params = [loop.params for loop in route.loops]
    whole = [{n: g.get(n, torch.zeros_like(p)) for n, p in params[0].items()} for g in route.gradients]
    return Iterates(learners, states, params, whole, [route.rates(i) for i in range(len(params))])


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
    """Take the steps as another route does, and keep every state and gradient."""

    def __init__(self, of: Differentiation):
        self.of, self.inputs = of, Inputs({}, {}, Examples(*(torch.empty(0),) * 3))
        self.loops: list[Loop] = []
        self.gradients: list[Params] = []

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        gradient = self.of.gradient(objective)

        def kept(*arguments: Any) -> Any:
            self.gradients.append(detached(found := gradient(*arguments)))
            return found

        return kept

    def __call__(self, step: Step, state: Loop, inputs: Inputs, steps: range) -> Loop:
        self.inputs, self.loops = detached(inputs), [detached(state)]
        for i in steps:
            self.loops.append(step(self.loops[-1], inputs, i))
        step(self.loops[-1], inputs, steps.stop)  # for its gradient alone
        return self.loops[-1]

    def rates(self, i: int) -> Params:
        """Return the rate of each entry of each parameter at step `i`; see `learners.inner.Inputs`."""
        given = {n: rates[min(i, len(rates) - 1)] for n, rates in self.inputs.rates.items()}
        return {
            n: torch.as_tensor(given[n], dtype=p.dtype, device=p.device).expand_as(p)
            for n, p in self.loops[0].params.items()
        }


class _Arrived(Differentiation):
    """Be where a loop has come to."""

    def __init__(self, at: Loop):
        self.at = at

    def __call__(self, step: Step, state: Loop, inputs: Inputs, steps: range) -> Loop:
        return self.at


def _loop(learner: Learner) -> tuple[str, Differentiation]:
    """Name the part of the learner that holds the inner loop, "" for the learner itself, and return its route."""
    for name, part in learner.named_modules():
        if isinstance(route := vars(part).get("differentiation"), Differentiation):
            return name, route
    raise _refused(learner)


def _refused(learner: Learner) -> MapstoError:
    return MapstoError(
        f"learner: {type(learner).__name__} takes no inner gradient steps that could be followed, expected MAML or "
        "another whose `adapt` is gradient descent; to see what its support set taught it, explain "
        "`views.weights` or `views.support` instead."
    )


def _along(learner: Learner, place: str, route: Differentiation) -> Learner:
    """Return the learner with another route through its loop; its tensors are shared, not copied."""
    tensors = (*learner.parameters(), *learner.buffers())
    twin = copy.deepcopy(learner, {id(tensor): tensor for tensor in tensors})
    setattr(twin.get_submodule(place), "differentiation", route)  # noqa: B010  (mypy takes it for a tensor)
    return twin
