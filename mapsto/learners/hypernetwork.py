"""One network reads the support set and generates the parameters of another network, which predicts.

    θ(D) = θ₀ + body(x, y, w),      ŷ = child_θ(D)(x),      loss = Σ w·ℓ(ŷ, y)  on the query

D is the support set. The body is trained through the loss of the child only. Ha, Dai & Le 2017, "HyperNetworks", §3 (a
network that generates the weights of another), with the support set as its input. θ₀ starts as the child's own
parameters and is learned too. Classes are one-hot rows y for the body.
"""

from typing import Literal

from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call

from .. import checks
from ..adaptation import losses
from ..adaptation.labels import numbers, one_hot
from ..adaptation.learner import Learner
from ..adaptation.watching import watch
from ..episodes import Examples
from .process import counts, rowwise

Params = dict[str, Tensor]


class Hypernetwork(Learner):
    """A network (`body`) that reads the support set and generates the parameters of a network that predicts (`child`).

    Args:
        body: a module that reads the support set, such as `models.MomentNetwork` for numbers or `models.NewtonNetwork`
            for classes. It is called as `body(x, y, w)` with the support inputs `[n, d]`, targets `[n, k]` and weights
            `[n]`. If classes are predicted, y is one-hot, and k is the number of the child's outputs. The weights are
            rescaled so that equal weights become 1. The body returns one number for each entry of the child's
            parameters. The generated parameters are the child's learned parameters plus these numbers.
        child: any `nn.Module` from `[n, d]` to `[n, k]`. If `body` returns only zeros, for example for an empty support
            set, the child predicts with its learned parameters.
        loss: the loss on the query set, "mse" if the targets are numbers, or "cross_entropy" if they are classes.

    If the classes of a task are relabelled, the predictions are relabelled in the same way if `body` treats all classes
    alike, without a `write`, and the child is linear with equal learned parameters for all classes. Otherwise, the
    learner can learn what a class means, if it means the same in all tasks.

    Raises:
        MapstoError: if `loss` is unknown, a network has batch norm, the child has no parameters, or `body` does not
            return one number for each entry of the child's parameters.

    >>> import torch
    >>> from mapsto.models import MomentNetwork, NewtonNetwork
    >>> learner = Hypernetwork(MomentNetwork(features=2), nn.Linear(2, 1))
    >>> state = learner.adapt(Examples(torch.randn(5, 2), torch.randn(5, 1), torch.full((5,), 0.2)))
    >>> {name: tuple(value.shape) for name, value in state.items()}
    {'weight': (1, 2), 'bias': (1,)}
    >>> classifier = Hypernetwork(NewtonNetwork(features=2, classes=3), nn.Linear(2, 3), loss="cross_entropy")
    >>> classifier.adapt(Examples(torch.randn(3, 2), torch.tensor([0, 2, 1]), torch.ones(3)))["weight"].shape
    torch.Size([3, 2])
    """

    family = "model-based"

    def __init__(self, body: nn.Module, child: nn.Module, loss: Literal["mse", "cross_entropy"] = "mse"):
        super().__init__()
        checks.one_of(losses.LOSSES, loss=loss)
        self.body, self.child, self.loss_name = rowwise("body", body), rowwise("child", child), loss
        parametric = any(True for _ in child.parameters())
        checks.expect(parametric, "child", type(child).__name__, "a network with parameters to write")

    def adapt(self, support: Examples) -> Params:
        """Return the child's parameters for this task: its learned parameters plus the offsets from the body."""
        start = dict(self.child.named_parameters())
        written = self.body(support.x, self._targets(support), counts(support.w))  # [p]
        sizes = [value.numel() for value in start.values()]
        outputs = tuple(written.shape)
        checks.expect(outputs == (sum(sizes),), "body", f"outputs {outputs}", f"[{sum(sizes)}], one a child parameter")
        parts = zip(start.items(), written.split(sizes), strict=True)
        return {name: value + part.view_as(value) for (name, value), part in parts}

    def predict(self, state: Params, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the outputs of the child for `n` rows, computed with the generated parameters."""
        return functional_call(self.child, state, (x,))

    def features(self, state: Params, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the outputs of the child's submodules, and the output of the child as `output`.

        The child is the network whose parameters `body` generates.
        """
        return watch(self.child, lambda: self.predict(state, x)) | {"output": self.predict(state, x)}

    def _targets(self, support: Examples) -> Float[Tensor, "n k"]:
        """Return the support targets as the body reads them: numbers, or one-hot rows of the child's classes."""
        if self.loss_name == "mse":
            return numbers(support.y)
        outputs = self.child(support.x[:1])  # [1, k]
        return one_hot(support.y, outputs.shape[-1], outputs)
