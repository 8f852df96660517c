"""The logged steps and the evaluation of a run, read from its folder with suspicion."""

import json
import math
from pathlib import Path
from typing import Any

from ..errors import MapstoError
from ..estimate import Estimate


def read_metrics(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the logged steps, and a note if the last line was cut short by an interruption and is left out.

    Raises:
        MapstoError: a line before the last is not a JSON object with a step.
    """
    text = path.read_bytes() if path.exists() else b""
    lines = text.splitlines()
    steps: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            steps.append(_step(line))
        except ValueError as error:
            if number == len(lines) and not text.endswith(b"\n"):
                return steps, [f"The last line of {path.name} was cut short by an interruption and is left out."]
            raise MapstoError(
                f"run: line {number} of {path} is not a JSON object with a step; restore the file or train again."
            ) from error
    return steps, []


def read_evaluation(path: Path) -> dict[str, Any] | None:
    """Return the measures that `mapsto eval` wrote to `path`, or None if the run was not evaluated.

    Raises:
        MapstoError: the file is not a JSON object.
    """
    if not path.exists():
        return None
    try:
        measures = json.loads(path.read_text())
        if not isinstance(measures, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise MapstoError(f"run: {path} is not readable as JSON; write it again with `mapsto eval RUN`.") from error
    return {str(name): with_interval(value) for name, value in measures.items() if not isinstance(value, list)}


def with_interval(value: Any) -> Any:
    """Return a mean with its 95 % interval as one text, anything else unchanged."""
    if not isinstance(value, dict):
        return value
    mean, interval = (math.nan if value.get(name) is None else value[name] for name in ("mean", "interval"))
    return str(Estimate(mean, interval))


def _step(line: bytes) -> dict[str, Any]:
    step = json.loads(line)
    if not isinstance(step, dict) or "step" not in step:
        raise ValueError("not a logged step")
    return step
