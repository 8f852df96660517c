"""Raise MapstoError with a plain message if tasks do not fit a learner, instead of an error of torch or a NaN."""

import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from .. import checks
from ..episodes import Episode, Source, unstack
from ..errors import MapstoError
from .learner import Learner
from .losses import Loss

_SIZES = re.compile(r"shape|size|dimension|mat1|channel|out of (range|bounds)|broadcast|number of elements", re.I)


def trainable(learner: Learner, tasks: Source) -> None:
    """Raise MapstoError if `learner` is not a learner, or `tasks` is not a source of tasks or plays another learner."""
    checks.expect(
        isinstance(learner, Learner), "learner", f"a {type(learner).__name__}", "a learner of mapsto",
        "for a plain network, use mt.learners.Fixed(network)",
    )  # fmt: skip
    checks.expect(
        callable(getattr(tasks, "batch", None)), "tasks", f"a {type(tasks).__name__}",
        "a source of tasks, which has a method batch(index, count, seed)",
        "for the rows of one data set, use mt.tasks.Minibatches",
    )  # fmt: skip
    own = getattr(tasks, "learner", learner) is learner
    checks.expect(own, "tasks", "rollouts of another policy", "those of this learner", "make Rollouts(…, learner)")


@contextmanager
def explained(sentence: Callable[[Exception], str]) -> Iterator[None]:
    """Turn an error of torch within the block into a MapstoError with the message `sentence(error)`."""
    try:
        yield
    except MapstoError:
        raise
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise MapstoError(sentence(error)) from error


def fitting(learner: Learner, episode: Episode) -> AbstractContextManager[None]:
    """Turn an error of torch within the block into a MapstoError that names the layer and the examples' shapes.

    Only errors about shapes blame the learner's sizes and ways.
    """
    x, y = episode.support.x, episode.support.y

    def sentence(error: Exception) -> str:
        reason = _reason(error)
        if loss := _own_loss(error):
            return (
                f"loss: {loss} fails ({reason}), expected a function that is called as loss(scores, y, w) and returns "
                "a scalar, such as (w * l).sum() of the losses l of the rows."
            )
        layer = _layer(learner, error)
        remedy = f"layer {layer} raised {type(error).__name__}" if layer else "see the error above"
        if _SIZES.search(reason):
            remedy = "check the learner's sizes and ways against the tasks'"
        if "dtype" in reason and not x.is_floating_point():
            remedy = "convert x to floating-point numbers, or let the body begin with nn.Embedding"
        return (
            f"tasks: {type(learner).__name__} cannot learn from these, whose examples are x {list(x.shape[1:])} of "
            f"{_name(x)} and y {list(y.shape[1:])} of {_name(y)} ({reason}); {remedy}."
        )

    return explained(sentence)


def answering(learner: Learner, x: Shaped[Tensor, "n ..."]) -> AbstractContextManager[None]:
    """Turn an error of torch within the block into a MapstoError: the rows `x` do not fit `learner`."""
    return explained(
        lambda error: (
            f"x: {type(learner).__name__} cannot answer rows of shape {tuple(x.shape[1:])} ({_reason(error)}), "
            "expected rows like those of its support set, [n, ...], and the state of its own `adapt`."
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


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())


def _layer(learner: Learner, error: Exception) -> str:
    """Return the name and the class of the innermost layer whose `forward` raised the error; "" if it was in none."""
    names = {module: name for name, module in learner.named_modules() if name}
    layers = [module for module in _owners(error) if isinstance(module, nn.Module) and module in names]
    return f"{names[layers[-1]]!r} ({type(layers[-1]).__name__})" if layers else ""


def _own_loss(error: Exception) -> str:
    """Return the name of the user's loss whose call raised the error; "" if it was in none."""
    return next((owner.name for owner in _owners(error) if isinstance(owner, Loss) and owner.outcome is None), "")


def _owners(error: Exception) -> list[Any]:
    """Return the objects whose methods raised the error, the outermost first."""
    return [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
