"""Move the start towards the parameters that a few steps reach on each task, without derivatives of these steps.

    φ = steps of the inner optimizer from θ on the support;    loss = ½‖θ − stop(φ)‖²,   so that ∇_θ loss = θ − φ

Nichol, Achiam & Schulman 2018, "On First-Order Meta-Learning Algorithms", Algorithms 1 and 2. With an outer SGD of rate
ε this is the paper's update θ ← θ + ε(φ − θ). The paper's inner optimizer is Adam with β₁ = 0.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..adaptation.inner import Adam, InnerOptimizer
from ..adaptation.learner import Metrics
from ..adaptation.losses import LossChoice
from ..episodes import Episode
from .maml import MAML
from .wrapped import Wrapped


class Reptile(Wrapped):
    """Move the initial parameters towards the adapted parameters of each task, without second derivatives.

    Args:
        body: the network to adapt, see `MAML`.
        loss: the loss on the support set and the query set: "mse", "cross_entropy", or a function, see `MAML`.
        lr: the inner learning rate.
        steps: the number of inner steps. The attribute `steps` may be changed later; the paper tests with 50 steps.
        minibatch: the number of support rows in each step, see `MAML`. If None, each step uses all rows.
        optimizer: the inner optimizer. If None, it is Adam with β₁ = 0, as in the paper.
        transductive: if True, batch norm normalises query rows by the statistics of the query rows, see `MAML`.

    Raises:
        MapstoError: in any case in which `MAML` raises it.

    >>> from mapsto.episodes import Episode, examples
    >>> from mapsto.adaptation.inner import SGD
    >>> learner = Reptile(nn.Linear(1, 1, bias=False), loss="mse", lr=0.25, steps=1, optimizer=SGD())
    >>> _ = nn.init.constant_(learner.maml.body.weight, 1.0)
    >>> points = examples(torch.tensor([[1.0]]), torch.tensor([[3.0]]))
    >>> learner.loss(Episode(points, points))[0]  # the step is 0.25 · 2 · (3 − 1) = 1
    tensor(0.5000, grad_fn=<MulBackward0>)
    """

    family = "optimisation-based"

    def __init__(
        self,
        body: nn.Module,
        loss: LossChoice = "cross_entropy",
        lr: float = 0.001,
        steps: int = 5,
        minibatch: int | None = None,
        optimizer: InnerOptimizer | None = None,
        transductive: bool = False,
    ):
        maml = MAML(
            body, loss, lr, steps, first_order=True, transductive=transductive, minibatch=minibatch,
            optimizer=optimizer or Adam(beta1=0.0),
        )  # fmt: skip
        super().__init__(maml)
        self.maml = maml

    @property
    def inner(self) -> MAML:
        """The `MAML` learner that adapts from the learned initial parameters."""
        return self.maml

    @property
    def steps(self) -> int:
        """The number of inner steps."""
        return self.maml.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.maml.steps = steps

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return the loss on the query set after adapting to the support set."""
        return super().loss(episode)[0]

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is half the squared distance from the initial to the adapted parameters.

        The derivative of the loss treats the adapted parameters as constants. The metrics are measured on the query
        set.
        """
        state = self.adapt(episode.support)
        start = dict(self.maml.body.named_parameters())
        distances = [(start[name] - end.detach()).square().sum() for name, end in state.params.items()]
        loss = 0.5 * torch.stack(distances).sum()
        with torch.no_grad():
            scores = self.predict(state, episode.query.x)
            query = self.criterion(scores, episode.query.y, episode.query.w)
        metrics = self.criterion.metrics(scores.detach(), episode.query)
        return loss, {"loss": loss.detach(), "query_loss": query.detach()} | metrics
