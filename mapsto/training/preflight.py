"""Check that the learner, its tasks and the estimator belong together, before a training writes anything."""

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from .. import checks
from ..adaptation.chance import generators
from ..adaptation.differentiation import ConstantGradients, FiniteDifference, FirstOrder, Reverse, Truncated
from ..adaptation.fitting import fitting
from ..adaptation.learner import Learner
from ..episodes import Source, checked, to, unstack
from ..learners import Reptile
from .estimators import Estimator, EvolutionStrategies, ForwardMode, Random

WRONG_TWICE = {"_weight_norm_interface"}
"""Operations of torch whose second derivative is wrong, as `torch.autograd.gradgradcheck` shows."""
UNROLLED = (ConstantGradients, FirstOrder, Reverse, Truncated)  # these classes themselves, not their subclasses


def estimable(estimator: Estimator | None, learner: Learner) -> None:
    """Raise MapstoError if the estimator cannot compute the gradient of this learner."""
    kind = isinstance(estimator, Estimator | None)
    checks.expect(kind, "estimator", repr(estimator), "one of training.estimators, such as ForwardMode(16)")
    reptile = isinstance(estimator, EvolutionStrategies) and isinstance(learner, Reptile)
    checks.expect(
        not reptile, "estimator", "EvolutionStrategies for Reptile",
        "another one, because Reptile's loss means nothing if its constants may vary",
    )  # fmt: skip
    recurrent = any(isinstance(module, nn.RNNBase) for module in learner.modules())
    checks.expect(
        not (isinstance(estimator, Random) and recurrent), "estimator",
        f"{type(estimator).__name__} and a recurrent layer of torch, which has no rule for it",
        "no estimator", "write out the cell, as in mt.models.Recurrent",
    )  # fmt: skip
    route = learner.differentiation
    recomputed = route is not None and type(route) not in UNROLLED
    checks.expect(
        not (isinstance(estimator, ForwardMode) and recomputed), "estimator",
        f"ForwardMode and differentiation by {type(route).__name__}",
        "differentiation by Reverse, or no estimator, because this one supports reverse mode only",
    )  # fmt: skip


def fits(learner: Learner, tasks: Source, seed: int, device: torch.device) -> bool:
    """Compute the loss of one task, and return whether this draws random numbers, as dropout does.

    Raises:
        MapstoError: if the learner cannot compute the loss, or not with a right gradient.
    """
    task = unstack(to(checked(tasks.batch(0, 1, seed)), device))[0]
    before = generators()
    with torch.no_grad(), fitting(learner, task), _Operations() as operations:
        learner.loss(task)
    draws = not all(map(torch.equal, before, generators()))
    trainable = any(p.requires_grad for p in learner.parameters())
    checks.expect(
        trainable, "learner", f"{type(learner).__name__} without trainable parameters", "at least one to train"
    )
    route = learner.differentiation
    twice = route is not None and not isinstance(route, FirstOrder | ConstantGradients | FiniteDifference)
    checks.expect(
        not (twice and operations.names & WRONG_TWICE), "learner", "a body with weight_norm, whose second derivative "
        "is wrong in torch", "a body without it", "remove it, or train with first_order=True",
    )  # fmt: skip
    return draws


class _Operations(TorchDispatchMode):
    """Note the names of all operations of torch that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))
