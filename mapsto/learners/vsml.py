"""A network in which each weight is a small recurrent network with shared parameters, so that running it learns.

    s_ab ← step(s_ab, m⃗_a, m⃖_b)    for all a, b of a layer at once
    m⃗_b = mean_a onward(s_ab),   m⃖_a = mean_b backward(s_ab)

s_ab is the state of the weight from unit a to unit b, m⃗_a the message from the layer's input unit a, and m⃖_b the
message back from its output unit b. For each support example the layers run forwards from m⃗_a = (x_a, 0, …), then
backwards from m⃖_b = (e_b, 0, …) with the error e = ∂ℓ/∂scores and the m⃗ of the forward pass. A query only runs
forwards; its scores are the second numbers of the last m⃗_b. Adaptation takes no gradient, so `step` itself has to
learn a rule as good as backpropagation.

Kirsch & Schmidhuber 2021, "Meta Learning Backpropagation And Improving It" (VSML), eq. 3 to 5 and algorithm 1. Messages
are averaged, and the error has a separate backward pass; both are options of the authors' code.

Differences: states start at 0 (theirs: half of each at random), except for a random code of each hidden unit, which
distinguishes the units. So the order of inputs and of classes cannot matter, and their number may change. Training is
by gradients on the query set, not by evolution on the stream itself. An example changes the states in proportion to its
weight relative to the average weight; an example of weight 0 has no effect.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from .. import checks
from ..adaptation.labels import targets
from ..adaptation.learner import Learner
from ..adaptation.lstm_cell import Cell
from ..adaptation.normalisation import on_query, on_support, prepare
from ..adaptation.watching import watch
from ..episodes import Examples

States = list[Tensor]  # one tensor [a, b, s] for each layer, which leads from a units to b units
ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # the loss's derivative by the scores of one row
    "cross_entropy": lambda scores, target: scores.softmax(-1) - target,
    "mse": lambda scores, target: 2 * (scores - target) / scores.shape[-1],
}


class Trained(NamedTuple):
    """The state: the states of all weights after the support set, and the statistics of the batch-norm layers."""

    states: States
    statistics: dict[str, Tensor]


class WeightCell(nn.Module, ABC):
    """The base of the small network in place of a weight: it maps a state and incoming messages to new ones.

    Args:
        size: the number of values in a state.
        message: the number of values in a message, at least 2.
    """

    def __init__(self, size: int, message: int):
        super().__init__()
        checks.count(size=size)
        checks.count(2, message=message)
        self.size, self.message = size, message

    @abstractmethod
    def forward(
        self, s: Float[Tensor, "... s"], onward: Float[Tensor, "... m"], backward: Float[Tensor, "... m"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the new state, the message forwards and the message backwards."""


class LSTMWeight(WeightCell):
    """An LSTM in place of each weight of a network; half of its state is its output, half its cell.

    The paper has 16 units and messages of 8 values.

    Args:
        units: the width of the LSTM.
        message: the number of values in a message.
        ticks: the number of updates of the LSTM in each pass.
    """

    def __init__(self, units: int = 16, message: int = 8, ticks: int = 2):
        super().__init__(2 * units, message)
        checks.count(ticks=ticks)
        self.cell = Cell(2 * message + units, units)
        self.onward, self.backward = nn.Linear(units, message), nn.Linear(units, message)
        self.ticks = ticks
        with torch.no_grad():
            self.cell.gates.bias[units : 2 * units] += 3.0  # forget slowly, to remember many examples

    def forward(
        self, s: Float[Tensor, "... s"], onward: Float[Tensor, "... m"], backward: Float[Tensor, "... m"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the new state, the message forwards and the message backwards."""
        h, c = s.chunk(2, -1)
        for _ in range(self.ticks):
            h, c = self.cell(torch.cat([onward, backward, h], -1), c)
        return torch.cat([h, c], -1), self.onward(h), self.backward(h)


class VSML(Learner):
    """Learn a learning algorithm: the weights of a network are small recurrent networks that share their parameters.

    Each recurrent network has a state and exchanges messages (vectors) with the units that it connects. For each
    support example, messages run forwards through the layers, then the error runs backwards, and both update the
    states.

    Args:
        body: a network from `[n, ...]` to features `[n, d]`; `nn.Flatten()` in the paper. Batch-norm layers must have
            `track_running_stats=False`. They are replaced in place by layers that use the statistics of the support
            set.
        ways: the number of classes or, with "mse", of numbers in a target. The attribute `ways` may be changed later.
        hidden: the numbers of units of the hidden layers. If empty, there is no hidden layer, as in the paper.
        cell: the small recurrent network, a `WeightCell`. If None, it is an `LSTMWeight`.
        loss: "cross_entropy" or "mse". The error that runs backwards is the derivative of this loss with respect to the
            scores.

    Raises:
        MapstoError: if `ways` or the size of a hidden layer is below 1, `loss` is unknown, or a batch-norm layer has
            `track_running_stats=True`.

    >>> from mapsto.episodes import examples
    >>> learner = VSML(nn.Flatten(), ways=2)
    >>> state = learner.adapt(examples(torch.eye(3), torch.tensor([0, 1, 0])))
    >>> [tuple(s.shape) for s in state.states], learner.predict(state, torch.eye(3)).shape
    ([(3, 2, 32)], torch.Size([3, 2]))
    """

    family = "learned optimiser"
    codes: Float[Tensor, "units s"]

    def __init__(
        self,
        body: nn.Module,
        ways: int,
        hidden: Sequence[int] = (),
        cell: WeightCell | None = None,
        loss: Literal["cross_entropy", "mse"] = "cross_entropy",
    ):
        super().__init__()
        checks.count(ways=ways)
        for units in hidden:
            checks.count(hidden=units)
        checks.one_of(ERRORS, loss=loss)
        self.body, self.cell = prepare(body), cell or LSTMWeight()
        self.ways, self.hidden, self.loss_name = ways, tuple(hidden), loss
        self.register_buffer("codes", torch.randn(sum(hidden), self.cell.size))

    def adapt(self, support: Examples) -> Trained:
        """Run the network on the support examples, one after the other, and return the final states of all weights."""
        features, statistics = on_support(self.body, {}, support.x, support.w)  # [n, d]
        states = self.start(features)
        labels = targets(self.loss_name, support.y, self.ways, features)
        for x, target, r in zip(features, labels, relative(support.w), strict=True):
            moved = self.learn(states, x, target)
            states = [s + r * (new - s) for s, new in zip(states, moved, strict=True)]
        return Trained(states, statistics)

    def predict(self, state: Trained, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the scores of `n` rows, each computed by a forward pass from the states in `state`."""
        return _scores(self.onward(state.states, on_query(self.body, {}, state.statistics, x))[1])

    def features(self, state: Trained, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the output of each submodule of the body, and the forward messages of each layer.

        `messages.0` are the inputs of the first layer, and `messages.i` the outputs of layer i.
        """
        parts = watch(self.body, lambda: on_query(self.body, {}, state.statistics, x))
        _, messages = self.onward(state.states, on_query(self.body, {}, state.statistics, x))
        return parts | {f"messages.{i}": m for i, m in enumerate(messages)}

    def start(self, features: Float[Tensor, "n d"]) -> States:
        """Return the state of each weight before the first example.

        Each unit has a code, a vector of the size of a state. The code of a hidden unit is random and fixed; the code
        of an input or output unit is 0. The state of a weight is the sum of the codes of the two units that it
        connects.
        """
        ends = [features.new_zeros(units, self.cell.size) for units in (features.shape[-1], self.ways)]
        codes = [ends[0], *self.codes.split(self.hidden), ends[1]] if self.hidden else ends
        return [a[:, None] + b for a, b in itertools.pairwise(codes)]

    def learn(self, states: States, x: Float[Tensor, " d"], target: Float[Tensor, " k"]) -> States:
        """Return the states after one support example: messages run forwards, then the error runs backwards."""
        states, messages = self.onward(states, x)
        message, moved = self._pad(ERRORS[self.loss_name](_scores(messages), target)), []
        for s, onward in zip(reversed(states), reversed(messages[:-1]), strict=True):
            s, _, back = self._visit(s, onward, message)
            message = back.mean(-2)
            moved.append(s)
        return moved[::-1]

    def onward(self, states: States, x: Float[Tensor, "*n d"]) -> tuple[States, list[Tensor]]:
        """Return the states `[*n, a, b, s]` of each layer and the messages `[*n, a, m]` after a forward pass.

        Here, `*n` are the axes of rows, if any; a layer connects a units to b units; s is the size of a state, and m
        the size of a message. The list of messages holds the input of the first layer and the output of each layer.
        """
        messages, moved = [self._pad(x)], []
        for s in states:
            nothing = x.new_zeros(*x.shape[:-1], s.shape[1], self.cell.message)
            s, onward, _ = self._visit(s.expand(*x.shape[:-1], *s.shape), messages[-1], nothing)
            messages.append(onward.mean(-3))
            moved.append(s)
        return moved, messages

    def _visit(self, s: Tensor, onward: Tensor, backward: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run every weight of a layer, `[..., a, b, s]`, on the messages from both of its units."""
        room = (*s.shape[:-1], self.cell.message)
        return self.cell(s, onward[..., :, None, :].expand(room), backward[..., None, :, :].expand(room))

    def _pad(self, x: Tensor) -> Tensor:
        return F.pad(x[..., None], (0, self.cell.message - 1))


def _scores(messages: list[Tensor]) -> Float[Tensor, "*n k"]:
    return messages[-1][..., 1]


def relative(w: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return the weights rescaled so that equal weights become 1; 0 if all weights are 0.

    >>> relative(torch.tensor([0.5, 0.5, 0.0]))
    tensor([1., 1., 0.])
    """
    square = w.square().sum()
    return w * w.sum() / torch.where(square > 0, square, 1.0)  # Kish's effective number of examples
