"""LIME: a weighted linear model of the outcomes, fitted around the whole input, and read off as attributions.

    a, b = argmin Σ_S π(S) (v(S) − b − Σ_{j∈S} a_j)² + penalty·‖a‖²,        π(S) = exp(−D(S)² / 2·width²)

(Ribeiro, Singh & Guestrin 2016, eq. 1–2 and Algorithm 1). `D` is how far a coalition is from everybody, `absent`
players of `p` away: √absent, the Euclidean distance between masks that lime's code takes for tables, or
1 − √(1 − absent/p), the cosine distance that it takes for images. Coalitions and kernel depend only on the number of
players and the seed, so the problem, linear in `v`, is solved once: all rows, tasks and scores share one product.

Departures from the paper: width² counts twice, as in lime's code; instead of K-LASSO, which keeps some players, all
are kept (lime's code then fits them by ridge regression with penalty 1); every coalition is equally likely, as in that
code, but it comes with its complement and no two are alike. With all of them and the Euclidean distance the kernel is a
product over players, and the values are weighted Banzhaf values with presence `1/(1 + exp(−1/2·width²))`.
"""

import functools
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ..errors import MapstoError
from . import coalitions
from .explainer import Game, GameExplainer
from .shapley import MOST_PLAYERS

Distance = Literal["euclidean", "cosine"]
_WIDTH = {"euclidean": lambda players: 0.75 * players**0.5, "cosine": lambda players: 0.25}  # those of lime's code


@final
class LIME(GameExplainer):
    """Attribute by the slopes of a linear model fitted around the whole input, in units of outcome.

    `samples=None` asks about all `2^players` coalitions, up to 12 players; a number asks for that many, drawn from
    `seed`, everybody and nobody among them. `width` is that of the exponential kernel; None takes that of lime's code,
    `0.75·√players` with the Euclidean distance, 0.25 with the cosine. `penalty` is that of ridge regression on the
    slopes, not on the intercept. `chunk_size` coalitions at a time bounds memory. Not complete.

    Players are columns of a table, or patches or superpixels of an image: `game(view, image, groups=patches(...))`.

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0, 1.0])
    >>> LIME(width=1.0)(game(lambda x: 4 * x[0] - x[1] + 5, x, baseline=0.0)).round(decimals=4)
    tensor([ 8., -3.,  0.])
    """

    def __init__(
        self,
        samples: int | None = None,
        distance: Distance = "euclidean",
        width: float | None = None,
        penalty: float = 0.0,
        seed: int = 0,
        chunk_size: int | None = None,
    ):
        if distance not in _WIDTH:
            raise MapstoError(f"distance: got {distance!r}, expected 'euclidean' (tables) or 'cosine' (images).")
        if width is not None and not width > 0:
            raise MapstoError(f"width: got {width}, expected a number above 0, or None for that of lime's code.")
        if not penalty >= 0:
            raise MapstoError(f"penalty: got {penalty}, expected 0 (least squares) or more (ridge regression).")
        self.samples, self.distance, self.width, self.penalty = samples, distance, width, penalty
        self.seed, self.chunk_size = seed, chunk_size

    def __call__(self, game: Game) -> Float[Tensor, "players ..."]:
        """Return the slopes `[players]`, or `[players, k]` where the game has k scores.

        Raises `MapstoError` when enumeration would need more than 12 players, or the samples or the width are too small
        to tell the players apart.
        """
        masks, weights = self.design(game.players)
        outcomes = vmap(game, chunk_size=self.chunk_size)(masks)  # [c] or [c, k]
        return (weights.to(outcomes.device) @ outcomes.double()).to(outcomes.dtype)

    def design(self, players: int) -> coalitions.Design:
        """Return the coalitions `[c, p]` asked about, and the matrix `[p, c]` from outcomes to slopes, in float64."""
        if self.samples is None and players > MOST_PLAYERS:
            raise MapstoError(
                f"samples: got None for a game of {players} players, expected a number beyond {MOST_PLAYERS} players "
                f"(all 2^{players} coalitions are too many); pass samples={64 * players}, or play with groups."
            )
        count = 2**players if self.samples is None else self.samples
        width = _WIDTH[self.distance](players) if self.width is None else self.width
        masks, weights = _design(players, count, self.seed, self.distance, float(width), float(self.penalty))
        return coalitions.Design(torch.tensor(masks, dtype=torch.float32), torch.tensor(weights))


def kernel(masks: np.ndarray, distance: Distance, width: float) -> np.ndarray:
    """Return π `[c]`, how much each coalition counts."""
    present = masks.sum(1) / masks.shape[1]
    far = np.sqrt(masks.shape[1] * (1 - present)) if distance == "euclidean" else 1 - np.sqrt(present)
    return np.exp(-np.square(far) / (2 * width**2))


@functools.cache
def _design(
    players: int, samples: int, seed: int, distance: Distance, width: float, penalty: float
) -> coalitions.Arrays:
    masks = _coalitions(players, samples, seed)  # [c, p]
    root = np.sqrt(kernel(masks, distance, width))[:, None]
    centred = root * (masks - np.average(masks, axis=0, weights=root[:, 0] ** 2))  # takes the intercept out
    if penalty == 0 and np.linalg.matrix_rank(centred) < players:
        raise MapstoError(
            f"samples, width: got {len(masks)} coalitions and a kernel of width {width:.3g}, too few that count to "
            f"tell {players} players apart; pass about samples={64 * players}, a larger width, or penalty=1."
        )
    ridge = np.sqrt(penalty) * np.eye(players)
    return masks, np.linalg.pinv(np.concatenate([centred, ridge]))[:, : len(masks)] * root.T


def _coalitions(players: int, samples: int, seed: int) -> np.ndarray:
    """Return everybody, nobody, and coalitions with their complements `[c, p]`, equally likely, no two alike."""
    generator, chosen = np.random.default_rng(seed), {(0.0,) * players: None}
    pairs = min(max(samples // 2, 1), 2 ** (players - 1))
    if pairs == 2 ** (players - 1):
        half = (np.arange(pairs)[:, None] >> np.arange(players)) & 1
        return np.concatenate([1.0 - half, half])
    while len(chosen) < pairs:
        drawn = generator.integers(0, 2, (pairs - len(chosen), players))
        drawn[:, -1] = 0  # one of each complementary pair
        chosen |= {tuple(map(float, row)): None for row in drawn}
    half = np.array(list(chosen))
    return np.concatenate([1 - half, half])
