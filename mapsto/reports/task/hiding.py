"""How parts of a query are hidden, which depends on the rows of its task.

Images are hidden by patches, at most 64 of them, which take the mean of the teaching images. Hidden columns of a table
take the values of teaching examples, one row at a time; if the task has missing cells, they become missing instead. A
plain network has no teaching examples, so the queries take their place.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ... import explainers, views
from ...explainers.groups import shared
from ...views import Game, View
from .question import TaskQuestion

_PATCHES, _BACKGROUND = 8, 32  # patches a side, rows


class Hiding(NamedTuple):
    """How parts of a row are hidden: the game, the part of each entry if parts have several, and background rows."""

    game: Callable[[View, Tensor], Game]
    groups: Tensor | None
    background: Tensor

    @property
    def players(self) -> int:
        """The number of parts of a row."""
        return self.background[0].numel() if self.groups is None else int(self.groups.max()) + 1

    @property
    def reference(self) -> Tensor:
        """The row that methods that move a row compare it with: the mean of the background, entry by entry."""
        return self.background.nanmean(0).nan_to_num(0.0)

    @property
    def unit(self) -> Tensor:
        """The usual distance from the reference: the standard deviation of each column, or of all pixels of images.

        A column of one value has unit 0. If all have, because there is a single row, the unit is 1.
        """
        far = (self.background - self.reference).square()
        mean = far.nanmean(0).nan_to_num(0.0) if self.background.dim() == 2 else far.nanmean().expand(far.shape[1:])
        return mean.sqrt() if mean.any() else torch.ones_like(mean)

    def spread(self, values: Tensor, x: Tensor) -> Tensor:
        """Return values of entries unchanged; divide the value of a part of the rows `x` evenly among its entries."""
        if values.shape == x.shape:
            return values
        return values.reshape(x.shape) if self.groups is None else shared(values, self.groups)


def hiding(support: Tensor, missing: bool = False) -> Hiding:
    """Return how rows like those of the support set `[n, ...]` are hidden; if `missing`, as missing cells (NaN)."""
    background = support[:_BACKGROUND]
    if missing:
        return Hiding(lambda view, x: views.game(view, x, baseline=torch.nan), None, background)
    if support.dim() > 2:
        groups = explainers.patches(tuple(support.shape[1:]), -(-max(support.shape[-2:]) // _PATCHES))
        mean = background.mean(0)
        return Hiding(lambda view, x: views.game(view, x, baseline=mean, groups=groups), groups, background)
    return Hiding(lambda view, x: views.game(view, x, background=background), None, background)


def hiding_of(question: TaskQuestion) -> Hiding:
    """Return how parts of the task's queries are hidden: as missing cells if some cells are missing anyway."""
    support = question.support.x if len(question.support.x) else question.episode.query.x  # of a plain network
    missing = bool(support.isnan().any() or question.query.x.isnan().any())
    return hiding(support, missing)
