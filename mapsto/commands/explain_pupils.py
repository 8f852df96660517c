"""`mapsto explain LOG --pupil COLUMN`: predict and explain the next answers of pupils, and say what to ask next."""

import argparse
import functools
import json
from typing import TYPE_CHECKING

from .options import as_options, refuse, write_json

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
    from ..reports.pupils.words import TITLE
    from ..tasks.answer_log import read_log
    from .outputs import deliver, outputs
    from .terminal_pupils import show

    refuse(args, _FOREIGN, "is for tables and texts, not for a log")
    to = outputs(args)
    columns = {"pupil": args.pupil, "item": args.item, "skill": args.skill, "correct": args.target, "time": args.time}
    options = {name: f"--{name}" for name in columns} | {"correct": "--target", "pupils": "--ask"}
    with as_options(**options):
        result = answer(read_log(args.path, **columns), args.ask, args.seed)
    table = predictions_of(result, to.form)
    result = replace(result, notes=[*result.notes, *table.notes])
    page = functools.partial(write, language=args.language or "en")
    deliver(to, result, table, page, f"{args.path.name}: {TITLE}")
    if args.json:
        write_json({**result.summary, **to.files(), "notes": result.notes})
    else:
        show(result, args.path.name, [to.page, to.predictions])
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
