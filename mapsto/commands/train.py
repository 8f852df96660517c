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

from .. import processes
from ..errors import MapstoError
from ..processes import Processes
from ..training import train
from ..training.loop import Step
from ..training.run import started
from ..training.settings import Settings
from ..training.validation import ValidationLoss
from . import configuration
from .options import write_json

_EXAMPLE = """example:
mapsto train --learner MAML --learner.body MLP --learner.body.widths '[1, 40, 40, 1]' --learner.loss mse
--tasks Sinusoids --steps 70000 --batch 25 --compile --run runs/waves
| from a file: mapsto train --config run.yaml --run runs/waves
| in two processes on each of two machines: mapsto train --devices 2 --nodes 2 ...
| after an interruption: mapsto train --run runs/waves --resume
| the arguments of a class: mapsto train --learner.help MAML"""

_BY_HAND: set[str | int] = {"learner", "tasks", "validation", "config", "run", "compile", "resume", "num_nodes"}
_NOT_KEPT = ("run", "resume", "json", "allow_imports", "config", "format", "mapsto")


class _Parser(configuration.Parser):
    """Reads the configuration of the run itself if only `--run RUN --resume` is given."""

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
    options = configuration.objects_parser("train", about, _EXAMPLE, _Parser)
    options.add_argument(
        "--config", action="config", help="a YAML file of these arguments, such as a run's config.yaml"
    )
    options.add_argument(
        "--run", type=str, required=True, help="folder for configuration, metrics, checkpoints, weights"
    )
    options.add_argument(
        "--resume", action="store_true", help="continue from the run's last checkpoint, to the same numbers"
    )
    options.add_argument(
        "--compile", action=jsonargparse.ActionYesNo, default=False, help="compile the meta-gradient as one graph"
    )
    options.add_argument(
        "--validation_tasks", type=int, default=0, help="choose the weights on so many validation tasks"
    )
    options.add_argument("--nodes", "--num_nodes", dest="num_nodes", type=int, default=1, help="number of machines")
    options.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
    options.add_class_arguments(Settings, as_group=False, skip=_BY_HAND)
    for name in ("format", "mapsto"):  # what a run's config.yaml says besides
        options.add_argument(f"--{name}", type=Any, help=argparse.SUPPRESS)
    return options


def main(args: jsonargparse.Namespace) -> int:
    """Train; a first Ctrl-C or SIGTERM stops after the step and writes a checkpoint, a second one stops at once."""
    torch.manual_seed(args.seed)
    reader = parser()
    objects = reader.make(args)
    config = {name: value for name, value in yaml.safe_load(reader.dump(args)).items() if name not in _NOT_KEPT}
    parameters = {"learner", "tasks", *(field.name for field in dataclasses.fields(Settings))} - {"config"}
    arguments = {name: value for name, value in vars(objects).items() if name in parameters}
    if args.validation_tasks:
        arguments["validation"] = ValidationLoss(objects.tasks.validation, args.validation_tasks, args.batch, args.seed)
    group = processes.start(args.devices, args.num_nodes, args.device, args.precision)
    if group.first and args.resume and not started(args.run):
        sys.stderr.write(f"mapsto: {args.run} holds no checkpoint to resume from, so this training begins anew.\n")
    steps = train(config=config, **arguments)
    with _stopping_softly() as stopped:
        last = _follow(steps, args.steps, lambda: _anywhere(stopped(), group), quiet=args.json or not group.first)
    if not group.first:
        return 0  # the first process writes, and tells how it ended
    if args.json:
        write_json({"run": args.run, "finished": not stopped(), **_numbers(last, args.steps)})
    elif not stopped():
        loss = last and f"loss {last.metrics['loss']:.4f} at the last step, {last.seconds:.1f} s."
        result = loss or "It was finished."
        Console(soft_wrap=True).print(f"{args.run}: {args.steps} steps. {result} Measure it: mapsto eval {args.run}")
    if stopped():
        again = f"mapsto train --run {args.run} --resume"
        sys.stderr.write(f"mapsto: interrupted after step {last.step if last else 0}; continue with `{again}`.\n")
    return 130 if stopped() else 0


def _anywhere(stopped: bool, group: Processes) -> bool:
    """Return whether a person has stopped one of the processes, so that all stop after the same step."""
    return bool(group.sum(torch.tensor(float(stopped))))


def _numbers(last: Step | None, steps: int) -> dict[str, Any]:
    return {"step": last.step, "seconds": last.seconds, **last.metrics} if last else {"step": steps}


def _follow(steps: Iterator[Step], total: int, stopped: Callable[[], bool], quiet: bool) -> Step | None:
    """Take every step, showing the rate and the time left, until all are done or a person stops them."""
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    last, updated, began = None, 0.0, (0, 0.0)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        line = bar.add_task("train", total=total, note="the first step takes longest")
        for last in steps:
            began = began if updated else (last.step, last.seconds)
            if (now := time.monotonic()) - updated > 0.2 or last.step == total:
                rate = (last.step - began[0]) / max(last.seconds - began[1], 1e-9)
                bar.update(line, completed=last.step, note=f"{rate:.1f} steps/s, loss {last.metrics['loss']:.4f}")
                updated = now
            if stopped():
                break
    if isinstance(steps, Generator):
        steps.close()  # which writes the checkpoint now
    return last


@contextmanager
def _stopping_softly() -> Iterator[Callable[[], bool]]:
    """Record a first Ctrl-C or SIGTERM instead of raising; yields a function that says whether there was one."""
    signals: list[int] = []

    def note(number: int, frame: Any) -> None:
        if signals:
            raise KeyboardInterrupt
        signals.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(signals)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
