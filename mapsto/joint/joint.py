"""A learner and its explainers trained as one.

    loss = learner.loss + Σ_e weight_e · loss_e(features and outcome of the adapted model)

The explainers read the intermediate features of the adapted model for the query rows, and ask it about rows with hidden
parts. `candour` is the fraction of the explainers' gradient that reaches the learner, so that the learner becomes
easier to explain: 0 trains the explainers beside the learner, 1 trains both for the sum of the losses. A `Joint` is a
learner itself: `train`, `evaluate` and the views treat it as they treat every other learner. It cannot be compiled.

If `candour` is above 0, the moving averages of batch norm stay constant while both are trained. Otherwise, the learner
would have its loss with the statistics of the minibatch, and the explainers theirs with the moving averages: it could
be accurate with the first, and easy to explain (a constant) with the second.
"""

import copy
import math
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Literal, Self, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.utils import _pytree as pytree

from .. import checks
from ..adaptation.fitting import answering
from ..adaptation.learner import Learner, Metrics, evaluating, within
from ..adaptation.running_norm import constant_averages
from ..episodes import Episode, Examples, blank
from ..errors import MapstoError
from ..explainers.learned.explainer import LearnedExplainer, PlayerExplainer, Prediction
from ..learners.wrapped import Wrapped
from .candid import candid
from .consensus import alike, consensus, disagreement
from .refusals import refuse_unfit, steady
from .state import JointState, with_support
from .tuning import Tuning

Trains = Literal["both", "learner", "explainers"]


class Joint(Wrapped):
    """A learner that is trained together with networks that explain its predictions.

    `explain(state, x)` returns a dictionary from the name of each explainer to its explanation of the predictions for
    the rows `x`. Adaptation and predictions are those of the learner.

    Args:
        learner: the learner, such as `Fixed`, `PrototypicalNetwork` or `MAML`.
        explainers: a dictionary from names to explainer networks, see `mapsto.explainers.learned`.
        weight: the multiplier on the explainers' losses: one number for all, or a dictionary from the name of each
            explainer to its number.
        candour: the fraction of the gradient of the explainers' losses that reaches the learner, from 0 to 1. If the
            learner has batch norm and `candour` is above 0, train the learner alone first, so that its moving averages
            are right.
        trains: the parts that training changes: "both", only the "learner", or only the "explainers", with the learner
            frozen. `mapsto.training.phases` trains the parts one after the other.
        agreement: the weight of the explainers' mean disagreement, see `mapsto.joint.consensus`. If it is positive,
            training draws their importances of the players together; if it is negative, it drives them apart.
        tuning: the steps by which the explainers adapt to each task's support set in training, so that they learn an
            initialisation for `tuned`. If None, they are trained to explain as they are.

    Raises:
        MapstoError: if `learner` is not a learner or is transductive, there is no explainer, an explainer is not an
            explainer network or does not fit the learner's outcomes, a weight is negative, the names in `weight` are
            not those of the explainers, `candour` is not from 0 to 1, `trains` is unknown, or `agreement` is not 0
            although there are fewer than two explainers with the same players, or although there is a `tuning`, or
            `tuning` is not a `Tuning`.
    """

    def __init__(
        self,
        learner: Learner,
        explainers: Mapping[str, LearnedExplainer],
        weight: float | Mapping[str, float] = 1.0,
        candour: float = 0.0,
        trains: Trains = "both",
        agreement: float = 0.0,
        tuning: Tuning | None = None,
    ):
        plain = "wrap a plain network as mt.learners.Fixed(network)"
        checks.expect(isinstance(learner, Learner), "learner", f"a {type(learner).__name__}", "a learner", plain)
        super().__init__(learner)
        reads_rows = not learner.transductive
        checks.expect(reads_rows, "learner", f"a transductive {type(learner).__name__}", "one with transductive=False")
        refuse_unfit(explainers, learner)
        weights = weight if isinstance(weight, Mapping) else dict.fromkeys(explainers, weight)
        known = ", ".join(explainers)
        checks.expect(set(weights) == set(explainers), "weight", ", ".join(weights), f"one for each of {known}")
        checks.at_least(0, **{f"weight of {name}": value for name, value in weights.items()})
        checks.between(0, 1, candour=candour)
        checks.expect(math.isfinite(agreement), "agreement", agreement, "a finite number")
        self.learner, self.explainers, self.weights = learner, nn.ModuleDict(explainers), dict(weights)
        alone = agreement and len(alike(self.player_explainers)) < 2
        checks.expect(not alone, "agreement", agreement, "0, unless two or more explainers have the same players")
        checks.expect(isinstance(tuning, Tuning | None), "tuning", repr(tuning), "mt.joint.Tuning(steps, lr), or None")
        checks.expect(not (agreement and tuning), "agreement", agreement, "0, because the explainers are tuned apart")
        self.candour, self.agreement, self.tuning = candour, agreement, tuning
        self._free = [p for p in self.parameters() if p.requires_grad]  # the others stay frozen
        self._untrained = (copy.deepcopy(self.explainers),)  # not a part of the model
        self.trains = trains

    @property
    def inner(self) -> Learner:
        """The learner without its explainers."""
        return self.learner

    @property
    def player_explainers(self) -> dict[str, PlayerExplainer]:
        """The explainers that tell how important each player is, by name."""
        return {name: explainer for name, explainer in self._named() if isinstance(explainer, PlayerExplainer)}

    @property
    def trains(self) -> Trains:
        """What a training changes: "both", the "learner" or the "explainers"."""
        return self._trains

    @trains.setter
    def trains(self, part: Trains) -> None:
        checks.one_of(get_args(Trains), trains=part)
        self._trains = part
        fixed = {"both": [], "learner": [*self.explainers.parameters()], "explainers": [*self.learner.parameters()]}
        still = {id(p) for p in fixed[part]}
        for p in self._free:
            p.requires_grad_(id(p) not in still)

    def adapt(self, support: Examples) -> JointState:
        """Return the learner's adapted state, plus the class means and rows of the support set that explainers read.

        The class means are, for each class, the mean input and the mean features of its support examples.
        """
        return with_support(self.learner, self._networks, self.learner.adapt(support), support)

    def adapt_to(self, episode: Episode) -> JointState:
        """Return the learner's state after adapting to `episode`, plus what `adapt` adds."""
        return with_support(self.learner, self._networks, self.learner.adapt_to(episode), episode.support)

    def predict(self, state: JointState, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the learner's scores of `n` rows; the explainers do not change them."""
        return self.learner.predict(state.state, x)

    def features(self, state: JointState, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary from names to the learner's intermediate values for `n` rows."""
        return self.learner.features(state.state, x)

    def explain(self, state: JointState, x: Shaped[Tensor, "n ..."]) -> dict[str, Any]:
        """Return a dictionary from the name of each explainer to its explanations of the predictions for `n` rows.

        Raises:
            MapstoError: if an explainer has not been trained, the rows do not fit the learner or the explainers, the
                learner draws random numbers or its prediction for a row depends on the other rows, or an explanation is
                NaN.
        """
        checks.expect(isinstance(x, Tensor), "x", f"a {type(x).__name__}", "a tensor of rows [n, ...]")
        with torch.no_grad(), evaluating(self), answering(self, x):
            prediction = steady(lambda: self.prediction(state, x))
            reasons = {name: explainer.explain(prediction) for name, explainer in self._named()}
        lost = any(checks.readable(part) and bool(part.isnan().any()) for part in pytree.tree_leaves(reasons))
        checks.expect(not lost, "x", "rows with NaN reasons", "rows whose cells the learner can read", "fill them in")
        return reasons

    def consensus(self, state: JointState, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n p"]:
        """Return each player's share in the importance of all players, averaged over the explainers, for `n` rows.

        Explainers without players, such as `Interpreter`, are left out.

        Raises:
            MapstoError: if no explainer has players, the players differ, or for a reason for which `explain` raises it.
        """
        of = [explainer.trained() for explainer in alike(self.player_explainers)]
        checks.expect(bool(of), "explainers", ", ".join(self.explainers), "explainers with the same players")
        with torch.no_grad(), evaluating(self), answering(self, x):
            prediction = steady(lambda: self.prediction(state, x))
            return consensus([explainer.importance(prediction) for explainer in of])

    def tuned(self, support: Examples, tuning: Tuning | None = None) -> Self:
        """Return a copy whose explainers have adapted to one task, by a few steps on its support set.

        The learner and its predictions stay the same. The copy explains this task only. `tuning` holds the number of
        steps and the learning rate; if None, they are those of the `Joint`. With new explainers and many steps, the
        explainers are trained on this task alone.

        Raises:
            MapstoError: if there is no tuning, `support` is no support set or empty, or the explainers become NaN.
        """
        steps = tuning or self.tuning
        if not isinstance(steps, Tuning):
            raise MapstoError(f"tuning: got {steps!r}, expected mt.joint.Tuning(steps, lr); pass one.")
        checks.expect(isinstance(support, Examples), "support", f"a {type(support).__name__}", "a task's support set")
        result = copy.deepcopy(self)
        with torch.no_grad(), torch.random.fork_rng(), evaluating(self):
            torch.manual_seed(0)
            networks = self._after_steps(steps, self.adapt(support), support)
        fine = all(bool(p.isfinite().all()) for network in networks.values() for p in network.values())
        checks.expect(fine, "tuning", f"lr={steps.lr} with infinite or NaN parameters", "a smaller learning rate")
        for name, network in networks.items():
            result.explainers[name].load_state_dict(network, strict=False)
        return result

    def untrained(self) -> Self:
        """Return a copy whose explainers are those with which the `Joint` was built, before any training."""
        result = copy.deepcopy(self)
        for name, explainer in self._untrained[0].items():
            result.explainers[name].load_state_dict(explainer.state_dict())
        return result

    def prediction(self, state: JointState, x: Shaped[Tensor, "n ..."]) -> Prediction:
        """Return everything that the explainers may read about the predictions for `n` rows.

        This includes the outcomes (probabilities or predicted numbers), the learner's features, and a function `ask`
        that returns the model's outcomes for other rows.
        """
        learner, inner = self.learner, state.state
        of_classes = learner.criterion.outcome == "classes"
        differentiable = torch.is_grad_enabled()

        def outcomes(rows: Tensor) -> Tensor:
            scores = learner.predict(inner, rows)
            return scores.softmax(-1) if of_classes else scores

        def ask(rows: Tensor) -> Tensor:
            with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
                return outcomes(rows)

        def slopes(rows: Tensor) -> Tensor:
            with torch.enable_grad():
                return jacrev(lambda x: outcomes(x).sum(0))(rows.detach()).detach()

        features = learner.features(inner, x)
        return Prediction(x, ask(x), features, ask, state.classes, of_classes, state.background, slopes)

    def query_loss(self, episode: Episode) -> Float[Tensor, ""]:
        """Return the validation loss: the learner's validation loss plus the weighted losses of the explainers.

        If `trains` is "learner" or "explainers", only the loss of this part counts.
        """
        own = self.learner.query_loss(episode) if self.trains != "explainers" else torch.zeros(())
        return own + self._explainers_loss(episode)[0]

    def loss(self, episode: Episode) -> tuple[Float[Tensor, ""], Metrics]:
        """Return (loss, metrics): the loss of one task is the learner's loss plus the explainers' weighted losses.

        If `trains` is "learner" or "explainers", only the loss of this part counts.
        """
        if self.trains == "explainers":
            loss, metrics = self._explainers_loss(episode)
            return loss, {"loss": loss.detach(), **metrics}
        with constant_averages(self.learner) if self.candour and self.trains == "both" else nullcontext():
            loss, metrics = self.learner.loss(episode)
        metrics = within("learner", metrics, self.learner)
        explaining, more = self._explainers_loss(episode)
        total = loss + explaining
        return total, metrics | more | {"loss": total.detach(), "learner_loss": loss.detach()}

    def _explainers_loss(self, episode: Episode) -> tuple[Tensor, Metrics]:
        if self.trains == "learner":
            return torch.zeros(()), {}
        x, y, w = episode.query
        with evaluating(self.learner):
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.candour > 0):
                state = self.adapt_to(episode)
                prediction = candid(self.prediction(state, x), self.candour)
            networks = self._after_steps(self.tuning, state, episode.support)
            losses = {name: functional_call(e, networks[name], (prediction, y, w)) for name, e in self._named()}
        metrics: Metrics = {f"explainers.{name}.steps": explainer.steps + 1 for name, explainer in self._named()}
        for name, (loss, numbers) in losses.items():
            metrics |= {f"{name}_{key}": value for key, value in {"loss": loss.detach(), **numbers}.items()}
        total = torch.stack([self.weights[name] * loss for name, (loss, _) in losses.items()]).sum()
        if self.agreement:
            with evaluating(self.learner):
                importances = [explainer.importance(prediction) for explainer in alike(self.player_explainers)]
            apart = w @ disagreement(importances)
            total, metrics = total + self.agreement * apart, metrics | {"disagreement": apart.detach()}
        return total, metrics

    def _after_steps(self, tuning: Tuning | None, state: JointState, support: Examples) -> dict[str, dict[str, Tensor]]:
        """Return each explainer's parameters after the steps on the support set; none if there are no steps."""
        if tuning is None:
            return {name: {} for name in self.explainers}
        checks.expect(
            len(support.w) > 0, "tuning", "an empty support set", "tasks with support rows", "leave tuning out"
        )
        rows = support._replace(x=blank(support.x, support.w), y=blank(support.y, support.w))
        predict = partial(self.prediction, state)
        return {name: tuning(explainer, predict, rows) for name, explainer in self._named()}

    @property
    def _networks(self) -> list[LearnedExplainer]:
        return [explainer for _, explainer in self._named()]

    def _named(self) -> list[tuple[str, LearnedExplainer]]:
        return list(self.explainers.items())  # type: ignore[arg-type]
