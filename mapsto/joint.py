"""A learner and its explainer trained as one.

    loss = ℓ(y, v(V)) + ℓ(y, v(S)) + λ · Σ_c (v_c(S) − g_c(S))²

`v(S)` is the learner's probability (or number) with the columns S of a query visible, `g(S)` the explainer's game for
that query read off the same forward pass. The first two terms make every `v(S)` an honest conditional prediction (the
remedy of REAL-X, Jethani et al. 2021, for explanations that encode the answer in the mask), the third makes the reasons
true. ℓ is the cross-entropy of classes; of numbers, in standard deviations of the support's, it is the squared error,
and the pinball loss of the quantiles is added.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils import _pytree as pytree

from .adaptation.learner import Learner, Metrics
from .adaptation.outcomes import moments
from .attention import fused
from .episodes import Episode, Examples, State
from .errors import MapstoError
from .explainers.coalitions import design
from .explainers.learned.attribution import PairwiseAttribution
from .learners.in_context import LEVELS, InContext, Reading

_FAR = 8.0  # no number counts as further from the mean than this, in standard deviations
_UNIT = 0.2  # what a squared error of numbers weighs beside one of probabilities: they vary so much more


class SelfExplaining(Learner):
    """(D, x) ↦ (scores, attributions) in one forward pass.

    Args:
        learner: answers.
        explainer: reads, from the learner's tokens, the game that the answer comes from.
        weight: λ, how much true reasons count.
        candour: how much of the third term's gradient also reaches `v`: the model is made more explainable.
    """

    def __init__(self, learner: InContext, explainer: PairwiseAttribution, weight: float = 20.0, candour: float = 0.0):
        super().__init__()
        self.learner, self.explainer, self.weight, self.candour = learner, explainer, weight, candour
        self.loss_name = learner.loss_name

    @property
    def ways(self) -> int:
        """How many classes the learner tells apart; 1 for numbers."""
        return self.learner.ways

    def adapt(self, support: Examples) -> State:
        """Read the support; see `InContext.adapt`."""
        return self.learner.adapt(support)

    def predict(self, state: State, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return log-probabilities, or numbers; see `InContext.predict`."""
        return self.learner.predict(state, x)

    def explain(self, state: State, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d k"], Float[Tensor, "n k"]]:
        """Return Shapley values, in probability or in the unit of the numbers, and the answer to an empty row.

        `values.sum(1) + base` is what `predict` gives, up to rounding; values of classes sum to 0 over the classes.
        """
        tokens, seen = self.learner.look(state, x[None]), torch.isfinite(x)
        masks, weights = (part.to(x) for part in design(x.shape[1], dtype=x.dtype))
        v = self._play(state, tokens, seen[None], masks)  # [1, e, n, c, k]
        values = torch.einsum("jc,enck->enjk", weights, v[0]).mean(0) * seen[..., None]
        nothing = v.new_zeros(1, v.shape[1], v.shape[-1])  # evidence, [1, e, k]
        return values, state.outcome.value(nothing).mean(1).expand(len(x), -1)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the joint loss of one task; see `batch_loss`."""
        return self.batch_loss(pytree.tree_map_only(Tensor, lambda leaf: leaf[None], episode))

    def batch_loss(self, episodes: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean joint loss of `t` tasks, whose `noise` `[t, m, d + 1]` in [0, 1) says what to hide.

        The number of classes is read off the support's labels, so that one training may hold tasks of two and of ten,
        and of numbers.
        """
        noise = episodes.noise
        if noise is None:
            raise MapstoError("noise: got None, expected numbers that say what to hide; train on tasks.Tables.")
        if numeric := episodes.support.y.is_floating_point():
            episodes = _standard(episodes)
        query = episodes.query
        seen = torch.isfinite(query.x)
        part = _part(noise) & seen
        rows = torch.stack([seen, part, seen & ~part], 1)  # [t, 3, m, d]: all, some, the others
        with fused():
            reading = self._read(episodes)
            tokens = self.learner.look(reading, torch.where(rows, query.x[:, None], torch.nan).flatten(1, 2))
        evidence = self.learner.evidence(reading, tokens).unflatten(2, (3, -1))  # [t, e, 3, m, k]
        judge = self._judge_numbers if numeric else self._judge_classes
        own, v, metrics = judge(reading, tokens, evidence, query)
        m = query.x.shape[1]
        masks = rows[:, 1:].transpose(1, 2).to(query.x.dtype)  # [t, m, 2, d]
        g = self._play(reading, tokens[:, :, :m], seen, masks[:, None])  # [t, e, m, 2, k]
        v = v[:, :, 1:].transpose(2, 3)
        v = v.detach() + self.candour * (v - v.detach())
        untrue, moved = ((g - u).square().sum(-1).mean() for u in (v, v.mean(3, keepdim=True).detach()))
        loss = own + self.weight * (_UNIT if numeric else 1.0) * untrue
        return loss, {
            "loss": loss.detach(), **metrics, "untrue": untrue.detach(),
            "untrue_share": (untrue / moved.clamp(min=1e-9)).detach(),
        }  # fmt: skip

    def _read(self, episodes: Episode) -> Reading:
        """Read the support, its classes called by codes that the noise draws."""
        support, noise = episodes.support, episodes.noise
        if support.y.is_floating_point():
            return self.learner.read(support, 1)
        ways = max(2, int(support.y.max()) + 1)
        assert noise is not None
        return self.learner.read(support, ways, _codes(noise[:, 0, 0], ways, self.learner.members))

    def _judge_numbers(
        self, reading: Reading, tokens: Tensor, evidence: Tensor, query: Examples
    ) -> tuple[Tensor, Tensor, Metrics]:
        """Return the learner's own loss, its answers in the unit of the reasons `[t, e, 3, m, 1]`, and metrics."""
        y, weight = query.y[..., 0][:, None, None], query.w[:, None, None]  # [t, 1, 1, m]
        error = ((evidence[..., 0] - y).square() * weight).sum(-1).mean((0, 1))  # [3]
        quantiles = self.learner.quantile_evidence(reading, tokens).unflatten(2, (3, -1))
        pinball = (_pinball(quantiles, y[..., None]) * weight).sum(-1).mean((0, 1))
        own = error[0] + error[1:].mean() + pinball[0] + pinball[1:].mean()
        metrics = {"squared_error": error[0].detach(), "pinball": pinball[0].detach()}
        return own, reading.outcome.value(evidence), metrics

    def _judge_classes(
        self, reading: Reading, tokens: Tensor, evidence: Tensor, query: Examples
    ) -> tuple[Tensor, Tensor, Metrics]:
        """Return the same of classes, `[t, e, 3, m, k]`."""
        y, weight = query.y[:, None, None], query.w[:, None, None]  # [t, 1, 1, m]
        answer, ways = reading.outcome.answer(evidence), evidence.shape[-1]
        surprise = -answer.gather(-1, y.clamp(max=ways - 1).expand(*answer.shape[:-1])[..., None])[..., 0]
        surprise = torch.where(y < ways, surprise, torch.inf)  # nothing is known of a class that nobody taught
        surprise = (torch.where(weight > 0, surprise, 0.0) * weight).sum(-1).mean((0, 1))  # [3]
        right = (answer[:, 0, 0].argmax(-1) == query.y).to(answer.dtype)
        metrics = {
            "cross_entropy": surprise[0].detach(), "cross_entropy_part": surprise[1:].mean().detach(),
            "accuracy": (right * query.w).sum(-1).mean(),
        }  # fmt: skip
        return surprise[0] + surprise[1:].mean(), answer.exp(), metrics

    def _play(self, reading: Reading, tokens: Tensor, seen: Tensor, masks: Tensor) -> Float[Tensor, "t e m c k"]:
        """Play each row's game, in the unit of reasons."""
        full = self.learner.raw_evidence(reading, tokens)  # [t, e, m, k]
        visible = seen[:, None].to(full.dtype).expand(*full.shape[:-1], -1)
        game = self.explainer(tokens, visible, full, reading.outcome.outputs)
        evidence = game(masks[..., None, :, :]).movedim(-2, -1)  # [t, e, m, c, k]
        return reading.outcome.value(reading.outcome.named(evidence))


def _standard(episodes: Episode) -> Episode:
    """Bring the numbers of each task to mean 0 and deviation 1 over its support."""
    outcome = moments(episodes.support.y, episodes.support.w, 1)
    mean, spread = outcome.mean[:, None, None], outcome.spread.where(outcome.spread > 0, 1.0)[:, None, None]
    support, query = (
        rows._replace(y=((rows.y - mean) / spread).clamp(-_FAR, _FAR)) for rows in (episodes.support, episodes.query)
    )
    return episodes._replace(support=support, query=query)


def _part(noise: Float[Tensor, "t m d1"]) -> Tensor:
    """Draw a coalition from `noise`: all sizes 1 … d−1 alike, then all coalitions of that size alike."""
    d = noise.shape[-1] - 1
    size = 1 + (noise[..., d:] * max(d - 1, 1)).long()
    return noise[..., :d].argsort(-1).argsort(-1) < size


def _codes(noise: Float[Tensor, " t"], ways: int, members: int) -> Int[Tensor, "t e k"]:
    """Draw a code for each class from one number in [0, 1) a task, by the digits behind those of its multiples."""
    multiples = 97.0 * torch.arange(1, members * ways + 1, device=noise.device).view(members, ways).square()
    return (noise.double()[:, None, None] * multiples % 1).argsort(-1)


def _pinball(quantiles: Float[Tensor, "... q"], y: Float[Tensor, "... 1"]) -> Float[Tensor, "..."]:
    """Return the mean over `LEVELS` τ of max(τ(y − q), (τ − 1)(y − q)), Koenker and Bassett 1978."""
    over = y - quantiles
    levels = torch.tensor(LEVELS, dtype=over.dtype, device=over.device)
    return torch.maximum(levels * over, (levels - 1) * over).mean(-1)
