"""Indices of interaction of any order: what sets of players do together beyond what their parts do.

    v(S) = Σ_{T⊆S} m(T),   a(S) = Σ_{T⊇S} f(|S|, |T|)·m(T)

m is the Möbius transform of the game (Harsanyi 1963): the worth of T beyond that of all its parts. Every index shares
it out among the sets of up to k players, and differs by f alone:

- SII, the Shapley interaction index (Grabisch & Roubens 1999): 1/(t−s+1);
- BII, the Banzhaf interaction index (Grabisch & Roubens 1999), Banzhaf values for single players: 2^(s−t);
- STII, Shapley–Taylor (Sundararajan et al. 2020): m(S) if s < k, and 1/C(t, k) for s = k;
- FSII, faithful Shapley interactions (Tsai et al. 2023): the polynomial of order k nearest to v under Shapley weights;
- FBII, faithful Banzhaf interactions (Tsai et al. 2023): the nearest one under equal weights;
- k-SII, SII made to add up to v(all) − v(none) over all sets (Bordt & von Luxburg 2023): Σ_a C(t−s, a)·B_a/(t−s−a+1)
  over 0 ≤ a ≤ k−s, with the Bernoulli numbers B_a.

Exact by all coalitions, or estimated from a sample of them by `kriging_interactions`.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Literal, NamedTuple, final, get_args

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from .. import checks
from ..games import Game
from . import coalitions, kriging, kriging_interactions
from .explainer import number, over_games, refuse_others, without_graph

Index = Literal["SII", "BII", "STII", "FSII", "FBII", "k-SII"]
_BERNOULLI = (1.0, -1 / 2, 1 / 6, 0.0, -1 / 30, 0.0, 1 / 42, 0.0, -1 / 30, 0.0, 5 / 66)  # B_0, B_1 …
_MOST = 16


class InteractionValues(NamedTuple):
    """The value of each set of 1 to `order` players, in the unit of the game's outcome."""

    sets: list[tuple[int, ...]]  # by size, then by their players
    values: Float[Tensor, "..."]  # [m], or [m, k] of k scores; of n points, [n, m] or [n, m, k]

    def of(self, *players: int) -> Float[Tensor, "..."]:
        """Return the value of a set of players, of one point."""
        wanted = tuple(sorted(players))
        checks.expect(wanted in self.sets, "players", wanted, f"1 to {len(self.sets[-1])} different players")
        return self.values[self.sets.index(wanted)]


@final
class Interactions:
    """Divide a game's outcome among sets of up to `order` players, by an index of interaction.

    All `2^players` coalitions of at most 16 players are evaluated, or a sample of the coalitions of any number of them.

    Args:
        index: "SII", the Shapley interaction index; "BII", the Banzhaf interaction index; "STII", Shapley–Taylor;
            "FSII" and "FBII", faithful Shapley and Banzhaf interactions; "k-SII", SII whose sets add up to v(all) −
            v(none). STII and FSII add up too; SII, BII and FBII need not.
        order: the largest size of a set; at most 3 with `samples`. With order 1, "SII", "STII", "FSII" and "k-SII" are
            Shapley values, and "BII" and "FBII" are Banzhaf values.
        samples: the approximate number of coalitions that are evaluated, in pairs of a coalition and its complement: at
            least `2·players`. A Gaussian process over games is fitted to their outcomes; products of more than five
            players are noise to it. The fewer coalitions, the nearer the values are to 0; see their standard errors,
            `attribute_with_error`. From `2·players + 2` on, the STII values of single players are exact. If None, all
            coalitions are evaluated, and the values are exact.
        seed: the random seed of the coalitions.
        chunk_size: the number of coalitions to evaluate at a time, to limit memory; if None, the game decides.

    Raises:
        MapstoError: if there is no such index, or `order` is not from 1 to 10 (to 3 with `samples`).

    >>> from mapsto.views import game
    >>> x = torch.tensor([2.0, 3.0, 4.0])
    >>> found = Interactions("STII")(game(lambda x: x[0] * x[1] + x[2], x, baseline=0.0))
    >>> found.of(0, 1), found.of(2)
    (tensor(6.), tensor(4.))
    """

    def __init__(
        self,
        index: Index = "k-SII",
        order: int = 2,
        chunk_size: int | None = None,
        samples: int | None = None,
        seed: int = 0,
    ):
        checks.one_of(get_args(Index), index=index)
        checks.count(order=order)
        most = len(_BERNOULLI) - 1 if samples is None else 3
        checks.expect(order <= most, "order", order, f"at most {most}{'' if samples is None else ' from samples'}")
        checks.count(0, seed=seed)
        checks.chunk(chunk_size=chunk_size, samples=samples)
        self.index, self.order, self.chunk_size, self.samples, self.seed = index, order, chunk_size, samples, seed

    def __call__(self, game: Game) -> InteractionValues:
        """Return the values of all sets of 1 to `order` players: `[m]`, or `[m, k]` if the game has k scores.

        Raises:
            MapstoError: if `game` is not a game; if it has more than 16 players and `samples` is None; if there are too
                few `samples`; or if a value is NaN, which is not detected inside a transform of `torch.func`.
        """
        refuse_others(game)
        with without_graph():
            found = self.attribute(game)
            return found._replace(values=number(found.values))

    def over(
        self,
        games: Callable[[Tensor], Game],
        points: Shaped[Tensor, "n ..."],
        chunk_size: int | None = None,
        target: int | Int[Tensor, " n"] | None = None,
    ) -> InteractionValues:
        """Return the values `[n, m]` or `[n, m, k]` of `n` points, computed in batches.

        `games` is a function from a point to its game. `chunk_size` is the number of points to explain at a time, to
        limit memory; None explains all at once. `target` is the index of the score to explain: one for all points, or
        one for each point, such as the predicted classes. If None, the game decides.

        Raises:
            MapstoError: if `target` is not the index of a score, if a game cannot be explained (see a call),
                or if a value is NaN, which is not detected inside a transform of `torch.func`.
        """
        values = over_games(lambda game: self.attribute(game).values, games, points, chunk_size, target)
        return InteractionValues(self._sets(games(points[0]).players), values)

    def attribute(self, game: Game) -> InteractionValues:
        """Return the values, differentiable with respect to the parameters of the game."""
        return self.attribute_with_error(game)[0]

    def attribute_with_error(self, game: Game) -> tuple[InteractionValues, Float[Tensor, "..."]]:
        """Return the values, and in the same order the standard errors that sampling causes.

        Those of exact values are 0. Fewer than `2·players + 2` samples say nothing about them: they are NaN.
        """
        checks.expect(game.players > 0, "game", "no players", "at least one")
        sets, every = self._sets(game.players), 2**game.players
        if self.samples is not None and self.samples < every:
            values, errors = self._sampled(game, self.samples, sets)
            return InteractionValues(sets, values), errors
        if self.samples is None:
            coalitions.refuse_many(game.players, f"samples={32 * game.players}", _MOST)
        values = self._exact(game, sets)
        return InteractionValues(sets, values), torch.zeros_like(values)

    def _exact(self, game: Game, sets: list[tuple[int, ...]]) -> Tensor:
        share, masks = self._share(game.players), coalitions.exact(game.players).masks
        outcomes = game.outcomes(masks, self.chunk_size)  # [2^p] or [2^p, k]
        worth = moebius(outcomes.double())
        codes = torch.arange(len(worth), device=worth.device)
        size = masks.sum(1).long().to(worth.device)
        shares = [[share(s, t) for t in range(game.players + 1)] for s in range(len(sets[-1]) + 1)]
        values = []
        for chosen in sets:
            code = sum(2**j for j in chosen)
            above = (codes & code) == code
            part = torch.tensor(shares[len(chosen)], dtype=torch.float64, device=worth.device)[size[above]]
            values.append(torch.tensordot(part, worth[above], 1))
        return torch.stack(values).to(outcomes.dtype)

    def _sampled(self, game: Game, samples: int, sets: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        enough, expected = samples >= 2 * game.players, f"at least {2 * game.players} for {game.players} players"
        checks.expect(enough, "samples", samples, expected)
        masks = kriging.masks(game.players, samples - 2, self.seed)
        outcomes = game.outcomes(masks, self.chunk_size)  # [c] or [c, k]
        half = masks[len(masks) // 2 :].double().to(outcomes.device)
        scores = outcomes.reshape(len(outcomes), -1)
        found = kriging_interactions.fitted(half, scores, sets, self._share(game.players))
        if self.index == "STII" and min(self.order, game.players) > 1 and len(half) > game.players:
            found = _with_single(*found, scores, sets)
        values, errors = (part.reshape(-1, *outcomes.shape[1:]).to(outcomes.dtype) for part in found)
        return values, errors

    def _share(self, players: int) -> kriging_interactions.Share:
        return functools.partial(_share, self.index, min(self.order, players))

    def _sets(self, players: int) -> list[tuple[int, ...]]:
        sizes = range(1, min(self.order, players) + 1)
        return [chosen for size in sizes for chosen in itertools.combinations(range(players), size)]


def _with_single(values: Tensor, errors: Tensor, scores: Tensor, sets: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """Return the values and errors with v({j}) − v(none) for each player j; the largest sets make up the difference.

    The second half of the coalitions of `kriging.masks` begins with everyone, and then the single players.
    """
    players = sets[-1][-1] + 1
    alone = scores[len(scores) // 2 + 1 :][:players].double() - scores[0].double()
    largest = torch.tensor([len(chosen) == len(sets[-1]) for chosen in sets], device=values.device)[:, None]
    rest = values - largest * (alone - values[:players]).sum(0) / largest.sum()
    return torch.cat([alone, rest[players:]]), torch.cat([errors[:players] * 0, errors[players:]])


def moebius(outcomes: Float[Tensor, "c ..."]) -> Float[Tensor, "c ..."]:
    """Return the Möbius transform of a game, given the outcomes of all coalitions; player j is bit j of their index.

    >>> moebius(torch.tensor([1.0, 2.0, 4.0, 9.0]))  # none, first, second, both
    tensor([1., 1., 3., 4.])
    """
    worth, players = outcomes, len(outcomes).bit_length() - 1
    for j in range(players):
        without, with_j = worth.unflatten(0, (-1, 2, 2**j)).unbind(1)
        worth = torch.stack([without, with_j - without], 1).flatten(0, 2)
    return worth


def _share(index: str, k: int, s: int, t: int) -> float:
    """Return how much of the worth of a set of t players goes to one of its parts of s players, f(s, t)."""
    if t < s:
        return 0.0
    if index == "SII":
        return 1 / (t - s + 1)
    if index == "k-SII":
        return sum(math.comb(t - s, a) * _BERNOULLI[a] / (t - s - a + 1) for a in range(min(k, t) - s + 1))
    if index == "BII":
        return 2.0 ** (s - t)
    if t <= k and (s < k or t == s):  # the worth of small sets stays with them
        return float(t == s)
    if index == "STII":
        return 1 / math.comb(t, k) if s == k else 0.0
    sign = (-1) ** (k - s)
    if index == "FSII":
        return sign * s / (k + s) * math.comb(k, s) * math.comb(t - 1, k) / math.comb(t + k - 1, k + s)
    return sign * 2.0 ** (s - t) * math.comb(t - s - 1, k - s)
