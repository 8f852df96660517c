"""Learning-rate schedules as pure functions of the step, so that nothing has to be stored to resume one.

`constant` is 1, and `cosine` is `(1 + cos πt)/2`, where `t` is the completed fraction of training; both follow a linear
warm-up. `one-cycle` rises from 1/25 to 1 in `warmup` steps and falls to 1/250,000, both along a cosine (Smith & Topin
2018, "Super-Convergence", §3, in torch's proportions).
"""

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "one-cycle"]


def factor(schedule: Schedule, step: int, steps: int, warmup: int = 0) -> float:
    """Return the factor of the peak learning rate at `step` (0 … steps−1).

    During the first `warmup` steps the factor rises to 1: linearly, or for `one-cycle` along a cosine from 1/25, where
    `warmup=0` means three tenths of all steps.

    >>> [round(factor("cosine", step, 4), 3) for step in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    if schedule == "one-cycle":
        return _one_cycle(step, steps, warmup or 0.3 * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 1.0 if schedule == "constant" else _cosine(1, 0, (step - warmup) / (steps - warmup))


def _one_cycle(step: int, steps: int, rise: float) -> float:
    top = max(rise - 1, 0)
    if step <= top:
        return _cosine(1 / 25, 1, step / top if top else 1)
    return _cosine(1, 1 / 250_000, (step - top) / (steps - 1 - top))


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
