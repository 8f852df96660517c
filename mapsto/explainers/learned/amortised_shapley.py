"""Shapley values in one look, for any model and any players: a network predicts the game, not the values.

    e(S) = Σ_{j∈S} a_j + Σ_{i<j∈S} q_ij,      φ_j = a_j + ½·Σ_i q_ij
    loss = E_S Σ_c (v_c(S) − v_c(∅) − e_c(S))²

`v(S)` is the model's outcome if only the players S are visible, `e(S)` the network's estimate of its change. The game
`e` is exact if nothing or everything is visible, so the values φ add up to v(all) − v(∅) exactly. A missing player is
in no coalition, and its value is exactly 0.

The objective is that of FastSHAP (Jethani et al. 2022, eq. 6 and §3.3), whose network predicts the values instead of a
game; if `rank` is 0, the game has no pairs, and the two are the same. Coalitions come in pairs, a set and its
complement, and their sizes have the weights of KernelSHAP (Lundberg & Lee 2017, Theorem 2).
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ... import checks
from .explainer import LearnedExplainer, Metrics, Prediction
from .players import Players
from .tokens import Tokens


class ShapleyReasons(NamedTuple):
    """The Shapley values of `n` rows: `base + values.sum(1)` is the outcome that they explain."""

    values: Float[Tensor, "n p k"]
    base: Float[Tensor, "n k"]  # the outcome if no player is visible


class AmortisedShapley(LearnedExplainer):
    """Predict the Shapley values of a model's outcome in one pass, for any players.

    The network reads the row, the outcome and the named features of the model. It is trained by `Joint`, which asks the
    model about rows with hidden players. `explain` returns `ShapleyReasons`: `values` `[n, players, k]`, in the unit of
    the outcome (probability, or the predicted number), and `base` `[n, k]`.

    Args:
        players: the players, such as `Columns(13)` or `Patches((1, 28, 28), 7)`.
        outputs: the number `k` of outcomes of the model. If None, the network reads the means of the support set's
            classes and gives each class its values, for tasks with any number of classes.
        reads: the features to read, as `{name: channels}`; if empty, the network reads the row and the outcome only.
        coalitions: the number of coalitions per row in a training step; an even number.
        rank: the number of factors of the pairwise terms q; 0 for a game without pairs.
        width: the number of channels of a token.
        depth: the number of attention layers.
        heads: the number of attention heads.

    Raises:
        MapstoError: if a number is out of range, or `coalitions` is odd.
    """

    def __init__(
        self,
        players: Players,
        outputs: int | None = None,
        reads: Mapping[str, int] | None = None,
        coalitions: int = 8,
        rank: int = 8,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
    ):
        super().__init__(reads)
        checks.count(coalitions=coalitions, width=width, heads=heads)
        checks.count(0, rank=rank, depth=depth)
        checks.expect(coalitions % 2 == 0, "coalitions", coalitions, "an even number, because they come in pairs")
        checks.expect(players.count > 1, "players", players.count, "at least two")
        self.players, self.outputs, self.coalitions, self.by_class = players, outputs, coalitions, outputs is None
        self.tokens = Tokens(players, self.reads, outputs, width, depth, heads)
        self.head = nn.Linear(width, (outputs or 1) * (1 + rank))
        nn.init.normal_(self.head.weight, std=0.02)
        signs = 1 - 2.0 * (torch.arange(rank) % 2)
        self.register_buffer("signs", signs, persistent=False)

    def loss(
        self, prediction: Prediction, y: Shaped[Tensor, "n ..."], w: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the squared error of the game over random coalitions, summed over the outcomes.

        The metric `unexplained` is the error as a fraction of the squared changes of the outcome.
        """
        visible = self.players.visible(prediction.x)
        masks = coalitions(visible, self.coalitions).to(prediction.outcome)
        nothing = torch.zeros_like(masks[:, :1])
        shown = self.players.show(prediction.x, torch.cat([nothing, masks], 1))  # [n, 1 + c, ...]
        outcome = prediction.ask(shown.flatten(0, 1)).unflatten(0, shown.shape[:2])
        change = outcome[:, 1:] - outcome[:, :1]  # [n, c, k]
        singles, pairs = self.game(prediction, outcome[:, 0], visible)
        error = (change - played(singles, pairs, masks)).square().sum(-1).mean(-1)  # [n]
        moved = change.detach().square().sum(-1).mean(-1)
        loss = w @ error
        return loss, {"unexplained": (loss / (w @ moved).clamp(min=1e-9)).detach()}

    @torch.no_grad()
    def explain(self, prediction: Prediction) -> ShapleyReasons:
        """Return the Shapley values of each row's outcome, from one pass of the network and one look at hidden rows."""
        visible = self.players.visible(prediction.x)
        nothing = self.players.show(prediction.x, torch.zeros_like(visible[:, None], dtype=torch.float))[:, 0]
        base = prediction.ask(nothing)
        singles, pairs = self.trained().game(prediction, base, visible)
        return ShapleyReasons((singles + pairs.sum(-1) / 2).mT, base)

    def game(self, prediction: Prediction, base: Float[Tensor, "n k"], visible: Tensor) -> tuple[Tensor, Tensor]:
        """Return the terms a `[n, k, p]` and q `[n, k, p, p]` of each row's game; q is symmetric, with diagonal 0."""
        k = base.shape[1]
        fits = self.outputs in (None, k)
        checks.expect(fits, "outputs", self.outputs, f"{k}, the outcomes of the model")
        features = list(self.read(prediction.features).values())
        means = list(self.read(prediction.classes).values()) if self.by_class else []
        terms = self.head(self.tokens(prediction, features, means)) * visible[:, None, :, None].to(base.dtype)
        if self.outputs is not None:
            terms = terms[:, 0].unflatten(-1, (k, -1)).movedim(-2, 1)
        singles, factors = terms[..., 0], terms[..., 1:]  # [n, k, p], [n, k, p, r]
        pairs = (factors * self.signs) @ factors.mT
        pairs = pairs - pairs.diagonal(dim1=-2, dim2=-1).diag_embed()
        missing = prediction.outcome - base - singles.sum(-1) - pairs.sum((-2, -1)) / 2  # [n, k]
        share = visible / visible.sum(-1, keepdim=True).clamp(min=1)
        return singles + missing[..., None] * share[:, None], pairs


def played(singles: Tensor, pairs: Tensor, masks: Float[Tensor, "n c p"]) -> Float[Tensor, "n c k"]:
    """Return the outcome of each coalition in a game with terms a `[n, k, p]` and q `[n, k, p, p]`."""
    return torch.einsum("ncp,nkp->nck", masks, singles) + torch.einsum("ncp,nkpr,ncr->nck", masks, pairs, masks) / 2


def coalitions(visible: Tensor, count: int) -> Float[Tensor, "n c p"]:
    """Draw `count` coalitions of the visible players of each row, in pairs of a set and its complement.

    Their sizes 1 … d−1 have the probabilities of KernelSHAP, proportional to 1/(s·(d − s)); sets of equal size are
    equally likely.
    """
    n, p = visible.shape
    d = visible.sum(1)[:, None].to(torch.get_default_dtype())  # [n, 1]
    sizes = torch.arange(1, p, device=visible.device)
    chance = torch.where(sizes < d, 1 / (sizes * (d - sizes)).clamp(min=1), 0.0)
    edges = chance.cumsum(1) / chance.sum(1, keepdim=True).clamp(min=1e-9)
    half = torch.rand(n, count // 2, 1, device=visible.device)
    size = 1 + (half > edges[:, None]).sum(-1, keepdim=True)
    keys = torch.rand(n, count // 2, p, device=visible.device).masked_fill(~visible[:, None], 2.0)
    chosen = (keys.argsort(-1).argsort(-1) < size) & visible[:, None]
    return torch.cat([chosen, ~chosen & visible[:, None]], 1).to(torch.get_default_dtype())
