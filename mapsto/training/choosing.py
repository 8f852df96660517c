"""Choose by measurement between `vmap` over tasks and a loop over tasks, for networks with convolutions on the CPU.

The loop computes large convolutions faster, and `vmap` small ones. Both give the same numbers, to float rounding.
"""

import logging
import time
from collections.abc import Callable

from ..adaptation import batching
from ..adaptation.learner import Learner
from ..episodes import Episode
from .estimators import Estimator, Params
from .meta import meta_gradient

LONG = 0.25  # seconds of a step, above which arithmetic takes most of the time, and vmap much more memory than the loop
RUNS = 2  # the first one is slower

_log = logging.getLogger(__name__)


def at_once(learner: Learner, params: Params, episodes: Episode, estimator: Estimator | None) -> bool | None:
    """Return whether `vmap` is faster for batches like this one, or None if this is known without measuring."""
    unknown = batching.convolves(learner) and not batching.alone(episodes)
    if not unknown or not batching.maps(learner.loss, episodes):
        return None
    loop, vmap = (meta_gradient(learner, vectorise=way, estimator=estimator) for way in (False, True))
    return quicker(lambda: vmap(params, episodes), lambda: loop(params, episodes))


def quicker(vmap: Callable[[], object], loop: Callable[[], object], clock: Callable[[], float] | None = None) -> bool:
    """Return whether `vmap` takes less time than `loop`; if `loop` takes long, `vmap` is not tried."""
    clock = clock or time.perf_counter
    one_by_one = _least(loop, clock)
    together = _least(vmap, clock) if one_by_one < LONG else float("inf")
    way = "at once" if together < one_by_one else "one by one"
    _log.info("Tasks are computed %s: a step takes %.4f s one by one, %.4f s at once.", way, one_by_one, together)
    return together < one_by_one


def _least(work: Callable[[], object], clock: Callable[[], float]) -> float:
    seconds = []
    for _ in range(RUNS):
        began = clock()
        work()
        seconds.append(clock() - began)
    return min(seconds)
