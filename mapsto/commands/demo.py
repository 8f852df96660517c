"""`mapsto demo`: predict and explain a table that ships with the install.

The table is scikit-learn's breast cancer (Wisconsin, 1995). 48 patients teach, all others are predicted and explained,
from the ten columns whose reasons can be checked exactly. With `--images`, see `demo_images`.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .options import Parser, write_json

if TYPE_CHECKING:
    from ..reports.table import Question

PATIENTS = 48


def parser() -> argparse.ArgumentParser:
    """Return the options of `mapsto demo`."""
    options = Parser(
        "demo",
        f"Learn breast cancer from {PATIENTS} patients, predict and explain all others, and check the reasons.",
        "mapsto demo --out demo",
    )
    out = "where report.html goes (default: this folder)"
    images = "learn five drawn characters from one example each instead, and predict and explain new drawings"
    options.add_argument("--images", action="store_true", help=images)
    options.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help=out)
    return options


def main(args: argparse.Namespace) -> int:
    """Run the demonstration, print its numbers and write `report.html`."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads would crawl on a busy machine
    if args.images:
        from .demo_images import demo_images

        return demo_images(args)
    from ..reports.table.answer import answer
    from ..reports.table.html import write
    from .folder import make, writable
    from .terminal import show

    path = writable(args.out) / "report.html"
    result = answer(_question(args.seed))
    make(path.parent)
    write(result, path, f"Breast cancer, learned from {PATIENTS} patients")
    if args.json:
        write_json({**result.summary, "report": str(path), "notes": result.notes})
    else:
        show(result, "Breast cancer (scikit-learn)", [path])
    return 0


def _question(seed: int) -> "Question":
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    from ..reports.table import Question
    from ..tables.splits import stratified

    data = load_breast_cancer(as_frame=True)
    table = data.data.filter(like="worst")  # the largest of each measure over a patient's cells: ten of the 30 columns
    table.index = [f"patient {i + 1}" for i in range(len(table))]
    y = data.target_names[data.target]
    teach = np.sort(stratified(y, PATIENTS, seed))
    rest = np.setdiff1d(np.arange(len(y)), teach)
    rows = table.iloc[rest]
    return Question(table.iloc[teach], y[teach], rows, y[rest].astype(object), rows[:0], y[:0], seed)
