"""The pretrained model for images as a graph: one example of each of five characters, and one drawing to explain."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .. import weights
from ..episodes import Examples
from ..explainers import kriging
from ..explainers.learned import DistilledShapley
from ..explainers.learned.amortised_shapley import ShapleyReasons
from ..explainers.learned.explainer import Prediction
from ..joint import Joint
from .graphs import Weights, graph

WAYS = 5


class Tabulated(nn.Module):
    """The coalitions for any number of visible players, from a table: a graph cannot compute them."""

    masks: Tensor
    weights: Tensor

    def __init__(self, players: int, samples: int):
        super().__init__()
        plans = [kriging.design(d, samples) for d in range(2, players + 1)]
        most = max(len(plan.masks) for plan in plans)
        masks, weights = torch.zeros(players + 1, most, players), torch.zeros(players + 1, players, most)
        for d, plan in enumerate(plans, 2):
            masks[d, : len(plan.masks), :d] = torch.as_tensor(plan.masks)
            weights[d, :d, : len(plan.masks)] = torch.as_tensor(plan.weights)
        self.register_buffer("masks", masks)
        self.register_buffer("weights", weights)

    def forward(self, visible: Bool[Tensor, "n p"]) -> tuple[Float[Tensor, "n c p"], Float[Tensor, "n p c"]]:
        """Return the masks and weights of each row; the i-th player of a plan is the i-th visible one."""
        count, place = visible.sum(1), visible.long().cumsum(1) - 1
        of = torch.arange(visible.shape[1])[:, None] == place[:, None]  # [n, p of the plan, p]
        of = (of & visible[:, None]).to(self.masks)
        return self.masks[count] @ of, of.mT @ self.weights[count]


class Tables(DistilledShapley):
    """The pretrained explainer with tables of coalitions."""

    tables: nn.ModuleDict

    def designs(
        self, visible: Bool[Tensor, "n p"], samples: int, like: Tensor
    ) -> tuple[Float[Tensor, "n c p"], Float[Tensor, "n p c"]]:
        """Return the coalitions of the table for so many samples."""
        return self.tables[str(samples)](visible)

    def explain(self, prediction: Prediction) -> ShapleyReasons:
        """Return the explanation, without a check that the explainer was trained, which no graph can make."""
        return self._reasons(prediction)

    @classmethod
    def of(cls, explainer: DistilledShapley) -> "Tables":
        """Return `explainer` with tables."""
        tables = {str(n): Tabulated(explainer.players.count, n) for n in (explainer.samples, explainer.looks)}
        explainer.__class__ = cls
        explainer.tables = nn.ModuleDict(tables)
        return explainer  # type: ignore[return-value]


class OneShot(nn.Module):
    """Learn five classes from one image each, then classify and explain one image."""

    def __init__(self, mapping: Joint):
        super().__init__()
        self.mapping, self.why = mapping, Tables.of(mapping.explainers["why"])  # type: ignore[arg-type]

    def forward(
        self, support: Float[Tensor, "k 1 s s"], w: Float[Tensor, " k"], x: Float[Tensor, "n 1 s s"]
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n p k"], Float[Tensor, "n k"], Float[Tensor, " n"]]:
        """Return the probabilities, the Shapley values of the patches, those without any patch, and the trust."""
        state = self.mapping.adapt(Examples(support, torch.arange(WAYS), w))
        reasons = self.why.explain(self.mapping.prediction(state, x))
        values = reasons.values - reasons.values.mean(-1, keepdim=True)
        return self.mapping.predict(state, x).softmax(-1), values, reasons.base, reasons.trust


def graphs(shared: Weights) -> dict[str, Any]:
    """Return the graph."""
    module = OneShot(weights.load_images(ways=WAYS)).eval()
    side = module.why.players.groups.shape[-1]
    image = torch.rand(WAYS + 1, 1, side, side, generator=torch.Generator().manual_seed(0))
    example = (image[:WAYS], torch.full((WAYS,), 1 / WAYS), image[WAYS:])
    outputs = ("probabilities", "values", "base", "trust")
    return {"images": graph(module, example, ({}, {}, {}), ("support", "w", "x"), outputs, shared)}
