"""Views and games: explainers change the input of a view, and hide parts of an input in a game.

View:  point ↦ score or `[k]` scores, differentiable in the point
Game:  mask ↦ score or `[k]` scores, with only the players of the mask visible

Explainers need no other access to a model.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from . import checks

View = Callable[[Tensor], Tensor]  # point ↦ scalar, or `[k]` scores
_AT_ONCE, _CHANNELS = 2**22, 64  # numbers in the output of a layer


class Placed(ABC):
    """A view that decides at which point it is explained, such as the output of one layer of a model for a row."""

    @abstractmethod
    def __call__(self, point: Tensor) -> Tensor:
        """Return the score of the point, or its `[k]` scores."""

    @abstractmethod
    def at(self, x: Any) -> tuple[View, Tensor]:
        """Return the view and the point that explain the row `x`: a tensor, or several if the model reads several."""


class Game:
    """A function from a mask to an outcome: players with mask 1 are visible, and players with mask 0 are hidden.

    Args:
        value: the function from a mask `[players]` to the outcome, a scalar or `[k]`.
        players: the number of players. A player is a part of the input that can be hidden.
        chunk_size: the number of coalitions that `outcomes` evaluates at a time by default; None evaluates all at once.
    """

    def __init__(self, value: Callable[[Tensor], Tensor], players: int, chunk_size: int | None = None):
        self.value, self.players, self.chunk_size = value, players, chunk_size

    def __call__(self, mask: Float[Tensor, " players"]) -> Tensor:
        """Return the outcome, a scalar or `[k]`; players with mask 1 are visible, and players with mask 0 are hidden.

        Outcomes that are integers or booleans become floats, so that they can be averaged.

        Raises:
            MapstoError: if `mask` does not have one entry for each player.
        """
        checks.shape((self.players,), "one entry for each player", mask=mask)
        return _as_float(self.value(mask))

    def outcomes(self, masks: Float[Tensor, "c players"], chunk_size: int | None = None) -> Float[Tensor, "c ..."]:
        """Return the outcomes of coalitions, `[c]` or `[c, k]`, evaluated in chunks of `chunk_size`.

        If `chunk_size` is None, the game decides.
        """
        return torch.func.vmap(self, chunk_size=chunk_size or self.chunk_size)(masks)

    def selected(self, select: Callable[[Tensor], Tensor]) -> "Game":
        """Return the same game with the outcome `select(outcome)`, such as one of its scores."""
        return Game(lambda mask: select(self.value(mask)), self.players, self.chunk_size)


def game(
    view: View,
    x: Any,
    baseline: float | Tensor | np.ndarray = 0.0,
    background: Shaped[Tensor | np.ndarray, "b ..."] | None = None,
    groups: Int[Tensor | np.ndarray, "..."] | None = None,
) -> Game:
    """Return the game whose players are entries of `x` or groups of them, and whose outcome is the result of `view`.

    Args:
        view: the function from the point `x` to the outcome.
        x: the point to explain, a tensor. If `view` explains a layer (`views.model` with `layer`), give the row: the
            players are then entries of the layer's output for this row. If the model reads several tensors, give a
            tuple or dictionary of them: the players are then their entries, one after the other.
        baseline: the value that replaces hidden entries: a number, a tensor or array such as a mask token, or NaN for a
            learner that was trained on missing cells. Leave it at 0 if `background` is given.
        background: rows `[b, ...]`, a tensor or an array. If given, each row in turn provides the values of the hidden
            entries, and the outcomes are averaged over the rows. If None, `baseline` is used.
        groups: for each entry of `x`, the index of its player, 0 … players − 1. The entries of a player are visible or
            hidden together. If None, each entry is a player.

    Raises:
        MapstoError: if `x` is not a tensor; if `baseline`, `background` or `groups` is neither a tensor nor an array,
            or does not fit `x`; or if a background and a baseline other than 0 are given.
    """
    if isinstance(view, Placed):
        view, x = view.at(x)
    checks.expect(isinstance(x, Tensor), "x", f"a {type(x).__name__}", "a tensor", "pass torch.as_tensor(x)")
    baseline = baseline if isinstance(baseline, float | Real) else _tensor("baseline", baseline)
    background = None if background is None else _tensor("background", background)
    groups = None if groups is None else _tensor("groups", groups)
    players = x.numel() if groups is None else _count(groups, x)

    def visible(mask: Tensor) -> Tensor:
        mask = mask.to(x.device)
        return (mask.reshape(x.shape) if groups is None else mask[groups]) > 0.5

    if background is None:
        _refuse_rounding(x, baseline=baseline)
        absent = checks.spread("baseline", baseline, x)
        return Game(lambda mask: view(torch.where(visible(mask), x, absent)), players, fastest(x))
    rows = _rows(background, baseline, x)
    filled = torch.func.vmap(lambda row, seen: _as_float(view(torch.where(seen, x, row))), in_dims=(0, None))
    return Game(lambda mask: filled(rows, visible(mask)).mean(0), players, fastest(x, len(rows)))


def fastest(x: Shaped[Tensor, "..."], copies: int = 1) -> int:
    """Return how many points such as `x`, each in so many copies, a model evaluates fastest at a time.

    The output of a layer should stay in the cache: of an image, it may have 64 channels for each pixel, and of a text
    64 for each code; of a row of numbers, at least 64 entries.

    >>> fastest(torch.zeros(3, 84, 84)), fastest(torch.zeros(1, 28, 28)), fastest(torch.zeros(20))
    (9, 83, 65536)
    """
    places = x.shape[-2:].numel() if x.ndim > 1 else 1 if x.is_floating_point() else x.numel()
    channels = max(x.numel() // max(places, 1), _CHANNELS)
    return max(1, _AT_ONCE // max(places * channels * copies, 1))


def _tensor(name: str, values: Tensor | np.ndarray) -> Tensor:
    """Return a tensor itself, and an array of numbers as a tensor; raise MapstoError for anything else."""
    if isinstance(values, Tensor):
        return values
    kind = f"a {type(values).__name__}"
    array = isinstance(values, np.ndarray)
    checks.expect(array, name, kind, "a tensor or an array of numbers", "for a DataFrame, pass frame.to_numpy()")
    checks.expect(values.dtype.kind in "biuf", name, f"{kind} of {values.dtype}", "numbers", "give texts a code each")
    return torch.as_tensor(values.copy())  # some arrays are read-only


def _as_float(outcome: Tensor) -> Tensor:
    return outcome if outcome.is_floating_point() else outcome.to(torch.get_default_dtype())


def _count(groups: Tensor, x: Tensor) -> int:
    checks.shape(tuple(x.shape), "one group for each entry of x", groups=groups)
    whole = not groups.is_floating_point() and int(groups.min()) >= 0
    checks.expect(whole, "groups", f"{groups.dtype} from {groups.min()}", "integers from 0, one for each player")
    return int(groups.max()) + 1


def _refuse_rounding(x: Tensor, **absent: float | Tensor) -> None:
    """Raise MapstoError if integer entries would be replaced by rounded numbers."""
    for name, value in absent.items():
        whole = not value.is_floating_point() if isinstance(value, Tensor) else float(value).is_integer()
        got, remedy = f"fractions for entries of {x.dtype}", "pass x as floating-point numbers, or integers here too"
        checks.expect(x.is_floating_point() or whole, name, got, "integers", remedy)


def _rows(background: Tensor, baseline: float | Tensor, x: Tensor) -> Tensor:
    checks.shape(("b", *x.shape), "rows of the shape of x", background=background)
    checks.expect(len(background) > 0, "background", "no rows", "at least one", "take some from the training data")
    _refuse_rounding(x, background=background)
    alone = not isinstance(baseline, Tensor) and baseline == 0
    checks.expect(alone, "baseline", "a baseline and a background", "one of them, to replace absent entries")
    return background.to(x)
