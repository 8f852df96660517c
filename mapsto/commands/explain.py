"""`mapsto explain`: the main job on a person's own table; rows without an outcome are the ones to predict and explain.

Where every row has an outcome, a seeded stratified part teaches and the rest judges, so that quality can be measured.
"""

import argparse
import os
from pathlib import Path

from ..errors import MapstoError
from .options import Parser, write_json


def parser() -> argparse.ArgumentParser:
    """Return the options of `mapsto explain`."""
    options = Parser(
        "explain",
        "Predict and explain the rows of a table whose outcome is empty (where none is, a part that does not teach), "
        "or a test task of a run folder.",
        "mapsto explain patients.csv --target outcome",
    )
    add = options.add_argument
    add("what", type=Path, metavar="TABLE_OR_RUN", help="a table (.csv, .tsv, also .gz), or the folder of a run")
    add("--target", metavar="COLUMN", help="the column that holds the outcome; an empty cell is to be predicted")
    add("--train-rows", type=int, metavar="N", help="teach with a stratified sample of N rows (at most 1,000)")
    add("--train", type=Path, metavar="TABLE", help="teach with another table; the first needs no outcomes then")
    add("--episode", type=int, metavar="N", help="of a run: which test task (default: 0)")
    add("--method", metavar="A,B", help="of a run: explain by these methods, and say how far to trust each")
    add("--out", type=Path, metavar="FOLDER", help="where the files go (default: NAME-explained here, or the run)")
    return options


def main(args: argparse.Namespace) -> int:
    """Explain a table or, where a folder is given, a run."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads would crawl on a busy machine
    if args.what.is_dir():
        for option in ("target", "train_rows", "train"):
            if getattr(args, option) is not None:
                name = option.replace("_", "-")
                raise MapstoError(f"--{name}: is for tables, but {args.what} is a run's folder; leave it out.")
        from .explain_run import explain_run

        return explain_run(args)
    for option in ("episode", "method"):
        if getattr(args, option) is not None:
            raise MapstoError(f"--{option}: is for the folder of a run, but {args.what} is none; leave it out.")
    return _explain_table(args)


def _explain_table(args: argparse.Namespace) -> int:
    if not args.what.exists():
        raise MapstoError(
            f"file: {args.what} does not exist, neither as a table nor as a run's folder; check the path."
        )
    if args.target is None:
        raise MapstoError("--target: got nothing, expected the name of the outcome's column; pass --target NAME.")
    from .answer import answer, write_report
    from .asked import asked
    from .folder import made, writable
    from .predictions import write_predictions
    from .shown import show

    out = writable(args.out or Path(f"{args.what.name.split('.')[0]}-explained"))
    found = answer(asked(args))
    made(out)
    write_report(found, out / "report.html", f"{args.what.name}: {args.target}")
    write_predictions(found, out / "predictions.csv")
    if args.json:
        files = {"report": str(out / "report.html"), "predictions": str(out / "predictions.csv")}
        write_json({**found.summary, **files, "notes": found.notes})
    else:
        show(found, args.what.name, [out / "report.html", out / "predictions.csv"])
    return 0
