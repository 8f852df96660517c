"""Minibatches of a table whose cells become inputs of a network: scaled numbers, and one input for each category."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from . import table as tables
from .minibatches import Minibatches
from .sampling import divided

if TYPE_CHECKING:
    import pandas as pd


class TableMinibatches(Minibatches):
    """Minibatches of a table, a DataFrame or a text file, for ordinary training.

    Numbers and dates are scaled to mean 0 and standard deviation 1 over the training rows. A column of categories
    becomes one input for each category: 1 for the row's category, 0 for the others. A missing cell becomes the mean of
    its column, or 0 for each category. Rows without a value of `target` are left out.

    The attribute `columns` lists the names of the columns. The attribute `groups` holds, for each input, the index of
    the column from which the input was made. The other arguments have the same meaning as in `Minibatches` and `Table`.

    Raises:
        MapstoError: if the file is not a table, there is no column `target`, or in any case in which `Minibatches`
            raises it.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": range(20), "ward": ["a", "b", "c", "d"] * 5, "ill": [False, True] * 10})
    >>> data = TableMinibatches(frame, target="ill", size=7)
    >>> data.batch(0, count=1).query.x.shape, data.columns, data.groups.tolist()
    (torch.Size([1, 7, 5]), ['age', 'ward'], [0, 1, 1, 1, 1])
    """

    def __init__(
        self,
        table: "str | Path | pd.DataFrame",
        target: str,
        size: int = 64,
        regression: bool = False,
        splits: tuple[float, float, float] = (0.7, 0.15, 0.15),
        seed: int = 0,
    ):
        frame, outcome = tables.rows_with_outcome(table, target, "the table")
        y, names = (tables.numbers if regression else tables.classes)(target, outcome)
        train = divided(None if regression else y, len(y), splits, seed)["train"]
        self.columns, x, self.groups = encoded(frame, train)
        super().__init__(x, y, size, regression, splits, seed)
        self.names = names


def encoded(frame: "pd.DataFrame", train: Tensor) -> tuple[list[str], Float[Tensor, "n d"], Int[Tensor, " d"]]:
    """Return the names of the columns, the inputs made of them, and the index of each input's column."""
    columns, x = tables.features(frame, train)
    pairs = zip(columns, x.unbind(1), strict=True)
    parts = [_indicators(cells, len(c.codes)) if c.kind == "category" else _scaled(cells, train) for c, cells in pairs]
    groups = torch.cat([torch.full((part.shape[1],), j) for j, part in enumerate(parts)])
    return [column.name for column in columns], torch.cat(parts, 1), groups


def _indicators(codes: Float[Tensor, " n"], count: int) -> Float[Tensor, "n count"]:
    return (codes[:, None] == torch.arange(count)).to(codes.dtype)  # NaN equals nothing


def _scaled(cells: Float[Tensor, " n"], train: Tensor) -> Float[Tensor, "n 1"]:
    seen = cells[train][~cells[train].isnan()].double()
    scaled = (cells.double() - seen.mean()) / seen.std(correction=0)
    return scaled.nan_to_num(0.0).to(cells.dtype)[:, None]
