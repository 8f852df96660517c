"""Plain networks trained together with their explainers: what it costs, and how well they explain.

    python benchmarks/learned.py digits --seed 0        or: wine, planted

For one data set and one seed, on held-out rows:

- the accuracy of the network alone, and trained jointly with `candour` 0 and 1;
- `Interpreter`: the share of rows with the class of the network, and the concepts that are active, trained after the
  network and jointly;
- `AmortisedShapley`: R² to exact Shapley values (2^players looks), reading features and reading the row alone, and the
  looks that KernelSHAP needs for the same squared error;
- its trust beside the true R² of each row, clipped to 0 … 1: the calibration error over ten bins of equally many rows,
  and Spearman's correlation.
"""

import argparse
import json
import time
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits, load_wine
from torch import Tensor, nn

import mapsto as mt
from mapsto.explainers.learned import AmortisedShapley, Columns, Interpreter, Patches, Players
from mapsto.explainers.learned.amortised_shapley import ShapleyReasons


class Case(NamedTuple):
    """A data set, a network for it, the features that explainers read, and the players."""

    tasks: mt.tasks.Minibatches
    network: nn.Module
    reads: dict[str, int]
    players: Players
    steps: int


def digits() -> Case:
    """Handwritten digits 8 × 8, a residual network, 4 × 4 patches."""
    x, y = load_digits(return_X_y=True)
    tasks = mt.tasks.Minibatches(x.reshape(-1, 1, 8, 8) / 16, y, size=64)
    network = mt.models.ResNet12(widths=(16, 32), outputs=10, size=8)
    return Case(tasks, network, {"blocks.0": 16, "blocks.1": 32}, Patches((1, 8, 8), 2), 600)


def wine() -> Case:
    """Wine, a multi-layer perceptron, 13 columns."""
    x, y = load_wine(return_X_y=True)
    tasks = mt.tasks.Minibatches((x - x.mean(0)) / x.std(0), y, size=128)
    return Case(tasks, mt.models.MLP(13, 64, 64, 3), {"1": 64, "3": 64}, Columns(13), 1500)


def planted() -> Case:
    """A table of 10 columns whose class is x₁·x₂ + x₃ > 0, a multi-layer perceptron."""
    x = np.random.default_rng(0).normal(size=(4000, 10))
    tasks = mt.tasks.Minibatches(x, x[:, 0] * x[:, 1] + x[:, 2] > 0, size=128)
    return Case(tasks, mt.models.MLP(10, 64, 64, 2), {"1": 64, "3": 64}, Columns(10), 1500)


CASES = {"digits": digits, "wine": wine, "planted": planted}


def networks(case: Case, reads: dict[str, int]) -> dict:
    """Return new explainer networks for a case."""
    outputs = len(case.tasks.names)
    return {
        "concepts": Interpreter(case.reads, outputs),
        "why": AmortisedShapley(case.players, outputs, reads),
    }


def held_out(case: Case) -> Tensor:
    """Return all test rows."""
    parts = [case.tasks.test.batch(i, 1).query for i in range(len(case.tasks.test))]
    return torch.cat([part.x[0][part.w[0] > 0] for part in parts])


def concepts(joint: mt.Joint, x: Tensor) -> dict[str, float]:
    """Return the fidelity of the interpreter and of its layers, and the number of active concepts."""
    state = joint.adapt(no_support(x))
    of, classes = joint.explain(state, x)["concepts"], joint.predict(state, x).argmax(1)

    def same(outcome: Tensor) -> float:
        return float((outcome.argmax(1) == classes).double().mean())

    layers = {f"fidelity {name}": same(outcome) for name, outcome in of.layers.items()}
    active = float((of.activations > 0).double().sum(1).mean())
    return {"fidelity": same(of.outcome), "active": active, **layers}


def values(joint: mt.Joint, players: Players, x: Tensor) -> dict[str, float]:
    """Return R² of the values to exact ones, and the looks of KernelSHAP for an equal squared error."""
    state = joint.adapt(no_support(x))
    started = time.perf_counter()
    reasons: ShapleyReasons = joint.explain(state, x)["why"]
    seconds = (time.perf_counter() - started) / len(x)
    view = mt.views.query(joint, no_support(x), link=lambda scores: scores.softmax(-1))

    def shapley(samples: int | None, row: Tensor) -> Tensor:
        explainer = mt.explainers.Shapley(samples=samples, chunk_size=4096)
        return explainer(mt.views.game(view, row, groups=players.groups)).float()

    exact = torch.stack([shapley(None, row) for row in x])
    error = float((reasons.values - exact).square().sum())
    trusted = trust(reasons.trust, reasons.values, exact)
    spread = float((exact - exact.mean()).square().sum())
    looks, took = 4 * players.count, 0.0
    while looks < 2**players.count:
        started = time.perf_counter()
        sampled = torch.stack([shapley(looks, row) for row in x])
        took = (time.perf_counter() - started) / len(x)
        if float((sampled - exact).square().sum()) <= error:
            break
        looks *= 2
    return {"R2": 1 - error / spread, "KernelSHAP looks": looks, "KernelSHAP time ratio": took / seconds, **trusted}


def trust(trusted: Tensor, values: Tensor, exact: Tensor) -> dict[str, float]:
    """Return how well the trust `[n]` predicts the R² of each row's values `[n, p, k]`, clipped to 0 … 1."""
    centred = exact - exact.mean(1, keepdim=True)
    errors, spreads = (part.square().sum((1, 2)) for part in (values - exact, centred))
    true, expected = (1 - errors / spreads).clamp(0, 1).numpy(), trusted.numpy()
    bins = np.array_split(expected.argsort(), 10)
    gap = sum(len(rows) * abs(float(true[rows].mean() - expected[rows].mean())) for rows in bins) / len(true)
    return {"trust calibration error": gap, "trust Spearman": float(spearmanr(true, expected)[0])}


def no_support(x: Tensor) -> mt.Examples:
    """Return an empty support set of such rows."""
    return mt.Examples(x[:0], torch.empty(0, dtype=torch.long), torch.empty(0))


def run(name: str, seed: int, rows: int) -> None:
    """Train and measure one case, and print one JSON line for each training."""
    options = {"batch": 1, "lr": 2e-3, "schedule": "cosine", "warmup": 50}

    def trained(label: str, candour: float, reads: bool, parts: tuple) -> None:
        torch.manual_seed(seed)
        case = CASES[name]()
        joint = mt.Joint(mt.learners.Fixed(case.network), networks(case, case.reads if reads else {}), candour=candour)
        started = time.process_time()
        for _ in mt.training.phases(joint, case.tasks, dict.fromkeys(parts, case.steps), seed=seed, **options):
            pass
        x = held_out(case)
        line = {"data": name, "seed": seed, "training": label, "minutes": (time.process_time() - started) / 60}
        line["accuracy"] = float(mt.evaluate(joint, case.tasks.test).accuracy.mean)
        print(json.dumps({**line, **concepts(joint, x), **values(joint, case.players, x[:rows])}), flush=True)

    after = ("learner", "explainers")
    trained("explainers after the network", 0.0, True, after)
    trained("explainers after the network, row alone", 0.0, False, after)
    trained("both from the start, candour 0", 0.0, True, ("both",))
    trained("both from the start, candour 1", 1.0, True, ("both",))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=CASES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=20, help="test rows whose exact values are computed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(arguments.data, arguments.seed, arguments.rows)
