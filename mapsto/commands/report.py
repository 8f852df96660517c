"""`mapsto report RUN`: what a trained learner says of a test task and why, and how its training went, as one HTML file.

The page tells a test task (answers, reasons, what was taught, the adaptation film, trust: see `report_task`), then the
learning curves of `metrics.jsonl`, the configuration, and what `mapsto eval RUN` measured. Of a run whose learner or
tasks cannot be made again it tells the course alone, and why.
"""

import argparse
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MapstoError
from ..estimate import Estimate
from .options import Parser, write_json

if TYPE_CHECKING:
    from ..figures.task_facts import TaskFacts


def parser() -> argparse.ArgumentParser:
    """Return the options of `mapsto report`."""
    options = Parser(
        "report",
        "Write a run's report as one HTML file: what it says of a test task and why, and how its training went.",
        "mapsto report runs/sinusoid --episode 3",
    )
    add = options.add_argument
    add("run", type=Path, metavar="RUN", help="the folder of a run, as `mapsto train` left it")
    add("--episode", type=int, metavar="N", help="which test task is told (default: 0)")
    add("--method", metavar="A,B", help="explain by these methods (default: some that fit the learner)")
    add("--out", type=Path, metavar="FILE", help="the file to write (default: RUN/report.html)")
    return options


def main(args: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    from ..figures import write_run_report
    from ..training.run import CONFIG, METRICS, read_config

    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads would crawl on a busy machine
    if not args.run.is_dir():
        raise MapstoError(f"run: got {args.run}, which is not a folder; pass the folder of a run.")
    config = read_config(args.run)
    metrics, notes = read_metrics(args.run / METRICS)
    reached = metrics[-1]["step"] if metrics else 0
    if reached < config.get("steps", 0):
        notes.append(f"The training is not finished: {reached:,} of {config['steps']:,} steps are logged.")
    evaluation = read_evaluation(args.run / "evaluation.json")
    task, missing = told_task(args)
    path = write_run_report(
        args.out or args.run / "report.html",
        title=f"Training run: {args.run.resolve().name}",
        metrics=metrics,
        config=(args.run / CONFIG).read_text(),
        evaluation=evaluation,
        files=sorted((file.name, file.stat().st_size) for file in args.run.iterdir() if _shown(file)),
        notes=[*notes, *missing],
        task=task,
    )
    _tell(args, path, metrics, [*notes, *missing], task)
    return 0


def told_task(args: argparse.Namespace) -> "tuple[TaskFacts | None, list[str]]":
    """Ask the run's learner about a test task; where that cannot be done, return a sentence that says why.

    Raises MapstoError for options that no run could follow, or this one cannot: what was asked for is not left out.
    """
    from .asked_methods import refuse_own, refuse_unknown
    from .asked_task import refuse_episode, said
    from .configuration import load_run
    from .report_task import report_task

    refuse_episode(args.episode)
    if args.method is not None:
        refuse_unknown(args.method)
    failed = "run could not be made again"
    try:
        run = load_run(args.run)
        failed = "learner could not be asked"
        if args.method is not None:
            refuse_own(args.method, run.learner)
        return report_task(run.learner, run.tasks, args.episode, args.method, args.seed), []
    except (MapstoError, ValueError, OSError) as error:
        if args.episode is not None or args.method is not None:
            raise
        return None, [f"No test task is told on this page, since the {failed}: {said(error)}."]


def _tell(
    args: argparse.Namespace, path: Path, metrics: list[dict[str, Any]], notes: list[str], task: "TaskFacts | None"
) -> None:
    from rich.console import Console

    from ..figures.task_sections import about
    from ..figures.words import course

    if args.json:
        last = metrics[-1] if metrics else None
        write_json({"report": str(path), "logged": len(metrics), "last": last, "notes": notes, "task": _summary(task)})
        return
    for sentence in [*([about(task)] if task else []), *course(metrics), *notes]:
        Console().print(sentence, markup=False, highlight=False)
    Console().print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)


def _summary(task: "TaskFacts | None") -> dict[str, Any] | None:
    """Return what a machine may want to know of the task: the answers, and how far each method can be trusted."""
    if task is None:
        return None
    from .explain_methods import MEASURES

    reasons = task.reasons
    trusted = {} if reasons is None else {
        method: {name: one[name]._asdict() for name in MEASURES} for method, one in reasons.trusted.items()
    }  # fmt: skip
    answers = [{"says": task.answer(i), "true": task.truth(i)} for i in range(len(task.x))]
    left_out = {} if reasons is None else dict(reasons.left_out)
    return {
        "name": task.name,
        "answers": answers,
        "trust": trusted,
        "left_out": left_out,
        "missing": dict(task.missing),
    }


def read_metrics(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Read the logged steps; a last line cut short by an interruption is left out, and said.

    Raises:
        MapstoError: a line before the last is not one JSON object.
    """
    text = path.read_bytes() if path.exists() else b""
    lines = text.splitlines()
    logged: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            logged.append(_logged(line))
        except ValueError as error:
            if number == len(lines) and not text.endswith(b"\n"):
                return logged, [f"The last line of {path.name} was cut short by an interruption and is left out."]
            raise MapstoError(
                f"run: line {number} of {path} is not a JSON object with a step; restore the file or train again."
            ) from error
    return logged, []


def read_evaluation(path: Path) -> dict[str, Any] | None:
    """Read what `mapsto eval` kept, or None where the run was not evaluated."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise MapstoError(f"run: {path} is not readable as JSON; write it again with `mapsto eval RUN`.") from error
    return {str(name): _told(value) for name, value in found.items() if not isinstance(value, list)}


def _told(value: Any) -> Any:
    """Return a mean with its 95 % interval as one text, anything else as it is."""
    if not isinstance(value, dict):
        return value
    mean, interval = (math.nan if value.get(name) is None else value[name] for name in ("mean", "interval"))
    return str(Estimate(mean, interval))


def _logged(line: bytes) -> dict[str, Any]:
    found = json.loads(line)
    if not isinstance(found, dict) or "step" not in found:
        raise ValueError("not a logged step")
    return found


def _shown(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.name != "report.html"
