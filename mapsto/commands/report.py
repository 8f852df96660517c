"""`mapsto report RUN`: a trained learner's answers to a test task, their reasons, and its training, as one HTML file.

The page tells of a test task (answers, reasons, teaching examples, the adaptation film, trust), then of the learning
curves of `metrics.jsonl`, the configuration, and the numbers of `mapsto eval RUN`. If the learner or the tasks of a run
cannot be made again, the page tells of the training alone, and says why.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MapstoError
from .options import Parser, as_options, write_json

if TYPE_CHECKING:
    from ..reports.answer import Answer


def parser() -> argparse.ArgumentParser:
    """Return the options of `mapsto report`."""
    options = Parser(
        "report",
        "Write a run's report as one HTML file: what it says of a test task and why, and how its training went.",
        "mapsto report runs/sinusoid --episode 3",
    )
    add = options.add_argument
    add("run", type=Path, metavar="RUN", help="the folder of a run, as `mapsto train` left it")
    add("--episode", type=int, metavar="N", help="number of the test task on the page (default: 0)")
    add("--method", metavar="A,B", help="explain by these methods (default: some that fit the learner)")
    add("--allow-imports", action="store_true", help="of a run: make classes outside mapsto too: it runs their code")
    add("--out", type=Path, metavar="FILE", help="the file to write (default: RUN/report.html)")
    return options


def main(args: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    from ..reports.page import refuse_unwritable
    from ..reports.run import write_run_report
    from ..reports.run_folder import read_evaluation, read_metrics
    from ..training.run import CONFIG, METRICS, read_config

    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads would crawl on a busy machine
    if not args.run.is_dir():
        raise MapstoError(f"run: got {args.run}, which is not a folder; pass the folder of a run.")
    out = args.out or args.run / "report.html"
    with as_options(path="--out"):
        refuse_unwritable(out)
    config = read_config(args.run)
    metrics, notes = read_metrics(args.run / METRICS)
    reached = metrics[-1]["step"] if metrics else 0
    if reached < config.get("steps", 0):
        notes.append(f"The training is not finished: {reached:,} of {config['steps']:,} steps are logged.")
    evaluation = read_evaluation(args.run / "evaluation.json")
    task, missing = task_or_reason(args)
    notes += missing
    path = write_run_report(
        out,
        title=f"Training run: {args.run.resolve().name}",
        metrics=metrics,
        config=(args.run / CONFIG).read_text(),
        evaluation=evaluation,
        files=sorted((file.name, file.stat().st_size) for file in args.run.iterdir() if _listed(file)),
        notes=notes,
        task=task,
    )
    _print(args, path, metrics, notes, task)
    return 0


def task_or_reason(args: argparse.Namespace) -> "tuple[Answer | None, list[str]]":
    """Ask the run's learner about a test task; if that is impossible, return a sentence that says why.

    Raises:
        MapstoError: an option names no test task or no method, or this run cannot follow an option.
    """
    from ..reports.task.build import task_answer
    from ..reports.task.methods import names_of
    from ..reports.task.question import check_index
    from ..reports.words import in_line
    from .configuration import load_run

    with as_options(index="--episode", methods="--method"):
        check_index(args.episode or 0)
        if args.method is not None:
            names_of(args.method)
        failure = "run could not be made again"
        try:
            run = load_run(args.run, allow_imports=args.allow_imports)
            failure = "learner could not be evaluated"
            return task_answer(run.learner, run.tasks, args.episode or 0, args.method or (), args.seed), []
        except (MapstoError, ValueError, OSError) as error:
            if args.episode is not None or args.method is not None:
                raise
            return None, [f"This page shows no test task, since the {failure}: {in_line(error)}."]


def _print(
    args: argparse.Namespace,
    path: Path,
    metrics: list[dict[str, Any]],
    notes: list[str],
    task: "Answer | None",
) -> None:
    from rich.console import Console

    from ..reports.course import course

    if args.json:
        last, said = metrics[-1] if metrics else None, task and task.summary()
        write_json({"report": str(path), "logged": len(metrics), "last": last, "notes": notes, "task": said})
        return
    for sentence in [*([task.about()] if task else []), *course(metrics), *notes]:
        Console().print(sentence, markup=False, highlight=False)
    Console().print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)


def _listed(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.name != "report.html"
