"""Learn an embedding in which ridge regression, solved in closed form, learns the task.

    V = argmin_V Σ_i w_i·‖x_i·V − y_i‖² + penalty·‖V‖²,   x_i = body(support),   scores = scale·body(x)·V + offset
      = (Xᵀ·W·X + penalty·I)⁻¹·Xᵀ·W·Y                       if n ≥ f, a system of f equations
      = Xᵀ·(W·X·Xᵀ + penalty·I)⁻¹·W·Y                       if n < f, a system of n (Woodbury)

Here n is the number of examples, f the size of the embedding, W = diag(w), and for classes y is one-hot. Bertinetto,
Henriques, Torr & Vedaldi 2019, "Meta-learning with Differentiable Closed-form Solvers", §3.2 (R2-D2); penalty, scale
and offset are learned with the body.

Difference: examples have weights. Weighting through W^½ (X ↦ W^½·X, Y ↦ W^½·Y in the paper's formulas) gives the same
V. The formulas above avoid the square root, whose derivative at weight 0 is infinite. Because tasks have w = 1/n,
`penalty` is the paper's λ divided by n.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from .. import checks
from ..adaptation import losses
from ..adaptation.labels import targets
from ..adaptation.learner import Learner
from ..adaptation.normalisation import on_query, on_support, prepare
from ..adaptation.watching import watch
from ..episodes import Examples


class Regressor(NamedTuple):
    """The state: the regression weights V, the weight of each output, and the batch-norm statistics."""

    weights: Float[Tensor, "f k"]
    mass: Float[Tensor, " k"]
    statistics: dict[str, Tensor]


class RidgeHead(Learner):
    """Fit ridge regression to learned embeddings in closed form, for classes (R2-D2) or for numeric targets.

    A class has probability 0 (score −∞) if the weights of its support examples sum to 0. If the whole support set is
    empty, every output is the learned `offset` instead.

    Args:
        body: any `nn.Module` from `[n, ...]` to embeddings `[n, f]`. Batch-norm layers must have
            `track_running_stats=False`. They are replaced in place by layers that use the statistics of the support
            set.
        ways: the number of classes or, with "mse", of target columns. The attribute `ways` may be changed later, for
            example to train with 20 classes and test with 5.
        loss: the loss on the query set, "cross_entropy" or "mse".
        penalty: the initial ridge penalty. Its logarithm, `log_penalty`, is learned, so that the penalty stays
            positive.
        scale: the initial multiplier on the outputs of the regression. Its logarithm, `log_scale`, is learned.
        transductive: if False, batch norm normalises query rows by the statistics of the support set. If True, it uses
            the statistics of the query rows, as in published results; the prediction for a row then depends on the
            other rows, and the functions in `mt.views` raise MapstoError.

    Raises:
        MapstoError: if `loss` is unknown, `ways` is below 1, `penalty` or `scale` is not above 0, or a batch-norm layer
            has `track_running_stats=True`. The method `adapt` raises MapstoError if the targets do not fit `loss` and
            `ways`.

    >>> from mapsto.episodes import examples
    >>> learner = RidgeHead(nn.Identity(), ways=1, loss="mse", penalty=1.0)
    >>> state = learner.adapt(examples(torch.tensor([[1.0], [1.0]]), torch.tensor([[4.0], [8.0]])))
    >>> learner.predict(state, torch.tensor([[2.0]]))  # the penalty shrinks the slope from 6 to 3
    tensor([[6.]], grad_fn=<MaskedFillBackward0>)
    """

    family = "metric-based"

    def __init__(
        self,
        body: nn.Module,
        ways: int,
        loss: Literal["cross_entropy", "mse"] = "cross_entropy",
        penalty: float = 1.0,
        scale: float = 1.0,
        transductive: bool = False,
    ):
        super().__init__()
        checks.count(ways=ways)
        checks.one_of(losses.LOSSES, loss=loss)
        checks.above(0, penalty=penalty, scale=scale)
        self.body, self.ways, self.loss_name, self.transductive = prepare(body), ways, loss, transductive
        self.log_penalty = nn.Parameter(torch.tensor(math.log(penalty)))
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.offset = nn.Parameter(torch.tensor(0.0))

    def adapt(self, support: Examples) -> Regressor:
        """Return the weights of the ridge regression that is fitted to the support set."""
        f, statistics = on_support(self.body, {}, support.x, support.w)  # [n, f]
        y = targets(self.loss_name, support.y, self.ways, f)  # [n, k]
        mass = support.w @ y if self.loss_name == "cross_entropy" else torch.ones_like(y[:1].sum(0))  # [k]
        weights = ridge(f, y, support.w, self.log_penalty.exp())
        return Regressor(weights, mass, {} if self.transductive else statistics)

    def predict(self, state: Regressor, x: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the outputs of the regression for `n` rows, multiplied by the scale and shifted by the offset."""
        f = on_query(self.body, {}, state.statistics, x)  # [m, f]
        scores = self.log_scale.exp() * (f @ state.weights) + self.offset  # [m, k]
        absent = (state.mass <= 0) & (state.mass > 0).any()
        return scores.masked_fill(absent, -torch.inf)

    def features(self, state: Regressor, x: Shaped[Tensor, "n ..."]) -> dict[str, Tensor]:
        """Return a dictionary with the output of each submodule of the body, and each row's `embedding`.

        The scores are linear in this embedding.
        """
        return watch(self.body, lambda: self.predict(state, x)) | {
            "embedding": on_query(self.body, {}, state.statistics, x)
        }


def ridge(
    x: Float[Tensor, "n f"], y: Float[Tensor, "n k"], w: Float[Tensor, " n"], penalty: Float[Tensor, ""]
) -> Float[Tensor, "f k"]:
    """Return `(Xᵀ·W·X + penalty·I)⁻¹·Xᵀ·W·Y`, computed from the smaller of two equivalent systems of equations."""
    n, f = x.shape
    weighted_x, weighted_y = w[:, None] * x, w[:, None] * y
    if n < f:
        return x.T @ _solve(weighted_x @ x.T, weighted_y, penalty)
    return _solve(x.T @ weighted_x, x.T @ weighted_y, penalty)


def _solve(a: Tensor, b: Tensor, penalty: Tensor) -> Tensor:
    """Return `(a + penalty·I)⁻¹·b`, in single precision or better."""
    precise = torch.promote_types(a.dtype, torch.float32)
    ridged = a.to(precise) + penalty.to(precise) * torch.eye(len(a), dtype=precise, device=a.device)
    return torch.linalg.solve(ridged, b.to(precise)).to(b.dtype)
