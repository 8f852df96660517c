"""Learn an initialisation from which a few gradient steps on the support set lead to a good model.

    φ = θ − lr ∘ ∇_θ Σ w·ℓ(body_θ(x), y)  on the support, `steps` times;    loss = Σ w·ℓ(body_φ(x), y)  on the query

Finn, Abbeel & Levine 2017, "Model-Agnostic Meta-Learning", Algorithm 1 and eq. 1. Variants are chosen by arguments:
`first_order=True` is FOMAML (§5.2), `adapt="head"` is ANIL (Raghu et al. 2020, eq. 2), `adapt="body"` is BOIL (Oh et
al. 2021), `adapt=["context"], learn=["net.*"]` is CAVIA (Zintgraf et al. 2019), `learn_lr=True` is Meta-SGD (Li et al.
2017, eq. 1), `learn_lr="layer-step"` is the learned rates of MAML++ (Antoniou et al. 2019, §4), `zero_head=True` is the
zeroing trick (Kao et al. 2022, §3.2), and `differentiation=Implicit(), proximal=λ` is implicit MAML (Rajeswaran et al.
2019, eq. 3 and 6).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from .. import checks
from ..adaptation import heads, inner, losses, parts, stacked
from ..adaptation.differentiation import (
    Adjoint,
    Blocked,
    Checkpointed,
    ConstantGradients,
    Differentiation,
    FirstOrder,
    Implicit,
    Reverse,
    Truncated,
)
from ..adaptation.differentiation.route import chosen, detached
from ..adaptation.inner import SGD, Adam, Gradient, InnerOptimizer, InnerStep, Inputs, Loop, Params
from ..adaptation.learner import Learner, Metrics
from ..adaptation.normalisation import on_query, on_support, prepare, statistics_of
from ..adaptation.watching import watch
from ..episodes import Episode, Examples, blank


class Adapted(NamedTuple):
    """The state: the adapted parameters, and the statistics of the batch-norm layers on the support set."""

    params: Params
    statistics: dict[str, Tensor]


class MAML(Learner):
    """Adapt by a few steps of gradient descent on the support set, from learned initial parameters.

    Args:
        body: the network to adapt, any `nn.Module` from `[n, ...]` to `[n, k]`. Parameters with `requires_grad=False`
            are not learned, and adapt only if `adapt` chooses them by name; freeze them before building the learner.
            Batch-norm layers must have `track_running_stats=False`. They are replaced in place by layers that use the
            statistics of the support set.
        loss: the loss on the support set and the query set: "mse", "cross_entropy", or a function
            `loss(scores, y, w)` that returns a scalar, such as `(w * F.huber_loss(...)).sum()`. Rows of weight 0
            should add 0 to it.
        lr: the inner learning rate. If rates are learned, each of them starts at `lr`.
        steps: the number of inner steps. The attribute `steps` may be changed later, for example to take more steps in
            testing.
        first_order: if True, treat inner gradients as constants in the meta-gradient.
        adapt: the parameters that adapt. "all" stands for all parameters, "head" for the parameters of the layer whose
            output is the score (ANIL), and "body" for all others (BOIL). A list such as `["head.*", "*.bias"]` holds
            patterns of parameter names. A function gets the name of a parameter and returns True if the parameter
            adapts. If only the head of a sequence of layers adapts, the layers below it run once for a task (but in
            every step with dropout, minibatches or compilation). Parameters chosen by name adapt even if they have
            `requires_grad=False`; in that case, their initial values are not learned.
        learn_lr: if True, learn one rate for each parameter entry (Meta-SGD). If "layer-step", learn one rate for each
            parameter tensor and step (MAML++). Learned rates are stored in `rates`. If False, every rate is `lr`.
        transductive: if False, batch norm normalises query rows by the statistics of the support set. If True, it uses
            the statistics of the query rows, as in published results; the prediction for a row then depends on the
            other rows, and the functions in `mt.views` raise MapstoError.
        optimizer: the inner optimizer. If None, it is gradient descent.
        differentiation: how the meta-gradient passes through the inner steps, see `adaptation.differentiation`. If
            None, the meta-gradient is exact, or that of `FirstOrder()` if `first_order` is True.
        minibatch: the number of support rows in each step. Each step takes the next rows; after the last row, the first
            row follows. If None, each step uses all rows. Padding counts as rows too, so use minibatches only if all
            tasks have equal numbers of examples.
        proximal: the weight λ of a penalty λ/2·‖φ − θ‖² on the distance of the adapted parameters φ from the start θ.
            With `Implicit` differentiation this is implicit MAML.
        learn: the parameters whose initial values are learned over tasks, chosen as by `adapt`: "all", patterns of
            names, or a function of the name. The choices are independent: parameters may be learned but not adapted,
            and adapted but not learned, such as the context parameters of CAVIA
            (`adapt=["context"], learn=["net.*"]`). Other parameters of `body` get `requires_grad=False`.
        zero_head: if True, the head starts from 0 in every task, not from learned parameters. Then no class has learned
            parameters of its own, so that fewer training tasks suffice. A head of zeros passes no gradient to the
            layers below, so the first step adapts only the head and costs less. With `steps=1`, only the head adapts,
            as in ANIL. The head must be the layer that computes all outputs of `body`.

    Raises:
        MapstoError: if `loss`, `adapt`, `learn` or `learn_lr` is unknown, a pattern of names matches no name, `steps`,
            `lr` or `proximal` is negative, `minibatch` is below 1, no parameter is free to adapt, a batch-norm layer
            has `track_running_stats=True`, or both `first_order` and `differentiation` are given. `Implicit`
            differentiation raises MapstoError if `proximal` is 0, or if the inner loop has an optimizer with memory
            (momentum or Adam), learned rates or minibatches.

    >>> from mapsto.episodes import examples
    >>> line = nn.Linear(1, 1)
    >>> learner = MAML(line, loss="mse", lr=0.5, steps=100)
    >>> state = learner.adapt(examples(torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [5.0]])))
    >>> learner.predict(state, torch.tensor([[2.0]])).round(decimals=3)  # the line 3 + 2x
    tensor([[7.]], grad_fn=<RoundBackward1>)
    """

    family = "optimisation-based"
    differentiation: Differentiation

    def __init__(
        self,
        body: nn.Module,
        loss: losses.LossChoice = "cross_entropy",
        lr: float = 0.01,
        steps: int = 1,
        first_order: bool = False,
        adapt: parts.Choice = "all",
        learn_lr: bool | Literal["layer-step"] = False,
        transductive: bool = False,
        optimizer: InnerOptimizer | None = None,
        differentiation: Differentiation | None = None,
        proximal: float = 0.0,
        minibatch: int | None = None,
        zero_head: bool = False,
        learn: parts.Choice = "all",
    ):
        super().__init__()
        checks.at_least(0, lr=lr, proximal=proximal)
        checks.one_of((True, False, "layer-step"), learn_lr=learn_lr)
        checks.count(1 if learn_lr == "layer-step" else 0, steps=steps)
        if minibatch is not None:
            checks.count(minibatch=minibatch)
        known = isinstance(optimizer, InnerOptimizer | None)
        checks.expect(known, "optimizer", repr(optimizer), "an inner one, such as SGD() or Adam() of adaptation.inner")
        twice = first_order and differentiation is not None
        checks.expect(not twice, "differentiation", "a route and first_order=True", "one of them", "drop first_order")
        self.optimizer, self.proximal, self.minibatch = optimizer or SGD(), proximal, minibatch
        self.differentiation = chosen(differentiation, FirstOrder() if first_order else Reverse())
        if isinstance(self.differentiation, Implicit):
            inner.check_fixed_point(self.optimizer, proximal, learn_lr, minibatch)
        self.body = prepare(body)
        self.criterion = losses.chosen(loss)
        self.lr, self.steps, self.transductive = lr, steps, transductive
        self.adapted = parts.chosen(body, adapt)  # fixed here: functional calls carry no requires_grad
        self.zeroed = parts.chosen(body, "head") if zero_head else []
        self._free = {name for name, p in body.named_parameters() if p.requires_grad}
        self._word = adapt if adapt == "head" or adapt == "body" else None
        self._seeks_head = bool(self._word or zero_head)  # until the first input shows which layer returns the score
        named = dict(body.named_parameters())
        shape = {True: lambda p: p.shape, "layer-step": lambda p: (steps,)}
        self.learn_lr = learn_lr
        self.rates = nn.ParameterList(
            named[name].new_full(shape[learn_lr](named[name]), lr) for name in self.adapted if learn_lr
        )
        if learn != "all":
            by_name = "'all', patterns of names such as ['net.*'], or a function of a name"
            checks.expect(not isinstance(learn, str), "learn", repr(learn), by_name)
            learned = parts.chosen(body, learn, "learn")
            for name, parameter in body.named_parameters():
                parameter.requires_grad_(name in learned)

    def adapt(self, support: Examples) -> Adapted:
        """Return the network after the inner steps on the support set.

        If the support set is empty (all w = 0), the gradient of the loss is 0, and only weight decay changes the
        parameters. Derivatives of the result are computed as set by the constructor argument `differentiation`.
        """
        return self.along(self.differentiation, support)

    def along(self, route: Differentiation, support: Examples) -> Adapted:
        """Return the result of `adapt`, with derivatives computed as set by `route`.

        `route` is used in this call instead of the constructor argument `differentiation`; the choices are the same,
        except None.
        """
        x, y, w = support
        support = Examples(blank(x, w), blank(y, w), w)
        self._find_head(x)
        rows, statistics, split = self._inputs_of_head(route, support)
        params = self._after_steps(route, partial(self._objective, split), self.beginning(), rows)
        if self.transductive:
            return Adapted(params, {})
        if not statistics:
            statistics = statistics_of(self.body, params, support.x, support.w)
        return Adapted(params, statistics)

    def beginning(self) -> Params:
        """Return the initial values of the parameters that the inner steps adapt; they are the same for every task.

        With `zero_head`, the initial values of the head are 0.
        """
        named = dict(self.body.named_parameters())
        return {name: torch.zeros_like(named[name]) if name in self.zeroed else named[name] for name in self.adapted}

    def predict(self, state: Adapted, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the adapted network's scores of `n` rows.

        Batch norm uses the statistics of the support set, or of the `n` rows if `transductive` is True.
        """
        return on_query(self.body, state.params, state.statistics, x)

    def features(self, state: Adapted, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the output of each submodule of the adapted network, in the order of the calls."""
        return watch(self.body, lambda: self.predict(state, x))

    def _find_head(self, x: Tensor) -> None:
        """Take the head to be the layer whose output is the score, once a first input shows which it is."""
        if not self._seeks_head or torch.compiler.is_compiling():
            return
        names = parts.head(self.body, x)
        head = parts.checked(self.body, [name for name in names if name in self._free])
        self._seeks_head = False
        rest = [name for name, _ in self.body.named_parameters() if name in self._free and name not in names]
        adapted = {"head": head, "body": rest, None: self.adapted}[self._word]
        if adapted != self.adapted:
            got = f"{self._word!r} with learned rates, but the body registers its head before other layers"
            checks.expect(not self.learn_lr, "adapt", got, f"the names of the parameters, {adapted}")
            self.adapted = parts.checked(self.body, adapted)
        self.zeroed = head if self.zeroed else []

    def _inputs_of_head(self, route: Differentiation, support: Examples) -> tuple[Examples, Params, heads.Parts | None]:
        """Return what the inner steps read, the statistics below the head, and the parts of the network.

        If the head adapts alone, the steps read its inputs. Else, or if each step needs all layers, they read the
        support set, and there are neither statistics nor parts.
        """
        all_layers = torch.compiler.is_compiling() or self.steps < 2 or self.minibatch is not None
        split = None if all_layers else heads.split(self.body, self.adapted)
        if split is None:
            return support, {}, None
        first_order, fixed = isinstance(route, FirstOrder), self._fixed(self.beginning())
        features, statistics = heads.inputs_of(split, detached(fixed) if first_order else fixed, support.x, support.w)
        return support._replace(x=features), {} if first_order else statistics, split

    def _at_once(self, episodes: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean loss and metrics, by batched products if the network and the choices allow it."""
        if self._seeks_head:
            self._find_head(episodes.support.x[0])
        kinds = type(self), type(self.differentiation), type(self.optimizer)
        known = all(kind in _TASK_BY_TASK for kind in kinds) and self.minibatch is None and not checks.tracing()
        stacks = known and self.criterion.outcome is not None and stacked.stacks(self.body)
        stacks = stacks and stacked.reads(self.body, episodes.support.x)
        return self._by_products(episodes) if stacks else super()._at_once(episodes)

    def _by_products(self, episodes: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean loss and metrics; the loops of all tasks run as one loop, whose loss is the sum of theirs."""

        def scored(params: Params, fixed: Params, rows: Examples) -> tuple[Tensor, Tensor]:
            scores = stacked.outputs(self.body, {**fixed, **params}, rows.x)
            return self.criterion(scores.flatten(0, 1), rows.y.flatten(0, 1), rows.w.flatten()), scores

        (x, y, w), query = episodes[:2]
        support, tasks = Examples(blank(x, w), blank(y, w), w), len(w)
        params = {name: p.expand(tasks, *p.shape) for name, p in self.beginning().items()}
        params = self._after_steps(self.differentiation, lambda *of: scored(*of)[0], params, support)
        total, scores = scored(params, self._fixed(params), query)
        metrics = self.criterion.metrics(scores.detach(), query)
        return total / tasks, {"loss": total.detach() / tasks} | {
            name: value.mean(0) for name, value in metrics.items()
        }

    def _after_steps(
        self, route: Differentiation, objective: Callable[..., Tensor], params: Params, support: Examples
    ) -> Params:
        anchor = (detached(params) if isinstance(route, FirstOrder) else params) if self.proximal else {}
        inputs = Inputs(self._fixed(params), self._rates(), support, anchor)
        step = self._step(route.gradient(objective))
        return route(step, inner.start(self.optimizer, params), inputs, range(self.steps)).params

    def _fixed(self, params: Params) -> Params:
        return {name: p for name, p in self.body.named_parameters() if name not in params}

    def _step(self, gradient: Gradient) -> InnerStep:
        step = first = inner.gradient_step(gradient, self.optimizer, self.proximal)
        if self.zeroed:
            first = inner.gradient_step(inner.alone(gradient, self.zeroed), self.optimizer, self.proximal)

        def turn(loop: Loop, inputs: Inputs, i: int) -> Loop:
            return (step if i else first)(loop, inputs, i)

        return turn if self.minibatch is None else inner.on_minibatches(turn, self.minibatch)

    def _rates(self) -> dict[str, Sequence[Tensor | float]]:
        """Return the learning rates of each parameter, one for each step; a single rate is for all steps."""
        if not self.learn_lr:
            return {name: (self.lr,) for name in self.adapted}
        by_step = self.learn_lr == "layer-step"
        return {n: rate.unbind() if by_step else (rate,) for n, rate in zip(self.adapted, self.rates, strict=True)}

    def _objective(self, split: heads.Parts | None, params: Params, fixed: Params, support: Examples) -> Tensor:
        if split:
            scores = heads.scores_of(split, {**fixed, **params}, support.x)
        else:
            scores, _ = on_support(self.body, {**fixed, **params}, support.x, support.w)
        return self.criterion(scores, support.y, support.w)


# whose steps take each parameter entry by itself, so that many tasks may take theirs in one tensor
_TASK_BY_TASK = (MAML, SGD, Adam, Reverse, FirstOrder, ConstantGradients, Adjoint, Checkpointed, Blocked, Truncated)
