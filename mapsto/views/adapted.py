"""An adapted learner as a plain `nn.Module`, for other libraries."""

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..adaptation.learner import Learner
from ..episodes import Episode, Examples
from .of_learner import adaptation


class Adapted(nn.Module):
    """A learner that has adapted to one support set, as a plain module from rows `[n, ...]` to scores `[n, k]`."""

    def __init__(self, learner: Learner, support: Examples | Episode):
        super().__init__()
        self.learner = learner
        examples, adapt = adaptation(learner, support)
        leaves, self.spec = pytree.tree_flatten(adapt(examples))
        for i, leaf in enumerate(leaves):
            self.register_buffer(f"state_{i}", leaf.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores `[n, k]` of the rows `x`."""
        state = pytree.tree_unflatten([getattr(self, f"state_{i}") for i in range(self.spec.num_leaves)], self.spec)
        return self.learner.predict(state, x)


def as_module(learner: Learner, support: Examples | Episode) -> Adapted:
    """Return the learner's model, adapted to `support`, as a plain `nn.Module` for captum, shap, torch.export and ONNX.

    `support` is a support set, or an episode if the learner also reads a context (examples of earlier tasks).

    Raises:
        MapstoError: if the learner is transductive or stochastic.
    """
    return Adapted(learner, support)
