"""A learned optimizer beside tuned ones on unseen quadratics: the first experiment of learning to learn by descent.

    f(θ) = ‖Wθ − y‖²,  W [10, 10] and y [10] of independent standard normal entries,  θ_0 = 0

Andrychowicz et al. 2016, §3.1 and figure 4 (left). The learned optimizer is trained on quadratics of its own; the rate
of each other optimizer is the best of a grid (and the best of five momenta), by its mean f after the last step on 512
quadratics of the validation split. All are then run on the same unseen quadratics, from the same start.

    python benchmarks/optimizers.py                               the table, after a minute or so of training on one core
    python benchmarks/optimizers.py --steps 100 --updates 3000    the paper's 100 steps

Resumable: the run goes to `--out`.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import Episode, over_tasks
from mapsto.learners import MAML, LearnedOptimizer, Learner
from mapsto.learners.inner import SGD, Adam, InnerOptimizer
from mapsto.learners.losses import mse
from mapsto.tasks import Linear

SIZE = 10
RATES = [2.0 ** (-i / 2) for i in range(-2, 20)]
OPTIMIZERS: dict[str, list[InnerOptimizer]] = {
    "SGD": [SGD()],
    "SGD with momentum": [SGD(momentum) for momentum in (0.5, 0.7, 0.8, 0.9, 0.95)],
    "RMSprop (Adam, β₁ = 0)": [Adam(0.0)],
    "Adam": [Adam()],
}


def main() -> None:
    """Train the optimizer, tune the others, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="of every optimizer (default: 40)")
    parser.add_argument("--updates", type=int, default=300, help="of the learned optimizer (default: 300)")
    parser.add_argument("--batch", type=int, default=64, help="quadratics an update (default: 64)")
    parser.add_argument("--truncation", type=int, default=20, help="steps that derivatives flow through (default: 20)")
    parser.add_argument("--lr", type=float, default=0.01, help="of the updates (default: 0.01)")
    parser.add_argument("--functions", type=int, default=2000, help="unseen quadratics (default: 2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/optimizers"))
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    tasks = Linear(SIZE, shots=SIZE, queries=1, slope=0.0, intercept=0.0, noise=1.0)  # y has nothing to do with W
    learned, seconds = train(tasks, args)
    found = [("learned, untrained", start(args)), (f"learned, {seconds:.0f} s of training", learned)]
    found += [best(name, tasks.validation.batch(0, 512, args.seed), args.steps) for name in OPTIMIZERS]
    report(found, tasks.test.batch(0, args.functions, args.seed), args.steps)


def quadratic() -> nn.Module:
    """Return θ as a linear network's weights, at 0."""
    body = nn.Linear(SIZE, 1, bias=False)
    nn.init.zeros_(body.weight)
    return body


def start(args: argparse.Namespace) -> LearnedOptimizer:
    """Return the learned optimizer before its training."""
    torch.manual_seed(args.seed)
    return LearnedOptimizer(quadratic(), "mse", args.steps, truncation=args.truncation)


def train(tasks: Linear, args: argparse.Namespace) -> tuple[Learner, float]:
    """Return the learned optimizer and the seconds that its training took."""
    learner, seconds = start(args), 0.0
    run = args.out / f"{args.steps} steps, {args.updates} updates of {args.batch}, seed {args.seed}"
    settings = {"schedule": "cosine", "clip": 1.0, "seed": args.seed, "run": run, "resume": True}
    for step in mt.train(learner, tasks, args.updates, args.batch, args.lr, **settings):
        seconds = step.seconds
        if step.step % 50 == 0:
            print(f"update {step.step}: mean f {10 * step.metrics['loss'] / args.steps:.3f}, {seconds:.0f} s", flush=True)
    return learner, seconds


def best(name: str, validation: Episode, steps: int) -> tuple[str, Learner]:
    """Return the optimizer with the rate (and momentum) of lowest mean f after the last step."""
    tried = [MAML(quadratic(), "mse", lr, steps, optimizer=o) for o in OPTIMIZERS[name] for lr in RATES]
    means = [float(values(learner, validation).nan_to_num(torch.inf).mean()) for learner in tried]
    chosen = tried[min(range(len(tried)), key=means.__getitem__)]
    momentum = f", momentum {chosen.optimizer.momentum:g}" if name == "SGD with momentum" else ""
    return f"{name}, rate {chosen.lr:.3g}{momentum}", chosen


def values(learner: Learner, episodes: Episode) -> Tensor:
    """Return f of each quadratic where the optimizer ends."""

    def f(episode: Episode) -> Tensor:
        x, y, w = episode.support
        return SIZE * mse(learner.predict(learner.adapt(episode.support), x), y, w)

    with torch.no_grad():
        return over_tasks(f)(episodes)


def report(found: list[tuple[str, Learner]], test: Episode, steps: int) -> None:
    """Print the mean f with its 95 % interval after a quarter, half and all of the steps."""
    asked = [steps // 4, steps // 2, steps]
    print(f"\n| optimizer | {' | '.join(f'f after {n} steps' for n in asked)} | of {steps}, median |")
    print("|---|" + "---|" * (len(asked) + 1))
    for name, learner in found:
        columns = list(after(learner, test, asked))
        cells = [f"{float(f.mean()):.3g} ± {1.96 * float(f.std()) / len(f) ** 0.5:.2g}" for f in columns]
        print(f"| {name} | {' | '.join(cells)} | {float(columns[-1].median()):.3g} |")


def after(learner: Learner, test: Episode, asked: list[int]) -> Iterator[Tensor]:
    """Yield f of each quadratic after so many steps."""
    for steps in asked:
        learner.steps = steps  # type: ignore[assignment]
        yield values(learner, test)


if __name__ == "__main__":
    main()
