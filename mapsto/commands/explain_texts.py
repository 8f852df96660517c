"""`mapsto explain TABLE --text COLUMN`: predict and explain the texts in a column of a person's table."""

import argparse
import functools
import json
from typing import TYPE_CHECKING

from .options import as_options, refuse, suggest, write_json

if TYPE_CHECKING:
    from ..reports.table.question import Question
    from ..reports.texts import Answer
    from .sheet import Sheet

_FOREIGN = ("type", "order", "drop", "group", "positive", "outcome")


def explain_texts(args: argparse.Namespace) -> int:
    """Explain the texts, and write the report and the predictions."""
    from dataclasses import replace

    from ..reports.texts import answer, write
    from .outputs import deliver, outputs
    from .terminal_texts import show

    refuse(args, _FOREIGN, "is for tables of several columns, but --text names one")
    to = outputs(args)
    names = {"target": "--target", "text": "--text", "train_rows": "--train-rows", "table": "file", "id": "--id"}
    with as_options(**names, sheet="--sheet", labels="--target", texts="--text"):
        result = answer(_question(args))
    table = predictions_of(result, to.form)
    result = replace(result, notes=[*result.notes, *table.notes])
    page = functools.partial(write, language=args.language or "en")
    deliver(to, result, table, page, f"{args.path.name}: {args.target}")
    if args.json:
        write_json({**result.summary, **to.files(), "notes": result.notes})
    else:
        show(result, args.path.name, [to.page, to.predictions])
    return 0


def predictions_of(answer: "Answer", form: str = "csv") -> "Sheet":
    """Return the predictions as a table: the class of each text, its probabilities, and the contributions to it.

    The column `contributions` holds a JSON list of the parts of the text with their contributions to the probability of
    the predicted class; `base` and all contributions add up to it.
    """
    from .sheet import sheet

    e, p, best = answer.reasons, answer.probabilities, answer.predicted
    columns = {"row": answer.question.rows.index, "text": answer.question.rows.iloc[:, 0].to_numpy()}
    columns |= {"prediction": [answer.classes[c] for c in best]}
    columns |= {f"probability of {name}": p[:, c] for c, name in enumerate(answer.classes)}
    columns |= {"base": [float(e.base_values[i, c]) for i, c in enumerate(best)]}
    pairs = [
        [[part, float(value)] for part, value in zip(parts, e.values[i, : len(parts), best[i]], strict=True)]
        for i, parts in enumerate(e.parts)
    ]
    columns |= {"contributions": [json.dumps(of_text, ensure_ascii=False) for of_text in pairs]}
    return sheet({name: list(cells) for name, cells in columns.items()}, form)


def _question(args: argparse.Namespace) -> "Question":
    """Read the table, and the training table if `--train` names one."""
    from dataclasses import replace

    from ..reports.table.question import Choices
    from ..reports.texts import of_texts, of_two_files
    from .explain import _read

    read, choices = _read(args.path, args.sheet), Choices(missing=args.missing or (), id=args.id)
    suggest("--text", args.text, read.table.columns)
    if args.train is None:
        suggest("--target", args.target, read.table.columns)
        question = of_texts(read.table, args.target, args.text, args.train_rows, args.seed, str(args.path), choices)
        return replace(question, notes=[*read.notes, *question.notes])
    train, names = _read(args.train, args.sheet), (str(args.path), str(args.train))
    rest = (args.train_rows, args.seed, names, choices)
    question = of_two_files(read.table, train.table, args.target, args.text, *rest)
    notes = [f"{name}: {note}" for name, file in zip(names, (read, train), strict=True) for note in file.notes]
    return replace(question, notes=[*notes, *question.notes])
