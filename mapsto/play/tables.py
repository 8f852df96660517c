"""The pretrained model for tables as two graphs: one adapts to training rows, the other predicts and explains rows.

The graphs are for two classes and any number of rows and columns. The state between them is a list of tensors.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.export import Dim
from torch.utils import _pytree as pytree

from .. import weights
from ..episodes import Examples
from ..explainers.coalitions import Design, design
from ..joint import SelfExplaining
from .graphs import Weights, graph

MEMBERS = 2  # as `TableClassifier` has
_WAYS = 2


class Given(SelfExplaining):
    """The pretrained mapping, whose coalitions are an input, because their number depends on that of the columns."""

    given: Design

    def design(self, x: Float[Tensor, "t m d"]) -> Design:
        """Return the coalitions that were given."""
        return self.given


class Fit(nn.Module):
    """Adapt to training rows, and return the state as a list."""

    def __init__(self, mapping: SelfExplaining):
        super().__init__()
        self.mapping = mapping

    def forward(self, x: Float[Tensor, "n d"], y: Int[Tensor, " n"], w: Float[Tensor, " n"]) -> list[Tensor]:
        """Return the tensors of the state."""
        return pytree.tree_leaves(self.mapping.adapt(Examples(x, y, w)))


class Explain(nn.Module):
    """Predict and explain rows, given the state as a list."""

    def __init__(self, mapping: Given, spec: pytree.TreeSpec):
        super().__init__()
        self.mapping, self.spec = mapping, spec

    def forward(
        self, x: Float[Tensor, "m d"], masks: Float[Tensor, "c d"], weights: Float[Tensor, "d c"], state: list[Tensor]
    ) -> tuple[Float[Tensor, "m d k"], Float[Tensor, "m k"], Float[Tensor, "m d k"]]:
        """Return Shapley values, the prediction for a row of missing cells, and the errors of the values."""
        self.mapping.given = Design(masks, weights)
        reasons = self.mapping.reasons(pytree.tree_unflatten(state, self.spec), x)
        assert reasons.errors is not None
        return reasons.values - reasons.values.mean(-1, keepdim=True), reasons.base, reasons.errors


def graphs(shared: Weights) -> dict[str, Any]:
    """Return the two graphs, and the quantiles of the errors of the values divided by the predicted errors."""
    pretrained = weights.load(ways=_WAYS, members=MEMBERS)
    mapping = Given(pretrained.learner, pretrained.explainer, doubt=pretrained.doubt).eval()
    support = _example(10, 5)
    leaves, spec = pytree.tree_flatten(mapping.adapt(support))
    names = [f"state{i}" for i in range(len(leaves))]
    rows, columns, free = Dim("n", min=2, max=256), Dim("d", min=1, max=64), {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}
    axes: tuple[Any, ...] = ({0: rows, 1: columns}, {0: rows}, {0: rows})
    fit = graph(Fit(mapping), tuple(support), axes, support._fields, names, shared)
    axes = (free, free, free, _moving(leaves, pytree.tree_leaves(mapping.adapt(_example(13, 7)))))
    example = (support.x[:3], *design(support.x.shape[1]), leaves)
    inputs, outputs = ["x", "masks", "weights", *names], ("values", "base", "errors")
    explain = graph(Explain(mapping, spec), example, axes, inputs, outputs, shared)
    assert mapping.doubt is not None
    return {"fit": fit, "explain": explain, "ratios": mapping.doubt.ratios.tolist()}


def _example(n: int, d: int) -> Examples:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator)
    return Examples(x, torch.arange(n) % _WAYS, torch.full((n,), 1 / n))


def _moving(first: list[Tensor], second: list[Tensor]) -> list[dict[int, Any]]:
    """Return the axes of the state whose size depends on that of the table: those that differ between two tables."""
    sizes = [zip(a.shape, b.shape, strict=True) for a, b in zip(first, second, strict=True)]
    return [{i: Dim.DYNAMIC for i, (p, q) in enumerate(of) if p != q} for of in sizes]
