"""Shapley values in one look, for any model and any players: a network predicts them and is trained on the game.

    e(S) = Σ_{j∈S} φ_j − ½·Σ_{i∈S, j∉S} q_ij
    loss = E_S Σ_c (v_c(S) − v_c(∅) − e_c(S))²

`v(S)` is the model's outcome if only the players S are visible, `e(S)` the network's estimate of its change. φ are the
Shapley values of the game `e`: an interaction q_ij shows only if one of the two players is visible and the other is
hidden, and belongs to both equally. The gap to v(all) − v(∅) is shared among the visible players, so the values add up
exactly. A missing player is in no coalition, and its value is exactly 0.

Without interactions (rank 0), the objective is that of FastSHAP (Jethani et al. 2022, eq. 6 and §3.3): the additive
game nearest to v, in the weights of KernelSHAP (Lundberg & Lee 2017, Theorem 2), has the Shapley values of v.
Coalitions come in pairs, a set and its complement. Then φ fits the difference of the two outcomes and q their sum. The
head of q does not train the rest of the network, so that it does not slow down the learning of φ.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ... import checks
from .doubt import Doubt, measured, spread, trust
from .explainer import Metrics, PlayerExplainer, Prediction, of_prediction
from .players import Players
from .tokens import Tokens


class ShapleyReasons(NamedTuple):
    """The Shapley values of `n` rows: `base + values.sum(1)` is the outcome that they explain."""

    values: Float[Tensor, "n p k"]
    base: Float[Tensor, "n k"]  # the outcome if no player is visible
    interactions: Float[Tensor, "n p p k"]  # of each two players; 0 if `rank` is 0
    trust: Float[Tensor, " n"]  # the expected R² of a row's values to the exact Shapley values, from 0 to 1


class AmortisedShapley(PlayerExplainer):
    """Predict the Shapley values of a model's outcome by one pass of a network; players are groups of a row's entries.

    The entries may be grouped in any way. The network reads the row, the outcome and the model features listed in the
    argument `reads`. `Joint` trains it on the model's outcomes for rows with hidden players. `explain` returns
    `ShapleyReasons`: `values` `[n, players, k]`, in the unit of the outcome (probability, or the predicted number),
    `base` `[n, k]` (the outcome if no player is visible), `interactions` `[n, players, players, k]`, and `trust` `[n]`
    (the expected R² of the row's values to the exact Shapley values, see `mapsto.explainers.learned.doubt`).

    Args:
        players: the players, such as `Columns(13)` or `Patches((1, 28, 28), 7)`.
        outputs: the number `k` of outcomes of the model. If None, the model must be a classifier, and tasks may have
            any number of classes: the network then also reads the class means of the support set.
        reads: the features to read, as `{name: channels}`. If None or empty, the network reads only the row and the
            outcome.
        coalitions: the number of random coalitions (sets of visible players) for each row in a training step; an even
            number from 4.
        rank: the largest rank of the predicted matrix of interactions, before its diagonal is set to 0. If 0, all
            interactions are 0.
        width: the number of channels of a token.
        depth: the number of attention layers.
        heads: the number of attention heads.
        slopes: the number of points between the baseline and the row at which the network reads the gradient of the
            outcome, see `PlayerExplainer.slopes`; if 0, it reads none. The values then start from integrated gradients.
            Each point costs one more prediction, and one gradient of each outcome; rows must hold real numbers.

    Raises:
        MapstoError: if a number is out of range (`depth`: 0 to 1000), `coalitions` is odd or below 4, or the baseline
            is NaN and `slopes` is not 0.
    """

    signs: Tensor

    def __init__(
        self,
        players: Players,
        outputs: int | None = None,
        reads: Mapping[str, int] | None = None,
        coalitions: int = 8,
        rank: int = 0,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        slopes: int = 0,
    ):
        super().__init__(players, outputs, reads)
        checks.count(width=width, heads=heads)
        checks.count(0, rank=rank, slopes=slopes)
        path = not (slopes and bool(players.baseline.isnan().any()))
        checks.expect(
            path, "baseline", "NaN", "numbers, because slopes lie between the baseline and a row", "set slopes=0"
        )
        checks.layers(0, depth=depth)
        in_pairs(4, coalitions=coalitions)
        checks.expect(players.count > 1, "players", players.count, "at least two")
        self.coalitions = coalitions
        self.tokens = Tokens(players, self.reads, outputs, width, depth, heads, slopes)
        self.first_order = nn.Parameter(torch.full((slopes,), 1 / slopes)) if slopes else None
        self.values, self.doubt = nn.Linear(width, outputs or 1), Doubt(width)
        self.factors = nn.Linear(width, (outputs or 1) * rank) if rank else None
        nn.init.normal_(self.values.weight, std=0.02)
        signs = 1 - 2.0 * (torch.arange(rank) % 2)
        self.register_buffer("signs", signs, persistent=False)

    def loss(
        self, prediction: Prediction, y: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss is the squared error of the predicted outcomes of random player coalitions.

        The errors are averaged over the coalitions and summed over the k outcomes. The loss of `Doubt`, which trains
        nothing but the trust, is added. The metric `unexplained` depends on
        the Shapley values alone. For the difference between the outcomes of a coalition and of its complement, the
        metric is the squared error divided by the squared difference.
        """
        visible = self.players.effective(prediction.x, self.references(prediction))
        masks = coalitions(visible, self.coalitions).to(prediction.outcome)
        outcome, base = self.sampled(prediction, masks)
        change = outcome - base  # [n, c, k]
        ends = self.nothing(prediction), self.everything(prediction)
        values, pairs, doubt = self.game(prediction, *ends, visible)
        error = change - played(values, pairs, masks, visible)
        gaps, changes = differences(error.detach()), differences(change.detach())
        doubts = self.doubt.loss(doubt, measured(gaps, masks.chunk(2, 1)[0], visible))
        numbers = {"unexplained": w @ gaps.square().sum((1, 2)) / (w @ changes.square().sum((1, 2))).clamp(min=1e-9)}
        return w @ (error.square().sum(-1).mean(1) + doubts), numbers

    @torch.no_grad()
    def explain(self, prediction: Prediction) -> ShapleyReasons:
        """Return the Shapley values of each row's outcome.

        This takes one pass of the network. It also asks the model about each row with all players visible, and about
        the rows of the baseline.
        """
        return self.trained()._reasons(prediction)

    def importance(self, prediction: Prediction) -> Float[Tensor, "n p"]:
        """Return the absolute Shapley values of the most probable class or, for numbers, of the first outcome."""
        return of_prediction(prediction, self._reasons(prediction).values).abs()

    def _reasons(self, prediction: Prediction) -> ShapleyReasons:
        visible = self.players.effective(prediction.x, self.references(prediction))
        base, full = self.nothing(prediction), self.everything(prediction)
        values, pairs, doubt = self.game(prediction, base, full, visible)
        return ShapleyReasons(values.mT, base, pairs.movedim(1, -1), trust(doubt, spread(values, visible)))

    def game(
        self, prediction: Prediction, base: Float[Tensor, "n k"], full: Float[Tensor, "n k"], visible: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the Shapley values φ `[n, k, p]`, the interactions q `[n, k, p, p]`, and the doubt `[n]`.

        There are p players and k outcomes. The doubt is the logarithm of the expected squared error of φ. The matrix q
        is symmetric. `base` is the outcome if no player is visible; `full` is the outcome if all players are visible.
        `visible` `[n, p]` is False for missing players.
        """
        k = base.shape[1]
        slopes = None if self.first_order is None else self.slopes(prediction, len(self.first_order))
        tokens = self.tokens(prediction, *self.inputs(prediction), slopes) * visible[:, None, :, None]
        values = self._by_outcome(self.values(tokens), k)[..., 0]  # [n, k, p]
        if slopes is not None and self.first_order is not None:
            values = values + slopes @ self.first_order
        if self.factors is None:
            pairs = values.new_zeros(*values.shape, values.shape[-1])
        else:
            factors = self._by_outcome(self.factors(tokens.detach()), k)
            pairs = (factors * self.signs) @ factors.mT
            pairs = pairs - pairs.diagonal(dim1=-2, dim2=-1).diag_embed()
        values = added_up(values.mT, visible, full - base).mT
        return values, pairs, self.doubt(tokens, spread(values, visible))

    def _by_outcome(self, terms: Float[Tensor, "n g p t"], k: int) -> Float[Tensor, "n k p r"]:
        """Return the terms of each outcome and player."""
        return terms if self.outputs is None else terms[:, 0].unflatten(-1, (k, -1)).movedim(-2, 1)


def added_up(
    values: Float[Tensor, "n p k"], visible: Bool[Tensor, "n p"], total: Float[Tensor, "n k"]
) -> Float[Tensor, "n p k"]:
    """Return values that are 0 for players that are not visible, and add up to `total`: the others share the gap."""
    values = values * visible[..., None]
    share = visible / visible.sum(-1, keepdim=True).clamp(min=1)
    return values + (total - values.sum(1))[:, None] * share[..., None]


def played(
    values: Float[Tensor, "n k p"], pairs: Float[Tensor, "n k p p"], masks: Float[Tensor, "n c p"], visible: Tensor
) -> Float[Tensor, "n c k"]:
    """Return the outcome of each coalition in a game with values φ and interactions q between `visible` players."""
    hidden = visible[:, None].to(masks.dtype) - masks
    cut = torch.einsum("ncp,nkpr,ncr->nck", masks, pairs, hidden)
    return torch.einsum("ncp,nkp->nck", masks, values) - cut / 2


def differences(outcome: Float[Tensor, "n c k"]) -> Float[Tensor, "n c2 k"]:
    """Return the difference between the outcomes of each coalition and its complement, see `coalitions`."""
    first, second = outcome.chunk(2, 1)
    return first - second


def in_pairs(least: int, **numbers: int) -> None:
    """Raise MapstoError unless the numbers of coalitions are even and at least `least`."""
    checks.count(least, **numbers)
    for name, number in numbers.items():
        checks.expect(number % 2 == 0, name, number, "an even number, because coalitions come in pairs")


def coalitions(visible: Tensor, count: int) -> Float[Tensor, "n c p"]:
    """Draw `count` coalitions of the visible players of each row, in pairs of a set and its complement.

    Their sizes 1 … d−1 have the probabilities of KernelSHAP, proportional to 1/(s·(d − s)); sets of equal size are
    equally likely.
    """
    n, p = visible.shape
    return paired(visible, *(torch.rand(n, count // 2, m, device=visible.device) for m in (1, p)))


def paired(
    visible: Bool[Tensor, "n p"], sizes: Float[Tensor, "m h 1"], keys: Float[Tensor, "m h p"]
) -> Float[Tensor, "n c p"]:
    """Return h pairs of a coalition and its complement for each row, given random numbers from 0 to 1.

    The first number decides the size of the coalition; its players are those with the smallest keys. If m is 1, all
    rows have the same random numbers.
    """
    p = visible.shape[1]
    d = visible.sum(1)[:, None].to(keys)  # [n, 1]
    size = torch.arange(1, p, device=visible.device)
    chance = torch.where(size < d, 1 / (size * (d - size)).clamp(min=1), 0.0)
    edges = chance.cumsum(1) / chance.sum(1, keepdim=True).clamp(min=1e-9)
    count = 1 + (sizes > edges[:, None]).sum(-1, keepdim=True)
    hidden = ~visible[:, None]
    chosen = (torch.where(hidden, 2.0, keys).argsort(-1).argsort(-1) < count) & ~hidden
    return torch.cat([chosen, ~chosen & ~hidden], 1).to(torch.get_default_dtype())
