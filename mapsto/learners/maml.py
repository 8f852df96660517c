"""Learn an initialisation from which a few gradient steps on the support set make a good model.

    φ = θ − lr ∘ ∇_θ Σ w·ℓ(body_θ(x), y)  on the support, `steps` times;    loss = Σ w·ℓ(body_φ(x), y)  on the query

Finn, Abbeel & Levine 2017, "Model-Agnostic Meta-Learning", Algorithm 1 and eq. 1. Its relatives are arguments:
`first_order=True` is FOMAML (§5.2), `adapt="head"` is ANIL (Raghu et al. 2020, eq. 2), `learn_lr=True` is Meta-SGD
(Li et al. 2017, eq. 1), `learn_lr="layer-step"` the learned rates of MAML++ (Antoniou et al. 2019, §4),
`zero_head=True` the zeroing trick (Kao et al. 2022, §3.2), and `differentiation=Implicit(), proximal=λ` implicit MAML
(Rajeswaran et al. 2019, eq. 3 and 6).
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..adaptation import losses
from ..adaptation.differentiation import Differentiation, FirstOrder, Implicit, Reverse
from ..adaptation.differentiation.route import chosen, detached
from ..adaptation.inner import (
    SGD,
    InnerOptimizer,
    InnerStep,
    Inputs,
    Loop,
    Params,
    alone,
    gradient_step,
    on_minibatches,
    start,
)
from ..adaptation.learner import Learner
from ..adaptation.normalisation import on_query, on_support, prepare, statistics_of
from ..adaptation.watching import watch
from ..episodes import Examples
from ..errors import MapstoError


class Adapted(NamedTuple):
    """An adapted network: the parameters that moved, and the statistics of its batch-norm layers."""

    params: Params
    statistics: dict[str, Tensor]


class MAML(Learner):
    """Gradient descent on the support set from a learned start.

    `body` is any `nn.Module` from `[n, ...]` to `[n, k]`. Its parameters with `requires_grad=False` are neither
    adapted nor learned (freeze them before building the learner). Its batch-norm layers are swapped in place for ones
    that normalise by the support set, see `normalisation`.

    Args:
        body: the network to adapt.
        loss: of the support and the query set, "mse" or "cross_entropy".
        lr: inner learning rate; with `learn_lr` the initial value of every rate.
        steps: inner steps; may be changed at any time, say to test with more steps than were trained.
        first_order: treat inner gradients as constants.
        adapt: "all" parameters, or those of the "head", the last layer that has any.
        learn_lr: learn one rate per parameter entry (True, Meta-SGD), or one per parameter tensor and step
            ("layer-step", MAML++), as parameters `rates` of the learner.
        transductive: normalise query rows by each other, as published batch-norm results do; then `predict` is not
            row-wise and views refuse the learner.
        optimizer: of the inner loop, gradient descent by default.
        differentiation: of the inner loop, how its derivatives are made: see `differentiation`.
        minibatch: support rows that a step reads, going round them in their order; None for all. Padding takes turns
            too: for tasks of one number of shots.
        proximal: λ of a pull λ/2·‖φ − θ‖² to the start; with `Implicit` differentiation this is implicit MAML.
        zero_head: start the head, the last layer, from 0 in every task instead of a learned start. Then nothing is
            learned of a class by itself, so that fewer tasks teach the rest. No gradient passes a layer of zeros: the
            first step moves the head alone (and costs no more), so that of one step there is only ANIL's. For bodies
            whose last parameters, in the order of registration, are the layer that all outputs come from.

    Raises:
        MapstoError: an unknown `loss` or `adapt`, negative `steps` or `lr`, nothing to adapt, batch norm with running
            statistics, or implicit differentiation of a loop that has no fixed point it could differentiate.

    >>> from mapsto.episodes import examples
    >>> line = nn.Linear(1, 1)
    >>> learner = MAML(line, loss="mse", lr=0.5, steps=100)
    >>> state = learner.adapt(examples(torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [5.0]])))
    >>> learner.predict(state, torch.tensor([[2.0]])).round(decimals=3)  # the line 3 + 2x
    tensor([[7.]], grad_fn=<RoundBackward1>)
    """

    family = "optimisation-based"

    def __init__(
        self,
        body: nn.Module,
        loss: Literal["mse", "cross_entropy"] = "cross_entropy",
        lr: float = 0.01,
        steps: int = 1,
        first_order: bool = False,
        adapt: Literal["all", "head"] = "all",
        learn_lr: bool | Literal["layer-step"] = False,
        transductive: bool = False,
        optimizer: InnerOptimizer | None = None,
        differentiation: Differentiation | None = None,
        proximal: float = 0.0,
        minibatch: int | None = None,
        zero_head: bool = False,
    ):
        super().__init__()
        _check(loss, adapt, steps, lr, learn_lr)
        _check_loop(first_order, differentiation, minibatch, proximal, optimizer)
        self.optimizer, self.proximal, self.minibatch = optimizer or SGD(), proximal, minibatch
        self.differentiation = chosen(differentiation, FirstOrder() if first_order else Reverse())
        if isinstance(self.differentiation, Implicit):
            _check_rests(self.optimizer, proximal, learn_lr, minibatch)
        self.body = prepare(body)
        self.loss_name, self.lr, self.steps, self.transductive = loss, lr, steps, transductive
        self.adapted = _adapted_names(body, adapt)  # fixed here: functional calls carry no requires_grad
        self.zeroed = _adapted_names(body, "head") if zero_head else []
        named = dict(body.named_parameters())
        shape = {True: lambda p: p.shape, "layer-step": lambda p: (steps,)}
        self.learn_lr = learn_lr
        self.rates = nn.ParameterList(
            named[name].new_full(shape[learn_lr](named[name]), lr) for name in self.adapted if learn_lr
        )

    def adapt(self, support: Examples) -> Adapted:
        """Descend from the start; an empty support set (all w = 0) has no gradient, so that nothing but decay moves."""
        params = self.beginning()
        named: Params = {name: p for name, p in self.body.named_parameters() if name not in params}
        first_order = isinstance(self.differentiation, FirstOrder)
        anchor = (detached(params) if first_order else params) if self.proximal else {}
        inputs = Inputs(named, self._rates(), support, anchor)
        params = self.differentiation(self._step(), start(self.optimizer, params), inputs, range(self.steps)).params
        statistics = {} if self.transductive else statistics_of(self.body, params, support.x, support.w)
        return Adapted(params, statistics)

    def beginning(self) -> Params:
        """Return the parameters that every task starts from."""
        named = dict(self.body.named_parameters())
        return {name: torch.zeros_like(named[name]) if name in self.zeroed else named[name] for name in self.adapted}

    def predict(self, state: Adapted, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Run the adapted network, normalised by the statistics of the support set."""
        return on_query(self.body, state.params, state.statistics, x)

    def features(self, state: Adapted, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the output of each part of the adapted network, in the order of the calls."""
        return watch(self.body, lambda: self.predict(state, x))

    def _step(self) -> InnerStep:
        gradient = self.differentiation.gradient(self._objective)
        step = first = gradient_step(gradient, self.optimizer, self.proximal)
        if self.zeroed:
            first = gradient_step(alone(gradient, self.zeroed), self.optimizer, self.proximal)

        def turn(loop: Loop, inputs: Inputs, i: int) -> Loop:
            return (step if i else first)(loop, inputs, i)

        return turn if self.minibatch is None else on_minibatches(turn, self.minibatch)

    def _rates(self) -> dict[str, Sequence[Tensor | float]]:
        """Return the rates of each parameter, step by step; one alone holds for all steps."""
        if not self.learn_lr:
            return {name: (self.lr,) for name in self.adapted}
        by_step = self.learn_lr == "layer-step"
        return {n: rate.unbind() if by_step else (rate,) for n, rate in zip(self.adapted, self.rates, strict=True)}

    def _objective(self, params: Params, fixed: Params, support: Examples) -> Tensor:
        scores, _ = on_support(self.body, {**fixed, **params}, support.x, support.w)
        return losses.LOSSES[self.loss_name](scores, support.y, support.w)


def _check(loss: str, adapt: str, steps: int, lr: float, learn_lr: bool | str) -> None:
    if not 0 <= lr < math.inf:
        raise MapstoError(f"lr: got {lr}, expected an inner learning rate from 0.")
    if loss not in losses.LOSSES:
        raise MapstoError(f"loss: got {loss!r}, expected one of {', '.join(losses.LOSSES)}.")
    if adapt not in ("all", "head"):
        raise MapstoError(f"adapt: got {adapt!r}, expected 'all' (MAML) or 'head' (ANIL).")
    if steps < 0:
        raise MapstoError(f"steps: got {steps}, expected 0 or more inner gradient steps.")
    if learn_lr not in (True, False, "layer-step"):
        raise MapstoError(f"learn_lr: got {learn_lr!r}, expected True (Meta-SGD), 'layer-step' (MAML++) or False.")
    if learn_lr == "layer-step" and steps < 1:
        raise MapstoError("steps: got 0 with learn_lr='layer-step', expected a step for each rate to be learned.")


def _check_loop(
    first_order: bool,
    other: Differentiation | None,
    minibatch: int | None,
    proximal: float,
    rule: InnerOptimizer | None,
) -> None:
    if first_order and other is not None:
        raise MapstoError("differentiation: got one besides first_order=True, which is FirstOrder(): give only one.")
    if minibatch is not None and minibatch < 1:
        raise MapstoError(f"minibatch: got {minibatch}, expected at least 1 row, or None for all.")
    if not 0 <= proximal < math.inf:
        raise MapstoError(f"proximal: got {proximal}, expected 0 or more.")
    if not isinstance(rule, InnerOptimizer | None):
        raise MapstoError(f"optimizer: got {rule!r}, expected an inner one, as SGD() or Adam() of learners.inner.")


def _check_rests(optimizer: InnerOptimizer, proximal: float, learn_lr: bool | str, minibatch: int | None) -> None:
    if proximal <= 0:
        raise MapstoError(f"proximal: got {proximal}, expected λ > 0: implicit gradients reach the start by it alone.")
    if minibatch is not None:
        raise MapstoError(f"minibatch: got {minibatch} with Implicit, expected None: a loop over parts never rests.")
    if optimizer.start({"": torch.zeros(())}) or learn_lr:
        raise MapstoError(
            "differentiation: Implicit got an inner loop with memory or with learned rates, expected plain gradient "
            "descent with one rate, whose step has a symmetric Jacobian."
        )


def _adapted_names(body: nn.Module, adapt: str) -> list[str]:
    """Return the names of the parameters that move: those not frozen, of the whole body or of its last layer."""
    owners = [name for name, layer in body.named_modules() if any(True for _ in layer.parameters(recurse=False))]
    last = f"{owners[-1]}." if owners and owners[-1] else ""
    free = [
        name for name, p in body.named_parameters() if p.requires_grad and (adapt == "all" or name.startswith(last))
    ]
    if not free:
        raise MapstoError(f"body: {type(body).__name__} has no parameter to adapt with adapt={adapt!r}: unfreeze some.")
    return free
