"""The outer optimizer of meta-training, by name.

adamw   decoupled weight decay (Loshchilov and Hutter 2019, Algorithm 2)
muon    steps of matrices are made orthogonal (Jordan et al. 2024; scaled to AdamW's size as in Liu et al. 2025,
        arXiv 2502.16982, §2.2): of those named `weight`; AdamW for everything else
sgd     plain steps
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ..errors import MapstoError

OptimizerName = Literal["adamw", "muon", "sgd"]


def optimizer(name: OptimizerName, params: Mapping[str, Tensor], weight_decay: float) -> "Together":
    """Return the optimizer of `params`, whose learning rate is set before each step.

    Raises MapstoError if there is none of that name.
    """
    if name not in get_args(OptimizerName):
        raise MapstoError(f"optimizer: got {name!r}, expected one of {', '.join(get_args(OptimizerName))}.")
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


class Together:
    """Several optimizers stepped as one; parameters are numbered through, so that their state can be saved as one."""

    def __init__(self, *parts: torch.optim.Optimizer):
        self.parts = parts
        self._first = [0]
        for part in parts:
            self._first.append(self._first[-1] + sum(len(group["params"]) for group in part.param_groups))

    def step(self, lr: float) -> None:
        """Take a step at the learning rate `lr`, and forget the gradients."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr
            part.step()
            part.zero_grad()

    def state(self) -> dict[int, dict[str, Any]]:
        """Return what is kept of each parameter by its number."""
        return {
            first + i: slots
            for part, first in zip(self.parts, self._first, strict=False)
            for i, slots in part.state_dict()["state"].items()
        }

    def load(self, state: Mapping[int, dict[str, Any]]) -> None:
        """Go on from a `state`."""
        for part, first, last in zip(self.parts, self._first, self._first[1:], strict=False):
            mine = {i - first: slots for i, slots in state.items() if first <= i < last}
            part.load_state_dict(part.state_dict() | {"state": mine})
