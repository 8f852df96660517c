"""Plain networks trained together with their explainers: what it costs, and how well they explain.

    python benchmarks/learned.py digits --seed 0        or: strokes, wine, planted

For one data set and one seed, which also divides the rows, on held-out rows:

- the accuracy of the network alone, and trained together with the explainers at some `candour`;
- `Interpreter`: the share of rows with the class of the network, and the concepts that are active, trained after the
  network and jointly; its trust in each row, which is the exact agreement there, beside the mean agreement in the
  neighbourhood of the row, on 32 copies with noise of a tenth of the standard deviation of all entries;
- `AmortisedShapley`: R² to exact Shapley values (2^players looks), reading features and reading the row alone, and the
  looks that KernelSHAP needs for the same squared error. Blank patches have the value 0; both KernelSHAP and the exact
  values ask about the other patches only;
- its trust beside the true R² of each row, clipped to 0 … 1: the calibration error over ten bins of equally many rows,
  and Spearman's correlation.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, load_wine
from torch import Tensor, nn

import mapsto as mt
from mapsto.explainers.coalitions import exact as all_coalitions
from mapsto.explainers.coalitions import kernel
from mapsto.explainers.learned import AmortisedShapley, Columns, Interpreter, Patches, Players
from mapsto.explainers.learned.amortised_shapley import ShapleyReasons
from mapsto.explainers.learned.explainer import LearnedExplainer
from mapsto.joint.joint import Trains

Phases = dict[Trains, int]


class Case(NamedTuple):
    """A data set, a network for it, the features that explainers read, the players, and the steps of training.

    `Interpreter` averages a feature over its positions. If the network does not, its features are read as one vector.
    """

    tasks: mt.tasks.Minibatches
    network: nn.Module
    reads: dict[str, int]
    read_by_concepts: dict[str, int]
    players: Players
    after: Phases  # first the network, then the explainers
    together: dict[float, Phases]  # by candour


def digits(seed: int) -> Case:
    """Handwritten digits 8 × 8, a residual network, 4 × 4 patches."""
    x, y = load_digits(return_X_y=True)
    tasks = mt.tasks.Minibatches(x.reshape(-1, 1, 8, 8) / 16, y, size=64, seed=seed)
    network = mt.models.ResNet12(widths=(16, 32), outputs=10, size=8)
    reads = {"blocks.0": 16, "blocks.1": 32}
    return Case(tasks, network, reads, reads, Patches((1, 8, 8), 2), *OF_IMAGES)


def strokes(seed: int) -> Case:
    """Ten drawn characters 16 × 16, 200 images of each, a small VGG, 4 × 4 patches."""
    drawn = mt.tasks.DrawnCharacters(ways=10, shots=1, queries=200, size=16).batch(0, 1, seed).query
    tasks = mt.tasks.Minibatches(drawn.x[0], drawn.y[0], size=64, seed=seed)
    network = mt.models.VGG(widths=(8, 16), outputs=10, size=16)
    concepts = {"stages.0": 8, "readout": 256}
    return Case(tasks, network, {"stages.0": 8, "stages.1": 16}, concepts, Patches((1, 16, 16), 4), *OF_IMAGES)


def wine(seed: int) -> Case:
    """Wine, a multi-layer perceptron, 13 columns."""
    x, y = load_wine(return_X_y=True)
    tasks = mt.tasks.Minibatches((x - x.mean(0)) / x.std(0), y, size=128, seed=seed)
    reads = {"1": 64, "3": 64}
    return Case(tasks, mt.models.MLP(13, 64, 64, 3), reads, reads, Columns(13), *OF_TABLES)


def planted(seed: int) -> Case:
    """A table of 10 columns whose class is x₁·x₂ + x₃ > 0, a multi-layer perceptron."""
    x = np.random.default_rng(seed).normal(size=(4000, 10))
    tasks = mt.tasks.Minibatches(x, x[:, 0] * x[:, 1] + x[:, 2] > 0, size=128, seed=seed)
    reads = {"1": 64, "3": 64}
    return Case(tasks, mt.models.MLP(10, 64, 64, 2), reads, reads, Columns(10), *OF_TABLES)


OF_TABLES: tuple[Phases, dict[float, Phases]] = (
    {"learner": 1500, "explainers": 1500},
    {0.0: {"both": 1500}, 1.0: {"both": 1500}},
)
OF_IMAGES: tuple[Phases, dict[float, Phases]] = (
    {"learner": 600, "explainers": 1500},
    {0.1: {"learner": 600, "explainers": 1000, "both": 500}},
)
CASES = {"digits": digits, "strokes": strokes, "wine": wine, "planted": planted}


def networks(case: Case, slopes: int) -> dict[str, LearnedExplainer]:
    """Return new explainer networks for a case."""
    outputs = len(case.tasks.names)
    return {
        "concepts": Interpreter(case.read_by_concepts, outputs),
        "why": AmortisedShapley(case.players, outputs, case.reads, slopes=slopes),
    }


def rows_of(tasks: mt.tasks.Minibatches) -> Tensor:
    """Return all rows of a held-out part."""
    parts = [tasks.batch(i, 1).query for i in range(len(tasks))]
    return torch.cat([part.x[0][part.w[0] > 0] for part in parts])


def concepts(joint: mt.Joint, x: Tensor) -> dict[str, float]:
    """Return the fidelity of the interpreter and of its layers, and the number of active concepts."""
    state = joint.adapt(no_support(x))
    of, classes = joint.explain(state, x)["concepts"], joint.predict(state, x).argmax(1)

    def same(outcome: Tensor) -> float:
        return float((outcome.argmax(1) == classes).double().mean())

    layers = {f"fidelity {name}": same(outcome) for name, outcome in of.layers.items()}
    active = float((of.activations > 0).double().sum(1).mean())
    generator, unit = torch.Generator().manual_seed(0), 0.1 * x.std()
    copies = [x + unit * torch.randn(x.shape, generator=generator) for _ in range(32)]
    nearby = torch.stack([joint.explain(state, rows)["concepts"].trust for rows in copies]).mean(0)
    numbers = {f"concepts trust {key}": value for key, value in calibration(of.trust, nearby).items()}
    return {"fidelity": same(of.outcome), "active": active, **layers, "mean trust": float(of.trust.mean()), **numbers}


def exact_values(ask: Callable[[Tensor], Tensor], row: Tensor, players: Players) -> Tensor:
    """Return the exact Shapley values `[players, k]` of one row's outcomes, from all coalitions that change the row."""
    seen = players.effective(row[None])[0].nonzero()[:, 0]
    design = all_coalitions(len(seen), dtype=torch.float64)
    masks = torch.zeros(len(design.masks), players.count)
    masks[:, seen] = design.masks
    outcome = _shown(ask, row, players, masks).double()
    values = torch.zeros(players.count, outcome.shape[1], dtype=torch.float64)
    values[seen] = design.weights @ outcome
    return values.float()


def kernel_values(ask: Callable[[Tensor], Tensor], row: Tensor, players: Players, looks: int) -> Tensor:
    """Return KernelSHAP's values `[players, k]` of one row, from about `looks` coalitions that change the row."""
    seen = players.effective(row[None])[0].nonzero()[:, 0]
    design = kernel(len(seen), looks)
    masks = torch.zeros(len(design.masks), players.count)
    masks[:, seen] = design.masks
    outcome = _shown(ask, row, players, masks)
    values = torch.zeros(players.count, outcome.shape[1])
    values[seen] = design.weights @ outcome
    return values


@torch.no_grad()
def _shown(ask: Callable[[Tensor], Tensor], row: Tensor, players: Players, masks: Tensor) -> Tensor:
    """Return the outcomes of one row if only the players of each mask are visible; small batches stay in the cache."""
    return torch.cat([ask(players.show(row[None], part[None])[0]) for part in masks.split(128)])


def values(joint: mt.Joint, players: Players, x: Tensor) -> dict[str, float]:
    """Return R² of the values to exact ones, and the looks of KernelSHAP for an equal squared error."""
    state = joint.adapt(no_support(x))
    started = time.perf_counter()
    reasons: dict[str, ShapleyReasons] = joint.explain(state, x)
    seconds = (time.perf_counter() - started) / len(x)

    def ask(rows: Tensor) -> Tensor:
        return joint.predict(state, rows).softmax(-1)

    exact = torch.stack([exact_values(ask, row, players) for row in x])
    own, spread = reasons["why"], float((exact - exact.mean()).square().sum())
    error = float((own.values - exact).square().sum())
    trusted = trust(own.trust, own.values, exact)
    if "row_alone" in reasons:
        trusted["R2, row alone"] = 1 - float((reasons["row_alone"].values - exact).square().sum()) / spread
    looks, took = 4 * players.count, 0.0
    while looks < 2**players.count:
        started = time.perf_counter()
        sampled = torch.stack([kernel_values(ask, row, players, looks) for row in x])
        took = (time.perf_counter() - started) / len(x)
        if float((sampled - exact).square().sum()) <= error:
            break
        looks *= 2
    return {"R2": 1 - error / spread, "KernelSHAP looks": looks, "KernelSHAP time ratio": took / seconds, **trusted}


def trust(trusted: Tensor, values: Tensor, exact: Tensor) -> dict[str, float]:
    """Return how well the trust `[n]` predicts the R² of each row's values `[n, p, k]`, clipped to 0 … 1."""
    centred = exact - exact.mean(1, keepdim=True)
    errors, spreads = (part.square().sum((1, 2)) for part in (values - exact, centred))
    numbers = calibration(trusted, (1 - errors / spreads).clamp(0, 1))
    return {f"trust {key}": value for key, value in numbers.items()}


def calibration(trusted: Tensor, measured: Tensor) -> dict[str, float]:
    """Return the calibration error of the trust over ten bins of equally many rows, and Spearman's correlation."""
    true, expected = measured.numpy(), trusted.numpy()
    bins = np.array_split(expected.argsort(), 10)
    gap = sum(len(rows) * abs(float(true[rows].mean() - expected[rows].mean())) for rows in bins) / len(true)
    return {"calibration error": gap, "Spearman": float(spearmanr(true, expected)[0])}


def no_support(x: Tensor) -> mt.Examples:
    """Return an empty support set of such rows."""
    return mt.Examples(x[:0], torch.empty(0, dtype=torch.long), torch.empty(0))


def run(name: str, seed: int, rows: int, part: str, slopes: int) -> None:
    """Train and measure one case, and print one JSON line for each training."""

    def trained(label: str, candour: float, phases: Phases) -> None:
        torch.manual_seed(seed)
        case = CASES[name](seed)
        explainers = networks(case, slopes)
        if not candour:
            explainers["row_alone"] = AmortisedShapley(case.players, len(case.tasks.names))
        joint = mt.Joint(mt.learners.Fixed(case.network), explainers, candour=candour)
        started = time.process_time()
        options = {"batch": 1, "lr": 2e-3, "schedule": "cosine", "warmup": 50, "seed": seed}
        for _ in mt.training.phases(joint, case.tasks, phases, **options):
            pass
        held_out = getattr(case.tasks, part)
        x = rows_of(held_out)
        line = {
            "data": name,
            "seed": seed,
            "slopes": slopes,
            "training": label,
            "minutes": (time.process_time() - started) / 60,
        }
        line |= {"rows": len(x), "accuracy": float(mt.evaluate(joint, held_out).accuracy.mean)}
        print(json.dumps({**line, **concepts(joint, x), **values(joint, case.players, x[:rows])}), flush=True)

    case = CASES[name](seed)
    trained("explainers after the network", 0.0, case.after)
    for candour, phases in case.together.items():
        trained(f"together, candour {candour:g}", candour, phases)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=CASES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=20, help="held-out rows whose exact values are computed")
    parser.add_argument("--part", choices=["validation", "test"], default="test", help="the part to measure on")
    parser.add_argument("--slopes", type=int, default=0, help="see `AmortisedShapley`")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(arguments.data, arguments.seed, arguments.rows, arguments.part, arguments.slopes)
