"""Learned learning rules beside tuned ones: an optimizer on unseen quadratics, and a network that learns by running.

    python benchmarks/optimizers.py quadratics            a minute or two of training on one core
    python benchmarks/optimizers.py quadratics --steps 100 --updates 3000             the paper's 100 steps
    python benchmarks/optimizers.py streams

quadratics: f(θ) = ‖Wθ − y‖², W [10, 10] and y [10] of independent standard normal entries, θ_0 = 0 (Andrychowicz et al.
2016, §3.1 and figure 4, left). The learned optimizer is trained on quadratics of its own; the rate of each other one
(and its momentum) is the best of a grid, by mean f after the last step on 512 quadratics of the validation split. All
are then run on the same unseen quadratics, from the same start, with the same number of gradients.

streams: two classes by the side of a plane of unknown direction, one example at a time, once (`mapsto.tasks.Logistic`,
slopes of deviation 3 around 0). VSML is trained on planes in 4 dimensions and streams of up to 16 examples, and tested
on longer ones and in more dimensions, beside gradient descent by one example at a time, its rate tuned for each column.

Resumable: runs go to `--out`.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.adaptation.inner import SGD, Adam, InnerOptimizer
from mapsto.adaptation.losses import mse
from mapsto.episodes import Episode, over_tasks
from mapsto.learners import MAML, VSML, LearnedOptimizer, Learner
from mapsto.learners.vsml import LSTMWeight
from mapsto.tasks import Linear, Logistic, Tasks

SIZE = 10
RATES = [2.0 ** (-i / 2) for i in range(-2, 20)]
OPTIMIZERS: dict[str, list[InnerOptimizer]] = {
    "SGD": [SGD()],
    "SGD with momentum": [SGD(momentum) for momentum in (0.5, 0.7, 0.8, 0.9, 0.95)],
    "RMSprop (Adam, β₁ = 0)": [Adam(0.0)],
    "Adam": [Adam()],
}
STREAMS = [(4, 1), (4, 2), (4, 4), (4, 8), (4, 16), (4, 32), (8, 16), (8, 32)]  # dimensions, examples


def main() -> None:
    """Run one part and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--steps", type=int, default=40, help="of every optimizer on a quadratic (default: 40)")
    parser.add_argument("--updates", type=int, default=250, help="of what is learned (default: 250)")
    parser.add_argument("--batch", type=int, default=64, help="tasks an update (default: 64)")
    parser.add_argument("--truncation", type=int, default=20, help="steps that derivatives flow through (default: 20)")
    parser.add_argument("--lr", type=float, default=0.01, help="of the updates (default: 0.01)")
    parser.add_argument("--tasks", type=int, default=2000, help="unseen tasks to test on (default: 2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/optimizers"))
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    PARTS[args.part](args)


def train(learner: Learner, tasks: Tasks, name: str, args: argparse.Namespace) -> float:
    """Train the learner and return the seconds that it took."""
    seconds = 0.0
    run = args.out / f"{name}, {args.updates} updates of {args.batch}, seed {args.seed}"
    settings: dict[str, Any] = {"schedule": "cosine", "clip": 1.0, "seed": args.seed, "run": run, "resume": True}
    for step in mt.train(learner, tasks, args.updates, args.batch, args.lr, checkpoint_every=50, **settings):
        seconds = step.seconds
        if step.step % 50 == 0:
            print(f"update {step.step}: loss {step.metrics['loss']:.4f}, {seconds:.0f} s", flush=True)
    return seconds


# quadratics


def quadratics(args: argparse.Namespace) -> None:
    """Print the mean f with its 95 % interval after a quarter, half and all of the steps."""
    tasks = Linear(SIZE, shots=SIZE, queries=1, slope=0.0, intercept=0.0, noise=1.0)  # y has nothing to do with W
    learned = start(args)
    seconds = train(learned, tasks, f"quadratics, {args.steps} steps", args)
    found: list[tuple[str, Learner]] = [("learned, untrained", start(args)), (f"learned in {seconds:.0f} s", learned)]
    found += [best(name, tasks.validation.batch(0, 512, args.seed), args.steps) for name in OPTIMIZERS]
    asked = [args.steps // 4, args.steps // 2, args.steps]
    print(f"\n| optimizer | {' | '.join(f'f after {n} steps' for n in asked)} | median after {args.steps} |")
    print("|---|" + "---|" * (len(asked) + 1))
    for name, learner in found:
        columns = list(after(learner, tasks.test.batch(0, args.tasks, args.seed), asked))
        means = [mt.measures.estimate(f.double().numpy()) for f in columns]
        cells = [f"{f.mean:.3g} ± {f.interval:.2g}" for f in means]
        print(f"| {name} | {' | '.join(cells)} | {float(columns[-1].median()):.3g} |")


def quadratic() -> nn.Module:
    """Return θ as a linear network's weights, at 0."""
    body = nn.Linear(SIZE, 1, bias=False)
    nn.init.zeros_(body.weight)
    return body


def start(args: argparse.Namespace) -> LearnedOptimizer:
    """Return the learned optimizer before its training."""
    torch.manual_seed(args.seed)
    return LearnedOptimizer(quadratic(), "mse", args.steps, truncation=args.truncation)


def best(name: str, validation: Episode, steps: int) -> tuple[str, Learner]:
    """Return the optimizer with the rate (and momentum) of lowest mean f after the last step."""
    tried = [MAML(quadratic(), "mse", lr, steps, optimizer=o) for o in OPTIMIZERS[name] for lr in RATES]
    means = [float(values(learner, validation).nan_to_num(torch.inf).mean()) for learner in tried]
    chosen = tried[min(range(len(tried)), key=means.__getitem__)]
    momentum = f", momentum {chosen.optimizer.momentum:g}" if name == "SGD with momentum" else ""  # type: ignore
    return f"{name}, rate {chosen.lr:.3g}{momentum}", chosen


def values(learner: Learner, episodes: Episode) -> Tensor:
    """Return f of each quadratic where the optimizer ends."""

    def f(episode: Episode) -> Tensor:
        x, y, w = episode.support
        return SIZE * mse(learner.predict(learner.adapt(episode.support), x), y, w)

    with torch.no_grad():
        return over_tasks(f)(episodes)


def after(learner: Learner, test: Episode, asked: list[int]) -> Iterator[Tensor]:
    """Yield f of each quadratic after so many steps."""
    for steps in asked:
        learner.steps = steps  # type: ignore[assignment]
        yield values(learner, test)


# streams


def streams(args: argparse.Namespace) -> None:
    """Print the accuracy after streams of several lengths, in as many dimensions as were trained and in more."""
    torch.manual_seed(args.seed)
    learned = VSML(nn.Flatten(), 2, cell=LSTMWeight(16, 8, ticks=1))
    seconds = train(learned, planes(4, (1, 16)), "streams", args)
    print("\n| learner | " + " | ".join(f"{n} examples in {d} dimensions" for d, n in STREAMS) + " |")
    print("|---|" + "---|" * len(STREAMS))
    accuracies = [accuracy(learned, planes(d, n).test.batch(0, args.tasks, args.seed)) for d, n in STREAMS]
    print(f"| VSML, {seconds:.0f} s of training | {' | '.join(map(told, accuracies))} |")
    print(f"| gradient descent, tuned | {' | '.join(told(descent(d, n, args)) for d, n in STREAMS)} |")


def planes(dimensions: int, shots: int | tuple[int, int]) -> Logistic:
    """Return tasks without a likelier side."""
    return Logistic(dimensions, shots, queries=20, centre=0.0, slope=3.0, intercept=0.0)


def descent(dimensions: int, shots: int, args: argparse.Namespace) -> Tensor:
    """Return the accuracies of one step an example from 0, with the rate that is best on other tasks."""

    def learner(lr: float) -> Learner:
        body = nn.Linear(dimensions, 2, bias=False)
        nn.init.zeros_(body.weight)
        return MAML(body, lr=lr, steps=shots, minibatch=1)

    tasks = planes(dimensions, shots)
    validation = tasks.validation.batch(0, 512, args.seed)
    rate = max((4.0 * lr for lr in RATES), key=lambda lr: float(accuracy(learner(lr), validation).mean()))
    return accuracy(learner(rate), tasks.test.batch(0, args.tasks, args.seed))


def accuracy(learner: Learner, episodes: Episode) -> Tensor:
    """Return each task's accuracy."""
    with torch.no_grad():
        return over_tasks(lambda episode: learner.loss(episode)[1]["accuracy"])(episodes)


def told(accuracies: Tensor) -> str:
    """Write a mean with its 95 % interval, in percent."""
    mean, interval = mt.measures.estimate(accuracies.double().numpy())
    return f"{100 * mean:.1f} ± {100 * interval:.1f}"


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {"quadratics": quadratics, "streams": streams}

if __name__ == "__main__":
    main()
