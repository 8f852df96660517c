"""The pretrained model for tables as two graphs: one adapts to training rows, the other predicts and explains rows.

The graphs are for any number of classes, rows and columns. The state between them is a list of tensors.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.export import Dim
from torch.utils import _pytree as pytree

from .. import weights
from ..adaptation.outcomes import CLASSES
from ..episodes import Examples
from ..explainers.coalitions import Design, design
from ..joint import SelfExplaining
from .graphs import Weights, graph

MEMBERS = 2  # as `TableClassifier` has


class Given(SelfExplaining):
    """The pretrained mapping, whose coalitions are an input, because their number depends on that of the columns."""

    given: Design

    def design(self, x: Float[Tensor, "t m d"]) -> Design:
        """Return the coalitions that were given."""
        return self.given


class Fit(nn.Module):
    """Adapt to training rows, and return the state as a list.

    The number of classes is the length of an input, so that one graph serves any number of them.
    """

    def __init__(self, mapping: SelfExplaining):
        super().__init__()
        self.mapping = mapping

    def forward(
        self, x: Float[Tensor, "n d"], y: Int[Tensor, " n"], w: Float[Tensor, " n"], classes: Int[Tensor, " k"]
    ) -> list[Tensor]:
        """Return the tensors of the state."""
        support = Examples(x[None], y[None], w[None])
        return pytree.tree_leaves(self.mapping.learner.read(support, classes.shape[0]))


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
        values, errors = reasons.values - reasons.values.mean(-1, keepdim=True), reasons.errors
        # of two classes, `ValueErrors` averages the doubt; the graph, for any number of classes, has no such branch
        two = values.new_ones(values.shape[-1]).sum() == 2
        return values, reasons.base, torch.where(two, errors.log().mean(-1, keepdim=True).exp(), errors)


def graphs(shared: Weights) -> dict[str, Any]:
    """Return the two graphs, and the quantiles of the errors of the values divided by the predicted errors."""
    pretrained = weights.load(members=MEMBERS)
    mapping = Given(pretrained.learner, pretrained.explainer, doubt=pretrained.doubt).eval()
    module, example = Fit(mapping), _example(10, 5, 3)
    leaves, others = module(*example), module(*_example(13, 7, 4))
    names = [f"state{i}" for i in range(len(leaves))]
    rows, columns, ways = Dim("n", min=2, max=256), Dim("d", min=1, max=64), Dim("k", min=2, max=CLASSES)
    axes: tuple[Any, ...] = ({0: rows, 1: columns}, {0: rows}, {0: rows}, {0: ways})
    fit = graph(module, example, axes, ("x", "y", "w", "classes"), names, shared)
    free = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}
    spec = pytree.tree_structure(mapping.learner.read(Examples(*(part[None] for part in example[:3])), 3))
    axes = (free, free, free, _moving(leaves, others))
    asked = (example[0][:3], *design(5), leaves)
    inputs, outputs = ["x", "masks", "weights", *names], ("values", "base", "errors")
    explain = graph(Explain(mapping, spec), asked, axes, inputs, outputs, shared)
    assert mapping.doubt is not None
    return {"fit": fit, "explain": explain, "ratios": mapping.doubt.ratios.tolist()}


def _example(n: int, d: int, k: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator)
    return x, torch.arange(n) % k, torch.full((n,), 1 / n), torch.arange(k)


def _moving(first: list[Tensor], second: list[Tensor]) -> list[dict[int, Any]]:
    """Return the axes of the state whose size depends on that of the table: those that differ between two tables."""
    sizes = [zip(a.shape, b.shape, strict=True) for a, b in zip(first, second, strict=True)]
    return [{i: Dim.DYNAMIC for i, (p, q) in enumerate(of) if p != q} for of in sizes]
