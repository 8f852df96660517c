"""The predictions as a table that a spreadsheet opens: each row's class, probabilities, and what each column added.

base + Σ_column values = probability of the predicted class
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import atomically

if TYPE_CHECKING:
    from .answer import Answer


def write_predictions(answer: "Answer", path: Path) -> None:
    """Write `path` whole or not at all."""
    import pandas as pd

    e, p = answer.reasons, answer.probabilities
    n, best = np.arange(len(p)), p.argmax(1)
    columns = {"row": answer.question.rows.index, "prediction": answer.classes[best]}
    columns |= {f"probability of {name}": p[:, c] for c, name in enumerate(answer.classes)}
    columns |= {"base": e.base_values[n, best]}
    columns |= {f"because of {name}": e.values[n, j, best] for j, name in enumerate(e.feature_names)}
    atomically(path, lambda temporary: pd.DataFrame(columns).to_csv(temporary, index=False))
