"""`mapsto explain LOG --pupil COLUMN`: predict and explain the next answers of pupils, and say what to ask next."""

import argparse
import json
from typing import TYPE_CHECKING

from ..errors import MapstoError
from .options import as_options, write_json

if TYPE_CHECKING:
    from ..reports.pupils import Answer
    from .sheet import Sheet

_FOREIGN = (
    *("text", "train_rows", "train", "missing", "type", "order", "drop", "id", "group", "positive", "outcome"),
    "sheet",
)


def explain_pupils(args: argparse.Namespace) -> int:
    """Explain the pupils of a log, and write the report and the predictions."""
    from dataclasses import replace

    from ..reports.pupils import answer, write
    from ..tasks.answer_log import read_log
    from .folder import make, mark, name_for, refuse_other, writable
    from .sheet import refuse_without_package, write_sheet
    from .terminal_pupils import show

    for option in _FOREIGN:
        if getattr(args, option) is not None:
            raise MapstoError(f"--{option.replace('_', '-')}: is for tables and texts, not for a log; leave it out.")
    form = args.out_format or "csv"
    refuse_without_package(form)
    out = writable(args.out or name_for(args.path))
    if args.out is None:
        refuse_other(args.path, out)
    page, predictions = out / "report.html", out / f"predictions.{form.rstrip(';')}"
    columns = {"pupil": args.pupil, "item": args.item, "skill": args.skill, "correct": args.target, "time": args.time}
    options = {name: f"--{name}" for name in columns} | {"correct": "--target", "pupils": "--ask"}
    with as_options(**options):
        result = answer(read_log(args.path, **columns), args.ask, args.seed)
    table = predictions_of(result, form)
    result = replace(result, notes=[*result.notes, *table.notes])
    make(out)
    write(result, page, f"{args.path.name}: the next answers", mark(args.path, out))
    write_sheet(table, predictions, form)
    if args.json:
        write_json({**result.summary, "report": str(page), "predictions": str(predictions), "notes": result.notes})
    else:
        show(result, args.path.name, [page, predictions])
    return 0


def predictions_of(answer: "Answer", form: str = "csv") -> "Sheet":
    """Return the predictions as a table: each question, the probability of a right answer, and the contributions.

    The column `contributions` holds a JSON list with the item, the correctness and the contribution of each earlier
    answer; `base` and all contributions add up to the probability. An empty item is a typical one of the skill.
    """
    from .sheet import sheet

    questions, e = answer.questions, answer.reasons
    columns = {name: questions[name].tolist() for name in ("pupil", "skill", "item")}
    columns |= {"probability of a right answer": answer.probabilities.tolist(), "base": e.base_values.tolist()}
    lists = []
    for pupil, values in zip(questions["pupil"], e.values, strict=True):
        seen = answer.tracer.answers(pupil)
        pairs = zip(seen["item"], seen["correct"].tolist(), values[: len(seen)].tolist(), strict=True)
        lists.append(json.dumps([list(pair) for pair in pairs], ensure_ascii=False))
    return sheet(columns | {"contributions": lists}, form)
