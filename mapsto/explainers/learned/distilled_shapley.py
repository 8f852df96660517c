"""Shapley values of a learned copy of the game: one pass gives each player a token, and sums of tokens give outcomes.

    z(S) = Σ_{i∈S} t_i,   h(S) = A·z(S) + B·(gelu(C·z(S) + b) − gelu(b)),   s(S) = log v(∅) + h(S)·u + |S|/p·gap
    e(S) = softmax s(S),   loss = E_S KL(v(S) ‖ e(S))

`v(S)` is the model's outcome if only the players S are visible, and u_c the vector of class c. `gap` makes the copy e
exact if all players are visible. The copy is cheap: after one pass of the network, an outcome costs a few products of
small matrices, so hundreds of coalitions are played, and `kriging` takes the values from their outcomes.
The softmax is therefore not learned, unlike in `AmortisedShapley`, which predicts the values themselves.

An explanation may also ask the model about some coalitions. Values are linear in the outcomes, so those of the
errors v − e on these coalitions are added to the values of the copy (a control variate): the better the copy, the fewer
questions are needed. With all coalitions, the values are exact.

The sum is that of Zaheer et al. 2017, "Deep Sets", eq. 4. As in FastSHAP (Jethani et al. 2022), the network is trained
on random coalitions of random rows, and never on Shapley values. If the outcome is a number, s(S) is the outcome itself
and the loss the squared error.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from ... import checks
from .. import kriging
from .amortised_shapley import ShapleyReasons, added_up, coalitions, differences, in_pairs
from .doubt import Doubt, measured, spread, trust
from .explainer import Metrics, PlayerExplainer, Prediction, of_prediction
from .feature_tokens import placed
from .players import Players
from .tokens import Layer

_ROWS = 128  # about which the model is asked at a time; on a CPU, large batches leave the cache and take twice as long
_LEAST = 1e-7  # probabilities below it count as it, so that their logarithm is finite


class Copy(NamedTuple):
    """The parts of the copied game of `n` rows with `k` outcomes."""

    tokens: Float[Tensor, "n p v"]  # of each player; 0 if it is not visible
    classes: Float[Tensor, "k v"]  # the vector of each class
    base: Float[Tensor, "n k"]  # the outcome if no player is visible
    full: Float[Tensor, "n k"]  # the outcome if all players are visible
    visible: Bool[Tensor, "n p"]
    of_classes: bool


class DistilledShapley(PlayerExplainer):
    """Learn a cheap copy of the game between players in one pass of a network, and return the Shapley values of it.

    `explain` returns `ShapleyReasons`, whose `values` `[n, players, k]` add up exactly: `base + values.sum(1)` is the
    model's outcome. Its interactions are 0. A player whose entries equal the baseline has the value 0.

    Args:
        players: the players, such as `Columns(13)` or `Patches((1, 32, 32), 8)`.
        outputs: the number `k` of outcomes of the model. If None, the model must be a classifier, and tasks may have
            any number of classes: the vector of a class is read from the class means of the support set.
        reads: the features to read, as `{name: channels}`. A feature with one position for each player, in their
            order, is also added to the players' tokens. If None or empty, the network reads only the row.
        coalitions: the number of random coalitions (sets of visible players) for each row in a training step; an even
            number from 4.
        samples: the number of coalitions of the copy that an explanation plays.
        looks: the approximate number of coalitions about which an explanation asks the model itself. KernelSHAP's
            values of the copy's errors on them correct the values. If 0, the model is asked about the full and the
            empty coalition only.
        width: the number of channels of a token in the attention layers.
        depth: the number of attention layers.
        heads: the number of attention heads.
        hidden: the number of channels of z and h; the nonlinear term has as many hidden units.

    Raises:
        MapstoError: if a number is out of range (`depth`: 0 to 1000), `coalitions` is odd or below 4, or `samples` or
            `looks` (unless 0) is too small to tell the players apart.
    """

    def __init__(
        self,
        players: Players,
        outputs: int | None = None,
        reads: Mapping[str, int] | None = None,
        coalitions: int = 16,
        samples: int = 512,
        looks: int = 0,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        hidden: int = 256,
    ):
        super().__init__(players, outputs, reads)
        checks.count(samples=samples, width=width, heads=heads, hidden=hidden)
        checks.count(0, looks=looks)
        checks.layers(0, depth=depth)
        in_pairs(4, coalitions=coalitions)
        checks.expect(players.count > 1, "players", players.count, "at least two")
        least = 4 * players.count
        checks.expect(samples >= least, "samples", samples, f"at least {least} for {players.count} players")
        checks.expect(looks == 0 or looks >= least, "looks", looks, f"0, or at least {least}")
        self.coalitions, self.samples, self.looks = coalitions, samples, looks
        self.place = nn.Parameter(torch.randn(players.count, width) * 0.02)
        self.entries = nn.Sequential(nn.Linear(players.size, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.features = nn.ModuleList(nn.Linear(channels, width) for channels in self.reads.values())
        self.layers = nn.ModuleList(Layer(width, heads, bool(self.reads), False) for _ in range(depth))
        self.tokens = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden))
        self.linear = nn.Linear(hidden, hidden, bias=False)
        self.bent, self.back = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden, bias=False)
        nn.init.zeros_(self.back.weight)
        self.doubt = Doubt(hidden, signs=3)
        described = sum(self.reads.values()) or players.count * players.size
        self.classes: nn.Module = nn.Linear(described, hidden) if outputs is None else nn.Embedding(outputs, hidden)

    def loss(
        self, prediction: Prediction, y: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is the error of the copy's outcomes of random coalitions.

        The error is the Kullback–Leibler divergence in nats, or the squared error of numbers. The loss of `Doubt`,
        which trains nothing but the trust, is added. For the difference between the outcomes of a coalition and of its
        complement, the metric `unexplained` is the copy's squared error divided by the squared difference.
        """
        visible = self.players.effective(prediction.x, self.references(prediction))
        masks = coalitions(visible, self.coalitions).to(prediction.outcome)
        outcome, base = self.sampled(prediction, masks)
        copy = self._copy(prediction, self.everything(prediction), visible)
        scores = self._scores(copy, masks)
        copied, change = _outcome(scores, copy), outcome - base
        missed, moved = (w @ differences(part.detach()).square().sum((1, 2)) for part in (outcome - copied, change))
        if prediction.of_classes:
            error = F.kl_div(scores.log_softmax(-1), outcome, reduction="none").sum(-1)
        else:
            error = (outcome - copied).square().sum(-1)
        doubts = self._doubts(prediction, copy, masks.chunk(2, 1)[0], differences(outcome.detach()))
        return w @ (error.mean(1) + doubts), {"unexplained": missed / moved.clamp(min=1e-9)}

    @torch.no_grad()
    def explain(self, prediction: Prediction) -> ShapleyReasons:
        """Return the Shapley values of each row's outcome, from one pass and about `2 + looks` model predictions."""
        return self.trained()._reasons(prediction)

    def importance(self, prediction: Prediction) -> Float[Tensor, "n p"]:
        """Return the absolute Shapley values of the most probable class or, for numbers, of the first outcome."""
        return of_prediction(prediction, self._reasons(prediction).values).abs()

    def _reasons(self, prediction: Prediction) -> ShapleyReasons:
        visible = self.players.effective(prediction.x, self.references(prediction))
        copy = self._copy(prediction, self.everything(prediction), visible)
        values, rest = self._values(prediction, copy, self.outcomes)
        doubt, size = self._doubt(copy, values, rest)
        interactions = values.new_zeros(*values.shape[:2], *values.shape[1:])
        return ShapleyReasons(values, copy.base, interactions, trust(doubt, size))

    def _values(
        self, prediction: Prediction, copy: Copy, outcomes: Callable[[Prediction, Tensor], Tensor]
    ) -> tuple[Float[Tensor, "n p k"], Float[Tensor, " n"]]:
        """Return the Shapley values of the copy, corrected by the model's outcomes of about `looks` coalitions.

        Also return the mean squared error that the correction leaves for these coalitions; 0 if there are none.
        """
        masks, weights = self.designs(copy.visible, self.samples, copy.full)
        looks, corrects = self.designs(copy.visible, self.looks, copy.full)
        copied = _outcome(self._scores(copy, torch.cat([masks, looks], 1)), copy)
        copied, expected = copied.split([masks.shape[1], looks.shape[1]], 1)
        error = outcomes(prediction, looks) - expected
        correction = corrects @ error
        values = added_up(weights @ copied + correction, copy.visible, copy.full - copy.base)
        there = looks.any(2)  # the others are padding
        rest = (error - looks @ correction).square().sum(2) * there  # [n, c]
        return values, rest.sum(1) / there.sum(1).clamp(min=1)

    def designs(
        self, visible: Bool[Tensor, "n p"], samples: int, like: Tensor
    ) -> tuple[Float[Tensor, "n c p"], Float[Tensor, "n p c"]]:
        """Return the coalitions of the visible players that are asked about, and their weights; see `designs`."""
        return designs(visible, samples, like)

    def _doubt(
        self, copy: Copy, values: Float[Tensor, "n p k"], rest: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """Return the logarithm of the expected squared error, and the spread of the values.

        If few players are visible, all of their coalitions are asked, and the values are exact.
        """
        size, count = spread(values.mT, copy.visible), copy.visible.sum(1)
        doubt = self.doubt(copy.tokens[:, None], size, rest, count.to(size))
        return doubt.masked_fill(2.0**count - 2 <= self.looks, -torch.inf), size

    def _doubts(
        self, prediction: Prediction, copy: Copy, masks: Float[Tensor, "n m p"], moved: Float[Tensor, "n m k"]
    ) -> Float[Tensor, " n"]:
        """Return the loss of the doubt, given the difference of outcomes of each coalition and its complement."""
        with torch.no_grad():
            values, rest = self._values(prediction, copy, lambda of, looks: self.sampled(of, looks)[0])
        error = moved - (2 * masks - copy.visible[:, None].to(masks)) @ values
        doubt, _ = self._doubt(copy, values, rest)
        known = doubt.isinf()
        return self.doubt.loss(doubt.masked_fill(known, 0.0), measured(error, masks, copy.visible)) * ~known

    def ask(
        self, prediction: Prediction, masks: Float[Tensor, "n c p"], hidden: Shaped[Tensor, "m l ..."]
    ) -> Float[Tensor, "n c k"]:
        """Return the model's outcomes if hidden parts take the values of `hidden`, see `Players.show`."""
        shown = self.players.show(prediction.x, masks, hidden).flatten(0, 1)
        parts = [prediction.ask(rows) for rows in shown.split(_ROWS)] or [prediction.outcome[:0]]
        return torch.cat(parts).unflatten(0, masks.shape[:2])

    def _copy(self, prediction: Prediction, full: Tensor, visible: Tensor) -> Copy:
        tokens, base = self._tokens(prediction) * visible[..., None], self.nothing(prediction)
        return Copy(tokens, self._classes(prediction), base, full, visible, prediction.of_classes)

    def _scores(self, copy: Copy, masks: Float[Tensor, "n c p"]) -> Float[Tensor, "n c k"]:
        """Return the copy's class logits, or its outcomes if they are numbers, of each coalition.

        They are exact for the empty coalition, and for all visible players.
        """
        first, last = (part.clamp(min=_LEAST).log() if copy.of_classes else part for part in (copy.base, copy.full))
        seen = copy.visible[:, None].to(masks)  # [n, 1, p]
        sums = torch.cat([seen, masks], 1) @ copy.tokens  # [n, 1 + c, hidden]
        bent = F.gelu(self.bent(sums)) - F.gelu(self.bent.bias)
        classes = copy.classes / math.sqrt(sums.shape[-1])  # [k, hidden]
        change = sums @ (classes @ self.linear.weight).T + bent @ (classes @ self.back.weight).T  # few classes: cheap
        gap = (last - first)[:, None] - change[:, :1]
        share = masks.sum(-1, keepdim=True) / seen.sum(-1, keepdim=True).clamp(min=1)
        return first[:, None] + change[:, 1:] + share * gap

    def _tokens(self, prediction: Prediction) -> Float[Tensor, "n p v"]:
        """Return a token for each player, from its entries, the features at its place, and all features."""
        features, _ = self.inputs(prediction)
        tokens = self.entries(self.players.cells(prediction.x)) + self.place
        read = [project(feature) for project, feature in zip(self.features, features, strict=True)]
        tokens = tokens + sum(feature for feature in read if feature.shape[1] == self.players.count)
        memory = torch.cat([placed(feature) for feature in read], 1)[:, None] if read else None
        tokens = tokens[:, None]
        for layer in self.layers:
            tokens = layer(tokens, memory)
        return self.tokens(tokens[:, 0])

    def _classes(self, prediction: Prediction) -> Float[Tensor, "k v"]:
        """Return the vector of each class or output."""
        if isinstance(self.classes, nn.Embedding):
            return self.classes.weight
        means = [feature.mean(1) for feature in self.inputs(prediction)[1]]
        described = torch.cat(means, 1) if means else self.players.cells(prediction.classes["x"]).flatten(1)
        return self.classes(described)


def designs(
    visible: Bool[Tensor, "n p"], samples: int, like: Tensor
) -> tuple[Float[Tensor, "n c p"], Float[Tensor, "n p c"]]:
    """Return about `samples` coalitions of each row's visible players, and the weights that give the Shapley values.

    A row with few visible players has fewer coalitions: all of them, with which the values are exact. It is padded with
    empty coalitions of weight 0. If `samples` is 0, there are no coalitions.
    """
    n, p = visible.shape
    order = visible.to(torch.uint8).argsort(dim=1, descending=True, stable=True)  # visible players come first
    count = visible.sum(1)
    plans = {d: kriging.design(d, samples) for d in set(count.tolist()) if d > 1 and samples}
    most = max((len(plan.masks) for plan in plans.values()), default=0)
    masks, weights = like.new_zeros(n, most, p), like.new_zeros(n, p, most)
    for d, plan in plans.items():
        rows, c = (count == d).nonzero()[:, 0], len(plan.masks)
        players = order[rows, :d]  # [m, d]
        masks[rows[:, None], :c, players] = plan.masks.T.to(like)
        weights[rows[:, None], players, :c] = plan.weights.to(like)
    return masks, weights


def _outcome(scores: Float[Tensor, "n c k"], copy: Copy) -> Float[Tensor, "n c k"]:
    return scores.softmax(-1) if copy.of_classes else scores
