"""Check reasons from outside: exact Shapley values by asking `predict_proba` about every pattern of missing cells.

    φ_j = Σ_S |S|! (d − |S| − 1)! / d! · (v(S ∪ j) − v(S)),    v(S) = predict_proba of the row with only S left in it

Shapley (1953). Nothing of the model's own reasons is used, so whoever has the public class can repeat it.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from ..explainers import coalitions

if TYPE_CHECKING:
    import pandas as pd

    from ..estimators import TableClassifier

COLUMNS = 10
"""The most columns whose `2^d` patterns are asked about."""


def exact_values(
    classifier: "TableClassifier", rows: "pd.DataFrame", players: list[int]
) -> Float[np.ndarray, "n players k"]:
    """Return the exact Shapley values of `classifier.predict_proba` for each of `rows`, played by some of its columns.

    The other columns keep their cells: they should be empty, or ones that change no prediction.
    """
    n = len(rows)
    design = coalitions.exact(len(players), dtype=torch.float64)
    masks = np.ones((len(design.masks), rows.shape[1]), bool)  # [2^players, d]
    masks[:, players] = design.masks.numpy() > 0.5
    cells = rows.iloc[np.repeat(np.arange(n), len(masks))].reset_index(drop=True)
    v = classifier.predict_proba(cells.where(np.tile(masks, (n, 1))))
    return (design.weights @ torch.from_numpy(v).view(n, len(masks), -1)).numpy()
