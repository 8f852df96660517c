"""`mapsto report RUN`: how a training went and what came of it, as one HTML file in the run's folder.

The page shows the learning curves of `metrics.jsonl`, the configuration, and what `mapsto eval RUN` measured.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from ..errors import MapstoError
from ..measures.estimate import Estimate
from .options import Parser, write_json


def parser() -> argparse.ArgumentParser:
    """Return the options of `mapsto report`."""
    options = Parser("report", "Write a training run's report as one HTML file.", "mapsto report runs/sinusoid")
    options.add_argument("run", type=Path, metavar="RUN", help="the folder of a run, as `mapsto train` left it")
    options.add_argument("--out", type=Path, metavar="FILE", help="the file to write (default: RUN/report.html)")
    return options


def main(args: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    from rich.console import Console

    from ..figures import write_run_report
    from ..figures.words import course
    from ..training.run import CONFIG, METRICS, read_config

    if not args.run.is_dir():
        raise MapstoError(f"run: got {args.run}, which is not a folder; pass the folder of a run.")
    config = read_config(args.run)
    metrics, notes = read_metrics(args.run / METRICS)
    reached = metrics[-1]["step"] if metrics else 0
    if reached < config.get("steps", 0):
        notes.append(f"The training is not finished: {reached:,} of {config['steps']:,} steps are logged.")
    path = write_run_report(
        args.out or args.run / "report.html",
        title=f"Training run: {args.run.resolve().name}",
        metrics=metrics,
        config=(args.run / CONFIG).read_text(),
        evaluation=read_evaluation(args.run / "evaluation.json"),
        files=sorted((file.name, file.stat().st_size) for file in args.run.iterdir() if _shown(file)),
        notes=notes,
    )
    if args.json:
        write_json({"report": str(path), "logged": len(metrics), "last": metrics[-1] if metrics else None})
        return 0
    for sentence in [*course(metrics), *notes]:
        Console().print(sentence, markup=False, highlight=False)
    Console().print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)
    return 0


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
