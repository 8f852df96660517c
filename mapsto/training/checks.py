"""What is refused before a training writes anything: numbers that cannot be, and tasks that do not fit the learner."""

import math
from pathlib import Path

import torch

from ..adaptation.differentiation import ConstantGradients, FirstOrder, Reverse, Truncated
from ..adaptation.fitting import fitting
from ..adaptation.learner import Learner
from ..episodes import Source, to, unstack
from ..errors import MapstoError
from ..learners import Reptile
from .estimators import Estimator, EvolutionStrategies, ForwardMode

UNROLLED = (ConstantGradients, FirstOrder, Reverse, Truncated)  # themselves, not what derives from them


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
    if not isinstance(estimator, Estimator | None):
        raise MapstoError(f"estimator: got {estimator!r}, expected one of training.estimators, as ForwardMode(16).")
    if isinstance(estimator, EvolutionStrategies) and isinstance(learner, Reptile):
        raise MapstoError("estimator: got EvolutionStrategies for Reptile, whose loss says nothing without constants.")
    routes = [part.differentiation for part in learner.modules() if hasattr(part, "differentiation")]
    recomputed = [route for route in routes if type(route) not in UNROLLED]
    if isinstance(estimator, ForwardMode) and recomputed:
        raise MapstoError(
            f"estimator: got ForwardMode and differentiation by {type(recomputed[0]).__name__}, which is made for the "
            "way back; expected Reverse, or none given."
        )


def fits(learner: Learner, tasks: Source, seed: int, device: torch.device) -> None:
    """Ask for the loss of one task, and raise MapstoError in one sentence where the learner cannot tell it."""
    task = unstack(to(tasks.batch(0, 1, seed), device))[0]
    with torch.no_grad(), fitting(learner, task):
        learner.loss(task)
    if not any(p.requires_grad for p in learner.parameters()):
        raise MapstoError(f"learner: {type(learner).__name__} got a network without parameters to train.")
