"""What is refused before a training writes anything: numbers that cannot be, and tasks that do not fit the learner."""

import math
from pathlib import Path

import torch

from ..episodes import Source, to, unstack
from ..errors import MapstoError
from ..learners import Reptile
from ..learners.differentiation import ConstantGradients, FirstOrder, Reverse, Truncated
from ..learners.learner import Learner
from .estimators import Estimator, EvolutionStrategies, ForwardMode

UNROLLED = (ConstantGradients, FirstOrder, Reverse, Truncated)


def whole(**counts: int | None) -> None:
    """Raise MapstoError for a count below 1; None is no count."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise MapstoError(f"{name}: got {count}, expected a whole number from 1.")


def rates(lr: float, weight_decay: float, clip: float | None, ema: float | None) -> None:
    """Raise MapstoError for a rate, a decay or a bound that is not one."""
    if not 0 <= lr < math.inf:
        raise MapstoError(f"lr: got {lr}, expected a learning rate from 0.")
    if not 0 <= weight_decay < math.inf:
        raise MapstoError(f"weight_decay: got {weight_decay}, expected 0 or more.")
    if clip is not None and not clip > 0:
        raise MapstoError(f"clip: got {clip}, expected a gradient norm above 0.")
    if ema is not None and not 0 < ema < 1:
        raise MapstoError(f"ema: got {ema}, expected a decay between 0 and 1, as 0.999.")


def threads_hold(threads: int, precision: str) -> None:
    """Raise MapstoError where a lower precision would hold in one thread only."""
    if threads > 1 and precision != "32-true":
        raise MapstoError(
            f"threads: got {threads} with precision {precision!r}, expected 1: it holds in one thread only."
        )


def named(run: str | Path | None) -> None:
    """Raise MapstoError for a folder without a name."""
    if run is not None and not str(run).strip():
        raise MapstoError("run: got an empty name, expected a folder to write to.")


def estimable(estimator: Estimator | None, learner: Learner) -> None:
    """Raise MapstoError for a learner whose gradient an estimator would not find."""
    if isinstance(estimator, EvolutionStrategies) and isinstance(learner, Reptile):
        raise MapstoError("estimator: got EvolutionStrategies for Reptile, whose loss says nothing without constants.")
    routes = [part.differentiation for part in learner.modules() if hasattr(part, "differentiation")]
    recomputed = [route for route in routes if not isinstance(route, UNROLLED)]
    if isinstance(estimator, ForwardMode) and recomputed:
        raise MapstoError(
            f"estimator: got ForwardMode and differentiation by {type(recomputed[0]).__name__}, which is made for the "
            "way back; expected Reverse, or none given."
        )


def fits(learner: Learner, tasks: Source, seed: int, device: torch.device) -> None:
    """Ask for the loss of one task, and raise MapstoError in one sentence where the learner cannot tell it."""
    task = unstack(to(tasks.batch(0, 1, seed), device))[0]
    try:
        with torch.no_grad():
            learner.loss(task)
    except MapstoError:
        raise
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        x, y = task.support.x, task.support.y
        reason = " ".join(str(error).split())[:160]
        raise MapstoError(
            f"tasks: {type(learner).__name__} cannot learn from these, whose examples are x {list(x.shape[1:])} and "
            f"y {list(y.shape[1:])} of {str(y.dtype).removeprefix('torch.')} ({reason}); check the learner's sizes "
            "and ways against the tasks'."
        ) from error
