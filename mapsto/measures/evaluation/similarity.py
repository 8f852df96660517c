"""Similarity of tasks: two tasks are alike if a learner adapts to them in the same way.

    v_t = adapt(D_t) − adapt(∅)                    all numbers of the state, relative to the state without examples
    v_t = predict(adapt(D_t), probe)               the adapted model's outputs for the same inputs
    s_ij = v_i·v_j / ‖v_i‖‖v_j‖                    (cosine);       d_ij = ‖v_i − v_j‖

D_t is the support set of task t. Of all linear projections to a plane, the map of tasks is the one whose distances are
nearest to d_ij: classical scaling (Torgerson 1952, "Multidimensional Scaling: I"), here the plane of the first two
principal components. Achille et al. 2019, "Task2Vec", §1, embed tasks in this way by Fisher information.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import _pytree as pytree

from ... import checks
from ...adaptation.batching import each_task
from ...adaptation.learner import Learner
from ...episodes import Episode, Examples


class TaskMap(NamedTuple):
    """Tasks as points in a plane, and how much of their differences the plane shows."""

    points: Float[Tensor, "t 2"]
    kept: float  # fraction of the squared distances between vectors that the plane shows


def by_state(learner: Learner, tasks: Episode) -> Float[Tensor, "t p"]:
    """Return one vector for each task of a batch: how adapting to this task changes the learner's state.

    The change is measured from the state that the learner reaches without support examples. In both states, the learner
    has read the episode's context (the examples of earlier tasks). The state must have the same shape for all tasks.
    This holds for adapted parameters, prototypes and latent variables. Normalisation statistics are part of the state.

    Raises:
        MapstoError: if the state holds no numbers, or if it holds the support examples one by one, as in learners that
            attend to their support set: such vectors would depend on the arbitrary order of the examples.
    """
    _refuse_examples(learner, tasks)

    def moved(episode: Episode) -> Tensor:
        support = episode.support._replace(w=torch.zeros_like(episode.support.w))
        return _flat(learner.adapt_to(episode)) - _flat(learner.adapt_to(episode._replace(support=support)))

    return _each(learner, moved, tasks)


def by_outputs(learner: Learner, tasks: Episode, probe: Float[Tensor, "m ..."]) -> Float[Tensor, "t q"]:
    """Return one vector for each task of a batch: the outputs of the adapted model for the inputs `probe`.

    The learner adapts to each task separately. The inputs `probe` `[m, ...]` are the same for all tasks, so that the
    vectors can be compared, for example in a `task_map`.
    """
    return _each(learner, lambda episode: _flat(learner.predict(learner.adapt_to(episode), probe)), tasks)


def cosine(vectors: Float[Tensor, "t p"]) -> Float[Tensor, "t t"]:
    """Return the cosine of the angle between each pair of vectors: 1 for equal directions, 0 for a vector of length 0.

    Raises:
        MapstoError: if numbers are not finite.

    >>> cosine(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]))
    tensor([[1., 0., 1.],
            [0., 1., 0.],
            [1., 0., 1.]])
    """
    _refuse_lost(vectors)
    unit = torch.nn.functional.normalize(vectors, dim=1)
    return unit @ unit.T


def task_map(vectors: Float[Tensor, "t p"]) -> TaskMap:
    """Return a map of tasks: one point in a plane for each task, such that similar tasks lie close together.

    `vectors` holds one vector for each task, for example the result of `by_state` or `by_outputs`. Two tasks are
    similar if their vectors are. The axes are the first two principal components of the vectors, so that tasks differ
    most along the first axis. The field `kept` is the sum of the squared distances between points of the plane, divided
    by the same sum for the vectors.

    Raises:
        MapstoError: if there are fewer than three tasks, or numbers are not finite.
    """
    checks.expect(len(vectors) >= 3, "vectors", f"{len(vectors)} task(s)", "at least three")
    _refuse_lost(vectors)
    centred = (vectors - vectors.mean(0)).double()
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    points = torch.nn.functional.pad(u[:, :2] * s[:2], (0, max(0, 2 - len(s))))
    # The sign of an axis is arbitrary: make its largest entry positive.
    largest = points.gather(0, points.abs().argmax(0, keepdim=True))
    total = float(s.square().sum())
    kept = float(s[:2].square().sum()) / total if total > 0 else 1.0
    return TaskMap((points * torch.where(largest < 0, -1.0, 1.0)).to(vectors.dtype), kept)


def _refuse_lost(vectors: Tensor) -> None:
    lost = int((~vectors.isfinite()).any(1).sum())
    remedy = "lower the learning rate if adaptation diverges, and leave out tasks that have a class without an example"
    checks.expect(lost == 0, "vectors", f"{lost} of {len(vectors)} that are not finite", "finite numbers", remedy)


def _refuse_examples(learner: Learner, tasks: Episode) -> None:
    """Raise MapstoError if the state of a task grows when a support example of weight 0 is added."""
    x, y, w = (leaf[0] for leaf in tasks.support)
    longer = Examples(torch.cat([x, x[:1]]), torch.cat([y, y[:1]]), torch.cat([w, torch.zeros_like(w[:1])]))
    with torch.no_grad():
        sizes = {len(_flat(learner.adapt(support))) for support in (Examples(x, y, w), longer)}
    got = "one whose state holds the examples one by one"
    checks.expect(len(sizes) == 1, "learner", got, "states that compare across tasks", "compare them by_outputs")


def _each(learner: Learner, function: Callable[[Episode], Tensor], tasks: Episode) -> Tensor:
    with torch.no_grad():
        return each_task(learner, function, tasks)


def _flat(tree: object) -> Tensor:
    leaves = [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    checks.expect(bool(leaves), "learner", "one whose state holds no numbers", "some", "compare tasks by_outputs")
    return torch.cat([leaf.flatten() for leaf in leaves])
