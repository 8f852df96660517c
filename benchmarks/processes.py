"""Models read off a data set, beside the exact ones: neural processes and the GP, a hypernetwork and ridge regression.

    python benchmarks/processes.py gp --minutes 15       CNP, NP and ANP, each trained for 15 minutes
    python benchmarks/processes.py linear                slope and intercept written by a set network

`gp` prints each learner's marginal log-likelihood a target (nats, mean over test tasks ± 95 %) and its gap to the exact
posterior on the same tasks, whose kernel and lengthscale it is told. `linear` prints squared errors and their ratio.
Resumable: runs go to `--out` (runs/processes), an interrupted training continues, a finished result is only printed
again. `--tiny` runs everything at a size that shows that it works and nothing else.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import Episode, over_tasks
from mapsto.learners import ANP, CNP, NP, Hypernetwork, Learner
from mapsto.learners.process import Process
from mapsto.measures import estimate, log_likelihoods
from mapsto.models import MLP, KernelAttention, MomentNetwork
from mapsto.tasks import GaussianProcesses, Linear, Tasks, WithNoise

LATENTS, BATCH, AT_ONCE = 32, 16, 25
EPISODES, DRAWS = 2_000, 64  # of the test, unless other numbers are asked for
TIMED = (5, 15)  # steps not timed, and timed, to find how many fit in --minutes


def main() -> None:
    """Run one part, or print again what it gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--out", type=Path, default=Path("runs/processes"))
    parser.add_argument("--learners", nargs="+", choices=LEARNERS, default=list(LEARNERS), help="of the processes")
    parser.add_argument("--kernel", choices=("rbf", "matern52"), default="rbf")
    parser.add_argument("--minutes", type=float, default=15.0, help="training of each process")
    parser.add_argument("--steps", type=int, help="steps of training, instead of --minutes; linear: default 6,000")
    parser.add_argument("--features", type=int, default=1, help="of the linear tasks")
    parser.add_argument("--layers", type=int, default=3, help="how often the set network reads the set")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of the latent, at the test")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="test tasks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    if args.tiny:
        args.out, args.steps, args.episodes, args.draws = args.out / "tiny", 6, 30, 2
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    PARTS[args.part](args)


def beside(run: Path, ending: str) -> Path:
    """Return the path of a run's file; a name may have dots in it, as 0.5-minutes."""
    return run.with_name(run.name + ending)


def result(run: Path, args: argparse.Namespace) -> Path:
    """Return where a run's measures are kept: those of another test, of the same training, in a file of their own."""
    usual = (args.episodes, args.draws) == (EPISODES, DRAWS)
    return beside(run, ".json" if usual else f"-{args.episodes}-episodes-{args.draws}-draws.json")


def once(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `path` holds, else what `measure` gives, having written it there."""
    if not path.exists():
        found = measure()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = beside(path, ".tmp")
        temporary.write_text(json.dumps(found, indent=1))
        temporary.rename(path)
    return json.loads(path.read_text())


def train(learner: Learner, tasks: Tasks, run: Path, args: argparse.Namespace, **settings: Any) -> None:
    """Train to the end, or on from where an interruption left it."""
    every = max(settings["steps"] // 20, 1)
    taught = mt.train(
        learner, tasks, **settings, seed=args.seed, schedule="cosine", clip=1.0, compile=args.compile, run=run,
        resume=True, checkpoint_every=every, log_every=every,
    )  # fmt: skip
    for step in taught:
        if step.step % every == 0:
            print(f"{run.name} {step.step}: loss {step.metrics['loss']:.4f}, {step.seconds:.0f} s", file=sys.stderr)


# Neural processes on draws of a Gaussian process: Kim et al. 2019, §4.1


def gp(args: argparse.Namespace) -> None:
    """Print one row a learner, and the exact posterior."""
    exact = exact_posterior(args)
    print("| learner | parameters | steps | minutes | log-likelihood a target | gap to the exact posterior |")
    print("|---|---|---|---|---|---|")
    for name in args.learners:
        budget = f"{args.steps}-steps" if args.steps else f"{args.minutes:g}-minutes"
        run = args.out / f"{name}-{args.kernel}-{budget}-{args.seed}"
        found = once(result(run, args), partial(one_process, name, run, exact, args))
        cells = [f"{found[key]['mean']:.3f} ± {found[key]['interval']:.3f}" for key in ("log_likelihood", "gap")]
        told = f"{found['parameters']:,} | {found['steps']:,} | {found['seconds'] / 60:.1f}"
        print(f"| {name} | {told} | {' | '.join(cells)} |", flush=True)
    value = estimate(exact)
    print(f"| exact GP | | | | {value.mean:.3f} ± {value.interval:.3f} | 0 |")


def exact_posterior(args: argparse.Namespace) -> np.ndarray:
    """Return the exact posterior's log-likelihood a target of each test task."""
    tasks = GaussianProcesses(args.kernel).test
    parts = [tasks.log_likelihood(index, count).mean(1) for index, count in enumerate(counts(args.episodes))]
    return torch.cat(parts).numpy()


def counts(episodes: int) -> Iterator[int]:
    """Yield the sizes of the batches that the measures draw."""
    for start in range(0, episodes, AT_ONCE):
        yield min(AT_ONCE, episodes - start)


def one_process(name: str, run: Path, exact: np.ndarray, args: argparse.Namespace) -> dict[str, Any]:
    """Train one learner and compare it with the exact posterior on the same test tasks."""
    tasks = GaussianProcesses(args.kernel)
    build, lr = LEARNERS[name]
    torch.manual_seed(args.seed)
    learner = build()
    steps = args.steps or steps_within(args.minutes, build, run, lr, args)
    warmup = min(100, steps // 10)
    train(learner, WithNoise(tasks, (1, LATENTS)), run, args, steps=steps, batch=BATCH, lr=lr, warmup=warmup)
    values = log_likelihoods(learner, WithNoise(tasks, (args.draws, LATENTS)).test, args.episodes, AT_ONCE)
    return {
        "steps": steps,
        "seconds": seconds_of(run),
        "parameters": sum(p.numel() for p in learner.parameters()),
        "log_likelihood": estimate(values)._asdict(),
        "gap": estimate(exact - values)._asdict(),
    }


def steps_within(minutes: float, build: Callable[[], Learner], run: Path, lr: float, args: argparse.Namespace) -> int:
    """Return how many steps fit; measured once, so that a continued run keeps to its schedule."""

    def measure() -> dict[str, Any]:
        tasks = WithNoise(GaussianProcesses(args.kernel), (1, LATENTS))
        at = [step.seconds for step in mt.train(build(), tasks, sum(TIMED), BATCH, lr, compile=args.compile)]
        return {"steps": max(int(60 * minutes / (at[-1] - at[TIMED[0] - 1]) * TIMED[1]), 1)}

    return once(beside(run, ".steps"), measure)["steps"]


def seconds_of(run: Path) -> float:
    """Return the seconds that a run's training took, interruptions not counted."""
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["seconds"]


def conditional() -> Process:
    encoder, decoder = MLP(2, 128, 128, 128, 128, activation="silu"), MLP(129, 128, 128, 128, 2, activation="silu")
    return CNP(encoder, decoder)


def latent() -> Process:
    encoder = MLP(2, 128, 128, 128, 2 * LATENTS, activation="silu")
    return NP(encoder, MLP(1 + LATENTS, 128, 128, 128, 2, activation="silu"))


def attentive() -> Process:
    attention = KernelAttention(width=64, depth=4, heads=8)
    encoder = MLP(2, 64, 64, 2 * LATENTS, activation="silu")
    return ANP(attention, encoder, MLP(1 + 64 + LATENTS, 64, 2, activation="silu"))


LEARNERS: dict[str, tuple[Callable[[], Process], float]] = {
    "CNP": (conditional, 1e-3),
    "NP": (latent, 1e-3),
    "ANP": (attentive, 2e-3),
}


# Data set ↦ parameters of a line


def linear(args: argparse.Namespace) -> None:
    """Print the squared error of the written regressor, of ridge regression, and their ratio."""
    steps = args.steps or 6_000
    run = args.out / f"linear-{args.features}-{args.layers}-{steps}-{args.seed}"
    found = once(result(run, args), partial(one_hypernetwork, run, steps, args))
    print("| features | layers | steps | minutes | hypernetwork | ridge oracle | loss above the oracle's |")
    print("|---|---|---|---|---|---|---|")
    cells = [f"{found[key]['mean']:.5f} ± {found[key]['interval']:.5f}" for key in ("error", "oracle")]
    above, interval = (100 * found["difference"][key] / found["oracle"]["mean"] for key in ("mean", "interval"))
    told = f"{args.features} | {args.layers} | {steps:,} | {found['seconds'] / 60:.1f}"
    print(f"| {told} | {' | '.join(cells)} | {above:.2f} ± {interval:.2f} % |")


def one_hypernetwork(run: Path, steps: int, args: argparse.Namespace) -> dict[str, Any]:
    """Train on noisy lines, and compare with the Bayes-optimal regressor on the same test tasks."""
    tasks, episodes = Linear(args.features), 10 * args.episodes
    torch.manual_seed(args.seed)
    body = MomentNetwork(args.features, layers=args.layers)
    learner = Hypernetwork(body, nn.Linear(args.features, 1))
    train(learner, tasks, run, args, steps=steps, batch=128, lr=3e-3, warmup=min(50, steps // 10))
    errors = mt.evaluate(learner, tasks.test, episodes, AT_ONCE).values
    drawn = [tasks.test.batch(index, count) for index, count in enumerate(counts(episodes))]
    oracle = torch.cat([over_tasks(partial(ridge, tasks))(batch) for batch in drawn]).numpy()
    found = {"error": errors, "oracle": oracle, "difference": errors - oracle}
    return {"seconds": seconds_of(run)} | {name: estimate(values)._asdict() for name, values in found.items()}


def ridge(tasks: Linear, episode: Episode) -> Tensor:
    """Return the squared error of ridge regression with the prior's penalties: Bishop 2006, eq. 3.55."""
    x, at = (torch.cat([part.x, torch.ones_like(part.x[:, :1])], -1).double() for part in episode[:2])
    x = x * (episode.support.w > 0)[:, None]
    prior = torch.tensor([tasks.slope] * tasks.features + [tasks.intercept], dtype=torch.double)
    penalty = (tasks.noise / prior).square().diag()
    fit = torch.linalg.solve(x.mT @ x + penalty, x.mT @ episode.support.y.double())
    return (episode.query.w[:, None] * (at @ fit - episode.query.y).square()).sum()


PARTS = {"gp": gp, "linear": linear}

if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - began:.0f} s in all")
