"""An LSTM whose cell state is another network's parameters: its gates learn what to keep and how far to descend.

    θ_t = f_t ∘ θ_{t−1} − i_t ∘ ∇_t,    ∇_t, ℓ_t = gradient and value of Σ w·ℓ(body_{θ_{t−1}}(x), y) on the support
    f_t = σ(W_F·[h_t, θ_{t−1}, f_{t−1}] + b_F),   i_t = σ(W_I·[h_t, θ_{t−1}, i_{t−1}] + b_I)
    h_t, c_t = LSTM([read(∇_t), read(ℓ_t), h_{t−1}], c_{t−1}),    loss = Σ w·ℓ(body_{θ_T}(x), y)  on the query

Ravi & Larochelle 2017, "Optimization as a Model for Few-Shot Learning", eq. 2 and §3.2 to 3.3. The same small network
updates every parameter entry (coordinate). `read` gives the size and the sign of a gradient or loss (§3.2, see
`coordinates`). As in the paper, ∇_t and ℓ_t are constants in training. Differences: `adapt` returns exact derivatives,
and batch norm always uses the statistics of the support set.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from .. import checks
from ..adaptation.coordinates import gradient_and_value, read
from ..adaptation.differentiation import Differentiation
from ..adaptation.learner import Metrics
from ..adaptation.losses import LossChoice
from ..adaptation.lstm_cell import Cell as LSTMCell
from ..episodes import Episode
from .coordinate_rule import Cell, CoordinateRule, Inputs, Loop, RuleStep


class Memory(NamedTuple):
    """The memory of `c` coordinates: the output and cell of the first layer, and the gates of the second."""

    h: Float[Tensor, "c h"]
    c: Float[Tensor, "c h"]
    f: Float[Tensor, "c 1"]
    i: Float[Tensor, "c 1"]


class MetaCell(Cell):
    """The small network: an LSTM cell that reads the gradient, and a second cell whose state is the parameter.

    Args:
        hidden: the width of the first cell.
        lr: the initial value of the second cell's input gate, which acts as a learning rate.
    """

    def __init__(self, hidden: int, lr: float):
        super().__init__()
        self.lstm = LSTMCell(4 + hidden, hidden)
        self.forget, self.enter = (nn.Linear(hidden + 2, 1) for _ in range(2))
        for gate, bias in ((self.forget, 5.0), (self.enter, math.log(lr / (1 - lr)))):  # as the paper: nearly descent
            nn.init.normal_(gate.weight, std=0.01)
            nn.init.constant_(gate.bias, bias)
        self.hidden = hidden

    def start(self, theta: Float[Tensor, " c"]) -> Memory:
        """Return the memory of `c` coordinates before the first step."""
        zeros = theta.new_zeros(len(theta), self.hidden)
        return Memory(zeros, zeros, zeros[:, :1], zeros[:, :1])

    def forward(
        self, theta: Float[Tensor, " c"], g: Float[Tensor, " c"], loss: Float[Tensor, ""], memory: Memory
    ) -> tuple[Tensor, Memory]:
        """Return the parameters after the step, and the new memory."""
        loss_read = read(loss).expand(len(g), 2)
        h, c = self.lstm(torch.cat([read(g), loss_read, memory.h], -1), memory.c)
        f = torch.sigmoid(self.forget(torch.cat([h, theta[:, None], memory.f], -1)))
        i = torch.sigmoid(self.enter(torch.cat([h, theta[:, None], memory.i], -1)))
        return f[:, 0] * theta - i[:, 0] * g, Memory(h, c, f, i)


class MetaLSTM(CoordinateRule):
    """An LSTM whose cell state is the parameters of a network: they start at learned values, and gates update them.

    Args:
        body: the network to adapt, see `MAML`.
        loss: the loss on the support set and the query set: "mse", "cross_entropy", or a function, see `MAML`.
        steps: the number of inner steps. The attribute `steps` may be changed later.
        lr: the initial value of the LSTM's input gate, which acts as the learning rate; between 0 and 1.
        hidden: the width of the first LSTM layer, which reads the gradients.
        differentiation: how derivatives of the training loss pass through the steps, see `adaptation.differentiation`.
            If None, inner gradients are treated as constants, which is an approximation; `Reverse()` gives exact
            derivatives. The argument affects only the method `loss`; derivatives of the result of `adapt` are exact.

    Raises:
        MapstoError: if `loss` is unknown, `steps` is negative, `lr` is not between 0 and 1, `hidden` is below 1, no
            parameter is free to adapt, a batch-norm layer has `track_running_stats=True`, or `differentiation` is
            `FirstOrder` or `Implicit`.

    >>> from mapsto.episodes import examples
    >>> learner = MetaLSTM(nn.Linear(1, 1), loss="mse", steps=5)
    >>> state = learner.adapt(examples(torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [5.0]])))
    >>> learner.predict(state, torch.tensor([[2.0]])).shape
    torch.Size([1, 1])
    """

    def __init__(
        self,
        body: nn.Module,
        loss: LossChoice = "cross_entropy",
        steps: int = 5,
        lr: float = 0.01,
        hidden: int = 20,
        differentiation: Differentiation | None = None,
    ):
        checks.above(0, lr=lr)
        checks.expect(lr < 1, "lr", lr, "a rate below 1, because it is the value of a gate")
        super().__init__(body, loss, steps, hidden, differentiation)
        self.cell = MetaCell(hidden, lr)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is the loss on the query set after the last inner step.

        Derivatives of the loss are computed as set by the constructor argument `differentiation`.
        """
        state = self.stopped(self.run(self.differentiation, episode.support), episode.support)
        scores = self.predict(state, episode.query.x)
        loss = self.criterion(scores, episode.query.y, episode.query.w)
        return loss, {"loss": loss.detach()} | self.criterion.metrics(scores.detach(), episode.query)

    def step(self, route: Differentiation) -> RuleStep:
        """Return the function that takes one inner step.

        `route` selects how the gradient of the inner loss is computed in this step; the choices are those of the
        constructor argument `differentiation`, except None.
        """
        gradient = gradient_and_value(route, self.objective)

        def step(loop: Loop, inputs: Inputs, i: int) -> Loop:
            g, loss = gradient(loop.theta, inputs.fixed, inputs.support)
            theta, memory = functional_call(self.cell, inputs.cell, (loop.theta, g, loss, loop.memory))
            return Loop(theta, memory, loop.total)

        return step
