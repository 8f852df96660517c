"""LIME: a linear model that predicts the outcome from the players' presence; its coefficients are the attributions.

    a, b = argmin Σ_S π(S) (v(S) − b − Σ_{j∈S} a_j)² + penalty·‖a‖²,        π(S) = exp(−D(S)² / (2·width²))

(Ribeiro, Singh & Guestrin 2016, eq. 1–2 and Algorithm 1). `D(S)` is the distance of a coalition from the full one. If
`absent` of `p` players are missing, it is √absent (the Euclidean distance between masks, which lime's code uses for
tables) or 1 − √(1 − absent/p) (the cosine distance, which it uses for images). The solution is linear in `v`, so its
matrix is computed once for each number of players and seed.

There are three departures from the paper. The kernel divides by 2·width², as lime's code does (the paper: by width²).
All players are kept, without K-LASSO; without it, lime's code uses ridge regression with penalty 1. Every coalition is
equally likely, as in that code, but each comes with its complement, and none is drawn twice. With all coalitions and
the Euclidean distance, the values are weighted Banzhaf values in which each player is present with probability
`1/(1 + exp(−1/(2·width²)))`.
"""

import functools
from collections.abc import Sequence
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from .. import checks
from ..errors import MapstoError
from . import coalitions
from .designed import DesignedExplainer
from .explainer import ViewExplainer

Distance = Literal["euclidean", "cosine"]
_WIDTH = {"euclidean": lambda players: 0.75 * players**0.5, "cosine": lambda players: 0.25}  # those of lime's code


@final
class LIME(DesignedExplainer):
    """Attribute to each player its coefficient in a linear model fitted to the outcomes of many coalitions.

    The model reads a coalition as a mask: 1 for each player who is present, 0 for each absent player. The model is
    fitted by weighted least squares; the more players a coalition lacks, the smaller its weight. Values are in the unit
    of the game's outcome, but they need not add up to the outcome. The players may be columns of a table or parts of an
    image, as in `game(view, image, groups=patches(...))`. `LIME.of_table` draws rows as the lime package does.

    Args:
        samples: the number of random coalitions, including the empty and the full one. If None, all `2^players`
            coalitions are evaluated; the game may then have at most 12 players.
        distance: the measure of distance between a coalition and the full coalition, "euclidean" or "cosine". The
            module docstring has the formulas.
        width: the width of the exponential kernel that turns distance into weight. If None, the default of the lime
            package is used: `0.75·√players` for "euclidean" and 0.25 for "cosine".
        penalty: the ridge penalty on the coefficients. The intercept is not penalised.
        seed: the random seed of the coalitions.
        chunk_size: the number of coalitions to evaluate at a time, to limit memory; if None, the game decides.

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
        checks.one_of(tuple(_WIDTH), distance=distance)
        if width is not None:
            checks.above(0, width=width)
        checks.at_least(0, penalty=penalty)
        self.samples, self.distance, self.width, self.penalty = samples, distance, width, penalty
        checks.count(0, seed=seed)
        checks.chunk(chunk_size=chunk_size)
        self.seed, self.chunk_size = seed, chunk_size

    @classmethod
    def of_table(
        cls,
        background: Shaped[Tensor | np.ndarray, "b d"],
        bins: int | None = 4,
        samples: int = 5000,
        categorical: Sequence[int] = (),
        width: float | None = None,
        penalty: float = 1.0,
        seed: int = 0,
        chunk_size: int | None = None,
    ) -> ViewExplainer:
        """Return LIME for tables as the lime package computes it, an explainer of a view and a row of a table.

        A coefficient is the change of the score when the cell is in its own bin, compared with a cell of another bin.
        Without bins, it is the change for one standard deviation of the column. All columns are kept.

        Args:
            background: training rows `[b, d]` without missing cells.
            bins: the number of quantile bins of each column, 4 for quartiles or 10 for deciles. If None, rows are drawn
                around the row to explain: each cell gets normal noise of the column's standard deviation.
            samples: the number of rows to draw.
            categorical: the indices of the columns that hold codes of categories.
            width: the width of the kernel; if None, `0.75·√d`.
            penalty: the ridge penalty on the coefficients.
            seed: the random seed of the rows.
            chunk_size: the number of rows that the view scores at a time; None scores all at once.

        >>> rows = torch.arange(40.0).reshape(20, 2)
        >>> explainer = LIME.of_table(rows, bins=2)
        >>> explainer(lambda x: 3.0 * (x[0] > 19), rows[15]).round(decimals=1)
        tensor([3., 0.])
        """
        from .table_lime import TableLIME

        return TableLIME(background, bins, samples, categorical, width, penalty, seed, chunk_size)

    def design(self, players: int) -> coalitions.Design:
        """Return the coalitions to evaluate, and the matrix that maps their outcomes to the fitted coefficients.

        Raises:
            MapstoError: if there are too many players to evaluate all coalitions, or if `samples` or `width` is too
                small to determine the coefficients.
        """
        if self.samples is None:
            coalitions.refuse_many(players, f"samples={64 * players}")
        count = 2**players if self.samples is None else self.samples
        width = _WIDTH[self.distance](players) if self.width is None else self.width
        masks, weights = _design(players, count, self.seed, self.distance, float(width), float(self.penalty))
        return coalitions.Design(torch.tensor(masks, dtype=torch.float32), torch.tensor(weights))


def kernel(masks: np.ndarray, distance: Distance, width: float) -> np.ndarray:
    """Return the weight π of each coalition `[c]`, which falls with its distance from the full coalition."""
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
            f"samples, width: got {len(masks)} coalitions and a kernel of width {width:.3g}, which do not "
            f"tell {players} players apart; pass about samples={64 * players}, a larger width, or penalty=1."
        )
    ridge = np.sqrt(penalty) * np.eye(players)
    return masks, np.linalg.pinv(np.concatenate([centred, ridge]))[:, : len(masks)] * root.T


def _coalitions(players: int, samples: int, seed: int) -> np.ndarray:
    """Return different, equally likely coalitions and their complements `[c, p]`; the first pair is full and empty."""
    generator, chosen = np.random.default_rng(seed), {(0.0,) * players: None}
    pairs = min(max(samples // 2, 1), 2 ** (players - 1))
    if pairs == 2 ** (players - 1):
        half = (np.arange(pairs)[:, None] >> np.arange(players)) & 1
        return np.concatenate([1.0 - half, half])
    while len(chosen) < pairs:
        sampled = generator.integers(0, 2, (pairs - len(chosen), players))
        sampled[:, -1] = 0  # one of each complementary pair
        chosen |= {tuple(map(float, row)): None for row in sampled}
    half = np.array(list(chosen))
    return np.concatenate([1 - half, half])
