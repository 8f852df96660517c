"""Stability of an explanation when a query or the support set is attacked: attributions before and after.

    change = ‖after − before‖ / ‖before‖,  rank = Spearman's correlation of entries,  top = share of the k largest kept

The attack raises the loss, see `attacks`. The result also tells whether the answer changed: if it did, its explanation
should change as well.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from ... import checks, views
from ...adaptation.learner import Learner
from ...episodes import Episode, Examples
from ...explainers.explainer import Explain, refuse_games
from ..faithfulness.ranking import rank_correlation
from .attacks import Attack, surprise, teaching_loss


class Stability(NamedTuple):
    """How similar the attributions before and after an attack are, and whether the answer stayed the same."""

    change: Float[Tensor, "..."]  # ‖after − before‖ / ‖before‖; 0 if nothing changed
    rank: Float[Tensor, "..."]  # Spearman's rank correlation of the entries; NaN if all are equal before or after
    top: Float[Tensor, "..."]  # fraction of the k entries of largest magnitude that are still among them
    kept: Bool[Tensor, "..."]  # True if the predicted class or, up to rounding, the predicted numbers stayed the same


def query_stability(
    explain: Explain,
    learner: Learner,
    support: Examples | Episode,
    x: Float[Tensor, "..."],
    y: int | Shaped[Tensor, "..."],
    attack: Attack,
    k: int = 5,
) -> Stability:
    """Return measures of how much the explanation of a prediction changes when an attack moves the query row.

    The result compares the attributions before and after the attack: their relative change, their rank correlation, and
    the fraction of the top `k` entries that stay among the top `k`. It also says whether the prediction stayed the
    same. Rank correlation and top-k intersection follow Ghorbani, Abid & Zou 2019, "Interpretation of Neural Networks
    is Fragile". Their attacks aim at the explanation; here, the attack aims at the prediction.

    Args:
        explain: a function (view, point) ↦ attribution, such as a `ViewExplainer`.
        learner: the learner.
        support: the support set, or an episode. If it is an episode, the learner also reads its context (the examples
            of earlier tasks).
        x: the query row.
        y: the true outcome of `x`. The attack drives the prediction away from `y`. If `y` is a class, the score of this
            class is explained; if `y` holds numbers, all outputs are explained.
        attack: the attack, such as `PGD(0.1)`. It moves `x` to raise the learner's loss.
        k: the number of entries of largest magnitude to compare.

    Raises:
        MapstoError: if `y` is not a possible outcome for the learner, or `k` exceeds the number of entries.
    """
    refuse_games(explain)
    truth = torch.as_tensor(y, device=x.device)
    moved = attack(surprise(learner, support, truth), x)
    view, scores = views.query(learner, support, _target(learner, truth)), views.query(learner, support)
    kept = _kept(learner, scores(x), scores(moved))
    return _compare(explain(view, x), explain(view, moved), kept, k)


def teaching_stability(
    explain: Explain,
    learner: Learner,
    episode: Episode,
    x: Float[Tensor, "..."],
    y: int | Shaped[Tensor, "..."],
    attack: Attack,
    k: int = 5,
) -> Stability:
    """Return measures of how much the explanation for `x` changes when an attack poisons the support set.

    The attack moves the support inputs of `episode` so that the loss on the query set rises (poisoning: Biggio et al.
    2012). The prediction for the query row `x` is explained before and after the attack. The other arguments, the
    result and the errors are the same as in `query_stability`.
    """
    refuse_games(explain)
    truth = torch.as_tensor(y, device=x.device)
    was = views.query(learner, episode)(x)
    learner.criterion(was[None], truth[None], was.new_ones(1))  # refuses a `y` that is no outcome
    support = episode.support
    poisoned = episode._replace(support=support._replace(x=attack(teaching_loss(learner, episode), support.x)))
    becomes = views.query(learner, poisoned)(x)
    target = _target(learner, truth)
    before, after = (explain(views.query(learner, task, target), x) for task in (episode, poisoned))
    return _compare(before, after, _kept(learner, was, becomes), k)


def change(before: Float[Tensor, "..."], after: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """Return the length of the change relative to the length before: ‖after − before‖ / ‖before‖.

    >>> change(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 3.0]))
    tensor(0.2000)
    """
    return (after - before).norm() / before.norm().clamp(min=torch.finfo(before.dtype).tiny)


def top_overlap(before: Float[Tensor, "..."], after: Float[Tensor, "..."], k: int) -> Float[Tensor, ""]:
    """Return the fraction of the `k` entries of largest magnitude that two attributions have in common.

    >>> top_overlap(torch.tensor([-5.0, 4.0, 1.0]), torch.tensor([5.0, 0.0, 2.0]), k=2)
    tensor(0.5000)
    """
    checks.between(1, before.numel(), k=k)
    first = [torch.zeros_like(v.flatten()).scatter(0, v.flatten().abs().topk(k).indices, 1.0) for v in (before, after)]
    return (first[0] * first[1]).sum() / k


def _target(learner: Learner, truth: Tensor) -> int | None:
    if learner.loss_name == "cross_entropy":
        return int(truth)
    return None if truth.numel() > 1 else 0


def _compare(before: Tensor, after: Tensor, kept: Tensor, k: int) -> Stability:
    rank = rank_correlation(before.flatten(), after.flatten())
    return Stability(change(before, after), rank, top_overlap(before, after, k), kept)


def _kept(learner: Learner, was: Float[Tensor, " k"], becomes: Float[Tensor, " k"]) -> Bool[Tensor, ""]:
    if learner.loss_name != "cross_entropy":
        return change(was, becomes) <= torch.finfo(was.dtype).eps ** 0.5
    remedy = "no attack can change it; build the learner with loss='mse' if its score is a number to predict"
    checks.expect(len(was) > 1, "learner", f"{type(learner).__name__} with one class", "two or more", remedy)
    return was.argmax() == becomes.argmax()
