"""Descent by a recurrent network: the same small one at every coordinate turns its gradients into its moves.

    θ_{t+1} = θ_t + scale·W·h_t,    h_t, memory = LSTM(LSTM(read(∇_t)), memory),    ∇_t = ∇_θ f(θ_t)
    f(θ) = Σ w·ℓ(body_θ(x), y)  on the support,    loss = Σ_{t=1}^T weight_t·f(θ_t)

Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent", eq. 3, §2.1 and appendix A
(`coordinates.read`); ∇_t counts as constant in training (figure 2). Where we depart: the paper draws θ_0 anew for every
function, here it is the body's own (or learned, `learn_start`); it takes a step of training after every `truncation`
steps, here those of one function are summed; and f may be asked on the query set (`judged_on`), to learn to generalise.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ..adaptation import losses
from ..adaptation.coordinates import free, joined, parted, read
from ..adaptation.differentiation import ConstantGradients, Differentiation, Reverse
from ..adaptation.differentiation.route import chosen, detached
from ..adaptation.learner import Learner, Metrics
from ..adaptation.lstm_cell import Cell
from ..adaptation.normalisation import on_query, on_support, prepare, statistics_of
from ..adaptation.watching import watch
from ..episodes import Episode, Examples
from ..errors import MapstoError
from .lstm_optimizer import check_loop
from .maml import Adapted

Params = dict[str, Tensor]
Memory = tuple[Tensor, ...]  # output and cell of either layer, each [c, h]


class Loop(NamedTuple):
    """What a step moves."""

    theta: Float[Tensor, " c"]
    memory: Memory
    total: Float[Tensor, ""]  # of the loss, so far


class Inputs(NamedTuple):
    """What a step reads besides; each leaf may be differentiated."""

    fixed: Params  # parameters of the body that do not adapt
    cell: Params
    support: Examples
    judged: Examples | None = None  # where the loss is asked; None: nowhere


class UpdateCell(nn.Module):
    """Two LSTM cells and a linear layer: the gradient of a coordinate ↦ its move."""

    def __init__(self, hidden: int, scale: float):
        super().__init__()
        self.first, self.second = Cell(2 + hidden, hidden), Cell(2 * hidden, hidden)
        self.move = nn.Linear(hidden, 1)
        self.hidden, self.scale = hidden, scale

    def start(self, theta: Float[Tensor, " c"]) -> Memory:
        """Return the memory before the first step."""
        return (theta.new_zeros(len(theta), self.hidden),) * 4

    def forward(self, g: Float[Tensor, " c"], memory: Memory) -> tuple[Tensor, Memory]:
        """Return the move and the memory."""
        h1, c1, h2, c2 = memory
        h1, c1 = self.first(torch.cat([read(g), h1], -1), c1)
        h2, c2 = self.second(torch.cat([h1, h2], -1), c2)
        return self.scale * self.move(h2)[:, 0], (h1, c1, h2, c2)


class LearnedOptimizer(Learner):
    """Learns the rule by which a network's parameters follow their gradients.

    Args:
        body: the network to adapt, see `MAML`; its own parameters are the start, and are frozen unless learned.
        loss: f, "mse" or "cross_entropy".
        steps: inner steps; may be changed at any time.
        hidden: width of either layer.
        scale: of the moves.
        learn_start: learn the start as well.
        judged_on: whether training asks f on the "support" (to optimise) or on the "query" set (to generalise).
        weights: of f after each step, the last for all steps after it; the paper's are 1.
        truncation: let derivatives flow through so many steps at a time; None for all.
        differentiation: of the loop in training, see `differentiation`; `Reverse()` is exact. `adapt` always is.

    Raises:
        MapstoError: an unknown `loss` or `judged_on`, negative `steps`, `hidden` or `truncation` below 1, no `weights`,
            nothing to adapt, batch norm with running statistics, or implicit differentiation.

    >>> from mapsto.episodes import examples
    >>> learner = LearnedOptimizer(nn.Linear(1, 1), loss="mse", steps=5)
    >>> state = learner.adapt(examples(torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [5.0]])))
    >>> learner.predict(state, torch.tensor([[2.0]])).shape
    torch.Size([1, 1])
    """

    family = "learned optimiser"

    def __init__(
        self,
        body: nn.Module,
        loss: Literal["mse", "cross_entropy"] = "cross_entropy",
        steps: int = 20,
        hidden: int = 20,
        scale: float = 0.1,
        learn_start: bool = False,
        judged_on: Literal["support", "query"] = "support",
        weights: Sequence[float] = (1.0,),
        truncation: int | None = None,
        differentiation: Differentiation | None = None,
    ):
        super().__init__()
        self.differentiation, self.adapting = chosen(differentiation, ConstantGradients()), Reverse()
        check_loop(loss, steps, hidden, self.differentiation)
        _check(judged_on, weights, truncation)
        self.body, self.adapted = prepare(body), free(body)
        self.cell = UpdateCell(hidden, scale)
        for name in self.adapted:
            body.get_parameter(name).requires_grad_(learn_start)
        self.loss_name, self.steps, self.judged_on = loss, steps, judged_on
        self.weights, self.truncation = tuple(weights), truncation

    def adapt(self, support: Examples) -> Adapted:
        """Take the steps from the start; the derivatives are exact."""
        theta = self._run(self.adapting, support).theta
        params = parted(theta, self._named()[0])
        return Adapted(params, statistics_of(self.body, params, support.x, support.w))

    def predict(self, state: Adapted, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Run the adapted network, normalised by the statistics of the support set."""
        return on_query(self.body, state.params, state.statistics, x)

    def features(self, state: Adapted, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the output of each part of the adapted network, in the order of the calls."""
        return watch(self.body, lambda: self.predict(state, x))

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the weighted sum of f along the way, differentiated by the chosen route; the query set measures."""
        judged = episode.support if self.judged_on == "support" else episode.query
        loop = self._run(self.differentiation, episode.support, judged)
        with torch.no_grad():
            start, fixed = self._named()
            scores = self._scores(parted(loop.theta, start), fixed, episode.support, episode.query.x)
            query = losses.LOSSES[self.loss_name](scores, episode.query.y, episode.query.w)
        measured = losses.METRICS[self.loss_name](scores.detach(), episode.query)
        return loop.total, {"loss": loop.total.detach(), "query_loss": query.detach()} | measured

    def _named(self) -> tuple[Params, Params]:
        """Return those that adapt and those that do not."""
        named: Params = dict(self.body.named_parameters())
        return {name: named.pop(name) for name in self.adapted}, named

    def _run(self, route: Differentiation, support: Examples, judged: Examples | None = None) -> Loop:
        start, fixed = self._named()
        theta = joined(start)
        inputs = Inputs(fixed, dict(self.cell.named_parameters()), support, judged)
        loop = Loop(theta, self.cell.start(theta), theta.new_zeros(()))
        return route(self._step(route, start), loop, inputs, range(self.steps))

    def _step(self, route: Differentiation, start: Params) -> Callable[[Loop, Inputs, int], Loop]:
        def objective(theta: Tensor, fixed: Params, support: Examples) -> Tensor:
            scores, _ = on_support(self.body, {**fixed, **parted(theta, start)}, support.x, support.w)
            return losses.LOSSES[self.loss_name](scores, support.y, support.w)

        def judge(theta: Tensor, inputs: Inputs, judged: Examples) -> Tensor:
            scores = self._scores(parted(theta, start), inputs.fixed, inputs.support, judged.x)
            return losses.LOSSES[self.loss_name](scores, judged.y, judged.w)

        gradient = route.gradient(objective)

        def step(loop: Loop, inputs: Inputs, i: int) -> Loop:
            theta, memory, total = loop
            if inputs.judged is not None and self.truncation and i % self.truncation == 0 and i:
                theta, memory = detached((theta, memory))
            g = gradient(theta, inputs.fixed, inputs.support)
            move, memory = functional_call(self.cell, inputs.cell, (g, memory))
            theta = theta + move
            if inputs.judged is not None:
                weight = self.weights[min(i, len(self.weights) - 1)]
                total = total + weight * judge(theta, inputs, inputs.judged)
            return Loop(theta, memory, total)

        return step

    def _scores(self, params: Params, fixed: Params, support: Examples, x: Tensor) -> Tensor:
        params = {**fixed, **params}
        return on_query(self.body, params, statistics_of(self.body, params, support.x, support.w), x)


def _check(judged_on: str, weights: Sequence[float], truncation: int | None) -> None:
    if judged_on not in ("support", "query"):
        raise MapstoError(f"judged_on: got {judged_on!r}, expected 'support' or 'query'.")
    if not weights or min(weights) < 0:
        raise MapstoError(f"weights: got {tuple(weights)}, expected numbers from 0, one a step, the last for the rest.")
    if truncation is not None and truncation < 1:
        raise MapstoError(f"truncation: got {truncation}, expected at least 1 step, or None for all.")
