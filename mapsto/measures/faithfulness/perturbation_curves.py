"""Insertion and deletion: hide or show the parts in the order of their attribution, and record the outcome.

    deletion_i  = v(all but the first c_i players)          insertion_i = v(only the first c_i players)
    area        = ∫ curve d(c/p), by trapezoids             small for deletion, large for insertion
    gap         = insertion area − deletion area            0 on average for a random order
    share       = gap / |v(all) − v(none)|
    aopc        = 1/(L+1) Σ_{i=0…L} (v(all) − deletion_i)

Petsiuk, Das & Saenko 2018, "RISE", §4 (both areas); Samek et al. 2017, "Evaluating the Visualization of What a Deep
Neural Network Has Learned" (aopc, most relevant first). Players with the same value come in a random order that a seed
fixes, see `ranking`. Hidden parts may be unlike any training input; `road` fills them in more plausibly.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ... import checks
from ...views import Game
from .ranking import order, refuse_lost

Games = Callable[[Tensor], Game]


class Curves(NamedTuple):
    """Outcomes of `n` rows while players vanish and while players appear, and the share of players so far."""

    deletion: Float[Tensor, "n c"]
    insertion: Float[Tensor, "n c"]
    share_of_players: Float[Tensor, " c"]

    @property
    def deletion_area(self) -> Float[Tensor, " n"]:
        """The mean outcome while parts vanish, the most important first: small is good."""
        return torch.trapezoid(self.deletion, self.share_of_players)

    @property
    def insertion_area(self) -> Float[Tensor, " n"]:
        """The mean outcome while parts appear, the most important first: large is good."""
        return torch.trapezoid(self.insertion, self.share_of_players)

    @property
    def gap(self) -> Float[Tensor, " n"]:
        """The area between the two curves, in units of outcome."""
        return self.insertion_area - self.deletion_area

    @property
    def share(self) -> Float[Tensor, " n"]:
        """The area between the curves relative to the change when everything is hidden; nan if that is 0."""
        whole = (self.deletion[:, 0] - self.deletion[:, -1]).abs()
        return torch.where(whole > 0, self.gap / whole, torch.nan)

    @property
    def aopc(self) -> Float[Tensor, " n"]:
        """The area over the deletion curve: the mean loss over the steps, including the first, which hides nothing."""
        return (self.deletion[:, :1] - self.deletion).mean(-1)


def insertion_deletion(
    games: Games,
    points: Float[Tensor, "n ..."],
    values: Float[Tensor, "n p"],
    steps: int | None = None,
    seed: int = 0,
    chunk_size: int | None = None,
) -> Curves:
    """Return both curves of the games that `games` makes of `n` points, with players in the order of their `values`.

    If `steps` is None, one player is hidden at a time; otherwise that many groups of about the same number of players.
    `chunk_size` rows are computed at once.

    Raises:
        MapstoError: if values do not fit the points or the players, or are not finite, or `steps` is below 1 or above
            the number of players.

    >>> from mapsto.views import game
    >>> x, slope = torch.tensor([[1.0, 1.0]]), torch.tensor([3.0, 1.0])
    >>> curves = insertion_deletion(lambda x: game(lambda x: x @ slope, x), x, values=slope * x)
    >>> curves.deletion, curves.insertion, curves.share
    (tensor([[4., 1., 0.]]), tensor([[0., 3., 4.]]), tensor([0.2500]))
    """
    players = fitting(games, points, values)
    checks.between(1, players, steps=players if steps is None else steps)
    cuts = torch.linspace(0, players, (steps or players) + 1, dtype=torch.float64).round().to(values.device)
    rank = order(values, seed).argsort(-1)  # [n, p]
    shown = (rank[:, None] < cuts[:, None]).to(values.dtype)  # [n, c, p]
    outcomes = play(games, points, torch.cat([1 - shown, shown], 1), chunk_size)  # [n, 2c]
    deletion, insertion = outcomes.chunk(2, 1)
    return Curves(deletion, insertion, (cuts / players).to(outcomes.dtype))


def play(
    games: Games, points: Float[Tensor, "n ..."], masks: Float[Tensor, "n c p"], chunk_size: int | None = None
) -> Float[Tensor, "n c"]:
    """Return the outcomes of each row's own coalitions.

    Raises:
        MapstoError: if games have several scores, or outcomes are not finite.
    """
    with torch.no_grad():
        outcomes = vmap(lambda x, masks: vmap(games(x))(masks), chunk_size=chunk_size)(points, masks)
    shape = tuple(outcomes.shape[2:])
    checks.expect(outcomes.ndim == 2, "games", f"outcomes of shape {shape}", "one number", "give the view a target")
    return answered("games", outcomes)


def answered(name: str, outcomes: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """Return the outcomes of a view or game; raise MapstoError if one is not finite."""
    lost = int((~outcomes.isfinite()).any(-1).sum())
    remedy = "check whether the model can read missing cells, and whether the target has support examples"
    checks.expect(lost == 0, name, f"{lost} of {len(outcomes)} rows that are not finite", "finite outcomes", remedy)
    return outcomes


def fitting(games: Games, points: Tensor, values: Tensor) -> int:
    """Return the number of players; raise MapstoError unless `values` holds a finite number for each row and player."""
    checks.expect(len(points) > 0, "points", "no row", "at least one")
    players = games(points[0]).players
    checks.shape((len(points), players), "one number for each row and player, of one score", values=values)
    refuse_lost(values)
    return players
