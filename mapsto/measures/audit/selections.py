"""Whether a learned explainer shows the reasons of a prediction, or tells the answer by its choice of players.

    gap  = accuracy of the explainer's own predictor    − accuracy of EVAL-X,  both from the players that it shows
    leak = accuracy of a reader trained on its choices  − accuracy of EVAL-X,  both from the players that it shows

EVAL-X is a network that was trained to predict the outcome from random players (Jethani et al. 2021, "Have We Learned
to Explain?", §3): it can use the values of the shown players, but not the fact that they were chosen. A reader that was
trained on the choices can use both. If it predicts better, then the choice itself tells the answer (Jethani et al.
2023, "Don't be fooled: label leakage in explanation methods and the importance of their quantitative evaluation").
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ... import checks
from ...adaptation.learner import evaluating
from ...episodes import first_tasks, unstack
from ...estimate import Estimate, estimate
from ...explainers.learned.explainer import PlayerExplainer, Prediction, targets
from ...joint.joint import Joint
from ...tasks.source import Tasks
from .readers import Choice, Reader, at_random, choice_of, own_outcome, target_of, train_readers

ALIKE = 0.1
"""Classes count as equally probable if their probabilities differ by no more."""
_TELLS = {True: "the choice of players tells the answer", False: "no sign that the choice of players tells the answer"}
Roles = dict[str, Callable[[PlayerExplainer, Choice], Reader]]
Accuracies = dict[str, Float[np.ndarray, " t"]]
"""The accuracy of each role in each test task; `own` and `shown`, the number of players shown, are roles too."""


def _evaluator(explainer: PlayerExplainer, choice: Choice) -> Reader:
    """Return EVAL-X, which is not trained on the explainer's choice."""
    return Reader(explainer, at_random(explainer))


EVALUATOR: Roles = {"evaluator": _evaluator}
READERS: Roles = EVALUATOR | {"reader": Reader, "choice": partial(Reader, values=False)}


class Gap(NamedTuple):
    """How well the answer can be predicted from the players that an explainer shows: accuracies over test tasks."""

    own: Estimate  # of the explainer's own predictor, or of the model if it has none
    evaluator: Estimate  # of EVAL-X
    gap: Estimate  # own − evaluator
    shown: Estimate  # the number of players
    flagged: bool  # whether the gap exceeds the tolerance, and its 95 % interval is above 0

    def __str__(self) -> str:
        return (
            f"own accuracy {self.own}, EVAL-X {self.evaluator}, gap {self.gap}, "
            f"players shown {self.shown}: {_TELLS[self.flagged]}"
        )


class Leak(NamedTuple):
    """How much of the answer the choice of players tells, beyond their values: accuracies over test tasks."""

    choice: Estimate  # of a reader that sees which players were chosen, but no value
    reader: Estimate  # of a reader of the shown players that was trained on the explainer's choices
    evaluator: Estimate  # of EVAL-X
    leak: Estimate  # reader − evaluator
    flagged: bool  # whether the leak exceeds the tolerance, and its 95 % interval is above 0

    def __str__(self) -> str:
        return (
            f"accuracy from the choice alone {self.choice}, from the chosen players {self.reader}, "
            f"EVAL-X {self.evaluator}, leak {self.leak}: {_TELLS[self.flagged]}"
        )


def eval_x(
    joint: Joint, tasks: Tasks, rows: int = 5000, steps: int = 2000, batch: int = 1, lr: float = 2e-3,
    strongest: int = 5, tolerance: float = 0.01, seed: int = 0,
) -> dict[str, Gap]:  # fmt: skip
    """Return, for each explainer that shows players, how much better its own predictor is than EVAL-X.

    `AmortisedShapley` does not choose players: it shows those of largest absolute value for the most probable class,
    and the model itself is its predictor. Explainers without players, such as `Interpreter`, are left out.

    Args:
        joint: the trained learner with its explainers; it does not change.
        tasks: the source of tasks. EVAL-X is trained on its tasks, and the accuracies are measured on `tasks.test`.
        rows: the least number of test rows to judge; if the source has fewer, all of them.
        steps: the number of training steps of EVAL-X.
        batch: the number of tasks in a training step.
        lr: the peak learning rate of EVAL-X.
        strongest: the number of players that an explainer shows if it does not choose them.
        tolerance: the largest gap that is not flagged.
        seed: the random seed.

    Raises:
        MapstoError: if `joint` is not a `Joint` with an explainer that shows players, its outcomes are not classes, or
            a number is out of range.
    """
    checks.at_least(0, tolerance=tolerance)
    training = {"steps": steps, "batch": batch, "lr": lr}
    of = accuracies(joint, tasks, EVALUATOR, rows, strongest, seed, training)
    return {name: gap(values, tolerance) for name, values in of.items()}


def label_leak(
    joint: Joint, tasks: Tasks, rows: int = 5000, steps: int = 2000, batch: int = 1, lr: float = 2e-3,
    strongest: int = 5, tolerance: float = 0.01, seed: int = 0,
) -> dict[str, Leak]:  # fmt: skip
    """Return, for each explainer that shows players, how much of the answer its choice of players tells.

    The arguments and exceptions are those of `eval_x`. Two readers are trained beside EVAL-X, on the choices of the
    explainer.
    """
    checks.at_least(0, tolerance=tolerance)
    training = {"steps": steps, "batch": batch, "lr": lr}
    of = accuracies(joint, tasks, READERS, rows, strongest, seed, training)
    return {name: leak(values, tolerance) for name, values in of.items()}


def gap(accuracy: Accuracies, tolerance: float) -> Gap:
    """Return the gap, from the accuracies of one explainer."""
    difference = estimate(accuracy["own"] - accuracy["evaluator"])
    own, evaluator, shown = (estimate(accuracy[role]) for role in ("own", "evaluator", "shown"))
    return Gap(own, evaluator, difference, shown, _beyond(difference, tolerance))


def leak(accuracy: Accuracies, tolerance: float) -> Leak:
    """Return the leak, from the accuracies of one explainer."""
    difference = estimate(accuracy["reader"] - accuracy["evaluator"])
    choice, reader, evaluator = (estimate(accuracy[role]) for role in ("choice", "reader", "evaluator"))
    return Leak(choice, reader, evaluator, difference, leaks(accuracy, tolerance))


def leaks(accuracy: Accuracies, tolerance: float) -> bool:
    """Return whether a reader that was trained on the choices predicts better than EVAL-X."""
    return _beyond(estimate(accuracy["reader"] - accuracy["evaluator"]), tolerance)


def accuracies(
    joint: Joint, tasks: Tasks, roles: Roles, rows: int, strongest: int, seed: int, training: dict[str, Any]
) -> dict[str, Accuracies]:
    """Return, for each explainer that shows players, the accuracy of each role in each test task."""
    checks.expect(isinstance(joint, Joint), "joint", f"a {type(joint).__name__}", "a Joint")
    checks.expect(joint.learner.criterion.outcome == "classes", "joint", "predicted numbers", "predicted classes")
    checks.count(rows=rows, strongest=strongest)
    showing = joint.player_explainers
    expected = "an explainer that shows players, such as INVASE or AmortisedShapley"
    checks.expect(bool(showing), "joint", ", ".join(joint.explainers), expected)
    choices = {name: choice_of(explainer, strongest) for name, explainer in showing.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        readers = {(name, role): make(e, choices[name]) for name, e in showing.items() for role, make in roles.items()}
        train_readers(joint, readers.values(), tasks, seed, training)
    right: dict[str, dict[str, list[float]]] = {name: {r: [] for r in ("own", "shown", *roles)} for name in showing}
    for prediction, y, w in _predictions(joint, tasks, rows, seed):
        for name, explainer in showing.items():
            masks = choices[name](prediction)
            label = targets(prediction, y, target_of(explainer)).argmax(1)
            outcomes = {role: readers[name, role].read_from(prediction, masks) for role in roles}
            outcomes["own"] = own_outcome(explainer, prediction, masks)
            for role, outcome in outcomes.items():
                right[name][role].append(float(w @ credit(outcome, label) / w.sum()))
            right[name]["shown"].append(float(w @ masks.sum(1) / w.sum()))
    return {name: {role: np.array(values) for role, values in of.items()} for name, of in right.items()}


@torch.no_grad()
def _predictions(joint: Joint, tasks: Tasks, rows: int, seed: int) -> Iterator[tuple[Prediction, Tensor, Tensor]]:
    """Yield the predictions, targets and weights of test tasks, until there are as many rows."""
    done = 0
    for episodes in first_tasks(tasks.test, rows, 1, seed):
        (task,) = unstack(episodes)
        with evaluating(joint):
            yield joint.prediction(joint.adapt_to(task), task.query.x), task.query.y, task.query.w
        done += int((task.query.w > 0).sum())
        if done >= rows:
            return


def credit(outcome: Float[Tensor, "n k"], label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return 1 for each row whose label is the most probable class, 0 for others; almost equal classes share the 1.

    A network that knows nothing of a row gives its classes almost equal probabilities. Which of them is the largest
    depends on its initial weights and on *which* players it sees, so it could be right in every row by luck.

    >>> credit(torch.tensor([[0.9, 0.1], [0.49, 0.51], [0.1, 0.9]]), torch.tensor([0, 0, 0]))
    tensor([1.0000, 0.5000, 0.0000])
    """
    best = outcome >= outcome.amax(1, keepdim=True) - ALIKE
    return (best.gather(1, label[:, None])[:, 0] / best.sum(1)).to(outcome)


def _beyond(difference: Estimate, tolerance: float) -> bool:
    """Return whether a difference exceeds the tolerance, and is above 0 beyond chance."""
    interval = 0.0 if np.isnan(difference.interval) else difference.interval
    return difference.mean > tolerance and difference.mean > interval
