"""Peak memory of one meta-gradient by the route through the inner loop: Conv4-64, 5-way 5-shot, 28×28.

    OMP_NUM_THREADS=1 python benchmarks/memory.py

Every number is of a process of its own: the most that was resident while the gradient was taken (VmHWM of Linux's
/proc/self/status, reset just before), less what was resident with the model built and its task drawn (VmRSS). Every
block of 64 KiB or more is returned when it is freed (MALLOC_MMAP_THRESHOLD_), so that resident is what is in use.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

import mapsto as mt
from mapsto.adaptation.differentiation import Adjoint, Blocked, Checkpointed, Differentiation, FirstOrder, Reverse
from mapsto.episodes import Episode, examples, stack
from mapsto.training.meta import meta_gradient

ROUTES: dict[str, Callable[[], Differentiation]] = {
    "reverse": Reverse,
    "blocked(5)": lambda: Blocked(5),
    "checkpointed": Checkpointed,
    "adjoint": Adjoint,
    "first order": FirstOrder,
}
WAYS, SHOTS, QUERIES = 5, 5, 5


def main() -> None:
    """Print a table of routes by steps, or measure one cell of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 5, 10, 25, 50])
    parser.add_argument("--routes", nargs="+", choices=ROUTES, default=list(ROUTES))
    parser.add_argument("--one", nargs=2, metavar=("ROUTE", "STEPS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(measured(ROUTES[args.one[0]](), int(args.one[1])))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s); MiB above the model\n")
    print("| route | " + " | ".join(f"{n} step{'s' * (n > 1)}" for n in args.steps) + " | last : first |")
    print("|---" * (len(args.steps) + 2) + "|")
    for route in args.routes:
        found = [in_its_own_process(route, n) for n in args.steps]
        print(f"| {route} | " + " | ".join(f"{f:.0f}" for f in found) + f" | {found[-1] / found[0]:.2f} |", flush=True)


def in_its_own_process(route: str, steps: int) -> float:
    """Measure in a fresh process, which has freed nothing yet."""
    command = [sys.executable, __file__, "--one", route, str(steps)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def measured(route: Differentiation, steps: int) -> float:
    """Return the MiB that one meta-gradient needs beyond the model and its task."""
    torch.manual_seed(0)
    body = mt.models.Conv4(channels=1, hidden=64, outputs=WAYS)
    gradient = meta_gradient(mt.learners.MAML(body, lr=0.01, steps=steps, differentiation=route))
    params = {name: p for name, p in body.named_parameters()}
    drawn = stack([task()])
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    gradient({f"body.{name}": p for name, p in params.items()}, drawn)
    return (resident("VmHWM") - before) / 1024


def task() -> Episode:
    """Draw an episode of noise."""
    support, query = (
        examples(torch.randn(WAYS * n, 1, 28, 28), torch.arange(WAYS * n) % WAYS) for n in (SHOTS, QUERIES)
    )
    return Episode(support, query)


def resident(field: str) -> int:
    """Return a field of /proc/self/status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


if __name__ == "__main__":
    main()
