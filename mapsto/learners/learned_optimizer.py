"""Learn the optimizer: the same small recurrent network turns the gradients of every coordinate into its steps.

    θ_{t+1} = θ_t + scale·W·h_t,    h_t, memory = LSTM(LSTM(read(∇_t)), memory),    ∇_t = ∇_θ f(θ_t)
    f(θ) = Σ w·ℓ(body_θ(x), y)  on the support,    loss = Σ_{t=1}^T weight_t·f(θ_t)

Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent", eq. 3, §2.1 and appendix A
(`coordinates.read`). In training ∇_t is a constant (figure 2). Differences: the paper draws θ_0 for every function,
here it is the body's own, or learned (`learn_start`); the paper takes a training step after every `truncation` steps,
here the losses of one function are summed; and f may be evaluated on the query set (`judged_on`), to learn to
generalise.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from .. import checks
from ..adaptation import losses
from ..adaptation.coordinates import read
from ..adaptation.differentiation import Differentiation
from ..adaptation.differentiation.route import detached
from ..adaptation.learner import Metrics
from ..adaptation.lstm_cell import Cell as LSTMCell
from ..adaptation.normalisation import on_query, statistics_of
from ..episodes import Episode, Examples
from .coordinate_rule import Cell, CoordinateRule, Inputs, Loop, Params, RuleStep

Memory = tuple[Tensor, ...]  # output and cell of either layer, each [c, h]


class UpdateCell(Cell):
    """Two LSTM cells and a linear layer: the gradient of a coordinate ↦ its step."""

    def __init__(self, hidden: int, scale: float):
        super().__init__()
        self.first, self.second = LSTMCell(2 + hidden, hidden), LSTMCell(2 * hidden, hidden)
        self.move = nn.Linear(hidden, 1)
        self.hidden, self.scale = hidden, scale

    def start(self, theta: Float[Tensor, " c"]) -> Memory:
        """Return the memory before the first step."""
        return (theta.new_zeros(len(theta), self.hidden),) * 4

    def forward(self, g: Float[Tensor, " c"], memory: Memory) -> tuple[Tensor, Memory]:
        """Return the step of each coordinate, and the memory."""
        h1, c1, h2, c2 = memory
        h1, c1 = self.first(torch.cat([read(g), h1], -1), c1)
        h2, c2 = self.second(torch.cat([h1, h2], -1), c2)
        return self.scale * self.move(h2)[:, 0], (h1, c1, h2, c2)


class LearnedOptimizer(CoordinateRule):
    """Learn the rule by which a network's parameters follow their gradients.

    Args:
        body: the network to adapt, see `MAML`; its own parameters are the start, and are frozen unless learned.
        loss: the loss f, "mse" or "cross_entropy".
        steps: the number of inner steps; may be changed at any time.
        hidden: the width of either layer.
        scale: a factor of every step.
        learn_start: learn the start as well.
        judged_on: in training, evaluate f on the "support" set (to optimise) or on the "query" set (to generalise).
        weights: the weight of f after each step, the last one for all later steps; the paper's are 1.
        truncation: let derivatives flow through this many steps at a time; None for all.
        differentiation: the route of the training loss through the loop, see `differentiation`; `Reverse()` is exact.
            `adapt` is always exact.

    Raises:
        MapstoError: an unknown `loss` or `judged_on`, negative `steps`, `hidden` or `truncation` below 1, no `weights`,
            nothing to adapt, batch norm with running statistics, or first-order or implicit differentiation.

    >>> from mapsto.episodes import examples
    >>> learner = LearnedOptimizer(nn.Linear(1, 1), loss="mse", steps=5)
    >>> state = learner.adapt(examples(torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [5.0]])))
    >>> learner.predict(state, torch.tensor([[2.0]])).shape
    torch.Size([1, 1])
    """

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
        checks.one_of(("support", "query"), judged_on=judged_on)
        valid = len(weights) > 0 and min(weights) >= 0
        checks.expect(valid, "weights", tuple(weights), "numbers from 0, one a step, the last for all later steps")
        if truncation is not None:
            checks.count(truncation=truncation)
        super().__init__(body, loss, steps, hidden, differentiation)
        self.cell = UpdateCell(hidden, scale)
        for name in self.adapted:
            body.get_parameter(name).requires_grad_(learn_start)
        self.judged_on, self.weights, self.truncation = judged_on, tuple(weights), truncation

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the weighted sum of f over the steps, differentiated by `differentiation`, and the query loss."""
        support, query = episode.support, episode.query
        loop = self.run(self.differentiation, support, support if self.judged_on == "support" else query)
        with torch.no_grad():
            scores = self._scores(loop.theta, {}, support, query.x)
            query_loss = losses.LOSSES[self.loss_name](scores, query.y, query.w)
        metrics = losses.METRICS[self.loss_name](scores.detach(), query)
        (loss,) = loop.total
        return loss, {"loss": loss.detach(), "query_loss": query_loss.detach()} | metrics

    def step(self, route: Differentiation) -> RuleStep:
        """Return the network's step; see `CoordinateRule`."""
        gradient = route.gradient(self.objective)

        def step(loop: Loop, inputs: Inputs, i: int) -> Loop:
            theta, memory, total = loop
            if inputs.summed is not None and self.truncation and i % self.truncation == 0 and i:
                theta, memory = detached((theta, memory))
            g = gradient(theta, inputs.fixed, inputs.support)
            move, memory = functional_call(self.cell, inputs.cell, (g, memory))
            theta = theta + move
            if inputs.summed is not None:
                weight = self.weights[min(i, len(self.weights) - 1)]
                total = (total[0] + weight * self._loss_at(theta, inputs, inputs.summed),)
            return Loop(theta, memory, total)

        return step

    def _loss_at(self, theta: Float[Tensor, " c"], inputs: Inputs, rows: Examples) -> Float[Tensor, ""]:
        scores = self._scores(theta, inputs.fixed, inputs.support, rows.x)
        return losses.LOSSES[self.loss_name](scores, rows.y, rows.w)

    def _scores(self, theta: Float[Tensor, " c"], fixed: Params, support: Examples, x: Tensor) -> Tensor:
        params = {**fixed, **self.parts(theta)}
        return on_query(self.body, params, statistics_of(self.body, params, support.x, support.w), x)
