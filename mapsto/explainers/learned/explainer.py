"""The base of explainer networks: they read what a model computes, and are trained with it by `Joint`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Self

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from ... import checks
from ...errors import MapstoError
from .players import Players

Metrics = dict[str, Tensor]
Target = Literal["model", "label"]


class Prediction(NamedTuple):
    """An adapted model's prediction for `n` rows: everything that an explainer network may read or ask."""

    x: Shaped[Tensor, "n ..."]
    outcome: Float[Tensor, "n k"]  # probabilities if `of_classes`, else scores, such as predicted numbers
    features: Mapping[str, Tensor]  # intermediate values of the model, each [n, ...]
    ask: Callable[[Tensor], Tensor]  # rows [m, ...] ↦ outcomes [m, k]
    classes: Mapping[str, Tensor]  # means over the support set of each class [k, ...]: of inputs ("x") and features
    of_classes: bool = True
    background: Shaped[Tensor, "b ..."] | None = None  # rows of the support set, if an explainer hides parts by them
    slopes: Callable[[Tensor], Tensor] | None = None  # rows [m, ...] ↦ the outcomes' gradients by the rows [k, m, ...]


class LearnedExplainer(nn.Module, ABC):
    """The base of all explainer networks.

    Args:
        reads: the intermediate features to read, as `{name: channels}` with the names of `learner.features`. A feature
            `[n, c]`, `[n, t, c]` or `[n, c, h, w]` has c channels. If empty, the network reads no feature.

    Raises:
        MapstoError: if `reads` is not such a mapping.
    """

    steps: Tensor  # the number of training steps so far
    by_class: bool = False  # True if the network reads the means of the support set's classes

    def __init__(self, reads: Mapping[str, int] | None = None):
        super().__init__()
        expected = "the channels of each feature by name, such as {'body.3': 64}"
        checks.expect(isinstance(reads, Mapping | None), "reads", reads, expected)
        self.reads: dict[str, int] = dict(reads or {})
        counts = all(isinstance(channels, int) and channels > 0 for channels in self.reads.values())
        checks.expect(counts, "reads", reads, expected)
        self.register_buffer("steps", torch.zeros(()))

    @abstractmethod
    def loss(
        self, prediction: Prediction, y: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics) of the explainer on rows with targets `y` and weights `w`, for training."""

    @abstractmethod
    def explain(self, prediction: Prediction) -> Any:
        """Return the explanation of each row's prediction, as a tuple of tensors with `n` rows."""

    def forward(
        self, prediction: Prediction, y: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """Return `loss(prediction, y, w)`, so that `functional_call` evaluates the loss at other parameters."""
        return self.loss(prediction, y, w)

    def read(self, features: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "n t c"]]:
        """Return the features to read, each as tokens: one for each position, such as a pixel or a time step.

        Raises:
            MapstoError: if the model has no feature of this name, or another number of channels.
        """
        for name, channels in self.reads.items():
            names = ", ".join(features) or "none"
            checks.expect(name in features, "reads", repr(name), f"a feature of the model: {names}")
            there = channels_of(features[name])
            checks.expect(channels == there, "reads", f"{channels} channels for {name!r}", f"{there}")
        return {name: positions(features[name]) for name in self.reads}

    def trained(self) -> Self:
        """Return the explainer, or raise MapstoError if it has not been trained."""
        checks.expect(
            float(self.steps) > 0, "explainer", f"an untrained {type(self).__name__}", "a trained one",
            "train the Joint that holds it, or load its weights",
        )  # fmt: skip
        return self


def channels_of(feature: Float[Tensor, "n ..."]) -> int:
    """Return the number of channels of a feature `[n, c]`, `[n, t, c]` or `[n, c, h, w]`."""
    return feature.shape[1 if feature.dim() > 3 else -1]


def positions(feature: Float[Tensor, "n ..."]) -> Float[Tensor, "n t c"]:
    """Return the channels at each position of a feature: one position for `[n, c]`, h·w for a map `[n, c, h, w]`."""
    if feature.dim() > 3:
        return feature.flatten(2).mT
    return feature[:, None] if feature.dim() == 2 else feature


class PlayerExplainer(LearnedExplainer):
    """The base of the explainer networks that tell how important each player is.

    Args:
        players: the players, such as `Columns(13)` or `Patches((1, 28, 28), 7)`.
        outputs: the number `k` of outcomes of the model. If None, the network reads the means of the support set's
            classes, for tasks with any number of classes.
        reads: the features to read, see `LearnedExplainer`.

    Raises:
        MapstoError: if `players` are not players, `outputs` is below 1, or `reads` is not such a mapping.
    """

    def __init__(self, players: Players, outputs: int | None, reads: Mapping[str, int] | None):
        super().__init__(reads)
        kind = isinstance(players, Players)
        checks.expect(kind, "players", repr(players), "players such as Columns(13) or Patches((1, 28, 28), 7)")
        if outputs is not None:
            checks.count(outputs=outputs)
        self.players, self.outputs, self.by_class = players, outputs, outputs is None

    @abstractmethod
    def importance(self, prediction: Prediction) -> Float[Tensor, "n p"]:
        """Return how important each player is for the outcome of its row, from 0; 0 if the player is missing."""

    def outcomes(self, prediction: Prediction, masks: Float[Tensor, "n c p"]) -> Float[Tensor, "n c k"]:
        """Return the model's outcomes of each row if only the players of each of its `c` masks are visible.

        Hidden parts take the values of the baseline; if it has several rows, the outcomes are means over them.
        """
        rows = self.references(prediction)
        parts = [self.ask(prediction, masks, row[None, None]) for row in rows]
        return torch.stack(parts).mean(0) if len(parts) > 1 else parts[0]

    def sampled(
        self, prediction: Prediction, masks: Float[Tensor, "n c p"]
    ) -> tuple[Float[Tensor, "n c k"], Float[Tensor, "n c k"]]:
        """Return the outcomes with a random row of the baseline for each mask, and those if it hides all players.

        Masks i and i + c/2, such as a coalition and its complement, share a row. The outcomes are unbiased, and cheap
        enough for training.
        """
        rows = self.references(prediction)
        if len(rows) == 1:
            none = prediction.ask(rows)[:, None].expand(len(masks), masks.shape[1], -1)
            return self.ask(prediction, masks, rows[None]), none
        half = torch.randint(len(rows), (len(masks), -(-masks.shape[1] // 2)), device=rows.device)
        index = half.repeat(1, 2)[:, : masks.shape[1]]
        return self.ask(prediction, masks, rows[index]), prediction.ask(rows)[index]

    def nothing(self, prediction: Prediction) -> Float[Tensor, "n k"]:
        """Return the model's outcome if no player is visible, the same for all rows."""
        outcome = prediction.ask(self.references(prediction)).mean(0)
        return outcome.expand(len(prediction.x), -1)

    def everything(self, prediction: Prediction) -> Float[Tensor, "n k"]:
        """Return the model's outcome of each row if all players that are not missing are visible."""
        visible = self.players.visible(prediction.x)
        masks = visible[:, None].to(prediction.outcome)
        if checks.readable(visible) and bool(visible.all()):  # nothing is hidden, so one row of the baseline is enough
            return self.ask(prediction, masks, self.references(prediction)[None, :1])[:, 0]
        return self.outcomes(prediction, masks)[:, 0]

    def slopes(self, prediction: Prediction, points: int) -> Float[Tensor, "n k p s"]:
        """Return by how much each player raises the outcome to first order, at points between the baseline and the row.

            slope_s = Σ_{i in player} (x_i − b_i) · ∂outcome/∂x_i at b + s·(x − b),   s = (j − ½) / points

        b is the (mean) row of the baseline. The mean over the points is integrated gradients (Sundararajan et al. 2017,
        eq. 1). A missing player has the slope 0.

        Raises:
            MapstoError: if the rows do not hold real numbers, or the prediction brings no slopes.
        """
        x, ask = prediction.x, prediction.slopes
        checks.expect(x.is_floating_point(), "x", f"rows of {x.dtype}", "real numbers", "set slopes=0")
        if ask is None:
            raise MapstoError("slopes: got a prediction without gradients, expected one of a Joint; set slopes=0.")
        start = self.references(prediction).to(x).nanmean(0).nan_to_num()
        way = torch.where(x.isnan(), 0.0, x - start)[:, None]  # [n, 1, ...]
        share = (torch.arange(points).to(x) + 0.5) / points
        rows = start + share.view(-1, *[1] * start.dim()) * way  # [n, s, ...]
        steep = ask(rows.flatten(0, 1)).unflatten(1, rows.shape[:2])  # [k, n, s, ...]
        return self.players.sums(steep * way).movedim((0, 2), (1, 3))

    def references(self, prediction: Prediction) -> Shaped[Tensor, "b ..."]:
        """Return the rows that replace hidden parts.

        Raises:
            MapstoError: if they are rows of the support set, and it is empty.
        """
        if not self.players.of_support:
            return self.players.rows.to(prediction.x)
        rows = prediction.background
        there = rows is not None and len(rows) > 0
        checks.expect(there, "baseline", "'support' and no support set", "rows, such as baseline=x[:32]")
        return rows  # type: ignore[return-value]

    def ask(
        self, prediction: Prediction, masks: Float[Tensor, "n c p"], hidden: Shaped[Tensor, "m l ..."]
    ) -> Float[Tensor, "n c k"]:
        """Return the model's outcomes if hidden parts take the values of `hidden`, see `Players.show`."""
        shown = self.players.show(prediction.x, masks, hidden)  # [n, c, ...]
        return prediction.ask(shown.flatten(0, 1)).unflatten(0, shown.shape[:2])

    def inputs(self, prediction: Prediction) -> tuple[list[Float[Tensor, "_ _ _"]], list[Float[Tensor, "_ _ _"]]]:
        """Return the features to read, each `[n, t, c]`, and, if by class, their means by class, each `[k, t, c]`.

        Each feature has its own numbers of positions t and channels c.

        Raises:
            MapstoError: if the model has another number of outcomes, or in any case in which `read` raises it.
        """
        k = prediction.outcome.shape[1]
        checks.expect(self.outputs in (None, k), "outputs", self.outputs, f"{k}, the outcomes of the model")
        means = list(self.read(prediction.classes).values()) if self.by_class else []
        return list(self.read(prediction.features).values()), means


def of_prediction(prediction: Prediction, values: Float[Tensor, "n p k"]) -> Float[Tensor, "n p"]:
    """Return the values of the most probable class of each row or, if numbers are predicted, of the first number."""
    outcome = prediction.outcome if prediction.of_classes else prediction.outcome[:, :1]
    best = outcome.argmax(1)[:, None, None].expand(-1, values.shape[1], 1)
    return values.gather(2, best)[..., 0]


def against_others(outcome: Float[Tensor, "n k"]) -> Float[Tensor, "n k 2"]:
    """Return, for each class, its outcome and the sum of all others.

    >>> against_others(torch.tensor([[0.5, 0.25, 0.25]]))[0, 0]
    tensor([0.5000, 0.5000])
    """
    return torch.stack([outcome, outcome.sum(1, keepdim=True) - outcome], -1)


def targets(prediction: Prediction, y: Shaped[Tensor, "n ..."], target: Target) -> Float[Tensor, "n k"]:
    """Return the outcome to predict: that of the model, or the label (as one-hot probabilities if it is a class)."""
    if target == "model":
        return prediction.outcome
    return F.one_hot(y, prediction.outcome.shape[1]).to(prediction.outcome) if prediction.of_classes else y


def errors(scores: Float[Tensor, "..."], target: Float[Tensor, "..."], of_classes: bool) -> Float[Tensor, "..."]:
    """Return the loss of each row: the cross-entropy of class logits in nats, or the squared error of numbers."""
    return (-target * scores.log_softmax(-1) if of_classes else (scores - target).square()).sum(-1)
