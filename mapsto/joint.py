"""A learner and its explainer trained as one.

    loss = CE(y, v(V)) + CE(y, v(S)) + λ · Σ_c (v_c(S) − g_c(S))²

`v(S)` is the learner's probability with the columns S of a query visible, `g(S)` the explainer's game for that query
read off the same forward pass. The first two terms make every `v(S)` an honest conditional prediction (the remedy of
REAL-X, Jethani et al. 2021, for explanations that encode the answer in the mask), the third makes the reasons true.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree as pytree

from .episodes import Episode, Examples, State
from .errors import MapstoError
from .explainers.coalitions import design
from .explainers.learned.attribution import LogOddsGame, PairwiseAttribution
from .learners.in_context import IDENTITIES, InContext, Reading
from .learners.learner import Learner, Metrics


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

    def adapt(self, support: Examples) -> State:
        """Read the support, and what is predicted of a row with every column absent."""
        state = self.learner.adapt(support)
        return state, self._empty(state)

    def predict(self, state: State, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Return log-probabilities `[n, k]`; see `InContext.predict`."""
        return self.learner.predict(state[0], x)

    def explain(self, state: State, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d k"], Float[Tensor, "n k"]]:
        """Return Shapley values in probability, and the probability with every column absent.

        `values.sum(1) + base` are the probabilities that `predict` gives, up to rounding; values sum to 0 over classes.
        """
        reading, empty = state
        tokens = self.learner.look(reading, x[None])
        game = self._game(tokens, torch.isfinite(x)[None], empty)
        masks, weights = (part.to(x) for part in design(x.shape[1], dtype=x.dtype))
        probability = self._probability(game, masks, reading)  # [1, e, n, c, k]
        values = torch.einsum("jc,enck->enjk", weights, probability[0]).mean(0) * torch.isfinite(x)[..., None]
        base = self.learner.log_probability(empty, reading.known).exp().mean(1)[0]  # [1, k]
        return values, base.expand(len(x), -1)

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the joint loss of one task; see `batch_loss`."""
        return self.batch_loss(pytree.tree_map_only(Tensor, lambda leaf: leaf[None], episode))

    def batch_loss(self, episodes: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean joint loss of `t` tasks, whose `noise` `[t, m, d + 1]` in [0, 1) says what to hide.

        The number of classes is read off the support's labels, so that one training may hold tasks of two and of ten.
        """
        query, noise = episodes.query, episodes.noise
        if noise is None:
            raise MapstoError("noise: got None, expected numbers that say what to hide; train on tasks.Tables.")
        ways = max(2, int(episodes.support.y.max()) + 1)
        reading = self.learner.read(episodes.support, (noise[:, 0, 0] * IDENTITIES).long(), ways)
        seen = torch.isfinite(query.x)
        part = _part(noise) & seen
        rows = torch.stack([seen, part, seen & ~part], 1)  # [t, 3, m, d]: all, some, the others
        x = torch.where(rows, query.x[:, None], torch.nan).flatten(1, 2)
        tokens = self.learner.look(reading, x)
        log_odds = self.learner.log_odds(tokens)  # [t, e, 3m, s]
        log_v = self.learner.log_probability(log_odds, reading.known).unflatten(2, (3, -1))  # [t, e, 3, m, k]
        y, weight = query.y[:, None, None], query.w[:, None, None]  # [t, 1, 1, m]
        surprise = -log_v.gather(-1, y.clamp(max=ways - 1).expand(*log_v.shape[:-1])[..., None])[..., 0]
        surprise = torch.where(y < ways, surprise, torch.inf)  # nothing is known of a class that nobody taught
        surprise = (torch.where(weight > 0, surprise, 0.0) * weight).sum(-1).mean((0, 1))  # [3]
        m = query.x.shape[1]
        game = self._game(tokens[:, :, :, :m], seen, self._empty(reading))
        masks = rows[:, 1:].transpose(1, 2).to(x.dtype)  # [t, m, 2, d]
        g = self._probability(game, masks[:, None], reading)  # [t, e, m, 2, k]
        v = log_v[:, :, 1:].transpose(2, 3).exp()
        v = v.detach() + self.candour * (v - v.detach())
        untrue = (g - v).square().sum(-1).mean()
        loss = surprise[0] + surprise[1:].mean() + self.weight * untrue
        right = (log_v[:, 0, 0].argmax(-1) == query.y).to(x.dtype)
        moved = (v - v.mean(3, keepdim=True)).square().sum(-1).mean()
        metrics = {
            "loss": loss, "cross_entropy": surprise[0], "cross_entropy_part": surprise[1:].mean(), "untrue": untrue,
            "untrue_share": untrue / moved, "accuracy": (right * query.w).sum(-1).mean(),
        }  # fmt: skip
        return loss, {name: value.detach() for name, value in metrics.items()}

    def _empty(self, reading: Reading) -> Float[Tensor, "t e 1 s"]:
        """Return the log-odds of a row with every column absent."""
        return self.learner.log_odds(self.learner.look(reading, torch.full_like(reading.x[:, :1], torch.nan)))

    def _game(self, tokens: Tensor, seen: Tensor, empty: Tensor) -> LogOddsGame:
        """Read the game of each row (in each member and stream): leading axes `[t, e, s, m]`."""
        full = self.learner.log_odds(tokens).movedim(-1, 2)  # [t, e, s, m]
        visible = seen[:, None, None].to(tokens.dtype).expand(*full.shape, -1)
        return self.explainer(tokens, visible, empty.movedim(-1, 2).expand_as(full), full)

    def _probability(self, game: LogOddsGame, masks: Tensor, reading: Reading) -> Float[Tensor, "t e m c k"]:
        """Play the game in probability, as the learner normalises its log-odds."""
        masks = masks[:, :, None] if masks.dim() > 2 else masks  # [t, 1, 1, m, c, d], or [c, d] for all
        return self.learner.log_probability(game(masks).movedim(2, -1), reading.known).exp()


def _part(noise: Float[Tensor, "t m d1"]) -> Tensor:
    """Draw a coalition from `noise`: all sizes 1 … d−1 alike, then all coalitions of that size alike."""
    d = noise.shape[-1] - 1
    size = 1 + (noise[..., d:] * max(d - 1, 1)).long()
    return noise[..., :d].argsort(-1).argsort(-1) < size
