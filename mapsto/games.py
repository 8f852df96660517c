"""A view with a rule for what "absent" means: the outcome when only some parts of its input are visible."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .checks import spread
from .errors import MapstoError

View = Callable[[Tensor], Tensor]


class Game:
    """mask ↦ outcome when only the players with mask 1 are visible."""

    def __init__(self, value: Callable[[Tensor], Tensor], players: int):
        self.value, self.players = value, players

    def __call__(self, mask: Float[Tensor, " players"]) -> Tensor:
        """Return the outcome, a scalar or `[k]`, with exactly the players of `mask` (1 present, 0 absent).

        A count or a yes or no becomes a floating-point number: means of it are asked.
        """
        if mask.shape != (self.players,):
            raise ValueError(f"mask: got shape {tuple(mask.shape)}, expected ({self.players},): one entry per player.")
        return _fraction(self.value(mask))


def game(
    view: View,
    x: Float[Tensor, "..."],
    baseline: float | Tensor = 0.0,
    background: Float[Tensor, "b ..."] | None = None,
    groups: Int[Tensor, "..."] | None = None,
) -> Game:
    """Play `view` with parts of `x` absent.

    An absent entry takes the value `baseline` (a number, a tensor such as a mask token, or NaN for a learner that was
    trained on missing cells), or, with `background`, the values of each background row in turn, outcomes averaged.
    `groups` (integers of `x`'s shape, 0 … players−1) makes entries of one group appear and vanish together.
    """
    players = x.numel() if groups is None else _count(groups, x)

    def visible(mask: Tensor) -> Tensor:
        mask = mask.to(x.device)
        return (mask.reshape(x.shape) if groups is None else mask[groups]) > 0.5

    if background is None:
        absent = spread("baseline", baseline, x)
        return Game(lambda mask: view(torch.where(visible(mask), x, absent)), players)
    rows = _rows(background, baseline, x)
    filled = torch.func.vmap(lambda row, seen: _fraction(view(torch.where(seen, x, row))), in_dims=(0, None))
    return Game(lambda mask: filled(rows, visible(mask)).mean(0), players)


def _fraction(outcome: Tensor) -> Tensor:
    return outcome if outcome.is_floating_point() else outcome.to(torch.get_default_dtype())


def _count(groups: Tensor, x: Tensor) -> int:
    if groups.shape != x.shape:
        raise MapstoError(
            f"groups: got shape {tuple(groups.shape)}, expected {tuple(x.shape)}, one group for each entry of x."
        )
    if groups.is_floating_point() or int(groups.min()) < 0:
        raise MapstoError(
            f"groups: got {groups.dtype} from {groups.min()}, expected integers from 0, one for a player."
        )
    return int(groups.max()) + 1


def _rows(background: Tensor, baseline: float | Tensor, x: Tensor) -> Tensor:
    if background.shape[1:] != x.shape:
        raise MapstoError(
            f"background: rows have shape {tuple(background.shape[1:])}, expected {tuple(x.shape)}, that of x."
        )
    if not len(background):
        raise MapstoError("background: got no rows, expected at least one; take some from the training data.")
    if isinstance(baseline, Tensor) or baseline != 0:
        raise MapstoError("baseline: got one beside a background, expected one of them: what absent entries become.")
    return background.to(x)
