"""Learn an initialisation from which a few gradient steps on the support set make a good model.

    φ = θ − lr ∘ ∇_θ Σ w·ℓ(body_θ(x), y)  on the support, `steps` times;    loss = Σ w·ℓ(body_φ(x), y)  on the query

Finn, Abbeel & Levine 2017, "Model-Agnostic Meta-Learning", Algorithm 1 and eq. 1. Its relatives are arguments:
`first_order=True` is FOMAML (§5.2), `adapt="head"` is ANIL (Raghu et al. 2020, eq. 2), `learn_lr=True` is Meta-SGD
(Li et al. 2017, eq. 1).
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..episodes import Examples
from ..errors import MapstoError
from . import losses
from .inner import Inputs, Params, first_order, gradient_step, unroll
from .learner import Learner
from .normalisation import on_query, on_support, prepare, statistics_of
from .watching import watch


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
        learn_lr: learn one rate per parameter entry, as parameters `rates` of the learner.
        transductive: normalise query rows by each other, as published batch-norm results do; then `predict` is not
            row-wise and views refuse the learner.

    Raises:
        MapstoError: an unknown `loss` or `adapt`, negative `steps` or `lr`, nothing to adapt, or batch norm with
            running statistics.

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
        learn_lr: bool = False,
        transductive: bool = False,
    ):
        super().__init__()
        _check(loss, adapt, steps, lr)
        self.body = prepare(body)
        self.loss_name, self.lr, self.steps, self.first_order = loss, lr, steps, first_order
        self.transductive = transductive
        self.adapted = _adapted_names(body, adapt)  # fixed here: functional calls carry no requires_grad
        named = dict(body.named_parameters())
        self.rates = nn.ParameterList(torch.full_like(named[name], lr) for name in self.adapted if learn_lr)

    def adapt(self, support: Examples) -> Adapted:
        """Descend from the learned start; an empty support set (all w = 0) leaves every parameter where it was."""
        named: Params = dict(self.body.named_parameters())
        params = {name: named.pop(name) for name in self.adapted}
        rates = dict(zip(self.adapted, self.rates or [self.lr] * len(self.adapted), strict=True))
        loop = first_order if self.first_order else unroll
        params = loop(gradient_step(self._objective), params, Inputs(named, rates, support), self.steps)
        statistics = {} if self.transductive else statistics_of(self.body, params, support.x, support.w)
        return Adapted(params, statistics)

    def predict(self, state: Adapted, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Run the adapted network, normalised by the statistics of the support set."""
        return on_query(self.body, state.params, state.statistics, x)

    def features(self, state: Adapted, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the output of each part of the adapted network, in the order of the calls."""
        return watch(self.body, lambda: self.predict(state, x))

    def _objective(self, params: Params, fixed: Params, support: Examples) -> Tensor:
        scores, _ = on_support(self.body, {**fixed, **params}, support.x, support.w)
        return losses.LOSSES[self.loss_name](scores, support.y, support.w)


def _check(loss: str, adapt: str, steps: int, lr: float) -> None:
    if lr < 0:
        raise MapstoError(f"lr: got {lr}, expected an inner learning rate from 0.")
    if loss not in losses.LOSSES:
        raise MapstoError(f"loss: got {loss!r}, expected one of {', '.join(losses.LOSSES)}.")
    if adapt not in ("all", "head"):
        raise MapstoError(f"adapt: got {adapt!r}, expected 'all' (MAML) or 'head' (ANIL).")
    if steps < 0:
        raise MapstoError(f"steps: got {steps}, expected 0 or more inner gradient steps.")


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
