"""Views and games: an output as a function of one input that is moved, or of the parts of it that are visible.

view: point ↦ scores        game: mask of visible players ↦ scores        game = view + a rule for absent entries
"""

from collections.abc import Callable
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from . import checks


class View(Protocol):
    """One output of the chain as a function of one of its inputs: point ↦ scalar, or ↦ `[k]` scores."""

    def __call__(self, point: Tensor, /) -> Tensor:
        """Return the output at `point`."""
        ...


class Game:
    """The same output when only some parts are visible: mask `[players]` of zeros and ones ↦ scalar, or ↦ `[k]`."""

    def __init__(self, value: Callable[[Tensor], Tensor], players: int):
        self.value, self.players = value, players

    def __call__(self, mask: Float[Tensor, " players"]) -> Tensor:
        """Return the outcome, a scalar or `[k]`, when exactly the players of `mask` are visible (1) and not hidden (0).

        Integers and booleans become floats, so that they can be averaged.

        Raises:
            MapstoError: if the mask does not have one entry for each player.
        """
        checks.shape((self.players,), "pass one entry for each player", mask=mask)
        return _fraction(self.value(mask))


def game(
    view: View,
    x: Float[Tensor, "..."],
    baseline: float | Tensor = 0.0,
    background: Float[Tensor, "b ..."] | None = None,
    groups: Int[Tensor, "..."] | None = None,
) -> Game:
    """Return the game of `view` at `x`, in which some entries of `x` are absent.

    An absent entry takes the value `baseline` (a number, a tensor such as a mask token, or NaN for a learner that was
    trained on missing cells). If `background` is given, absent entries take the values of each background row in turn,
    and the outcomes are averaged. With `groups` (integers 0 … players−1 in the shape of `x`), the entries of one group
    are visible or absent together.

    Raises:
        MapstoError: if a shape does not fit, the background is empty, or both a baseline and a background are given.
    """
    players = x.numel() if groups is None else _count(groups, x)

    def visible(mask: Tensor) -> Tensor:
        mask = mask.to(x.device)
        return (mask.reshape(x.shape) if groups is None else mask[groups]) > 0.5

    if background is None:
        absent = checks.spread("baseline", baseline, x)
        return Game(lambda mask: view(torch.where(visible(mask), x, absent)), players)
    rows = _rows(background, baseline, x)
    filled = torch.func.vmap(lambda row, seen: _fraction(view(torch.where(seen, x, row))), in_dims=(0, None))
    return Game(lambda mask: filled(rows, visible(mask)).mean(0), players)


def _fraction(outcome: Tensor) -> Tensor:
    return outcome if outcome.is_floating_point() else outcome.to(torch.get_default_dtype())


def _count(groups: Tensor, x: Tensor) -> int:
    checks.shape(tuple(x.shape), "give each entry of x a group", groups=groups)
    whole = not groups.is_floating_point() and int(groups.min()) >= 0
    checks.expect(whole, "groups", f"{groups.dtype} from {groups.min()}", "integers from 0, one for each player")
    return int(groups.max()) + 1


def _rows(background: Tensor, baseline: float | Tensor, x: Tensor) -> Tensor:
    checks.shape(("b", *x.shape), "pass rows of the shape of x", background=background)
    checks.expect(len(background) > 0, "background", "no rows", "at least one", "take some from the training data")
    alone = not isinstance(baseline, Tensor) and baseline == 0
    checks.expect(alone, "baseline", "a baseline and a background", "only one of them, as the value of absent entries")
    return background.to(x)
