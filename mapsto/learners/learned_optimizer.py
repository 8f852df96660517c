"""Learn the optimizer: one small recurrent network turns the gradients of every parameter into its steps.

    θ_{t+1} = θ_t + scale·W·h_t,    h_t, memory = LSTM(LSTM(read(∇_t)), memory),    ∇_t = ∇_θ f(θ_t)
    f(θ) = Σ w·ℓ(body_θ(x), y)  on the support,    loss = Σ_{t=1}^T weight_t·f(θ_t)

Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent", eq. 3, §2.1 and appendix A
(`coordinates.read`). In training ∇_t is a constant (figure 2).

Differences: the paper draws a new θ_0 for every function f; here θ_0 is the body's own, or learned (`learn_start`). The
paper takes a training step after every `truncation` inner steps; here the losses of all inner steps are summed. Here
the loss may also use f on the query set (`judged_on`), to learn to generalise.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from .. import checks
from ..adaptation.coordinates import read
from ..adaptation.differentiation import Differentiation
from ..adaptation.differentiation.route import detached
from ..adaptation.learner import Metrics
from ..adaptation.losses import LossChoice
from ..adaptation.lstm_cell import Cell as LSTMCell
from ..adaptation.normalisation import on_query, statistics_of
from ..episodes import Episode, Examples
from .coordinate_rule import Cell, CoordinateRule, Inputs, Loop, Params, RuleStep

Memory = tuple[Tensor, ...]  # output and cell of each of the two layers, each [c, h]


class UpdateCell(Cell):
    """Two LSTM cells and a linear layer, which map the gradient of each coordinate to its step."""

    def __init__(self, hidden: int, scale: float):
        super().__init__()
        self.first, self.second = LSTMCell(2 + hidden, hidden), LSTMCell(2 * hidden, hidden)
        self.move = nn.Linear(hidden, 1)
        self.hidden, self.scale = hidden, scale

    def start(self, theta: Float[Tensor, " c"]) -> Memory:
        """Return the memory of `c` coordinates before the first step."""
        return (theta.new_zeros(len(theta), self.hidden),) * 4

    def forward(self, g: Float[Tensor, " c"], memory: Memory) -> tuple[Tensor, Memory]:
        """Return the step of each coordinate, and the new memory."""
        h1, c1, h2, c2 = memory
        h1, c1 = self.first(torch.cat([read(g), h1], -1), c1)
        h2, c2 = self.second(torch.cat([h1, h2], -1), c2)
        return self.scale * self.move(h2)[:, 0], (h1, c1, h2, c2)


class LearnedOptimizer(CoordinateRule):
    """A learned optimizer: one small LSTM, shared by all parameter entries, turns each entry's gradient into a step.

    Args:
        body: the network to adapt, see `MAML`. Adaptation starts from the parameters of `body`, which are not trained
            unless `learn_start` is True.
        loss: the inner loss f: "mse", "cross_entropy", or a function, see `MAML`.
        steps: the number of inner steps. The attribute `steps` may be changed later.
        hidden: the width of each of the two LSTM layers.
        scale: a multiplier on every step.
        learn_start: if True, the parameters from which adaptation starts are learned too.
        judged_on: the examples on which the training loss evaluates f: "support" to learn to optimise, or "query" to
            learn to generalise.
        weights: the weights of the inner steps. The training loss adds up the values of f after each step, each
            multiplied by the weight of its step. The last weight also applies to all later steps. The paper's weights
            are 1.
        truncation: the number of consecutive inner steps after which derivatives of the training loss are cut. If None,
            derivatives pass through all steps.
        differentiation: how derivatives of the training loss pass through the steps, see `adaptation.differentiation`.
            If None, inner gradients are treated as constants, which is an approximation; `Reverse()` gives exact
            derivatives. The argument affects only the method `loss`; derivatives of the result of `adapt` are exact.

    Raises:
        MapstoError: if `loss` or `judged_on` is unknown, `steps` is negative, `hidden` or `truncation` is below 1,
            `weights` is empty or has a negative entry, no parameter is free to adapt, a batch-norm layer has
            `track_running_stats=True`, or `differentiation` is `FirstOrder` or `Implicit`.

    >>> from mapsto.episodes import examples
    >>> learner = LearnedOptimizer(nn.Linear(1, 1), loss="mse", steps=5)
    >>> state = learner.adapt(examples(torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [5.0]])))
    >>> learner.predict(state, torch.tensor([[2.0]])).shape
    torch.Size([1, 1])
    """

    def __init__(
        self,
        body: nn.Module,
        loss: LossChoice = "cross_entropy",
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
        """Return (loss, metrics): the loss is the weighted sum of the inner loss f over the steps.

        The metrics include the query loss after the last step.
        """
        support, query = episode.support, episode.query
        loop = self.run(self.differentiation, support, support if self.judged_on == "support" else query)
        with torch.no_grad():
            scores = self._scores(loop.theta, {}, support, query.x)
            query_loss = self.criterion(scores, query.y, query.w)
        metrics = self.criterion.metrics(scores.detach(), query)
        (loss,) = loop.total
        return loss, {"loss": loss.detach(), "query_loss": query_loss.detach()} | metrics

    def step(self, route: Differentiation) -> RuleStep:
        """Return the function that takes one inner step.

        `route` selects how the gradient of the inner loss is computed in this step; the choices are those of the
        constructor argument `differentiation`, except None.
        """
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
        return self.criterion(scores, rows.y, rows.w)

    def _scores(self, theta: Float[Tensor, " c"], fixed: Params, support: Examples, x: Tensor) -> Tensor:
        params = {**fixed, **self.parts(theta)}
        return on_query(self.body, params, statistics_of(self.body, params, support.x, support.w), x)
