"""The plain baseline beside every meta-learner: one network for all tasks at once, fine-tuned to each new one.

    loss = ½ Σ w·ℓ(body_θ(x), y) on the support + ½ Σ w·ℓ(body_θ(x), y) on the query,       without any adaptation
    φ = θ − lr·∇_θ Σ w·ℓ(body_θ(x), y)  on the support, `steps` times,                       at test

Caruana 1997, "Multitask Learning"; the "pretrained" of Finn et al. 2017, §5.1. Where tasks contradict each other, as
sine waves of all phases do, it learns their mean; where the same label means other things in other tasks, nothing.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from ..adaptation import losses
from ..adaptation.learner import Learner, Metrics
from ..adaptation.normalisation import statistics_of
from ..episodes import Episode, Examples
from .maml import MAML, Adapted


class MultiTask(Learner):
    """One network trained on the examples of all tasks alike, and gradient descent from it at test.

    Args:
        body: as of `MAML`.
        loss: "mse" or "cross_entropy".
        lr: of fine-tuning.
        steps: of fine-tuning; may be changed at any time.

    Raises:
        MapstoError: as `MAML`.

    >>> learner = MultiTask(nn.Linear(1, 1), loss="mse")
    >>> state = learner.adapt(Examples(Tensor([[1.0], [2.0]]), Tensor([[2.0], [4.0]]), Tensor([0.5, 0.5])))
    >>> learner.predict(state, Tensor([[3.0]])).shape
    torch.Size([1, 1])
    """

    family = "baseline"

    def __init__(
        self,
        body: nn.Module,
        loss: Literal["mse", "cross_entropy"] = "cross_entropy",
        lr: float = 0.01,
        steps: int = 1,
    ):
        super().__init__()
        self.fine_tuning, self.loss_name = MAML(body, loss, lr, steps), loss

    @property
    def steps(self) -> int:
        """Return the steps of fine-tuning."""
        return self.fine_tuning.steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self.fine_tuning.steps = steps

    def adapt(self, support: Examples) -> Adapted:
        """Fine-tune on the support set."""
        return self.fine_tuning.adapt(support)

    def predict(self, state: Adapted, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Run the fine-tuned network."""
        return self.fine_tuning.predict(state, x)

    def features(self, state: Adapted, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the output of each part of the fine-tuned network."""
        return self.fine_tuning.features(state, x)

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return the loss on the query set after adaptation."""
        return super().loss(episode)[0]

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the loss of the network as it is, on all examples of the task."""
        body, (x, y, w), query = self.fine_tuning.body, episode.support, episode.query
        as_it_is = Adapted({}, statistics_of(body, {}, x, w))
        scores, taught = (self.predict(as_it_is, rows) for rows in (query.x, x))
        of = losses.LOSSES[self.loss_name]
        loss = (of(scores, query.y, query.w) + of(taught, y, w)) / 2
        return loss, {"loss": loss.detach()} | losses.METRICS[self.loss_name](scores.detach(), query)
