"""A network reads the data set and writes the parameters of another network: adaptation is one mapping D ↦ θ.

    θ(D) = θ₀ + body(x, y, w),      ŷ = child_θ(D)(x),      loss = Σ w·ℓ(ŷ, y)  on the query

Nothing tells the body what the parameters should be: it is trained through the child's loss. Ha, Dai & Le 2017,
"HyperNetworks", §3 (a network that generates another's weights), with the data set as its input; θ₀ is what the child
was built with, and is learned too.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ..adaptation.labels import numbers
from ..adaptation.learner import Learner
from ..adaptation.watching import watch
from ..episodes import Examples
from ..errors import MapstoError
from .process import counts, rowwise

Params = dict[str, Tensor]


class Hypernetwork(Learner):
    """Data set ↦ parameters of any regressor.

    Args:
        body: from examples (x `[n, d]`, y `[n, k]`, w `[n]` in examples) to one number for each parameter of the
            child, as `models.MomentNetwork`.
        child: any `nn.Module` from `[n, d]` to `[n, k]`; an empty support set leaves it as it was learned, where `body`
            makes zeros of nothing.
        loss: of the query set; regression, "mse".

    Raises MapstoError where a network has batch norm, the child has no parameter, or `body` gives another number of
    outputs than the child has parameters.

    >>> import torch
    >>> from mapsto.models import MomentNetwork
    >>> learner = Hypernetwork(MomentNetwork(features=2), nn.Linear(2, 1))
    >>> state = learner.adapt(Examples(torch.randn(5, 2), torch.randn(5, 1), torch.full((5,), 0.2)))
    >>> {name: tuple(value.shape) for name, value in state.items()}
    {'weight': (1, 2), 'bias': (1,)}
    """

    family = "model-based"

    def __init__(self, body: nn.Module, child: nn.Module, loss: Literal["mse"] = "mse"):
        super().__init__()
        if loss != "mse":
            raise MapstoError(f"loss: got {loss!r}, expected 'mse': the body reads targets as numbers.")
        self.body, self.child, self.loss_name = rowwise("body", body), rowwise("child", child), loss
        if not any(True for _ in child.parameters()):
            raise MapstoError(f"child: {type(child).__name__} has no parameter to generate.")

    def adapt(self, support: Examples) -> Params:
        """Write the child's parameters."""
        start = dict(self.child.named_parameters())
        written = self.body(support.x, numbers(support.y), counts(support.w))  # [p]
        sizes = [value.numel() for value in start.values()]
        if written.shape != (sum(sizes),):
            raise MapstoError(
                f"body: got {tuple(written.shape)} outputs for a child with {sum(sizes)} parameters, expected one each."
            )
        parts = zip(start.items(), written.split(sizes), strict=True)
        return {name: value + part.view_as(value) for (name, value), part in parts}

    def predict(self, state: Params, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Run the child with its written parameters."""
        return functional_call(self.child, state, (x,))

    def features(self, state: Params, x: Float[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Name the output of each part of the child, and its output."""
        return watch(self.child, lambda: self.predict(state, x)) | {"output": self.predict(state, x)}
