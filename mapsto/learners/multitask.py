"""Train one network on all tasks at once and fine-tune it on each new task: the plain baseline of meta-learners.

    loss = ½ Σ w·ℓ(body_θ(x), y) on the support + ½ Σ w·ℓ(body_θ(x), y) on the query,       without any adaptation
    φ = θ − lr·∇_θ Σ w·ℓ(body_θ(x), y)  on the support, `steps` times,                       at test

Caruana 1997, "Multitask Learning"; the "pretrained" baseline of Finn et al. 2017, §5.1. If tasks contradict each other,
as sine waves of all phases do, the network learns their mean. If the meaning of a label changes from task to task, it
learns nothing.
"""

from jaxtyping import Float
from torch import Tensor, nn

from ..adaptation.learner import Metrics
from ..adaptation.losses import LossChoice
from ..adaptation.normalisation import statistics_of
from ..episodes import Episode
from .maml import MAML, Adapted
from .wrapped import Wrapped


class MultiTask(Wrapped):
    """A baseline without meta-learning: train one network on all tasks, then fine-tune it on each new task.

    Args:
        body: the network, see `MAML`.
        loss: the loss for both training and fine-tuning: "mse", "cross_entropy", or a function, see `MAML`.
        lr: the learning rate of fine-tuning.
        steps: the number of fine-tuning steps. The attribute `steps` may be changed later.

    Raises:
        MapstoError: in any case in which `MAML` raises it.

    >>> from mapsto.episodes import Examples
    >>> learner = MultiTask(nn.Linear(1, 1), loss="mse")
    >>> state = learner.adapt(Examples(Tensor([[1.0], [2.0]]), Tensor([[2.0], [4.0]]), Tensor([0.5, 0.5])))
    >>> learner.predict(state, Tensor([[3.0]])).shape
    torch.Size([1, 1])
    """

    family = "baseline"

    def __init__(
        self,
        body: nn.Module,
        loss: LossChoice = "cross_entropy",
        lr: float = 0.01,
        steps: int = 1,
    ):
        fine_tuning = MAML(body, loss, lr, steps)
        super().__init__(fine_tuning)
        self.fine_tuning = fine_tuning

    @property
    def inner(self) -> MAML:
        """The `MAML` learner that fine-tunes the trained network."""
        return self.fine_tuning

    @property
    def steps(self) -> int:
        """The number of fine-tuning steps."""
        return self.fine_tuning.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.fine_tuning.steps = steps

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return the loss on the query set after fine-tuning on the support set."""
        return super().loss(episode)[0]

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is the mean of the support loss and the query loss, without fine-tuning.

        The metrics are measured on the query set, also without fine-tuning.
        """
        body, (x, y, w), query = self.fine_tuning.body, episode.support, episode.query
        unadapted = Adapted({}, statistics_of(body, {}, x, w))
        scores, support_scores = (self.predict(unadapted, rows) for rows in (query.x, x))
        of = self.criterion
        loss = (of(scores, query.y, query.w) + of(support_scores, y, w)) / 2
        return loss, {"loss": loss.detach()} | self.criterion.metrics(scores.detach(), query)
