"""KernelSHAP of an MLP: 64 rows × 10 columns × 256 coalitions, here and in captum, against exact Shapley values.

    python benchmarks/kernelshap.py

Both ask the network about the same number of coalitions for a row, nobody and everybody among them, with the same
baseline. captum is timed as it comes (one coalition an evaluation) and at its fastest (all of a row in one evaluation).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import captum
import torch
from captum.attr import KernelShap
from torch import Tensor, nn

from mapsto.explainers import Shapley
from mapsto.views import game


class Line(NamedTuple):
    """One line of the table: a method, its median time for all rows, its values."""

    name: str
    seconds: float
    values: Tensor


def main() -> None:
    """Run the comparison and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--coalitions", type=int, default=256, help="for each row, nobody and everybody included")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    network = trained(args.columns)
    x = torch.randn(args.rows, args.columns)
    exact, *lines = compare(network, x, args.coalitions, args.repeats, args.seed)
    print(f"{args.rows} rows × {args.columns} columns × {args.coalitions} coalitions, median of {args.repeats} runs,")
    print(f"torch {torch.__version__}, captum {captum.__version__}, {torch.get_num_threads()} threads\n")
    print("| method | ms for all rows | against mapsto | R² to exact | cosine to exact | largest error / sd |")
    print("|---|---|---|---|---|---|")
    for line in (*lines, exact):
        print(row(line, lines[0], exact.values))


def trained(columns: int) -> nn.Sequential:
    """Fit an MLP to a function with curves and interactions, so that there is something to explain."""
    network = nn.Sequential(nn.Linear(columns, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(400):
        x = torch.randn(256, columns)
        y = torch.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + (x[:, 3] + x[:, 4]).relu() * x[:, 5] + 0.5 * x[:, -1]
        optimizer.zero_grad()
        (network(x)[:, 0] - y).square().mean().backward()
        optimizer.step()
    return network.requires_grad_(False)


def compare(network: nn.Sequential, x: Tensor, coalitions: int, repeats: int, seed: int) -> list[Line]:
    """Explain `x` by each method; the first line is the exact one."""

    def ours(explainer: Shapley) -> Callable[[], Tensor]:
        return lambda: explainer.over(lambda row: game(lambda row: network(row)[0], row, baseline=0.0), x)

    def captums(at_once: int) -> Callable[[], Tensor]:
        explainer = KernelShap(network)
        return lambda: torch.cat(
            [
                explainer.attribute(row[None], target=0, n_samples=coalitions, perturbations_per_eval=at_once)
                for row in x
            ]
        )

    methods = {
        "exact, all coalitions": ours(Shapley()),
        "mapsto Shapley(samples)": ours(Shapley(samples=coalitions - 2, seed=seed)),
        "captum KernelShap, one by one": captums(1),
        "captum KernelShap, batched": captums(coalitions),
    }
    return [timed(name, method, repeats) for name, method in methods.items()]


def timed(name: str, method: Callable[[], Tensor], repeats: int) -> Line:
    """Return the values of a method and its median time, after one run that is not timed."""
    values, times = method(), []
    for _ in range(repeats):
        start = time.perf_counter()
        method()
        times.append(time.perf_counter() - start)
    return Line(name, statistics.median(times), values)


def row(line: Line, ours: Line, exact: Tensor) -> str:
    """Format one line of the table."""
    error = line.values - exact
    r2 = 1 - error.square().mean() / exact.var(correction=0)
    cosine = torch.cosine_similarity(line.values, exact, dim=1).mean()
    return (
        f"| {line.name} | {1000 * line.seconds:.1f} | {line.seconds / ours.seconds:.1f}× "
        f"| {r2:.4f} | {cosine:.4f} | {error.abs().max() / exact.std():.3f} |"
    )


if __name__ == "__main__":
    main()
