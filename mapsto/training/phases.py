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

    With `steps={"both": 2000}`, learner and explainers are trained together from the start. With
    `{"learner": 1000, "explainers": 1000}`, the explainers are trained after the learner, which then stays as it is.
    With `{"learner": 1000, "explainers": 500, "both": 500}`, a third phase trains both together.

    Args:
        joint: the learner with its explainers.
        tasks: the source of tasks.
        steps: the phases in order: a dictionary from the part that is trained ("learner", "explainers" or "both") to
            the number of steps.
        batch: the number of tasks in each step.
        options: further arguments of `train`. They apply to every phase, except that `init` applies only to the first.
            If `run` is given, each phase writes its own folder in the folder `run`, such as `run/learner`.

    Raises:
        MapstoError: if `joint` is not a `Joint`, `steps` is empty or contains an unknown part, or in any case in which
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
