"""A penalty on the number of units of a layer that are active for a row.

    "hoyer"    Σ_x w·(Σ_j |a_j|)² / (J·Σ_j a_j²)
    "l1"       Σ_x w·mean_j |a_j|

a are the J activations of the layer. The first is the squared Hoyer measure, divided by J (Yang, Wen & Li 2020,
"DeepHoyer: Learning Sparser Neural Network with Differentiable Sparsity Measures", eq. 3; Hoyer 2004, "Non-negative
Matrix Factorization with Sparseness Constraints", §3.1, compares the same two norms).
"""

from typing import Literal, final

from jaxtyping import Float
from torch import Tensor

from .. import checks
from .penalty import AdaptedModel, Penalty

_TINY = 1e-12


@final
class Sparsity(Penalty):
    """A penalty on layers in which many units are active for the same row.

    Args:
        layer: the name of the layer, one of those in `learner.features`. All axes but the first count as units.
        measure: "hoyer" or "l1". "hoyer" is the fraction of active units if all active units are equally large. It does
            not change if all activations are multiplied by a number. "l1" is the mean absolute activation, which also
            falls if all activations become smaller.

    Raises:
        MapstoError: if `measure` is unknown. A call raises MapstoError if the model has no such layer.

    >>> import torch
    >>> model = AdaptedModel(lambda x: {"hidden": x}, lambda x: x)
    >>> Sparsity("hidden")(model, torch.tensor([[3.0, 0.0, -3.0, 0.0]]), torch.ones(1))
    tensor(0.5000)
    """

    def __init__(self, layer: str, measure: Literal["hoyer", "l1"] = "hoyer"):
        checks.one_of(("hoyer", "l1"), measure=measure)
        self.layer, self.measure = layer, measure

    def __call__(self, model: AdaptedModel, x: Tensor, w: Tensor) -> Float[Tensor, ""]:
        """Return the penalty for rows `x` with weights `w`: at most 1 for "hoyer" and weights that sum to 1."""
        size = model.layer(x, self.layer).flatten(1).abs()  # [n, J]
        if self.measure == "l1":
            return w @ size.mean(1)
        return w @ (size.sum(1).square() / (size.shape[1] * size.square().sum(1)).clamp(min=_TINY))
