"""The outer optimizer of meta-training, by name or made by a function.

adamw   decoupled weight decay (Loshchilov and Hutter 2019, Algorithm 2)
muon    orthogonal steps for the matrices named `weight`, AdamW for every other parameter (Jordan et al. 2024; scaled to
        AdamW's step size as in Liu et al. 2025, arXiv 2502.16982, §2.2)
sgd     plain steps without momentum, as published for Reptile: with learning rate ε, θ ← θ + ε·(φ − θ)
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from .. import checks

OptimizerName = Literal["adamw", "muon", "sgd"]
Factory = Callable[[list[Tensor]], Any]
"""A function that makes a torch optimizer of a list of parameters, such as `partial(torch.optim.SGD, momentum=0.9)`."""


def optimizer(name: OptimizerName | Factory, params: Mapping[str, Tensor], weight_decay: float) -> "Together":
    """Return the optimizer of `params`; each of its steps gets its learning rate as an argument.

    Raises:
        MapstoError: if `name` is a function that does not return an optimizer of all `params`.
    """
    if callable(name):
        return Together(_made(name, list(params.values())))
    if name == "sgd":
        return Together(torch.optim.SGD(params.values(), weight_decay=weight_decay))
    matrices = [p for key, p in params.items() if name == "muon" and p.ndim == 2 and key.endswith("weight")]
    others = [p for p in params.values() if not any(p is matrix for matrix in matrices)]
    parts: list[torch.optim.Optimizer] = []
    if others:
        parts.append(torch.optim.AdamW(others, weight_decay=weight_decay, fused=True))
    if matrices:
        parts.append(torch.optim.Muon(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"))
    return Together(*parts)


def _made(factory: Factory, params: list[Tensor]) -> torch.optim.Optimizer:
    made = factory(params)
    got = f"a function that returns {type(made).__name__}"
    checks.expect(isinstance(made, torch.optim.Optimizer), "optimizer", got, "one that returns a torch optimizer")
    missing = {id(p) for p in params} - {id(p) for group in made.param_groups for p in group["params"]}
    got = f"an optimizer without {len(missing)} of the {len(params)} parameters"
    checks.expect(not missing, "optimizer", got, "one of all of them")
    return made


class Together:
    """Several optimizers that step together.

    Their parameters are numbered consecutively, so that their states can be saved together.
    """

    def __init__(self, *parts: torch.optim.Optimizer):
        self.parts = parts
        self._first = [0]
        for part in parts:
            self._first.append(self._first[-1] + sum(len(group["params"]) for group in part.param_groups))

    def step(self, lr: float) -> None:
        """Take a step with the learning rate `lr`, and clear the gradients."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr
            part.step()
            part.zero_grad()

    def state(self) -> dict[int, dict[str, Tensor]]:
        """Return the state of each parameter, by its number."""
        return {
            first + i: {name: torch.as_tensor(slot) for name, slot in slots.items() if slot is not None}
            for part, first in zip(self.parts, self._first, strict=False)
            for i, slots in part.state_dict()["state"].items()
        }

    def load(self, state: Mapping[int, dict[str, Any]]) -> None:
        """Continue from a `state`."""
        for part, first, last in zip(self.parts, self._first, self._first[1:], strict=False):
            mine = {i - first: slots for i, slots in state.items() if first <= i < last}
            part.load_state_dict(part.state_dict() | {"state": mine})
