"""Insertion and deletion: show or hide the parts in the order of their attribution, and record the outcome.

    deletion_i  = v(all but the first c_i players)          insertion_i = v(only the first c_i players)
    area        = ∫ curve d(c/p), by trapezoids             small for deletion, large for insertion
    gap         = insertion area − deletion area            0 on average for a random order
    share       = gap / |v(all) − v(none)|
    aopc        = 1/(L+1) Σ_{i=0…L} (v(all) − deletion_i)

v is the game's outcome for a set of its p players, of which the first have the largest attributions.

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
    """The outcomes of `n` rows as more and more players are hidden (deletion) or shown (insertion).

    The players of largest attribution come first. `share_of_players` is the fraction of players that are hidden or
    shown so far, at each of `c` steps.
    """

    deletion: Float[Tensor, "n c"]  # outcome when the first players are hidden
    insertion: Float[Tensor, "n c"]  # outcome when only the first players are shown
    share_of_players: Float[Tensor, " c"]

    @property
    def deletion_area(self) -> Float[Tensor, " n"]:
        """The mean outcome while parts are hidden, the most important first: small is good."""
        return torch.trapezoid(self.deletion, self.share_of_players)

    @property
    def insertion_area(self) -> Float[Tensor, " n"]:
        """The mean outcome while parts are shown, the most important first: large is good."""
        return torch.trapezoid(self.insertion, self.share_of_players)

    @property
    def gap(self) -> Float[Tensor, " n"]:
        """The insertion area minus the deletion area, in the unit of the game's outcome: large is good."""
        return self.insertion_area - self.deletion_area

    @property
    def share(self) -> Float[Tensor, " n"]:
        """The gap, divided by the absolute change of outcome when everything is hidden; NaN if that change is 0."""
        whole = (self.deletion[:, 0] - self.deletion[:, -1]).abs()
        return torch.where(whole > 0, self.gap / whole, torch.nan)

    @property
    def aopc(self) -> Float[Tensor, " n"]:
        """The area over the deletion curve: the mean loss of outcome over all steps; the first step hides nothing."""
        return (self.deletion[:, :1] - self.deletion).mean(-1)


def insertion_deletion(
    games: Games,
    points: Float[Tensor, "n ..."],
    values: Float[Tensor, "n p"],
    steps: int | None = None,
    seed: int = 0,
    chunk_size: int | None = None,
) -> Curves:
    """Return the curves of the outcome as the most important parts are hidden (deletion) or shown (insertion).

    The result also holds the areas under both curves. `gap` is the insertion area minus the deletion area, and `share`
    is the gap divided by the absolute change of the outcome if all parts are hidden.

    Args:
        games: a function from a point to its game.
        points: the explained points.
        values: the attribution of each player of each game. Players are hidden or shown in the order of these values,
            the largest first.
        steps: the number of steps from the first player to the last. Each step hides or shows about the same number of
            players. If None, each step hides or shows one player.
        seed: the random seed that orders players of equal value.
        chunk_size: the number of points to compute at a time, to limit memory; None computes all at once.

    Raises:
        MapstoError: if `values` does not hold one number for each point and player, `values` or outcomes are not
            finite, or `steps` is not a number from 1 to the number of players.

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
    """Return the outcomes of each point's game for the point's own coalitions, `masks` `[n, c, p]`.

    Raises:
        MapstoError: if games have several scores, or outcomes are not finite.
    """
    with torch.no_grad():
        outcomes = vmap(lambda x, masks: vmap(games(x))(masks), chunk_size=chunk_size)(points, masks)
    shape = tuple(outcomes.shape[2:])
    checks.expect(outcomes.ndim == 2, "games", f"outcomes of shape {shape}", "one number", "give the view a target")
    return answered("games", outcomes)


def answered(name: str, outcomes: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """Return the outcomes of a view or game; raise MapstoError if an outcome is not finite."""
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
