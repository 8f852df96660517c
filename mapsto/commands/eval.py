"""`mapsto eval RUN`: measure a run on its test tasks, with a 95 % interval; `RUN/evaluation.json` keeps it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..files import atomically
from .options import Parser, as_json, write_json


class _Parser(Parser):
    """Collects `--learner.NAME VALUE` and `--tasks.NAME VALUE` as changes to the run's own arguments."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        parsed, rest = self.parse_known_args(args, namespace)
        for option in rest:
            if option.startswith("-") and not option.startswith(("--learner.", "--tasks.")):
                self.error(f"{option}: no such argument")
        if rest and not rest[0].startswith("--"):
            self.error(f"{rest[0]}: expected one run, and changes such as --tasks.NAME VALUE")
        parsed.changes = rest
        return parsed


def parser() -> Parser:
    """Return the parser."""
    options = _Parser(
        "eval",
        "Measure a run on tasks it was not trained on, with a 95 % interval.\n"
        "The run's own arguments can be changed, for example to test with 20 classes a learner trained with 60.",
        "mapsto eval runs/proto --episodes 1000 --tasks.ways 20 --learner.ways 20",
    )
    options.add_argument("run", help="the folder of a run")
    options.add_argument("--episodes", type=int, default=600, help="how many tasks (default: 600)")
    options.add_argument("--batch", type=int, default=25, help="tasks at a time (default: 25)")
    options.add_argument("--split", choices=("train", "validation", "test"), default="test", help="default: test")
    options.add_argument("--devices", type=int, default=1, help="processes that share the tasks (default: 1)")
    options.add_argument("--nodes", type=int, default=1, help="machines, each with so many processes (default: 1)")
    options.add_argument(
        "--allow-imports", action="store_true", help="make classes outside mapsto too: it runs their code"
    )
    return options


def main(args: argparse.Namespace) -> int:
    """Read the run back, evaluate it, and print or write the measures."""
    from rich.console import Console

    from ..measures import evaluate
    from ..measures.evaluation.evaluate import summary
    from ..processes import start
    from .configuration import load_run

    run = load_run(args.run, args.changes, args.allow_imports)  # before other processes start, in vain if it is none
    group = start(args.devices, args.nodes)
    how = {"devices": args.devices, "num_nodes": args.nodes}
    score = evaluate(run.learner, run.tasks.of(args.split), args.episodes, args.batch, args.seed, **how)
    if not group.first:
        return 0
    numbers = {"run": args.run, "split": args.split, **summary(score)}
    if args.split == "test" and not args.changes:  # the run's own tasks, which `mapsto report` tells of
        atomically(Path(args.run) / "evaluation.json", lambda temporary: temporary.write_text(as_json(numbers)))
    if args.json:
        write_json(numbers)
    else:
        Console(soft_wrap=True, highlight=False).print(f"{args.run}, {args.split} tasks: {score}")
    return 0
