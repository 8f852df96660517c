"""Learn from the way, but not from how the way bends: what the steps read off the support set is a constant.

    θ_{t+1} = step(θ_t, stop(∇ℓ(θ_t)), inputs):   v_t = (∂step/∂θ_t)ᵀ v_{t+1}  at a given gradient

Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent", §2 and figure 2 (dashed edges);
Ravi & Larochelle 2017, "Optimization as a Model for Few-Shot Learning", §3.3 (gradient independence).
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.func import grad

from .route import Reverse, detached


class ConstantGradients(Reverse):
    """Unroll, every inner gradient a constant: no second derivative of the objective is taken.

    For learned optimizers, whose steps have parameters of their own to differentiate. The support set enters by the
    gradients alone and so is cut off.
    """

    def gradient(self, objective: Callable[..., Tensor]) -> Callable[..., Any]:
        """Return the gradient, a constant of everything; see `Differentiation`."""
        return lambda *arguments: detached(grad(objective)(*detached(arguments)))
