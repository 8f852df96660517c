"""The predictions as a table that a spreadsheet opens: the class of each row, its probabilities, and its reasons.

base + Σ_column values = probability of the predicted class
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import atomically

if TYPE_CHECKING:
    from ..reports.table.answer import Answer


def write_predictions(answer: "Answer", path: Path) -> None:
    """Write `path` whole or not at all."""
    import pandas as pd

    e, p = answer.reasons, answer.probabilities
    n, best = np.arange(len(p)), p.argmax(1)
    columns = {"row": answer.question.rows.index, "prediction": np.asarray(e.class_names)[best]}
    columns |= {f"probability of {name}": p[:, c] for c, name in enumerate(e.class_names)}
    columns |= {"base": e.base_values[n, best]}
    columns |= {f"because of {name}": e.values[n, j, best] for j, name in enumerate(e.feature_names)}
    atomically(path, lambda temporary: pd.DataFrame(columns).to_csv(temporary, index=False))
