"""Raise MapstoError with a plain message if tasks do not fit a learner, instead of an error of torch or a NaN."""

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
    """Turn an error of torch within the block into a MapstoError with the message `sentence(message of torch)`."""
    try:
        yield
    except MapstoError:
        raise
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise MapstoError(sentence(" ".join(str(error).split())[:160])) from error


def fitting(learner: Learner, episode: Episode) -> AbstractContextManager[None]:
    """Turn an error of torch within the block into a MapstoError that names the shapes of the episode's examples."""
    x, y = episode.support.x, episode.support.y
    return explained(
        lambda reason: (
            f"tasks: {type(learner).__name__} cannot learn from these, whose examples are x {list(x.shape[1:])} and "
            f"y {list(y.shape[1:])} of {str(y.dtype).removeprefix('torch.')} ({reason}); check the learner's sizes "
            "and ways against the tasks'."
        )
    )


def answering(learner: Learner, x: Float[Tensor, "n ..."]) -> AbstractContextManager[None]:
    """Turn an error of torch within the block into a MapstoError: the rows `x` do not fit `learner`."""
    return explained(
        lambda reason: (
            f"x: {type(learner).__name__} cannot answer rows of shape {tuple(x.shape[1:])} ({reason}), expected rows "
            "like those of its support set, [n, ...], and the state of its own `adapt`."
        )
    )


def missing(learner: Learner, episodes: Episode) -> str:
    """Return an error message about missing cells, for a learner that returns NaN for them; "" if there are none."""
    cells = sum(int(part.x.isnan().sum()) for part in episodes[:2])
    if not cells:
        return ""
    return (
        f"{cells} missing cells (NaN in x), which {type(learner).__name__} cannot read; fill them, or use a "
        "learner that can, such as InContext."
    )


@torch.no_grad()
def ruled_out(learner: Learner, episodes: Episode) -> str:
    """Return an error message about query rows whose true class has score −∞; "" if there are none.

    A learner gives score −∞ to a class that has no support example. Rows of weight 0 do not count.
    """
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
        f"queries ({rows}) of a class without a support example, which {type(learner).__name__} rules "
        "out; draw more examples for each task, or give such queries weight 0."
    )
