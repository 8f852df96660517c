"""One sentence where tasks do not fit a learner, in place of torch's or of no number."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from ..episodes import Episode, unstack
from ..errors import MapstoError
from .learner import Learner


@contextmanager
def explained(sentence: Callable[[str], str]) -> Iterator[None]:
    """Raise MapstoError for what torch raises within, in the `sentence` made of torch's reason."""
    try:
        yield
    except MapstoError:
        raise
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise MapstoError(sentence(" ".join(str(error).split())[:160])) from error


def fitting(learner: Learner, episode: Episode) -> AbstractContextManager[None]:
    """Raise MapstoError for what torch raises within, with the shapes that `learner` was given."""
    x, y = episode.support.x, episode.support.y
    return explained(
        lambda reason: (
            f"tasks: {type(learner).__name__} cannot learn from these, whose examples are x {list(x.shape[1:])} and "
            f"y {list(y.shape[1:])} of {str(y.dtype).removeprefix('torch.')} ({reason}); check the learner's sizes "
            "and ways against the tasks'."
        )
    )


def answering(learner: Learner, x: Float[Tensor, "n ..."]) -> AbstractContextManager[None]:
    """Raise MapstoError for what torch raises within, when `learner` is given rows that do not fit it."""
    return explained(
        lambda reason: (
            f"x: {type(learner).__name__} cannot answer rows of shape {tuple(x.shape[1:])} ({reason}), expected rows "
            "like those that taught it, [n, ...], and the state of its own `adapt`."
        )
    )


def missing(learner: Learner, episodes: Episode) -> str:
    """Return what to do about missing cells, for a learner that made no number of them; "" where none are missing."""
    cells = sum(int(part.x.isnan().sum()) for part in episodes[:2])
    if not cells:
        return ""
    return (
        f"{cells} missing cells (NaN in x), of which {type(learner).__name__} makes nothing; fill them, or use a "
        "learner that knows them, as InContext."
    )


@torch.no_grad()
def ruled_out(learner: Learner, episodes: Episode) -> str:
    """Return what to do about queries of classes that get −∞, as those that nobody taught; "" where there are none."""
    if learner.loss_name != "cross_entropy":
        return ""
    rows = 0
    for episode in unstack(episodes):
        y, w = episode.query.y, episode.query.w
        scores = learner.predict(learner.adapt_to(episode), episode.query.x)
        rows += int(((scores.gather(-1, y[:, None])[:, 0] == -torch.inf) & (w > 0)).sum())
    if not rows:
        return ""
    return (
        f"queries ({rows}) of a class that none of their teaching examples has, which {type(learner).__name__} rules "
        "out; draw more examples a task, or give such queries weight 0."
    )
