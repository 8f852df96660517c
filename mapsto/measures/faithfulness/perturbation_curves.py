"""Insertion and deletion: hide the parts in the order of their attribution, or show them in it, and watch the outcome.

    deletion_i  = v(all but the first c_i players)          insertion_i = v(only the first c_i players)
    area        = ∫ curve d(c/p), by trapezoids             small for deletion, large for insertion
    gap         = insertion area − deletion area            0 on average for a random order
    share       = gap / |v(all) − v(none)|
    aopc        = 1/(L+1) Σ_{i=0…L} (v(all) − deletion_i)

Petsiuk, Das & Saenko 2018, "RISE", §4 (both areas); Samek et al. 2017, "Evaluating the Visualization of What a Deep
Neural Network Has Learned" (aopc, most relevant first). Players with the same value come in a random order that
a seed fixes, see `ranking`. Hidden parts may look like nothing the model has seen; `road` fills them in more plausibly.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ...errors import MapstoError
from ...views import Game
from .ranking import order, refuse_lost

Games = Callable[[Tensor], Game]


class Curves(NamedTuple):
    """Outcomes of `n` rows while players vanish and while they appear, and which share of them has."""

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
        """The area between the curves over what hiding everything changes; nan where that changes nothing."""
        whole = (self.deletion[:, 0] - self.deletion[:, -1]).abs()
        return torch.where(whole > 0, self.gap / whole, torch.nan)

    @property
    def aopc(self) -> Float[Tensor, " n"]:
        """The area over the deletion curve: the mean loss over the steps, the first of which loses nothing."""
        return (self.deletion[:, :1] - self.deletion).mean(-1)


def insertion_deletion(
    games: Games,
    points: Float[Tensor, "n ..."],
    values: Float[Tensor, "n p"],
    steps: int | None = None,
    seed: int = 0,
    chunk_size: int | None = None,
) -> Curves:
    """Return both curves of the games that `games` makes of `n` points, players in the order of their `values`.

    `steps` hides that many groups of about the same number of players (None: one player at a time); all outcomes of
    `chunk_size` rows are asked for at once.

    >>> from mapsto.views import game
    >>> x, slope = torch.tensor([[1.0, 1.0]]), torch.tensor([3.0, 1.0])
    >>> curves = insertion_deletion(lambda x: game(lambda x: x @ slope, x), x, values=slope * x)
    >>> curves.deletion, curves.insertion, curves.share
    (tensor([[4., 1., 0.]]), tensor([[0., 3., 4.]]), tensor([0.2500]))

    Raises:
        MapstoError: values that do not fit the points or the players, or are not finite; no step.
    """
    players = fitting(games, points, values)
    if steps is not None and not 1 <= steps <= players:
        raise MapstoError(f"steps: got {steps}, expected 1 to {players}, the number of players.")
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

    Raises MapstoError for games with several scores, or outcomes that are not finite.
    """
    with torch.no_grad():
        outcomes = vmap(lambda x, masks: vmap(games(x))(masks), chunk_size=chunk_size)(points, masks)
    if outcomes.ndim != 2:
        raise MapstoError(
            f"games: got outcomes of shape {tuple(outcomes.shape[2:])}, expected one number; give the view a target."
        )
    return answered("games", outcomes)


def answered(name: str, outcomes: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """Return what a view or game said, or raise MapstoError where that is not finite."""
    lost = int((~outcomes.isfinite()).any(-1).sum())
    if lost:
        raise MapstoError(
            f"{name}: got outcomes of {lost} of {len(outcomes)} rows that are not finite, expected finite numbers: can "
            "the model read missing cells, has the target been taught?"
        )
    return outcomes


def fitting(games: Games, points: Tensor, values: Tensor) -> int:
    """Return the number of players, or raise MapstoError where `values` is not one finite number a row and player."""
    if not len(points):
        raise MapstoError("points: got no row, expected at least one.")
    players = games(points[0]).players
    if values.shape != (len(points), players):
        raise MapstoError(
            f"values: got shape {tuple(values.shape)}, expected {(len(points), players)}: one number a row and player "
            "(for several scores, one at a time)."
        )
    refuse_lost(values)
    return players
