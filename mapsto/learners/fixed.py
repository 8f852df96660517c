"""A plain network, trained on one data set: the learner whose model is the same for every support set.

    adapt(support) = θ,   predict(θ, x) = body_θ(x),   loss = Σ w·ℓ(body_θ(x), y) over the query set

Ordinary training is meta-training on one task: the support set is empty, and the query set is a minibatch. The sources
`tasks.Minibatches`, `tasks.ImageMinibatches` and `tasks.TableMinibatches` give such tasks. All views, games, measures
and reports then treat the network as they treat every other learner.
"""

from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call

from ..adaptation import losses
from ..adaptation.learner import Learner, Metrics, evaluating
from ..adaptation.normalisation import Tensors, buffers_of, scores_of
from ..adaptation.running_norm import on_minibatch, prepare_running
from ..adaptation.watching import watch
from ..episodes import Episode, Examples


class Fixed(Learner):
    """Train one network on one data set, as usual in deep learning; the support set of a task is ignored.

    In training, the batch-norm layers of the body use the statistics of the minibatch, unless these layers are in
    evaluation mode. In predictions, they use moving averages, so that the prediction for a row never depends on other
    rows. The training loop updates the moving averages after each step.

    Args:
        body: any `nn.Module` from `[n, ...]` to scores `[n, k]`. Its batch-norm layers are replaced in place by layers
            that work as described above.
        loss: "cross_entropy" if the scores are class logits, "mse" if they are predicted numbers, or a function
            `loss(scores, y, w)` that returns a scalar.

    Raises:
        MapstoError: if `loss` is unknown, or a batch-norm layer has no momentum.

    >>> import torch
    >>> from mapsto.episodes import examples
    >>> learner = Fixed(nn.Linear(2, 3))
    >>> state = learner.adapt(examples(torch.empty(0, 2), torch.empty(0, dtype=torch.long)))
    >>> learner.predict(state, torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """

    family = "ordinary training"

    def __init__(self, body: nn.Module, loss: losses.LossChoice = "cross_entropy"):
        super().__init__()
        self.body, self.criterion = prepare_running(body), losses.chosen(loss)

    def adapt(self, support: Examples) -> Tensors:
        """Return a dictionary from names to the body's parameters and buffers; the support set has no effect on it."""
        return dict(self.body.named_parameters()) | buffers_of(self.body)

    def predict(self, state: Tensors, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the scores of `n` rows, with every layer in evaluation mode."""
        with evaluating(self.body):
            return scores_of(functional_call(self.body, state, (x,)), x.shape[0])

    def features(self, state: Tensors, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary from names to the outputs of the body's submodules for `n` rows."""
        return watch(self.body, lambda: self.predict(state, x))

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics) of a minibatch, which is the query set of `episode`.

        The metrics also hold the new values of the body's buffers, such as the moving averages of batch norm.
        """
        x, y, w = episode.query
        scores, buffers = on_minibatch(self.body, x, w)
        loss = self.criterion(scores, y, w)
        metrics = {"loss": loss.detach()} | self.criterion.metrics(scores.detach(), episode.query)
        return loss, metrics | {f"body.{name}": value for name, value in buffers.items()}

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return the validation loss of a minibatch; batch norm uses its moving averages."""
        x, y, w = episode.query
        return self.criterion(self.predict(self.adapt(episode.support), x), y, w)
