"""Differentiate the loop with its inner gradients treated as constants.

    θ_{t+1} = step(θ_t, stop(∇ℓ(θ_t)), inputs):   v_t = (∂step/∂θ_t)ᵀ v_{t+1}  with the gradient constant

v_t is the derivative of the final loss by θ_t. Andrychowicz et al. 2016, "Learning to learn by gradient descent by
gradient descent", §2 and figure 2 (dashed edges); Ravi & Larochelle 2017, "Optimization as a Model for Few-Shot
Learning", §3.3 (gradient independence).
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.func import grad

from .route import Reverse, detached


class ConstantGradients(Reverse):
    """Unroll all steps with constant inner gradients, which avoids second derivatives of the inner loss.

    This route is meant for learned optimizers, whose steps have parameters of their own. Because the support set enters
    through the gradients only, there are no derivatives by the support set.
    """

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        """Return the gradient function of `objective`, whose result is a constant; see `Differentiation`."""
        return lambda *arguments: detached(grad(objective)(*detached(arguments)))
