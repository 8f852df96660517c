"""A network that MAML trained on sine waves, as numbers for the page's own JavaScript."""

from typing import Any

import torch

from ..learners import MAML
from ..models import MLP
from ..tasks import Sinusoids
from ..training import train

STEPS, SHOTS, LR = 30_000, 5, 0.01


def trained(steps: int = STEPS) -> MAML:
    """Return the meta-trained network 1-40-40-1 of Finn et al. 2017, §5.1; this takes about a minute."""
    torch.manual_seed(0)
    learner = MAML(MLP(1, 40, 40, 1), loss="mse", lr=LR, steps=1)
    for _ in train(learner, Sinusoids(shots=SHOTS, queries=20), steps=steps, batch=25, lr=1e-3, compile=True):
        pass
    return learner


def layers(learner: MAML, digits: int = 6) -> list[Any]:
    """Return the weight and the bias of each layer, rounded."""
    linear = [part for part in learner.body.modules() if isinstance(part, torch.nn.Linear)]
    return [[_rounded(part.weight, digits), _rounded(part.bias, digits)] for part in linear]


def _rounded(values: torch.Tensor, digits: int) -> Any:
    return values.detach().double().numpy().round(digits).tolist()
