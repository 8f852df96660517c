"""The base of selectors: networks that choose, for each row, the few players from which its outcome can be predicted.

    z = network(row, outcome, features),    s = σ(z),    m ~ Bernoulli(s)
    loss = E_m[ℓ(target, q(x·m, m))] + cost·mean(s) + restraint·mean(z²)

`s` is the probability with which each player is shown, and `q` the predictor, which reads the shown players only; ℓ is
the cross-entropy of classes in nats, or the squared error of numbers. The presets differ in the predictor, in the masks
on which it is trained, and in the gradient of the mask:

    L2X             trained on the selections    Gumbel-softmax, for a fixed number of players
    INVASE          trained on the selections    score function, minus a baseline that reads the whole row, or as REALX
    REALX           trained on random masks      score function, minus the mean over the other masks of the row
    PolicyGradient  the model itself             score function, minus a learned baseline
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ... import checks
from .explainer import Metrics, PlayerExplainer, Prediction, Target, against_others, errors, targets
from .fidelity import same_number, same_probability
from .perceptron import Perceptron, Pooled
from .players import Players
from .tokens import Tokens

Network = Literal["perceptron", "attention"]


class Selection(NamedTuple):
    """The players that are selected to explain the outcomes of `n` rows."""

    probability: Float[Tensor, "n p"]  # with which each player is shown; 0 if it is missing
    shown: Bool[Tensor, "n p"]  # the selected players
    outcome: Float[Tensor, "n k"]  # predicted from the selected players alone: probabilities, or numbers
    trust: Float[Tensor, " n"]  # how much of the model's outcome this is, from 0 to 1, see `fidelity`


class Losses(NamedTuple):
    """The losses of `n` rows: that of the selection trains the selector, that of the prediction the predictor."""

    selection: Float[Tensor, " n"]
    prediction: Float[Tensor, " n"]
    shown: Float[Tensor, " n"]  # the number of players that were shown


class Selector(PlayerExplainer):
    """The base of networks that select players. `explain` returns a `Selection`.

    Args:
        players: the players, such as `Columns(13)` or `Patches((1, 28, 28), 7)`.
        outputs: the number `k` of outcomes of the model. If None, the networks read the means of the support set's
            classes, for tasks with any number of classes.
        reads: the features to read, as `{name: channels}`; if empty, the selector reads the row and the outcome only.
        target: the outcome to predict from the selected players: the prediction of the "model", or the "label".
        cost: the price of showing all players, in the unit of the loss (nats for classes); a part of them costs its
            share.
        restraint: the weight of the mean squared logit of the probabilities in the loss. Without it, probabilities soon
            reach 0 or 1, where their gradient vanishes, so that an early choice is never corrected.
        warmup: the number of training steps before the selector is trained, in which the predictor learns from random
            masks.
        network: the network of the selector. A "perceptron" reads all players at once, and the mean over the positions
            of each feature; "attention" gives each player a token, which reads the features by position.
        width: the number of hidden units of the selector, or of channels of a token.

    Raises:
        MapstoError: if a number is out of range, `players` are not players, or a choice is unknown.
    """

    def __init__(
        self, players: Players, outputs: int | None, reads: Mapping[str, int] | None, target: Target, cost: float,
        restraint: float, warmup: int, network: Network, width: int,
    ):  # fmt: skip
        super().__init__(players, outputs, reads)
        checks.count(width=width)
        checks.count(0, warmup=warmup)
        checks.at_least(0, cost=cost, restraint=restraint)
        checks.one_of(get_args(Target), target=target)
        checks.one_of(get_args(Network), network=network)
        self.target, self.cost, self.restraint, self.warmup = target, cost, restraint, warmup
        self.network = NETWORKS[network](players, self.reads, outputs, width)

    @abstractmethod
    def losses(
        self, prediction: Prediction, logits: Float[Tensor, "n p"], visible: Bool[Tensor, "n p"],
        target: Float[Tensor, "n k"],
    ) -> Losses:  # fmt: skip
        """Return the losses of each row, without the cost of the players, for a selector with these logits."""

    @abstractmethod
    def predicted(self, prediction: Prediction, shown: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the outcome that is predicted from the shown players: probabilities, or numbers."""

    def loss(
        self, prediction: Prediction, y: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics) for training.

        The metric `shown` is the mean number of players that were shown, and `error` the mean loss of the predictor.
        """
        visible, target = self.players.visible(prediction.x), targets(prediction, y, self.target).detach()
        logits = self.logits(prediction)
        selection, error, shown = self.losses(prediction, logits, visible, target)
        cost = self.cost * (logits.sigmoid() * visible).mean(-1) + self.restraint * (logits.square() * visible).mean(-1)
        loss = w @ ((selection + cost) * (self.steps >= self.warmup) + error)
        numbers = {"shown": shown, "error": error.detach()}
        return loss, {name: w @ value / w.sum().clamp(min=1e-9) for name, value in numbers.items()}

    @torch.no_grad()
    def explain(self, prediction: Prediction) -> Selection:
        """Return the selected players of each row, and the outcome that is predicted from them."""
        probability = self.trained().importance(prediction)
        shown = self.choose(probability) & self.players.visible(prediction.x)
        return self.selection(prediction, probability, shown)

    def selection(
        self, prediction: Prediction, probability: Float[Tensor, "n p"], shown: Bool[Tensor, "n p"]
    ) -> Selection:
        """Return the selection of these players, with the outcome predicted from them and its trust."""
        outcome = self.predicted(prediction, shown.to(probability))
        if prediction.of_classes:
            trust = same_probability(prediction.outcome, outcome)
        else:
            nothing = self.predicted(prediction, torch.zeros_like(probability))
            trust = same_number(prediction.outcome, outcome, nothing)
        return Selection(probability, shown, outcome, trust)

    def importance(self, prediction: Prediction) -> Float[Tensor, "n p"]:
        """Return the probability with which each player is shown."""
        return self.logits(prediction).sigmoid() * self.players.visible(prediction.x)

    def choose(self, probability: Float[Tensor, "n p"]) -> Bool[Tensor, "n p"]:
        """Return the players to select, given the probabilities: those above one half."""
        return probability > 0.5

    def logits(self, prediction: Prediction) -> Float[Tensor, "n p"]:
        """Return the logit of the probability with which each player is shown."""
        logits = self.network(prediction, *self.inputs(prediction))  # [n, 1 or k, p]
        return torch.einsum("nk,nkp->np", prediction.outcome, logits) if self.by_class else logits[:, 0]


class Chooser(nn.Module):
    """Map a prediction to a logit for each player, with a perceptron."""

    def __init__(self, players: Players, reads: Mapping[str, int], outputs: int | None, width: int):
        super().__init__()
        by_class = outputs is None
        self.own, self.means = Pooled(reads, width), Pooled(reads if by_class else {}, width)
        inputs = (outputs or 2) + width * len(reads) * (1 + by_class)
        self.perceptron = Perceptron(players, inputs, players.count, by_class, width)

    def forward(self, prediction: Prediction, features: list[Tensor], means: list[Tensor]) -> Float[Tensor, "n g p"]:
        """Return one logit for each player (and class)."""
        outcome = prediction.outcome
        inputs = [f[:, None, None] for f in self.own(features)] + [f[None, None] for f in self.means(means)]
        each = against_others(outcome)[:, None] if self.perceptron.by_class else outcome[:, None, None]
        visible = self.perceptron.players.visible(prediction.x).to(outcome)
        return self.perceptron(prediction, visible[:, None], each, *inputs)[:, 0]


class Attending(nn.Module):
    """Map a prediction to a logit for each player, with an attention network."""

    def __init__(self, players: Players, reads: Mapping[str, int], outputs: int | None, width: int):
        super().__init__()
        self.tokens = Tokens(players, reads, outputs, width, depth=2, heads=4)
        self.logit = nn.Linear(width, 1)

    def forward(self, prediction: Prediction, features: list[Tensor], means: list[Tensor]) -> Float[Tensor, "n g p"]:
        """Return one logit for each player (and class)."""
        return self.logit(self.tokens(prediction, features, means))[..., 0]


NETWORKS: dict[Network, type[Chooser] | type[Attending]] = {"perceptron": Chooser, "attention": Attending}


class Predictor(nn.Module):
    """Predict the outcome of a row from its shown players, with a perceptron."""

    def __init__(self, players: Players, outputs: int | None, width: int):
        super().__init__()
        self.perceptron = Perceptron(players, 0, outputs or 1, outputs is None, width)

    def forward(self, prediction: Prediction, masks: Float[Tensor, "n c p"]) -> Float[Tensor, "n c k"]:
        """Return the scores for each of the `c` masks of a row: class logits, or numbers."""
        scores = self.perceptron(prediction, masks)
        return scores[..., 0] if self.perceptron.by_class else scores[:, :, 0]

    def errors(self, prediction: Prediction, masks: Float[Tensor, "n c p"], target: Tensor) -> Float[Tensor, "n c"]:
        """Return the loss for each mask: cross-entropy in nats, or squared error."""
        return errors(self(prediction, masks), target[:, None], prediction.of_classes)

    def outcome(self, prediction: Prediction, shown: Float[Tensor, "n p"]) -> Float[Tensor, "n k"]:
        """Return the probabilities, or numbers, that are predicted from the shown players."""
        scores = self(prediction, shown[:, None])[:, 0]
        return scores.softmax(-1) if prediction.of_classes else scores
