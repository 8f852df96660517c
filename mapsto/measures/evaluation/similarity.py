"""How alike tasks are: by what a learner makes of them.

    v_t = adapt(D_t) − adapt(∅)                    all numbers of the state, moved from where no example leaves them
    v_t = predict(adapt(D_t), probe)               what the adapted model says of the same inputs
    s_ij = v_i·v_j / ‖v_i‖‖v_j‖                    (cosine);       d_ij = ‖v_i − v_j‖

and the map of tasks: points in a plane whose distances are as near to d_ij as any linear projection's, classical
scaling (Torgerson 1952, "Multidimensional Scaling: I", which on these distances is the plane of the first two principal
components). Achille et al. 2019, "Task2Vec", §1, embed tasks so by Fisher information.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree as pytree

from ...adaptation.batching import each_task
from ...adaptation.learner import Learner
from ...episodes import Episode, Examples
from ...errors import MapstoError


class TaskMap(NamedTuple):
    """Tasks as points in a plane."""

    points: Float[Tensor, "t 2"]
    kept: float  # share of the squared distances that the plane shows, 0 … 1


def by_state(learner: Learner, tasks: Episode) -> Float[Tensor, "t p"]:
    """Return how the state of each task of a batch differs from that of no support set, as one vector a task.

    The states must have the same shape for all tasks: adapted parameters, prototypes, a latent. Normalisation
    statistics count too, being part of the state. An episode's context stays where it is.

    Raises:
        MapstoError: a learner whose state has no numbers, or holds the support set's examples one by one, in an order
            that means nothing, as those that attend to them do.
    """
    _refuse_examples(learner, tasks)

    def moved(episode: Episode) -> Tensor:
        support = episode.support._replace(w=torch.zeros_like(episode.support.w))
        return _flat(learner.adapt_to(episode)) - _flat(learner.adapt_to(episode._replace(support=support)))

    return _each(learner, moved, tasks)


def by_outputs(learner: Learner, tasks: Episode, probe: Float[Tensor, "m ..."]) -> Float[Tensor, "t q"]:
    """Return what the adapted models of a batch of tasks say of the same inputs `probe`, as one vector a task."""
    return _each(learner, lambda episode: _flat(learner.predict(learner.adapt_to(episode), probe)), tasks)


def cosine(vectors: Float[Tensor, "t p"]) -> Float[Tensor, "t t"]:
    """Return the cosine of each pair, 1 where they point the same way; 0 for a vector of length 0.

    >>> cosine(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]))
    tensor([[1., 0., 1.],
            [0., 1., 0.],
            [1., 0., 1.]])

    Raises MapstoError for numbers that are not finite.
    """
    _refuse_lost(vectors)
    unit = torch.nn.functional.normalize(vectors, dim=1)
    return unit @ unit.T


def task_map(vectors: Float[Tensor, "t p"]) -> TaskMap:
    """Return the tasks as points in a plane, the first axis being that in which they differ most.

    Raises:
        MapstoError: fewer than three tasks, or numbers that are not finite.
    """
    if len(vectors) < 3:
        raise MapstoError(f"vectors: got {len(vectors)} task(s), expected at least three.")
    _refuse_lost(vectors)
    centred = (vectors - vectors.mean(0)).double()
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    points = torch.nn.functional.pad(u[:, :2] * s[:2], (0, max(0, 2 - len(s))))
    largest = points.gather(0, points.abs().argmax(0, keepdim=True))  # its sign is arbitrary: that one is positive
    total = float(s.square().sum())
    kept = float(s[:2].square().sum()) / total if total > 0 else 1.0
    return TaskMap((points * torch.where(largest < 0, -1.0, 1.0)).to(vectors.dtype), kept)


def _refuse_lost(vectors: Tensor) -> None:
    lost = int((~vectors.isfinite()).any(1).sum())
    if lost:
        raise MapstoError(
            f"vectors: those of {lost} of {len(vectors)} tasks are not finite, expected finite numbers: adapt with a "
            "lower rate where adapting diverges, and leave out tasks that have a class without an example."
        )


def _refuse_examples(learner: Learner, tasks: Episode) -> None:
    """Raise MapstoError where one more row, though it weighs nothing, makes the state of a task larger."""
    x, y, w = (leaf[0] for leaf in tasks.support)
    longer = Examples(torch.cat([x, x[:1]]), torch.cat([y, y[:1]]), torch.cat([w, torch.zeros_like(w[:1])]))
    with torch.no_grad():
        sizes = {len(_flat(learner.adapt(support))) for support in (Examples(x, y, w), longer)}
    if len(sizes) > 1:
        raise MapstoError(
            "learner: its state grows with the support set, whose examples it holds one by one, so that the states of "
            "two tasks do not compare; compare them by_outputs."
        )


def _each(learner: Learner, function: Callable[[Episode], Tensor], tasks: Episode) -> Tensor:
    with torch.no_grad():
        return each_task(learner, function, tasks)


def _flat(tree: object) -> Tensor:
    leaves = [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    if not leaves:
        raise MapstoError("learner: its state holds no numbers to compare tasks by; compare them by_outputs.")
    return torch.cat([leaf.flatten() for leaf in leaves])
