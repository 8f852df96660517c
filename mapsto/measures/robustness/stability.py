"""How an explanation holds where the model is attacked: its reasons before and after, of a query or of what is taught.

    change = ‖after − before‖ / ‖before‖,  rank = Spearman's correlation of entries,  top = share of the k largest kept

The attack is on the answer, see `attacks`; whether that stayed is said beside: where it changed, so should its reasons.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from ... import views
from ...adaptation.learner import Learner
from ...episodes import Episode, Examples
from ...errors import MapstoError
from ...views import View
from ..faithfulness.ranking import rank_correlation
from .attacks import Attack, surprise, teaching_loss

Explain = Callable[[View, Tensor], Tensor]


class Stability(NamedTuple):
    """How far attributions survived: 0, 1, 1 and True where nothing changed."""

    change: Float[Tensor, "..."]  # ‖after − before‖ / ‖before‖
    rank: Float[Tensor, "..."]  # Spearman's rank correlation of the entries, nan where they are all alike
    top: Float[Tensor, "..."]  # share of the k entries of greatest magnitude that are still among them
    kept: Bool[Tensor, "..."]  # whether the answer is: the predicted class or, up to rounding, the numbers


def query_stability(
    explain: Explain,
    learner: Learner,
    support: Examples,
    x: Float[Tensor, "..."],
    y: int | Shaped[Tensor, "..."],
    attack: Attack,
    k: int = 5,
) -> Stability:
    """Compare the reasons for class `y` at a query `x` and at what `attack` makes of it.

    By rank correlation and top-k intersection as Ghorbani, Abid & Zou 2019, "Interpretation of Neural Networks is
    Fragile", whose attacks are on the reasons, ours on the answer. Of a learner that regresses, `y` are the true
    numbers `[k]`, from which the attack drives the answer, and the reasons are those of its score, or of all `k`.

    `explain(view, point)` is a `ViewExplainer`, or a function that plays a game.
    """
    truth = torch.as_tensor(y, device=x.device)
    moved = attack(surprise(learner, support, truth), x)
    target = int(truth) if learner.loss_name == "cross_entropy" else None if truth.numel() > 1 else 0
    view, scores = views.query(learner, support, target), views.query(learner, support)
    kept = _kept(learner, scores(x), scores(moved))
    return _compare(explain(view, x), explain(view, moved), kept, k)


def teaching_stability(
    explain: Explain, learner: Learner, episode: Episode, x: Float[Tensor, "..."], y: int, attack: Attack, k: int = 5
) -> Stability:
    """Compare the reasons for score `y` of a query `x` as taught, and after `attack` poisoned the support set.

    By the measures of `query_stability`; poisoning as Biggio et al. 2012. `y` is a class, or one of the numbers that a
    learner regresses, counted from 0.
    """
    poisoned = episode.support._replace(x=attack(teaching_loss(learner, episode), episode.support.x))
    before, after = (explain(views.query(learner, taught, target=y), x) for taught in (episode.support, poisoned))
    was, becomes = (views.query(learner, taught)(x) for taught in (episode.support, poisoned))
    return _compare(before, after, _kept(learner, was, becomes), k)


def change(before: Float[Tensor, "..."], after: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """Return ‖after − before‖ / ‖before‖.

    >>> change(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 3.0]))
    tensor(0.2000)
    """
    return (after - before).norm() / before.norm().clamp(min=torch.finfo(before.dtype).tiny)


def top_overlap(before: Float[Tensor, "..."], after: Float[Tensor, "..."], k: int) -> Float[Tensor, ""]:
    """Return the share of the `k` entries of greatest magnitude that both have.

    >>> top_overlap(torch.tensor([-5.0, 4.0, 1.0]), torch.tensor([5.0, 0.0, 2.0]), k=2)
    tensor(0.5000)
    """
    if not 1 <= k <= before.numel():
        raise MapstoError(f"k: got {k}, expected 1 to {before.numel()}, the entries of the attribution.")
    first = [torch.zeros_like(v.flatten()).scatter(0, v.flatten().abs().topk(k).indices, 1.0) for v in (before, after)]
    return (first[0] * first[1]).sum() / k


def _compare(before: Tensor, after: Tensor, kept: Tensor, k: int) -> Stability:
    rank = rank_correlation(before.flatten(), after.flatten())
    return Stability(change(before, after), rank, top_overlap(before, after, k), kept)


def _kept(learner: Learner, was: Float[Tensor, " k"], becomes: Float[Tensor, " k"]) -> Bool[Tensor, ""]:
    if learner.loss_name != "cross_entropy":
        return change(was, becomes) <= torch.finfo(was.dtype).eps ** 0.5
    if len(was) < 2:
        raise MapstoError(
            f"learner: {type(learner).__name__} has one class, which no attack can change, expected two or more; build "
            "it with loss='mse' where its score is a number to predict."
        )
    return was.argmax() == becomes.argmax()
