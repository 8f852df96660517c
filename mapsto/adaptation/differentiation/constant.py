"""Treat inner gradients as constants.

    θ_{t+1} = step(θ_t, stop(∇ℓ(θ_t)), inputs):   v_t = (∂step/∂θ_t)ᵀ v_{t+1}  with the gradient constant

Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent", §2 and figure 2 (dashed edges);
Ravi & Larochelle 2017, "Optimization as a Model for Few-Shot Learning", §3.3 (gradient independence).
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.func import grad

from .route import Reverse, detached


class ConstantGradients(Reverse):
    """Unroll the loop with constant inner gradients, without second derivatives of the objective.

    It is meant for learned optimizers, whose steps have parameters of their own. The support set enters through the
    gradients only, so there are no derivatives by it.
    """

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        """Return the gradient as a constant; see `Differentiation`."""
        return lambda *arguments: detached(grad(objective)(*detached(arguments)))
