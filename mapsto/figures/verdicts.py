"""A verdict on each method in one sentence: does it beat what knows nothing of the model?

    beats(measure) = better than random values and, where there is one, than the size of the input
"""

from __future__ import annotations

from collections.abc import Mapping

from ..measures.trust import HIGHER, Trust


def beats(measure: str, found: Trust) -> bool:
    """Tell whether a method is better in a measure than every baseline; never where nothing is known to compare with.

    >>> from mapsto.measures.estimate import Estimate
    >>> better, worse = Estimate(0.5, 0.1), Estimate(0.1, 0.1)
    >>> beats("gap", Trust(better, worse, None)), beats("infidelity", Trust(better, worse, None))
    (True, False)
    """
    sign = 1 if measure in HIGHER else -1
    known = [baseline.mean for baseline in (found.random, found.magnitude) if baseline is not None]
    return bool(known) and all(sign * (found.explainer.mean - baseline) > 0 for baseline in known)


def verdict(method: str, found: Mapping[str, Trust]) -> str:
    """Say of a method whether it beats the baselines in what it names first, and in how large its values are."""
    order, sizes = (beats(measure, found[measure]) for measure in ("gap", "infidelity"))
    if order and sizes:
        return f"{method} beats both baselines, in which parts it names first and in how large it says they are."
    if order:
        return f"{method} beats both baselines in which parts it names first, but not in how large it says they are."
    if sizes:
        return f"{method} beats both baselines in how large it says parts are, but not in which it names first."
    return f"{method} does not beat both baselines on this task: its reasons should not be relied on here."
