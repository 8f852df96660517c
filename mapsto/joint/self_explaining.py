"""A learner and an explainer of its predictions, trained together.

    loss = ℓ(y, v(V)) + ℓ(y, v(S)) + λ · Σ_c (v_c(S) − g_c(S))²

`v(S)` is the learner's prediction for a query row of which only the columns S are visible: the probability of each
class c, or one number. V is the set of all columns that are not missing. `g(S)` is the explainer's estimate of `v(S)`,
computed from the forward pass on the full row.

The first two terms train `v(S)` to predict from any set of visible columns, so that an explanation cannot encode the
answer in the choice of columns (as in REAL-X, Jethani et al. 2021). The third term trains the explainer. For classes, ℓ
is the cross-entropy. For numbers, ℓ is the squared error plus the pinball loss of the predicted quantiles, in standard
deviations of the support set's targets.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils import _pytree as pytree

from .. import checks
from ..adaptation.learner import Learner, Metrics
from ..adaptation.outcomes import Moments, moments
from ..attention import fused
from ..episodes import Episode, Examples, State
from ..errors import MapstoError
from ..explainers.coalitions import Design, design
from ..explainers.learned.attribution import PairwiseAttribution, PairwiseGame
from ..explainers.learned.value_errors import ValueErrors, Values
from ..learners.in_context import LEVELS, InContext, Reading
from .looks import looked

_FAR = 8.0  # targets are clamped to this many standard deviations from the mean
_UNIT = 0.2  # weight of the third term for numbers: they vary more than probabilities


class Reasons(NamedTuple):
    """Shapley values, the prediction for a row of missing cells, and the root of the expected squared errors.

    They are in probability or, if numbers are predicted, in the unit of these numbers. The errors are None if they are
    unknown.
    """

    values: Float[Tensor, "n d k"]
    base: Float[Tensor, "n k"]
    errors: Float[Tensor, "n d k"] | None


class SelfExplaining(Learner):
    """A learner for tables that returns its predictions and their Shapley values from one forward pass.

    Args:
        learner: the learner that predicts.
        explainer: a network that estimates, from the learner's tokens, the prediction for every set of visible columns
            (a game).
        weight: the weight λ of the explainer's squared error in the loss.
        candour: the fraction of the gradient of the explainer's squared error that also flows into the learner's
            predictions `v`, so that the learner becomes easier to explain.
        doubt: a network that predicts the errors of the Shapley values; `joint.Doubting` trains it. If None, the errors
            are unknown.
    """

    def __init__(
        self,
        learner: InContext,
        explainer: PairwiseAttribution,
        weight: float = 20.0,
        candour: float = 0.0,
        doubt: ValueErrors | None = None,
    ):
        super().__init__()
        self.learner, self.explainer, self.weight, self.candour = learner, explainer, weight, candour
        self.doubt = doubt
        self.criterion = learner.criterion

    @property
    def ways(self) -> int:
        """The number of classes; 1 if numbers are predicted."""
        return self.learner.ways

    def adapt(self, support: Examples) -> State:
        """Return the learner's state for a support set; see `InContext.adapt`."""
        return self.learner.adapt(support)

    def predict(self, state: State, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return log-probabilities of classes, or predicted numbers; see `InContext.predict`."""
        return self.learner.predict(state, x)

    def explain(self, state: State, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d k"], Float[Tensor, "n k"]]:
        """Return the Shapley value of each column of each row, and the prediction for a row of missing cells.

        The results, `values` and `base`, are probabilities or, if numbers are predicted, in the unit of these numbers.
        Up to rounding, `values.sum(1) + base` is the predicted probability or number. For classes, the values of a
        column sum to 0 over the classes.
        """
        reasons = self.reasons(state, x)
        return reasons.values, reasons.base

    def reasons(self, state: State, x: Float[Tensor, "n d"], looks: int = 0) -> Reasons:
        """Return the result of `explain`, with the expected error of each Shapley value.

        If `looks` is above 0, the model is asked about so many coalitions of each row, which makes the values more
        exact; see `joint.looks`.

        Raises:
            MapstoError: if `looks` is above 0 and there is no network `doubt`, or so few looks do not determine values.
        """
        of, doubt, game = self.in_tasks(state, x[None])
        base = state.outcome.value(torch.zeros_like(of.base)).mean(1)  # no evidence
        values, errors = of.values[0].mean(0), None if doubt is None else (doubt[0] / 2).exp()
        if looks and x.shape[1] > 1:  # the value of a single column is exact
            remedy = "build the mapping with doubt=ValueErrors(width)"
            checks.expect(errors is not None, "looks", looks, "0, because the errors are unknown", remedy)
            assert errors is not None
            values, errors = looked(self, state, x, game, values, errors, looks)
        unit = state.outcome.unit
        return Reasons(values * unit, base.expand(x.shape[0], -1), None if errors is None else errors * unit)

    def in_tasks(
        self, reading: Reading, x: Float[Tensor, "t m d"]
    ) -> tuple[Values, Float[Tensor, "t m d k"] | None, PairwiseGame]:
        """Return the Shapley values of `m` rows of `t` tasks, the logarithm of their squared errors, and their game.

        Values and errors are in probability, or in standard deviations of the support set's targets. The errors are
        None if they are unknown.
        """
        tokens, seen = self.learner.look(reading, x), torch.isfinite(x)
        masks, weights = self.design(x)
        game = self.game(reading, tokens, seen)
        v = self.play(reading, game, masks)  # [t, e, m, c, k]
        values = torch.einsum("jc,temck->temjk", weights, v) * seen[:, None, ..., None]
        evidence, outcome = self.learner.evidence(reading, tokens), reading.outcome
        ends = (evidence, evidence.new_zeros(*evidence.shape[:2], evidence.shape[-1]))
        full, base = ends if isinstance(outcome, Moments) else (outcome.value(end) for end in ends)
        rows = reading.log_weight.isfinite().sum(-1).view(len(x), -1)[:, 0].clamp(min=1)
        assert game.gap is not None
        pairs, gap = (outcome.named(part) for part in (game.pairs.abs().sum(-1).movedim(3, -1), game.gap))
        of = Values(values / outcome.unit.view(-1, 1, 1, 1, 1), full, base, pairs, gap, seen.to(x), rows.to(x))
        return of, None if self.doubt is None else self.doubt(tokens, of), game

    def design(self, x: Float[Tensor, "t m d"]) -> Design:
        """Return the coalitions of the `d` columns that the game is asked about, and the weights of their outcomes."""
        return Design(*(part.to(x) for part in design(x.shape[2], dtype=x.dtype)))

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the joint loss of one task and its metrics; see `batch_loss`."""
        return self.batch_loss(pytree.tree_map_only(Tensor, lambda leaf: leaf[None], episode))

    def batch_loss(self, episodes: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean joint loss of `t` tasks and its metrics.

        The columns to hide are drawn from `episodes.noise`, `[t, m, d + 1]` in [0, 1), for `m` query rows and `d`
        columns. The number of classes comes from the support set's labels, so one training run may mix tasks with two
        classes, with ten, and with numbers.

        Raises:
            MapstoError: if `episodes.noise` is None.
        """
        noise = episodes.noise
        if noise is None:
            raise MapstoError("noise: got None, expected noise from which hidden columns are drawn; use tasks.Tables.")
        if numeric := episodes.support.y.is_floating_point():
            episodes = standard(episodes)
        query = episodes.query
        seen = torch.isfinite(query.x)
        part = _part(noise) & seen
        rows = torch.stack([seen, part, seen & ~part], 1)  # [t, 3, m, d]: all, some, the others
        with fused():
            reading = self.read(episodes)
            tokens = self.learner.look(reading, torch.where(rows, query.x[:, None], torch.nan).flatten(1, 2))
        evidence = self.learner.evidence(reading, tokens).unflatten(2, (3, -1))  # [t, e, 3, m, k]
        prediction_loss = self._loss_of_numbers if numeric else self._loss_of_classes
        own, v, metrics = prediction_loss(reading, tokens, evidence, query)
        m = query.x.shape[1]
        masks = rows[:, 1:].transpose(1, 2).to(query.x.dtype)  # [t, m, 2, d]
        g = self.play(reading, self.game(reading, tokens[:, :, :m], seen), masks[:, None])  # [t, e, m, 2, k]
        v = v[:, :, 1:].transpose(2, 3)
        v = v.detach() + self.candour * (v - v.detach())
        untrue, moved = ((g - u).square().sum(-1).mean() for u in (v, v.mean(3, keepdim=True).detach()))
        loss = own + self.weight * (_UNIT if numeric else 1.0) * untrue
        return loss, {
            "loss": loss.detach(), **metrics, "untrue": untrue.detach(),
            "untrue_share": (untrue / moved.clamp(min=1e-9)).detach(),
        }  # fmt: skip

    def read(self, episodes: Episode) -> Reading:
        """Return the learner's reading of the support sets, with the codes of the classes drawn from the noise."""
        support, noise = episodes.support, episodes.noise
        if support.y.is_floating_point():
            return self.learner.read(support, 1)
        ways = max(2, int(support.y.max()) + 1)
        assert noise is not None
        return self.learner.read(support, ways, _codes(noise[:, 0, 0], ways, self.learner.members))

    def _loss_of_numbers(
        self, reading: Reading, tokens: Tensor, evidence: Tensor, query: Examples
    ) -> tuple[Tensor, Tensor, Metrics]:
        """Return the learner's own loss, its predictions in the unit of attributions `[t, e, 3, m, 1]`, and metrics."""
        y, weight = query.y[..., 0][:, None, None], query.w[:, None, None]  # [t, 1, 1, m]
        error = ((evidence[..., 0] - y).square() * weight).sum(-1).mean((0, 1))  # [3]
        quantiles = self.learner.quantile_evidence(reading, tokens).unflatten(2, (3, -1))
        pinball = (_pinball(quantiles, y[..., None]) * weight).sum(-1).mean((0, 1))
        own = error[0] + error[1:].mean() + pinball[0] + pinball[1:].mean()
        metrics = {"squared_error": error[0].detach(), "pinball": pinball[0].detach()}
        return own, reading.outcome.value(evidence), metrics

    def _loss_of_classes(
        self, reading: Reading, tokens: Tensor, evidence: Tensor, query: Examples
    ) -> tuple[Tensor, Tensor, Metrics]:
        """Return the learner's own loss, its probabilities `[t, e, 3, m, k]`, and metrics."""
        y, weight = query.y[:, None, None], query.w[:, None, None]  # [t, 1, 1, m]
        answer, ways = reading.outcome.answer(evidence), evidence.shape[-1]
        surprise = -answer.gather(-1, y.clamp(max=ways - 1).expand(*answer.shape[:-1])[..., None])[..., 0]
        surprise = torch.where(y < ways, surprise, torch.inf)  # a class without a support example has probability 0
        surprise = (torch.where(weight > 0, surprise, 0.0) * weight).sum(-1).mean((0, 1))  # [3]
        right = (answer[:, 0, 0].argmax(-1) == query.y).to(answer.dtype)
        metrics = {
            "cross_entropy": surprise[0].detach(), "cross_entropy_part": surprise[1:].mean().detach(),
            "accuracy": (right * query.w).sum(-1).mean(),
        }  # fmt: skip
        return surprise[0] + surprise[1:].mean(), answer.exp(), metrics

    def game(self, reading: Reading, tokens: Tensor, seen: Tensor) -> PairwiseGame:
        """Return the explainer's games, in the order of the codes of each reading: `[t, e, m, k, …]`."""
        full = self.learner.raw_evidence(reading, tokens)  # [t, e, m, k]
        visible = seen[:, None].to(full.dtype).expand(*full.shape[:-1], -1)
        return self.explainer(tokens, visible, full, reading.outcome.outputs)

    @staticmethod
    def play(reading: Reading, game: PairwiseGame, masks: Tensor) -> Float[Tensor, "t e m c k"]:
        """Return the explainer's estimate of the prediction for each mask, in the unit of attributions."""
        evidence = game(masks[..., None, :, :]).movedim(-2, -1)  # [t, e, m, c, k]
        return reading.outcome.value(reading.outcome.named(evidence))


def standard(episodes: Episode) -> Episode:
    """Scale the numbers of each task to mean 0 and standard deviation 1 over its support set, and clamp them."""
    outcome = moments(episodes.support.y, episodes.support.w, 1)
    mean, spread = outcome.mean[:, None, None], outcome.spread.where(outcome.spread > 0, 1.0)[:, None, None]
    support, query = (
        rows._replace(y=((rows.y - mean) / spread).clamp(-_FAR, _FAR)) for rows in (episodes.support, episodes.query)
    )
    return episodes._replace(support=support, query=query)


def _part(noise: Float[Tensor, "t m d1"]) -> Tensor:
    """Draw the visible columns of each row from `noise`: first their number, uniform in 1 … d−1, then the columns."""
    d = noise.shape[-1] - 1
    size = 1 + (noise[..., d:] * max(d - 1, 1)).long()
    return noise[..., :d].argsort(-1).argsort(-1) < size


def _codes(noise: Float[Tensor, " t"], ways: int, members: int) -> Int[Tensor, "t e k"]:
    """Draw a code for each class from one number in [0, 1) per task, by the fractional parts of its multiples."""
    multiples = 97.0 * torch.arange(1, members * ways + 1, device=noise.device).view(members, ways).square()
    return (noise.double()[:, None, None] * multiples % 1).argsort(-1)


def _pinball(quantiles: Float[Tensor, "... q"], y: Float[Tensor, "... 1"]) -> Float[Tensor, "..."]:
    """Return the mean over `LEVELS` τ of max(τ(y − q), (τ − 1)(y − q)); see Koenker and Bassett 1978."""
    over = y - quantiles
    levels = torch.tensor(LEVELS, dtype=over.dtype, device=over.device)
    return torch.maximum(levels * over, (levels - 1) * over).mean(-1)
