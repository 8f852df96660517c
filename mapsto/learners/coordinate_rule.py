"""The base of learned optimizers: one small network, the same for every parameter, turns gradients into steps.

    φ_{i+1}, memory = step(φ_i, ∇_φ Σ w·ℓ(body_φ(x), y), memory)   on the support, from the body's own parameters

A coordinate is one entry of one parameter φ of the body. By default, training treats the inner gradients as constants,
as in the papers. The result of `adapt` has exact derivatives, so that a prediction can be explained through adaptation.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from .. import checks
from ..adaptation import losses
from ..adaptation.coordinates import free, joined, parted
from ..adaptation.differentiation import ConstantGradients, Differentiation, FirstOrder, Implicit, Reverse
from ..adaptation.differentiation.route import chosen
from ..adaptation.learner import Learner
from ..adaptation.normalisation import on_query, on_support, prepare, statistics_of
from ..adaptation.watching import watch
from ..episodes import Examples
from .maml import Adapted

Params = dict[str, Tensor]


class Loop(NamedTuple):
    """The state of the loop of inner steps."""

    theta: Float[Tensor, " c"]  # the adapted parameters as one vector
    memory: Any  # the memory of the small network for each coordinate
    total: tuple[Tensor, ...]  # the sum of the training losses so far; empty if none are summed


class Inputs(NamedTuple):
    """The values that a step reads besides the loop's state; derivatives by each of these tensors are possible."""

    fixed: Params  # parameters of the body that do not adapt
    cell: Params  # parameters of the small network
    support: Examples
    summed: Examples | None = None  # the examples whose loss is summed over the steps; None for no sum


RuleStep = Callable[[Loop, Inputs, int], Loop]


class Cell(nn.Module, ABC):
    """The base of the small network, which turns the gradient of a coordinate into its step."""

    @abstractmethod
    def start(self, theta: Float[Tensor, " c"]) -> Any:
        """Return the memory of `c` coordinates before the first step."""


class CoordinateRule(Learner, ABC):
    """A learner whose small network `cell` turns the gradient of each coordinate (parameter entry) into its step.

    Raises:
        MapstoError: if `loss` is unknown, `steps` is negative, `hidden` is below 1, no parameter is free to adapt, a
            batch-norm layer has `track_running_stats=True`, or `differentiation` is `FirstOrder` or `Implicit`.
    """

    family = "learned optimiser"
    differentiation: Differentiation
    cell: Cell

    def __init__(
        self, body: nn.Module, loss: losses.LossChoice, steps: int, hidden: int, differentiation: Differentiation | None
    ):
        super().__init__()
        checks.count(0, steps=steps)
        checks.count(hidden=hidden)
        self.differentiation, self._route = chosen(differentiation, ConstantGradients()), Reverse()
        checks.expect(
            not isinstance(self.differentiation, FirstOrder | Implicit), "differentiation",
            type(self.differentiation).__name__, "a route through the steps, such as ConstantGradients or Reverse",
            "a learned optimizer has no fixed point, and FirstOrder would not learn its steps",
        )  # fmt: skip
        self.body, self.adapted = prepare(body), free(body)
        self.criterion, self.steps = losses.chosen(loss), steps

    _route: Differentiation

    @property
    def route(self) -> Differentiation:
        """The route of derivatives through the steps of `adapt`; by default `Reverse()`, which is exact.

        `loss` uses the route `differentiation` instead.
        """
        return self._route

    @route.setter
    def route(self, route: Differentiation) -> None:
        self._route = route

    def adapt(self, support: Examples) -> Adapted:
        """Return the adapted network after the inner steps, which start from the body's own parameters."""
        return self.stopped(self.run(self.route, support), support)

    def predict(self, state: Adapted, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the adapted network's scores of `n` rows.

        Batch norm uses the statistics of the support set.
        """
        return on_query(self.body, state.params, state.statistics, x)

    def features(self, state: Adapted, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the output of each submodule of the adapted network, in the order of the calls."""
        return watch(self.body, lambda: self.predict(state, x))

    @abstractmethod
    def step(self, route: Differentiation) -> RuleStep:
        """Return the function that takes one inner step; `route` selects how gradients of `objective` are computed."""

    def run(self, route: Differentiation, support: Examples, summed: Examples | None = None) -> Loop:
        """Return the state of the loop after the last step, differentiated by `route`.

        If `summed` is given, the loop also sums the loss on these examples over the steps.
        """
        named: Params = dict(self.body.named_parameters())
        theta = joined({name: named.pop(name) for name in self.adapted})
        loop = Loop(theta, self.cell.start(theta), () if summed is None else (theta.new_zeros(()),))
        inputs = Inputs(named, dict(self.cell.named_parameters()), support, summed)
        return route(self.step(route), loop, inputs, range(self.steps))

    def stopped(self, loop: Loop, support: Examples) -> Adapted:
        """Return the adapted network: the parameters of the loop, and the statistics of the batch-norm layers."""
        params = self.parts(loop.theta)
        return Adapted(params, statistics_of(self.body, params, support.x, support.w))

    def parts(self, theta: Float[Tensor, " c"]) -> Params:
        """Return the vector `theta` as a dictionary from names to adapted parameters of the body."""
        named = dict(self.body.named_parameters())
        return parted(theta, {name: named[name] for name in self.adapted})

    def objective(self, theta: Float[Tensor, " c"], fixed: Params, support: Examples) -> Float[Tensor, ""]:
        """Return the loss on the support set at the parameters `theta`."""
        scores, _ = on_support(self.body, {**fixed, **self.parts(theta)}, support.x, support.w)
        return self.criterion(scores, support.y, support.w)
