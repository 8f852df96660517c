"""`mapsto explain RUN --method A,B`: why, by several methods, and how far each of them can be trusted on this model.

Each method is measured on the same queries: what hiding the parts that it names first does to the score (the gap
between the insertion and the deletion curve), how far its values predict what hiding parts changes (infidelity) and how
much they change when the query hardly does (max-sensitivity); beside them what random values and the query's magnitude
get. The score is the probability of the class that is predicted of the query, or the mean of its outputs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from .. import views
from ..episodes import Episode
from ..errors import MapstoError
from ..files import atomically
from ..learners import Learner
from ..measures.trust import Trust, explained, trust
from .asked_methods import asked_methods, of_entries, playing

QUERIES = 4
MEASURES = {"gap": "insertion − deletion", "infidelity": "infidelity", "max-sensitivity": "max-sensitivity"}


def explain_methods(learner: Learner, episode: Episode, methods: str, out: Path) -> dict[str, dict[str, Trust]]:
    """Explain the first queries of an episode; write `methods.npz` and `methods.png`, return how far to trust each.

    Raises MapstoError for a method that is none, and for queries with missing cells.
    """
    import numpy as np

    from .. import figures

    x, plays = episode.query.x[:QUERIES], playing(episode.support.x)
    if x.isnan().any():
        raise MapstoError("--method: got a task with missing cells, along which nothing moves; leave --method out.")
    asked, (asking, titles) = asked_methods(methods, plays), _asking(learner, episode, x)

    def game(row: Tensor) -> views.Game:
        return plays.game(asking(row), row)

    values, trusted = {}, {}
    for name, one in asked.items():
        told = explained(one, asking, game, x, chunk_size=1)
        values[name] = of_entries(told, plays, x).numpy()
        trusted[name] = trust(one, asking, game, x, groups=plays.groups, chunk_size=1, values=told)
    out.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = values | {"x": x.numpy()}
    atomically(out / "methods.npz", lambda temporary: np.savez_compressed(temporary, **arrays))
    picture = figures.attributions(x.numpy(), values, titles)
    atomically(out / "methods.png", lambda temporary: picture.savefig(temporary, dpi=160, format="png"))
    return trusted


def _asking(learner: Learner, episode: Episode, x: Tensor) -> tuple[Callable[[Tensor], views.View], list[str]]:
    """Return what makes the view of a row, the score of what is predicted of it, and the name of that for each row."""
    if learner.loss_name != "cross_entropy":
        mean = views.query(learner, episode.support, link=lambda scores: scores.mean(-1))
        return lambda row: mean, [f"query {i}: output {float(mean(row)):.2f}" for i, row in enumerate(x)]
    view = views.query(learner, episode.support, link=lambda scores: scores.softmax(-1))

    def asking(row: Tensor) -> views.View:
        p = view(row).detach()
        predicted = (torch.arange(len(p)) == p.argmax()).to(p)
        return lambda moved: view(moved) @ predicted

    p = vmap(view)(x).detach()
    return asking, [f"query {i}: class {int(one.argmax())}, {100 * float(one.max()):.0f} %" for i, one in enumerate(p)]
