"""The reasons for the answers to a task's queries by several methods, and how far each can be trusted on this model.

Each method is measured on the same queries: the change of the score when parts are hidden in the order in which the
method names them (the gap between the insertion and the deletion curve), how well its values predict the change when
parts are hidden at random (infidelity), and how much they change when the query hardly does (max-sensitivity). Random
values and the size of the query's entries are measured beside it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from ...errors import MapstoError
from ...explainers import GameExplainer, ViewExplainer
from ...measures.faithfulness.trust import Trust, baselines, explained, trust
from ..words import in_line
from .hiding import Hiding
from .question import TaskQuestion

RADIUS = 0.02  # of the unit of each entry, see `Hiding.unit`: how far a query moves for max-sensitivity
CANNOT = (MapstoError, ValueError, RuntimeError)  # torch raises RuntimeError for what it cannot differentiate
MEASURES = {"gap": "insertion − deletion", "infidelity": "infidelity", "max-sensitivity": "max-sensitivity"}


class Attributions(NamedTuple):
    """The values of each method for the queries `[m, ...]` and its measures, or the reason why it has none."""

    values: dict[str, Tensor]
    trust: dict[str, dict[str, Trust]]
    left_out: dict[str, str]


def explain(
    methods: Mapping[str, ViewExplainer | GameExplainer], question: TaskQuestion, hiding: Hiding
) -> Attributions:
    """Explain the queries by each method and measure it; a method that cannot is left out with a reason."""
    x, result = question.query.x, Attributions({}, {}, {})
    games = lambda row: hiding.game(question.view(row), row)  # noqa: E731
    measured = x[0].numel() > 1  # with one part only, no order of parts is better than another
    against = baselines(games, x, groups=hiding.groups, chunk_size=1) if measured else None
    for name, method in methods.items():
        try:
            values = explained(method, question.view, games, x, chunk_size=1)
            measures = {}
            if measured:
                measures = trust(
                    method,
                    question.view,
                    games,
                    x,
                    None,
                    hiding.groups,
                    RADIUS * hiding.unit,
                    chunk_size=1,
                    values=values,
                    against=against,
                )
        except CANNOT as error:
            missing = x.isnan().any() and isinstance(method, ViewExplainer)
            reason = "it moves cells, and a missing cell cannot be moved" if missing else in_line(error)
            result.left_out[name] = reason
            continue
        result.values[name], result.trust[name] = hiding.spread(values, x), measures
    return result
