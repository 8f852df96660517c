"""`mapsto train`: meta-train a learner on a source of tasks, into a run folder."""

import argparse
import dataclasses
import itertools
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonargparse
import torch
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..errors import MapstoError
from ..training import Settings, Step, ValidationLoss, train
from ..training.run import started
from . import configuration
from .options import write_json

_EXAMPLE = """example:
mapsto train --learner MAML --learner.body MLP --learner.body.widths '[1, 40, 40, 1]' --learner.loss mse
--tasks Sinusoids --steps 70000 --batch 25 --compile --run runs/waves
| from a file: mapsto train --config run.yaml --run runs/waves
| after an interruption: mapsto train --run runs/waves --resume
| the arguments of a class: mapsto train --learner.help MAML"""

_BY_HAND: set[str | int] = {"learner", "tasks", "validation", "config", "run", "compile", "resume"}
_NOT_KEPT = ("run", "resume", "json", "allow_imports", "config", "format", "mapsto")


class _Parser(configuration.Parser):
    """Reads the configuration of the run itself where `--run RUN --resume` is all that is said."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        args = list(args or [])
        if "--resume" in args and "--run" in args[:-1] and not {"--config", "--learner"} & set(args):
            config = Path(args[args.index("--run") + 1]) / "config.yaml"
            if not config.exists():
                raise MapstoError(f"run: {config.parent} holds no config.yaml to resume from; train into it first.")
            args = ["--config", str(config), *args]
        for option, value in itertools.pairwise(args):
            if option == "--config":
                configuration.refuse_unreadable(value)
        return super().parse_args(args, namespace, **kwargs)


def parser() -> configuration.Parser:
    """Return the parser: the arguments of `mapsto.train`, a learner and tasks."""
    about = "Meta-train a learner on a source of tasks, into a run folder."
    made = configuration.objects_parser("train", about, _EXAMPLE, _Parser)
    made.add_argument("--config", action="config", help="a YAML file of these arguments, such as a run's config.yaml")
    made.add_argument("--run", type=str, required=True, help="folder for configuration, metrics, checkpoints, weights")
    made.add_argument(
        "--resume", action="store_true", help="continue from the run's last checkpoint, to the same numbers"
    )
    made.add_argument(
        "--compile", action=jsonargparse.ActionYesNo, default=False, help="compile the meta-gradient as one graph"
    )
    made.add_argument("--validation_tasks", type=int, default=0, help="choose the weights on so many validation tasks")
    made.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
    made.add_class_arguments(Settings, as_group=False, skip=_BY_HAND)
    for name in ("format", "mapsto"):  # what a run's config.yaml says besides
        made.add_argument(f"--{name}", type=Any, help=argparse.SUPPRESS)
    return made


def main(args: jsonargparse.Namespace) -> int:
    """Train; a first Ctrl-C or SIGTERM stops after the step, with a checkpoint, a second one at once."""
    torch.manual_seed(args.seed)
    reader = parser()
    made = reader.make(args)
    config = {name: value for name, value in yaml.safe_load(reader.dump(args)).items() if name not in _NOT_KEPT}
    theirs = {"learner", "tasks", *(field.name for field in dataclasses.fields(Settings))} - {"config"}
    arguments = {name: value for name, value in vars(made).items() if name in theirs}
    if args.validation_tasks:
        arguments["validation"] = ValidationLoss(made.tasks.validation, args.validation_tasks, args.batch, args.seed)
    if args.resume and not started(args.run):
        sys.stderr.write(f"mapsto: {args.run} holds no checkpoint to resume from, so this training begins anew.\n")
    steps = train(config=config, **arguments)
    with _stopping_softly() as stopped:
        last = _follow(steps, args.steps, stopped, quiet=args.json)
    if args.json:
        write_json({"run": args.run, "finished": not stopped(), **_numbers(last, args.steps)})
    elif not stopped():
        said = (
            f" loss {last.metrics['loss']:.4f} at the last step, {last.seconds:.1f} s." if last else " It was finished."
        )
        Console(soft_wrap=True).print(f"{args.run}: {args.steps} steps.{said} Measure it: mapsto eval {args.run}")
    if stopped():
        again = f"mapsto train --run {args.run} --resume"
        sys.stderr.write(f"mapsto: interrupted after step {last.step if last else 0}; continue with `{again}`.\n")
    return 130 if stopped() else 0


def _numbers(last: Step | None, steps: int) -> dict[str, Any]:
    return {"step": last.step, "seconds": last.seconds, **last.metrics} if last else {"step": steps}


def _follow(steps: Iterator[Step], total: int, stopped: Callable[[], bool], quiet: bool) -> Step | None:
    """Take every step, showing rate and time left, until all are done or a person stops them."""
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    last, shown, began = None, 0.0, (0, 0.0)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        line = bar.add_task("train", total=total, said="the first step takes longest")
        for last in steps:
            began = began if shown else (last.step, last.seconds)
            if (now := time.monotonic()) - shown > 0.2 or last.step == total:
                rate = (last.step - began[0]) / max(last.seconds - began[1], 1e-9)
                bar.update(line, completed=last.step, said=f"{rate:.1f} steps/s, loss {last.metrics['loss']:.4f}")
                shown = now
            if stopped():
                break
    if isinstance(steps, Generator):
        steps.close()  # which writes the checkpoint now
    return last


@contextmanager
def _stopping_softly() -> Iterator[Callable[[], bool]]:
    """Note a first Ctrl-C or SIGTERM instead of raising; yields whether there was one."""
    told: list[int] = []

    def note(number: int, frame: Any) -> None:
        if told:
            raise KeyboardInterrupt
        told.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(told)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
