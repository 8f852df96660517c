"""`mapsto explain RUN --method A,B`: why, by several methods, and how far each of them can be trusted on this model.

Each method is measured on the same queries: what hiding the parts that it names first does to the score (the gap
between the insertion and the deletion curve), how far its values predict what hiding parts changes (infidelity) and how
much they change when the query hardly does (max-sensitivity); beside them what random values and the query's magnitude
get. What the score is, `asked_task` says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ..episodes import Episode
from ..errors import MapstoError
from ..explainers import GameExplainer, ViewExplainer
from ..files import atomically
from ..learners import Learner
from ..measures.faithfulness.trust import Trust, baselines, explained, trust
from .asked_methods import Playing, asked_methods, of_entries, playing
from .asked_task import AskedTask, asked_task, said
from .folder import made

QUERIES = 4
CANNOT = (MapstoError, ValueError, RuntimeError)  # what torch cannot differentiate is a RuntimeError
MEASURES = {"gap": "insertion − deletion", "infidelity": "infidelity", "max-sensitivity": "max-sensitivity"}


class Explained(NamedTuple):
    """What each method says of the queries and how far it can be trusted, or why it says nothing."""

    values: dict[str, Tensor]
    trusted: dict[str, dict[str, Trust]]
    left_out: dict[str, str]


def explain_methods(learner: Learner, episode: Episode, methods: str, out: Path) -> dict[str, dict[str, Trust]]:
    """Explain the first queries of an episode; write `methods.npz` and `methods.png`, return how far to trust each.

    Raises MapstoError for a method that is none, or one that cannot explain this learner or these queries.
    """
    import numpy as np

    from .. import figures

    task = asked_task(learner, episode, QUERIES)
    plays = playing_of(task)
    values, trusted, left_out = explained_by(asked_methods(methods, plays, task), task, plays)
    for name, reason in left_out.items():
        raise MapstoError(f"--method: {name} cannot explain this task: {reason}; leave it out.")
    made(out)
    arrays: dict[str, Any] = {name: one.numpy() for name, one in values.items()} | {"x": task.query.x.numpy()}
    atomically(out / "methods.npz", lambda temporary: np.savez_compressed(temporary, **arrays))
    picture = figures.attributions(arrays["x"], {name: arrays[name] for name in values}, task.titles)
    atomically(out / "methods.png", lambda temporary: picture.savefig(temporary, dpi=160, format="png"))
    return trusted


def playing_of(task: AskedTask) -> Playing:
    """Return how parts of the task's queries are hidden: as missing cells, where some cells are missing anyway."""
    missing = bool(task.support.x.isnan().any() or task.query.x.isnan().any())
    return playing(task.support.x, missing)


def explained_by(methods: Mapping[str, ViewExplainer | GameExplainer], task: AskedTask, plays: Playing) -> Explained:
    """Explain the task's queries by each method and judge it; one that cannot is left out with its reason."""
    x, found = task.query.x, Explained({}, {}, {})
    games = lambda row: plays.game(task.asking(row), row)  # noqa: E731
    against = baselines(games, x, groups=plays.groups, chunk_size=1)
    for name, one in methods.items():
        try:
            values = explained(one, task.asking, games, x, chunk_size=1)
            trusted = trust(
                one, task.asking, games, x, None, plays.groups, chunk_size=1, values=values, against=against
            )
        except CANNOT as error:
            missing = x.isnan().any() and isinstance(one, ViewExplainer)
            found.left_out[name] = "it moves cells, and a missing cell cannot be moved" if missing else said(error)
            continue
        found.values[name], found.trusted[name] = of_entries(values, plays, x), trusted
    return found
