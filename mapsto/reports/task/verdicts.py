"""A sentence on each method for a newcomer: how it works, and whether it beats baselines that know no model.

lead(measure) = by how much a method is better than random values and than the size of the input, if that is measured
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...measures.faithfulness.trust import HIGHER, Trust

ABOUT = {
    "SelfExplaining": "The learner's own reasons, given in the same pass as its answer.",
    "Gradient": "How much the answer would change if each part were a little larger.",
    "InputXGradient": "The slope of the answer in each part, times how large that part is.",
    "IntegratedGradients": "Moves from the mean teaching example to the query and adds up what each part adds.",
    "Smooth": "How much the answer would change if each part were a little larger, averaged over noisy copies.",
    "Occlusion": "Hides one part at a time and notes what the answer loses.",
    "LIME": "Hides many random sets of parts and fits a simple sum to what the answer does.",
    "Shapley": "Shares the answer out fairly: what each part adds, averaged over all sets of the other parts.",
    "PermutationShapley": "Shares the answer out fairly: what each part adds, averaged over orders of showing them.",
}
_TITLES = {"gap": "insertion − deletion", "infidelity": "infidelity"}


def about(method: str, otherwise: str = "") -> str:
    """Describe a method; without a description of ours, by the first sentence of its class, `otherwise`.

    >>> about("Mine", "Attribute by `x`, in units of outcome. And so on.")
    'Attribute by x, in units of outcome.'
    """
    first = otherwise.split("\n")[0].replace("`", "").partition(". ")[0].rstrip(".") + "."
    return ABOUT.get(method.partition(":")[0], first)


def lead(measure: str, trust: Trust) -> float:
    """Return by how much a method beats the better of its baselines, NaN if it has none.

    >>> from mapsto.estimate import Estimate
    >>> better, worse = Estimate(0.5, 0.1), Estimate(0.1, 0.1)
    >>> lead("gap", Trust(better, worse, None)), lead("infidelity", Trust(better, worse, None))
    (0.4, -0.4)
    """
    sign = 1 if measure in HIGHER else -1
    baselines = [baseline.mean for baseline in (trust.random, trust.magnitude) if baseline is not None]
    return min((sign * (trust.explainer.mean - baseline) for baseline in baselines), default=math.nan)


def verdict(method: str, trust: Mapping[str, Trust]) -> str:
    """Say whether a method beats the baselines in the order of the parts, and in the size of its values."""
    order, sizes = (lead(measure, trust[measure]) > 0 for measure in ("gap", "infidelity"))
    chance = _chance([measure for measure, won in (("gap", order), ("infidelity", sizes)) if won], trust)
    beats = f"{method} beats both baselines"
    if order and sizes:
        return f"{beats}, in which parts it names first and in how large it says they are{chance}."
    if order:
        return f"{beats} in which parts it names first{chance}, but not in how large it says they are."
    if sizes:
        return f"{beats} in how large it says parts are{chance}, but not in which it names first."
    return f"{method} does not beat both baselines on this task: its reasons should not be relied on here."


def _chance(won: list[str], trust: Mapping[str, Trust]) -> str:
    """Say that a lead may be chance if it is within the method's own 95 % interval, or if that is unknown."""
    small = [measure for measure in won if not lead(measure, trust[measure]) > trust[measure].explainer.interval]
    if not small:
        return ""
    return (
        ", by so little that it may be chance"
        if small == won
        else f", though the lead in {_TITLES[small[0]]} may be chance"
    )
