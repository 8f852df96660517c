"""Adapt an explainer network to one task, by a few gradient steps on the rows of its support set.

    ψ_{i+1} = ψ_i − lr · direction(∇_ψ loss(ψ_i))

The loss is that of the explainer's training, for the support rows: it asks the adapted model, and needs no explanation
to imitate. If a `Joint` is trained with a `Tuning`, the explainers take these steps in each task before their loss on
the query set is computed. So they learn an initialisation from which a few steps suffice, as in MAML (Finn, Abbeel &
Levine 2017).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call

from .. import checks
from ..adaptation.differentiation import FirstOrder, Reverse
from ..adaptation.inner import SGD, InnerOptimizer, Inputs, Loop, Params, gradient_step, on_minibatches, start
from ..episodes import Examples
from ..explainers.learned.explainer import LearnedExplainer, Prediction


class Tuning:
    """A few steps that adapt an explainer network to one task, from the parameters that it has learned.

    Args:
        steps: the number of steps.
        lr: the learning rate of the steps.
        minibatch: the number of support rows in each step. Each step takes the next rows; after the last row, the first
            row follows. If None, each step uses all rows.
        optimizer: the inner optimizer, such as `adaptation.inner.Adam()`. If None, it is gradient descent.
        first_order: if True, treat the gradients of the steps as constants when the initialisation is trained. If
            False, its gradient is exact, at more than twice the cost.

    Raises:
        MapstoError: if `steps` or `minibatch` is below 1, `lr` is not above 0, or `optimizer` is not an inner one.
    """

    def __init__(
        self,
        steps: int = 5,
        lr: float = 0.01,
        minibatch: int | None = None,
        optimizer: InnerOptimizer | None = None,
        first_order: bool = True,
    ):
        checks.count(steps=steps)
        if minibatch is not None:
            checks.count(minibatch=minibatch)
        checks.above(0, lr=lr)
        inner = isinstance(optimizer, InnerOptimizer | None)
        checks.expect(inner, "optimizer", repr(optimizer), "an inner one, such as SGD() or Adam() of adaptation.inner")
        self.steps, self.lr, self.minibatch, self.optimizer = steps, lr, minibatch, optimizer or SGD()
        self.route = FirstOrder() if first_order else Reverse()

    def __call__(
        self, explainer: LearnedExplainer, predict: Callable[[Tensor], Prediction], support: Examples
    ) -> Params:
        """Return the explainer's parameters, and its buffer `steps`, after the steps on a support set.

        `predict` returns the prediction of the adapted model for rows.
        """

        def objective(params: Params, fixed: Params, rows: Examples) -> Tensor:
            with torch.no_grad():
                prediction = predict(rows.x)
            return functional_call(explainer, params | fixed, (prediction, rows.y, rows.w))[0]

        def step(loop: Loop, inputs: Inputs, i: int) -> Loop:
            return descend(loop, inputs._replace(fixed={"steps": explainer.steps + i}), i)

        descend = gradient_step(self.route.gradient(objective), self.optimizer)
        if self.minibatch is not None:
            descend = on_minibatches(descend, self.minibatch)
        params: Params = dict(explainer.named_parameters())
        inputs = Inputs({}, dict.fromkeys(params, (self.lr,)), support)
        adapted = self.route(step, start(self.optimizer, params), inputs, range(self.steps)).params
        return {**adapted, "steps": explainer.steps + self.steps}
