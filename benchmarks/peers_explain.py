"""Explanations of 64 rows of one MLP, here and in captum, shap and lime: the same work in one run, told as ratios.

    python benchmarks/peers_explain.py
    python benchmarks/peers_explain.py --memory     peak memory of explaining 10,000 rows in chunks

Every sampling method asks about the same number of coalitions for a row, with the same baseline; captum's are timed as
they come (one coalition an evaluation) and at their fastest (all of a row in one). Peers that loop over rows explain
the first few only. Times are processor seconds of one thread, so that other work on the machine does not count.
Agreement is the correlation of the values with our own from many more coalitions, or for methods without sampling the
largest difference to ours.
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mapsto.explainers import (
    LIME,
    ExpectedGradients,
    GameExplainer,
    Gradient,
    IntegratedGradients,
    Occlusion,
    PermutationShapley,
    Shapley,
    Smooth,
    ViewExplainer,
)
from mapsto.views import Game, game

Method = Callable[[], Tensor]
BASELINE, WIDTH, PENALTY = 0.0, 1.5, 0.01
MOVING: dict[str, Callable[[Tensor], ViewExplainer]] = {
    "Gradient": lambda background: Gradient(),
    "IntegratedGradients": lambda background: IntegratedGradients(64, BASELINE),
    "ExpectedGradients": lambda background: ExpectedGradients(background, samples=512),
    "SmoothGrad": lambda background: Smooth(Gradient(), samples=512, noise=0.3),
}
HIDING: dict[str, GameExplainer] = {
    "Occlusion": Occlusion(),
    "LIME": LIME(samples=512),
    "Shapley": Shapley(samples=512),
    "PermutationShapley": PermutationShapley(13),  # pairs of orders: about as many coalitions
}


class Line(NamedTuple):
    """One line of the table: who does what, its median time for a row, its values."""

    work: str
    name: str
    seconds: float
    values: Tensor


def main() -> None:
    """Run the comparison and print its table, or measure memory."""
    args = arguments()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    network = trained(args.columns)
    if args.child:
        x = torch.randn(args.rows_chunked, args.columns)
        for name in args.child:
            print(added_memory(name, network, x, args.chunk), flush=True)
        return
    if args.memory:
        memory(args)
        return
    x = torch.randn(args.rows, args.columns)
    print(f"{args.rows} rows × {args.columns} columns × {args.samples} coalitions, median of {args.repeats} runs,")
    print(f"torch {torch.__version__}, {versions()}, one thread\n")
    print("| work | method | time a row, against ours | agreement |\n|---|---|---|---|")
    for block in (lime, kernel_shap, path, paths, occlusion):
        for text in block(network, x, args):
            print(text, flush=True)
    print(left_out())


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--samples", type=int, default=512, help="coalitions for each row")
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours; a peer's slower ones run once")
    parser.add_argument("--peer-rows", type=int, default=16, help="rows for peers that loop over rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead of time")
    parser.add_argument("--rows-chunked", type=int, default=10_000)
    parser.add_argument("--chunk", type=int, default=64, help="rows explained at a time")
    parser.add_argument("--child", nargs="+", choices=(*MOVING, *HIDING), help=argparse.SUPPRESS)
    return parser.parse_args()


def trained(columns: int) -> nn.Sequential:
    """Fit an MLP to a function with curves and interactions, so that there is something to explain."""
    network = nn.Sequential(nn.Linear(columns, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(200):
        x = torch.randn(128, columns)
        y = torch.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + (x[:, 3] + x[:, 4]).relu() * x[:, 5] + 0.5 * x[:, -1]
        optimizer.zero_grad()
        (network(x)[:, 0] - y).square().mean().backward()
        optimizer.step()
    return network.requires_grad_(False)


# ---- the same work, block by block


def lime(network: nn.Sequential, x: Tensor, args: argparse.Namespace) -> list[str]:
    """Fit a weighted ridge regression over coalitions: ours, captum's Lime, and the package lime's own setting."""

    def ours(samples: int) -> Method:
        surrogate = LIME(samples, width=WIDTH, penalty=PENALTY, seed=args.seed)
        return lambda: surrogate.over(playing(network), x)

    few, truth = x[: args.peer_rows], ours(16 * args.samples)()
    first = timed("LIME", "mapsto LIME", ours(args.samples), args.repeats)
    peers = [
        timed("LIME", f"captum Lime, {how}", captums_lime(network, few, args.samples, at_once), 1)
        for how, at_once in (("one by one", 1), ("a row at once", args.samples))
    ]
    if importlib.util.find_spec("lime"):
        peers.append(timed("LIME", "lime", package_lime(network, few, args.samples), 1))
    return [row(line, first, correlation(line.values, truth)) for line in (first, *peers)]


def kernel_shap(network: nn.Sequential, x: Tensor, args: argparse.Namespace) -> list[str]:
    """Sample Shapley values: ours by KernelSHAP and by orders, captum's KernelShap, shap's KernelExplainer."""
    from captum.attr import KernelShap

    few = x[: args.peer_rows]

    def ours(explainer: Shapley | PermutationShapley) -> Method:
        return lambda: explainer.over(playing(network), x)

    def captums(at_once: int) -> Method:
        explainer, sizes = KernelShap(network), {"n_samples": args.samples, "perturbations_per_eval": at_once}
        return lambda: torch.cat([explainer.attribute(one[None], BASELINE, target=0, **sizes) for one in few])

    truth = ours(Shapley(64 * args.samples))()
    pairs = max(1, args.samples // (2 * (args.columns - 1)))
    first = timed("Shapley values", "mapsto Shapley(samples)", ours(Shapley(args.samples - 2)), args.repeats)
    lines = [
        first,
        timed("Shapley values", "mapsto PermutationShapley", ours(PermutationShapley(pairs)), args.repeats),
        timed("Shapley values", "captum KernelShap, one by one", captums(1), 1),
        timed("Shapley values", "captum KernelShap, a row at once", captums(args.samples), 1),
        timed("Shapley values", "shap KernelExplainer", shaps_kernel(network, few, args.samples), 1),
    ]
    return [row(line, first, correlation(line.values, truth)) for line in lines]


def path(network: nn.Sequential, x: Tensor, args: argparse.Namespace) -> list[str]:
    """Integrate gradients from the same baseline, with the same nodes."""
    from captum.attr import IntegratedGradients as Captums

    explainer, steps = IntegratedGradients(32, BASELINE), {"n_steps": 32, "method": "gausslegendre"}
    first = timed("gradients", "mapsto IntegratedGradients", lambda: explainer.over(scored(network), x), args.repeats)
    peer = Captums(network)
    theirs = timed(
        "gradients",
        "captum IntegratedGradients",
        lambda: peer.attribute(x.clone().requires_grad_(), BASELINE, target=0, **steps).detach(),
        args.repeats,
    )
    return [row(line, first, difference(line.values, first.values)) for line in (first, theirs)]


def paths(network: nn.Sequential, x: Tensor, args: argparse.Namespace) -> list[str]:
    """Sample gradients on the ways from 32 background rows: expected gradients, or gradient SHAP."""
    from captum.attr import GradientShap

    background = torch.randn(32, args.columns)

    def ours(samples: int | None) -> Method:
        explainer = ExpectedGradients(background, samples, args.seed, steps=32)
        return lambda: explainer.over(scored(network), x, 16)

    peer, sizes = GradientShap(network), {"n_samples": args.samples, "stdevs": 0.0, "target": 0}
    truth = ours(None)()
    lines = [
        timed("gradient SHAP", "mapsto ExpectedGradients", ours(args.samples), args.repeats),
        timed(
            "gradient SHAP",
            "captum GradientShap",
            lambda: peer.attribute(x, background, **sizes).detach(),
            args.repeats,
        ),
    ]
    return [row(line, lines[0], correlation(line.values, truth)) for line in lines]


def occlusion(network: nn.Sequential, x: Tensor, args: argparse.Namespace) -> list[str]:
    """Hide one column at a time."""
    from captum.attr import FeatureAblation

    first = timed("occlusion", "mapsto Occlusion", lambda: Occlusion().over(playing(network), x), args.repeats)
    peer = FeatureAblation(network)
    theirs = timed("occlusion", "captum FeatureAblation", lambda: peer.attribute(x, BASELINE, target=0), args.repeats)
    return [row(line, first, difference(line.values, first.values)) for line in (first, theirs)]


def scored(network: nn.Sequential) -> Callable[[Tensor], Tensor]:
    return lambda one: network(one)[0]


def playing(network: nn.Sequential) -> Callable[[Tensor], Game]:
    return lambda one: game(scored(network), one, baseline=BASELINE)


def captums_lime(network: nn.Sequential, x: Tensor, samples: int, at_once: int) -> Method:
    """Return captum's Lime with our kernel, its own coalitions, and the same ridge regression."""
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime

    def similar(_: Tensor, __: Tensor, mask: Tensor, **___: object) -> float:
        return float(torch.exp((mask.float().mean() - 1) * mask.numel() / (2 * WIDTH**2)))

    explainer = Lime(network, SkLearnRidge(alpha=PENALTY), similarity_func=similar)
    sizes = {"n_samples": samples, "perturbations_per_eval": at_once}
    return lambda: torch.cat([explainer.attribute(one[None], BASELINE, target=0, **sizes) for one in x])


def package_lime(network: nn.Sequential, x: Tensor, samples: int) -> Method:
    """Return the package lime's explainer of tables; it perturbs by its own rule, so only its time compares."""
    from lime.lime_tabular import LimeTabularExplainer

    explainer = LimeTabularExplainer(x.numpy(), mode="regression", random_state=0)

    def predict(rows):
        return network(torch.from_numpy(rows).float())[:, 0].numpy()

    def one(cells: Tensor) -> Tensor:
        found = explainer.explain_instance(cells.numpy(), predict, num_features=len(cells), num_samples=samples)
        return torch.tensor([weight for _, weight in sorted(found.as_map()[1])])

    return lambda: torch.stack([one(cells) for cells in x])


def shaps_kernel(network: nn.Sequential, x: Tensor, samples: int) -> Method:
    """Return shap's KernelExplainer with one background row, the baseline."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # matplotlib's, while shap imports it
        import shap

    background = torch.full((1, x.shape[1]), BASELINE).numpy()
    explainer = shap.KernelExplainer(lambda rows: network(torch.from_numpy(rows).float())[:, 0].numpy(), background)
    return lambda: torch.from_numpy(explainer.shap_values(x.numpy(), nsamples=samples, l1_reg=False, silent=True))


# ---- timing and telling


def timed(work: str, name: str, method: Method, repeats: int) -> Line:
    """Return a method's values and its median time a row; several runs are preceded by one that is not timed."""
    times, values = [], method() if repeats > 1 else torch.empty(0)
    for _ in range(repeats):
        start = time.process_time()
        values = method()
        times.append(time.process_time() - start)
    return Line(work, name, statistics.median(times) / len(values), values)


def row(line: Line, ours: Line, agreement: str) -> str:
    """Format one line of the table."""
    return f"| {line.work} | {line.name} | {line.seconds / ours.seconds:.1f}× | {agreement} |"


def correlation(values: Tensor, truth: Tensor) -> str:
    both = torch.stack([values.double().flatten(), truth[: len(values)].double().flatten()])
    return f"correlation {torch.corrcoef(both)[0, 1]:.4f}"


def difference(values: Tensor, ours: Tensor) -> str:
    return f"largest difference {(values - ours).abs().max():.1e} of {ours.abs().max():.2f}"


def versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{peer} {version(peer)}" for peer in ("captum", "shap", "lime") if importlib.util.find_spec(peer))


def left_out() -> str:
    return "" if importlib.util.find_spec("lime") else "\nlime is not installed: left out."


# ---- memory


def memory(args: argparse.Namespace) -> None:
    """Explain many rows by each method in turn, and print how far memory rose above the model's.

    The process that does so tells the C library to give large freed blocks back at once (`MALLOC_MMAP_THRESHOLD_`);
    left alone, glibc keeps some for later and the process looks several times larger than what the explainer holds.
    """
    environment = {"MALLOC_MMAP_THRESHOLD_": str(2**20)} | os.environ
    print(f"{args.rows_chunked} rows × {args.columns} columns, {args.chunk} rows at a time\n")
    print("| method | MB above the model at the peak |\n|---|---|")
    names = (*MOVING, *HIDING)
    sizes = {"--columns": args.columns, "--rows-chunked": args.rows_chunked, "--chunk": args.chunk}
    command = [sys.executable, __file__, *(str(part) for pair in sizes.items() for part in pair), "--child", *names]
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    for name, rise in zip(names, output.split(), strict=True):
        print(f"| {name} | {float(rise):.0f} |")


def added_memory(name: str, network: nn.Sequential, x: Tensor, chunk: int) -> float:
    """Return by how many MB explaining the rows `x` raises the process's peak memory."""
    explain(name, network, x[:2], None)  # what the first call loads is not the rows' cost
    forget_peak()
    before = peak()
    values = explain(name, network, x, chunk)
    if values.shape != x.shape or not values.isfinite().all():
        raise RuntimeError(f"{name}: got values of shape {tuple(values.shape)}, expected {tuple(x.shape)}, all finite.")
    return peak() - before


def explain(name: str, network: nn.Sequential, x: Tensor, chunk: int | None) -> Tensor:
    if name in MOVING:
        return MOVING[name](x[:32]).over(scored(network), x, chunk)
    return HIDING[name].over(playing(network), x, chunk)


def forget_peak() -> None:
    """Let the peak begin anew at the memory that this process holds now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """Return the most memory this process has held since `forget_peak`, in MB (VmHWM of Linux's status file).

    `ru_maxrss` would not do: a process inherits that of the one that started it.
    """
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 1e3


if __name__ == "__main__":
    main()
