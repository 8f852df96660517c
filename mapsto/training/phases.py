"""Train a `Joint` in phases: its learner, its explainers, or both."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from .. import checks
from ..episodes import Source
from ..joint.joint import Joint, Trains
from .loop import Step, train


def phases(joint: Joint, tasks: Source, steps: Mapping[Trains, int], batch: int, **options: Any) -> Iterator[Step]:
    """Train a `Joint` in several phases, one after the other, and yield each step of each phase.

    `{"both": 2000}` trains both from the start, `{"learner": 1000, "explainers": 1000}` the explainers after the
    learner, which then stays as it is, and `{"learner": 1000, "explainers": 500, "both": 500}` first one, then the
    other, then both.

    Args:
        joint: the learner with its explainers.
        tasks: the source of tasks.
        steps: the number of steps of each phase, by the part that is trained; see `Joint`.
        batch: the number of tasks in each step.
        options: further arguments of `train`, the same in each phase; but `init` is for the first phase. If `run` is
            given, each phase writes a folder with its name in it.

    Raises:
        MapstoError: if `joint` is not a `Joint`, `steps` is empty or names an unknown part, or in any case in which
            `train` raises it.
    """
    checks.expect(isinstance(joint, Joint), "joint", f"a {type(joint).__name__}", "a Joint")
    checks.expect(bool(steps), "steps", "no phase", "a number of steps for each, such as {'both': 1000}")
    for part in steps:
        checks.one_of(get_args(Trains), steps=part)
    before, run, init = joint.trains, options.pop("run", None), options.pop("init", None)
    try:
        for index, (part, count) in enumerate(steps.items()):
            joint.trains = part
            folder = None if run is None else Path(run) / part
            yield from train(joint, tasks, count, batch, run=folder, init=None if index else init, **options)
    finally:
        joint.trains = before
