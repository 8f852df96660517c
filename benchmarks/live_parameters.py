"""Peak memory of explaining 1,000 rows of a network, with parameters that require gradients and with frozen ones.

    python benchmarks/live_parameters.py

Bytes are counted as operations create tensors, so the result does not depend on the machine. The network is asked in
batches (`views.model`), and traced by torch as a plain function of one row.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mapsto import explainers as E
from mapsto import views

ROWS = torch.randn(1000, 9, generator=torch.Generator().manual_seed(0))
FEW, CHUNK = ROWS[:20], 40

View = Callable[[Tensor], Tensor]
Road = Callable[[nn.Module], View]
Call = Callable[[nn.Sequential, Road, Tensor], Any]
ROADS: dict[str, Road] = {"asked": views.model, "traced": lambda net: lambda x: net(x[None])[0]}


class Peak(TorchDispatchMode):
    """Count the bytes of the tensors that are alive at the same time, as operations create them."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[StorageWeakRef, int] = {}
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count the storage of its results."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.alive[StorageWeakRef(tensor.untyped_storage())] = tensor.untyped_storage().nbytes()
        self.alive = {storage: size for storage, size in self.alive.items() if not storage.expired()}
        self.bytes = max(self.bytes, sum(self.alive.values()))
        return result


def network(live: bool) -> nn.Sequential:
    """Return a network whose layers keep their inputs in memory for gradients; its parameters are live or frozen."""
    torch.manual_seed(0)
    maps = [nn.Unflatten(1, (1, 3, 3)), nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True)]
    rest = [nn.Flatten(), nn.Linear(72, 128), nn.GELU(), nn.Linear(128, 128), nn.GELU()]
    rest += [nn.Linear(128, 128), nn.GELU(), nn.Linear(128, 3)]
    return nn.Sequential(*maps, *rest).eval().requires_grad_(live)


def moving(explainer: E.ViewExplainer) -> Call:
    """Return the call that explains all rows by changing them."""
    return lambda net, road, rows: explainer.over(road(net), rows, CHUNK)


def hiding(explainer: E.GameExplainer | E.Interactions | E.ShapleyInteractions) -> Call:
    """Return the call that explains all rows by hiding their entries."""

    def call(net: nn.Sequential, road: Road, rows: Tensor) -> Any:
        view = road(net)
        return explainer.over(lambda x: views.game(view, x), rows, CHUNK)

    return call


def of_maps(explainer: E.GradCAM | E.HiResCAM) -> Call:
    """Return the call that explains the maps of all rows."""

    def call(net: nn.Sequential, road: Road, rows: Tensor) -> Any:
        with torch.no_grad():
            maps = net[:4](rows)
        return explainer.over(road(net[4:]), maps, CHUNK)

    return call


def classifier(net: nn.Sequential, road: Road) -> Callable[[Tensor], Tensor]:
    """Return the function of a batch of rows."""
    return torch.func.vmap(road(net))


CALLS: dict[str, Call] = {
    "Gradient": moving(E.Gradient()),
    "InputXGradient": moving(E.InputXGradient()),
    "IntegratedGradients": moving(E.IntegratedGradients(8)),
    "ExpectedGradients": moving(E.ExpectedGradients(FEW, samples=8)),
    "Smooth": moving(E.Smooth(E.Gradient(), samples=8)),
    "GradCAM": of_maps(E.GradCAM()),
    "HiResCAM": of_maps(E.HiResCAM()),
    "LIME.of_table": moving(E.LIME.of_table(FEW, samples=40)),
    "Occlusion": hiding(E.Occlusion()),
    "LIME": hiding(E.LIME(samples=40)),
    "Shapley": hiding(E.Shapley(samples=40)),
    "PermutationShapley": hiding(E.PermutationShapley(2)),
    "BayesianShapley": hiding(E.BayesianShapley(samples=18)),
    "Interactions": hiding(E.Interactions()),
    "ShapleyInteractions": hiding(E.ShapleyInteractions(orders=2)),
    "Explainer": lambda net, road, rows: E.Explainer(classifier(net, road), FEW[:4], E.Occlusion(), chunk_size=CHUNK)(
        rows
    ),
    "Anchors": lambda net, road, rows: E.Anchors(rows)(classifier(net, road), rows[0]),
    "Counterfactual": lambda net, road, rows: E.Counterfactual(rows)(classifier(net, road), rows[0]),
    "SurrogateTree": lambda net, road, rows: E.SurrogateTree(rows)(classifier(net, road)),
}


def peak(name: str, road: str, live: bool, rows: Tensor = ROWS) -> int:
    """Return the most bytes of tensors at a time while an explainer explains the network."""
    net = network(live)
    CALLS[name](net, ROADS[road], rows)  # constants, such as designs, are made once
    with Peak() as counted:
        CALLS[name](net, ROADS[road], rows)
    return counted.bytes


def main() -> None:
    """Print a table of explainers, with the peak for live parameters over that for frozen ones."""
    print(
        "| explainer | asked: frozen MiB | live : frozen | traced: frozen MiB | live : frozen |\n|---|---|---|---|---|"
    )
    for name in CALLS:
        frozen, live = ([peak(name, road, live) for road in ROADS] for live in (False, True))
        cells = [f"{f / 2**20:.2f} | {each / f:.2f}" for f, each in zip(frozen, live, strict=True)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
