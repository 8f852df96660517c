"""Explanations of one image of a Conv4, here and in captum at its fastest, and of a forest beside its own predictions.

    OMP_NUM_THREADS=1 python benchmarks/peers_images.py

KernelSHAP asks 256 questions about 49 patches, Integrated Gradients asks for gradients at 32 points. Our explainers run
with their defaults; captum runs with each of several sizes of its batches, and the fastest counts. Methods take turns,
so that other work on the machine slows all of them; times are processor seconds of one thread, medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import captum
import numpy as np
import torch
from captum.attr import IntegratedGradients as Captums
from captum.attr import KernelShap
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn

import mapsto as mt
from mapsto.explainers import IntegratedGradients, Shapley

KERNEL = {28: (16, 32, 64, 128), 84: (4, 8, 16)}  # rows at a time that captum may choose from, for each size of image
PATH = {28: (8, 16, 32), 84: (2, 4, 8)}


def main() -> None:
    """Run the comparisons and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="+", default=[28, 84], choices=tuple(KERNEL))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, captum {captum.__version__}, one thread, median of {args.repeats}\n")
    print("| work | image | mapsto, ms | captum at its fastest, ms (rows at a time) | ratio | largest difference |")
    print("|---|---|---|---|---|---|")
    for size in args.sizes:
        torch.manual_seed(0)
        channels = 1 if size == 28 else 3
        network, x = conv4(channels, size), torch.randn(channels, size, size)
        for compare in (kernel, path):
            print(compare(network, x, args.repeats), flush=True)
    print(forest(args.repeats))


def conv4(channels: int, size: int) -> nn.Sequential:
    """Return a Conv4 of 64 channels, with the running statistics of batch norm, as it is explained after training."""
    blocks = [
        layer
        for inputs in (channels, 64, 64, 64)
        for layer in (nn.Conv2d(inputs, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2))
    ]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(64 * (size // 16) ** 2, 5)).eval()


def kernel(network: nn.Sequential, x: Tensor, repeats: int) -> str:
    """Compare Shapley values of 49 patches from 256 coalitions; the values differ, because the coalitions do."""
    size = x.shape[-1]
    row = torch.arange(size) // (size // 7)
    patches = (7 * row[:, None] + row).expand(x.shape)
    view = mt.views.model(network, target=2)

    def theirs(at_once: int) -> Callable[[], Tensor]:
        explainer = KernelShap(network)
        sizes: dict[str, Any] = {"n_samples": 256, "perturbations_per_eval": at_once}
        return lambda: explainer.attribute(x[None], 0.0, target=2, feature_mask=patches[None], **sizes)

    def ours() -> Tensor:
        return Shapley(254)(mt.views.game(view, x, groups=patches))

    return line("KernelSHAP", size, ours, {each: theirs(each) for each in KERNEL[size]}, repeats, None)


def path(network: nn.Sequential, x: Tensor, repeats: int) -> str:
    """Compare Integrated Gradients at the same 32 points."""
    view, size = mt.views.model(network, target=2), x.shape[-1]

    def theirs(at_once: int) -> Callable[[], Tensor]:
        explainer = Captums(network)
        sizes: dict[str, Any] = {"n_steps": 32, "method": "gausslegendre", "internal_batch_size": at_once}
        return lambda: explainer.attribute(x[None].clone(), 0.0, target=2, **sizes)

    def ours() -> Tensor:
        return IntegratedGradients(32)(view, x)

    difference = (ours() - theirs(8)()[0]).abs().max().item()
    return line("IG", size, ours, {each: theirs(each) for each in PATH[size]}, repeats, difference)


def line(
    work: str,
    size: int,
    ours: Callable[[], Tensor],
    theirs: dict[int, Callable[[], Tensor]],
    repeats: int,
    difference: float | None,
) -> str:
    mine, *others = turns([ours, *theirs.values()], repeats)
    best = min(others)
    at_once = list(theirs)[others.index(best)]
    apart = "–" if difference is None else f"{difference:.0e}"
    return (
        f"| {work} | {size}×{size} | {1e3 * mine:.0f} | {1e3 * best:.0f} ({at_once}) | {best / mine:.2f}× | {apart} |"
    )


def turns(methods: list[Callable[[], object]], repeats: int) -> list[float]:
    """Return the median time of each method; they take turns, after one that is not timed."""
    times: list[list[float]] = [[] for _ in methods]
    for i in range(repeats + 1):
        for method, spent in zip(methods, times, strict=True):
            start = time.process_time()
            method()
            if i > 0:
                spent.append(time.process_time() - start)
    return [statistics.median(spent) for spent in times]


def forest(repeats: int) -> str:
    """Compare Shapley values of a forest with its predictions for as many rows: 512 coalitions, 50 background rows."""
    g = np.random.default_rng(0)
    rows = g.normal(size=(500, 20))
    model = RandomForestClassifier(100, random_state=0).fit(rows, rows[:, 0] * rows[:, 1] + rows[:, 2] > 0)
    x, background = torch.tensor(rows[0]), torch.tensor(rows[1:51])
    hidden = np.where(g.random((512 * 50, 20)) > 0.5, rows[0], rows[g.integers(1, 51, 512 * 50)])
    view = mt.views.model(model, target=1)
    ours = lambda: Shapley(510)(mt.views.game(view, x, background=background))  # noqa: E731
    mine, alone = turns([ours, lambda: model.predict_proba(hidden)], repeats)
    return (
        f"\na forest of 100 trees, 25,600 rows: Shapley {1e3 * mine:.0f} ms, predict_proba alone {1e3 * alone:.0f} ms"
    )


if __name__ == "__main__":
    main()
