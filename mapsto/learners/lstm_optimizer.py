"""An LSTM whose cell state is another network's parameters: its gates decide what to keep and how far to descend.

    θ_t = f_t ∘ θ_{t−1} − i_t ∘ ∇_t,    ∇_t, ℓ_t = gradient and value of Σ w·ℓ(body_{θ_{t−1}}(x), y) on the support
    f_t = σ(W_F·[h_t, θ_{t−1}, f_{t−1}] + b_F),   i_t = σ(W_I·[h_t, θ_{t−1}, i_{t−1}] + b_I)
    h_t, c_t = LSTM([read(∇_t), read(ℓ_t), h_{t−1}], c_{t−1}),    loss = Σ w·ℓ(body_{θ_T}(x), y)  on the query

Ravi & Larochelle 2017, "Optimization as a Model for Few-Shot Learning", eq. 2 and §3.2 to 3.3; the same small network
for every coordinate, on gradients and losses read by size and sign, is that of §3.2 (`coordinates`). As in the paper
training takes ∇_t and ℓ_t to be constants. Where we depart: the state that `adapt` returns has its exact derivatives,
so that a prediction can be explained through adaptation; a network's batch norm goes by the support set at any time.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ..adaptation import losses
from ..adaptation.coordinates import free, gradient_and_value, joined, parted, read
from ..adaptation.differentiation import ConstantGradients, Differentiation, FirstOrder, Implicit, Reverse
from ..adaptation.differentiation.route import chosen
from ..adaptation.learner import Learner, Metrics
from ..adaptation.lstm_cell import Cell
from ..adaptation.normalisation import on_query, on_support, prepare, statistics_of
from ..adaptation.watching import watch
from ..episodes import Episode, Examples
from ..errors import MapstoError
from .maml import Adapted

Params = dict[str, Tensor]


class Memory(NamedTuple):
    """What each of `c` coordinates remembers: the first layer's output and cell, and the second layer's gates."""

    h: Float[Tensor, "c h"]
    c: Float[Tensor, "c h"]
    f: Float[Tensor, "c 1"]
    i: Float[Tensor, "c 1"]


class Loop(NamedTuple):
    """What a step moves."""

    theta: Float[Tensor, " c"]
    memory: Memory


class Inputs(NamedTuple):
    """What a step reads besides; each leaf may be differentiated."""

    fixed: Params  # parameters of the body that do not adapt
    cell: Params
    support: Examples


class MetaCell(nn.Module):
    """One step of one coordinate: a plain LSTM cell, and above it the one whose cell state is the parameter.

    Args:
        hidden: width of the plain cell.
        lr: what the input gate begins with, as a rate of gradient descent.
    """

    def __init__(self, hidden: int, lr: float):
        super().__init__()
        self.lstm = Cell(4 + hidden, hidden)
        self.forget, self.enter = (nn.Linear(hidden + 2, 1) for _ in range(2))
        for gate, bias in ((self.forget, 5.0), (self.enter, math.log(lr / (1 - lr)))):  # as the paper: nearly descent
            nn.init.normal_(gate.weight, std=0.01)
            nn.init.constant_(gate.bias, bias)
        self.hidden = hidden

    def start(self, theta: Float[Tensor, " c"]) -> Memory:
        """Return the memory before the first step."""
        zeros = theta.new_zeros(len(theta), self.hidden)
        return Memory(zeros, zeros, zeros[:, :1], zeros[:, :1])

    def forward(
        self, theta: Float[Tensor, " c"], g: Float[Tensor, " c"], loss: Float[Tensor, ""], memory: Memory
    ) -> tuple[Tensor, Memory]:
        """Return the parameters after the step, and the memory."""
        surprise = read(loss).expand(len(g), 2)
        h, c = self.lstm(torch.cat([read(g), surprise, memory.h], -1), memory.c)
        f = torch.sigmoid(self.forget(torch.cat([h, theta[:, None], memory.f], -1)))
        i = torch.sigmoid(self.enter(torch.cat([h, theta[:, None], memory.i], -1)))
        return f[:, 0] * theta - i[:, 0] * g, Memory(h, c, f, i)


class MetaLSTM(Learner):
    """Learns a start, and an LSTM that takes the place of gradient descent from it.

    Args:
        body: the network to adapt, see `MAML`.
        loss: of the support and the query set, "mse" or "cross_entropy".
        steps: inner steps; may be changed at any time.
        lr: rate of descent that the LSTM begins with, between 0 and 1.
        hidden: width of the LSTM's first layer.
        differentiation: of the loop in training, see `differentiation`; `Reverse()` is exact. `adapt` always is.

    Raises:
        MapstoError: an unknown `loss`, negative `steps`, `lr` outside 0 … 1, `hidden` below 1, nothing to adapt, batch
            norm with running statistics, or implicit differentiation.

    >>> from mapsto.episodes import examples
    >>> learner = MetaLSTM(nn.Linear(1, 1), loss="mse", steps=5)
    >>> state = learner.adapt(examples(torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [5.0]])))
    >>> learner.predict(state, torch.tensor([[2.0]])).shape
    torch.Size([1, 1])
    """

    family = "learned optimiser"

    def __init__(
        self,
        body: nn.Module,
        loss: Literal["mse", "cross_entropy"] = "cross_entropy",
        steps: int = 5,
        lr: float = 0.01,
        hidden: int = 20,
        differentiation: Differentiation | None = None,
    ):
        super().__init__()
        self.differentiation, self.adapting = chosen(differentiation, ConstantGradients()), Reverse()
        check_loop(loss, steps, hidden, self.differentiation)
        if not 0 < lr < 1:
            raise MapstoError(f"lr: got {lr}, expected a rate between 0 and 1: it is a gate.")
        self.body, self.adapted = prepare(body), free(body)
        self.cell = MetaCell(hidden, lr)
        self.loss_name, self.steps = loss, steps

    def adapt(self, support: Examples) -> Adapted:
        """Let the LSTM move the parameters from the learned start; the derivatives are exact."""
        return self._adapt(support, self.adapting)

    def predict(self, state: Adapted, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Run the adapted network, normalised by the statistics of the support set."""
        return on_query(self.body, state.params, state.statistics, x)

    def features(self, state: Adapted, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the output of each part of the adapted network, in the order of the calls."""
        return watch(self.body, lambda: self.predict(state, x))

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the query loss after the last step, differentiated by the chosen route."""
        scores = self.predict(self._adapt(episode.support, self.differentiation), episode.query.x)
        loss = losses.LOSSES[self.loss_name](scores, episode.query.y, episode.query.w)
        return loss, {"loss": loss.detach()} | losses.METRICS[self.loss_name](scores.detach(), episode.query)

    def _adapt(self, support: Examples, route: Differentiation) -> Adapted:
        named: Params = dict(self.body.named_parameters())
        start = {name: named.pop(name) for name in self.adapted}

        def objective(theta: Tensor, fixed: Params, support: Examples) -> Tensor:
            scores, _ = on_support(self.body, {**fixed, **parted(theta, start)}, support.x, support.w)
            return losses.LOSSES[self.loss_name](scores, support.y, support.w)

        gradient = gradient_and_value(route, objective)

        def step(loop: Loop, inputs: Inputs, i: int) -> Loop:
            g, loss = gradient(loop.theta, inputs.fixed, inputs.support)
            return Loop(*functional_call(self.cell, inputs.cell, (loop.theta, g, loss, loop.memory)))

        theta = joined(start)
        inputs = Inputs(named, dict(self.cell.named_parameters()), support)
        theta = route(step, Loop(theta, self.cell.start(theta)), inputs, range(self.steps)).theta
        params = parted(theta, start)
        return Adapted(params, statistics_of(self.body, params, support.x, support.w))


def check_loop(loss: str, steps: int, hidden: int, differentiation: Differentiation) -> None:
    """Refuse what no loop of a learned optimizer can be."""
    if loss not in losses.LOSSES:
        raise MapstoError(f"loss: got {loss!r}, expected one of {', '.join(losses.LOSSES)}.")
    if steps < 0:
        raise MapstoError(f"steps: got {steps}, expected 0 or more inner steps.")
    if hidden < 1:
        raise MapstoError(f"hidden: got {hidden}, expected a width from 1.")
    if isinstance(differentiation, Implicit):
        raise MapstoError(
            "differentiation: got Implicit, expected a route through the steps, such as ConstantGradients or Reverse: "
            "a learned optimizer has no fixed point to differentiate."
        )
    if isinstance(differentiation, FirstOrder):
        raise MapstoError(
            "differentiation: got FirstOrder, expected ConstantGradients for first order: what is learned here is the "
            "way, of which FirstOrder knows nothing."
        )
