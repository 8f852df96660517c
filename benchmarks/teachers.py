"""Which teaching example caused it: every method against exact Shapley values by re-adaptation, and a planted fault.

    export MAPSTO_DATA=... OMP_NUM_THREADS=1
    python benchmarks/teachers.py                              about ten minutes of one core
    python benchmarks/teachers.py --only "Prototypical network" --tasks 50

The value of a set of teaching examples is the probability of the true class, averaged over 25 query images, of the
learner that has adapted to them. Two questions, on the 423 test characters of Omniglot:
- 5-way 2-shot, 10 examples: how near does a method come to exact Shapley values (2¹⁰ adaptations), as the median over
  tasks of Spearman's correlation, and in what time (of the processor, one thread)?
- 5-way 5-shot, 25 examples, of which one is told with a wrong class: how often is it ranked worst?
A third table: the column of a table that agrees with the label among the teaching examples only (`Planted(spurious=
True)`, syn1): how often has it the largest share of the attribution of a prediction to the teaching *features*?
Training is part of the benchmark: so many seconds a learner, kept in `--out`. Random ranks are drawn beside.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.func import vmap

import mapsto as mt
from mapsto import views
from mapsto.episodes import Episode, Examples, unstack
from mapsto.explainers import (
    BayesianShapley,
    Gradient,
    InputXGradient,
    IntegratedGradients,
    Occlusion,
    Shapley,
    ViewExplainer,
    knn_shapley,
)
from mapsto.learners import MAML, Learner, PrototypicalNetwork, RidgeHead
from mapsto.models import MLP, Conv4
from mapsto.tasks import Mislabelled, Omniglot, Planted

WAYS, CHUNK = 5, 256
SAMPLED = 102  # a tenth of 2¹⁰ adaptations
MANY = 1024  # adaptations for 25 examples
Values = Callable[[Learner, Episode], Tensor]


class Taught(NamedTuple):
    """How a learner is made and trained."""

    make: Callable[[], Any]
    size: int = 28
    ways: int = 20  # in training
    shots: int = 1
    batch: int = 1
    lr: float = 4e-3


class Method(NamedTuple):
    """Values of the teaching examples, and how many adaptations they take for so many examples."""

    values: Values
    adaptations: Callable[[int], str]


LEARNERS = {
    "Prototypical network": Taught(lambda: PrototypicalNetwork(Conv4(hidden=32, norm="layer"), WAYS)),
    "Ridge head": Taught(lambda: RidgeHead(Conv4(hidden=32, norm="layer"), WAYS, scale=10.0), lr=3e-3),
    "MAML, MLP": Taught(lambda: MAML(MLP(196, 64, 64, WAYS), lr=0.4, steps=3), 14, WAYS, 5, 8, 1e-3),
}


def gradient(learner: Learner, episode: Episode) -> Tensor:
    """Weight times slope: to first order, what an example adds."""
    return InputXGradient()(views.taught(learner, episode), episode.support.w)


def leave_one_out(learner: Learner, episode: Episode) -> Tensor:
    return Occlusion(CHUNK)(_game(learner, episode))


def exact(learner: Learner, episode: Episode) -> Tensor:
    return Shapley(chunk_size=CHUNK)(_game(learner, episode))


def kernel(learner: Learner, episode: Episode) -> Tensor:
    samples = SAMPLED - 2 if len(episode.support.w) <= 12 else MANY - 2
    return Shapley(samples, chunk_size=CHUNK)(_game(learner, episode))


def bayesian(learner: Learner, episode: Episode) -> Tensor:
    return BayesianShapley(SAMPLED, episode.support.y.tolist(), CHUNK)(_game(learner, episode))


def neighbours(learner: Learner, episode: Episode) -> Tensor:
    """KNN-Shapley on the last features before the scores, K the number of shots."""
    state, (support, query) = learner.adapt(episode.support), episode[:2]
    x, queries = (_embedded(learner, state, rows) for rows in (support.x, query.x))
    k = len(support.w) // WAYS
    return vmap(lambda q, label: knn_shapley(x, support.y, q, label, k))(queries, query.y).mean(0)


def at_random(learner: Learner, episode: Episode) -> Tensor:
    """Draw values that are a function of the episode, so that a run is repeatable."""
    return torch.rand(len(episode.support.w), generator=torch.Generator().manual_seed(int(1e4 * episode.query.x.sum())))


METHODS = {
    "exact Shapley": Method(exact, lambda n: f"{2**n:,}" if n <= 12 else "–"),
    "Bayesian Shapley": Method(bayesian, lambda n: f"{SAMPLED}" if n <= 12 else "–"),
    "Shapley, sampled": Method(kernel, lambda n: f"{SAMPLED if n <= 12 else MANY:,}"),
    "leave-one-out": Method(leave_one_out, lambda n: f"{n + 1}"),
    "gradient × weight": Method(gradient, lambda n: "1, with its gradient"),
    "KNN-Shapley": Method(neighbours, lambda n: "1"),
    "random": Method(at_random, lambda n: "0"),
}
FEATURES: dict[str, ViewExplainer] = {
    "Gradient": Gradient(),
    "InputXGradient": InputXGradient(),
    "IntegratedGradients": IntegratedGradients(16),
}


def main() -> None:
    """Train what is missing, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=LEARNERS, metavar="NAME", default=list(LEARNERS))
    parser.add_argument("--tasks", type=int, default=200, help="with a planted fault; a quarter are ranked exactly")
    parser.add_argument("--seconds", type=float, default=75.0, help="of training, each learner")
    parser.add_argument("--seed", type=int, default=1, help="of the tasks")
    parser.add_argument("--out", type=Path, default=Path("runs/teachers"))
    args = parser.parse_args()
    learners = {name: trained(name, args) for name in args.only}
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {args.seconds:g} s of training each\n")
    teachers(learners, args)
    features(args)


def trained(name: str, args: argparse.Namespace) -> Learner:
    """Train a learner for its time, or load it."""
    taught = LEARNERS[name]
    torch.manual_seed(0)
    learner, path = taught.make(), args.out / f"{name}, {args.seconds:g} s.pt"
    if not path.exists():
        if name != "MAML, MLP":
            learner.ways = taught.ways
        tasks = Omniglot(taught.ways, taught.shots, 5, scheme="snell", size=taught.size)
        start = time.process_time()
        for _ in mt.train(learner, tasks, 10**6, taught.batch, taught.lr):
            if time.process_time() - start > args.seconds:
                break
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(learner.state_dict(), path)
    learner.load_state_dict(torch.load(path, weights_only=True))
    if name != "MAML, MLP":
        learner.ways = WAYS
    return learner.requires_grad_(False)


def teachers(learners: dict[str, Learner], args: argparse.Namespace) -> None:
    """Print one row a learner and method."""
    print("| learner | accuracy | method | seconds a task | of exact | adaptations, 10 | Spearman with exact |")
    print("|---|---|---|---|---|---|---|")
    for name, learner in learners.items():
        tasks = Omniglot(WAYS, 2, 5, size=LEARNERS[name].size).test
        accuracy = mt.evaluate(learner, tasks, episodes=200).accuracy  # type: ignore[union-attr]
        for line in agreement(learner, tasks, max(1, args.tasks // 4), args.seed):
            print(f"| {name} | {100 * accuracy.mean:.1f} | {line}", flush=True)
    print("\n| learner | method | adaptations, 25 | mislabelled ranked worst, % | mean rank from the worst |")
    print("|---|---|---|---|---|")
    for name, learner in learners.items():
        faulty = Mislabelled(Omniglot(WAYS, 5, 5, size=LEARNERS[name].size)).test
        for line in found(learner, faulty, args.tasks, args.seed):
            print(f"| {name} | {line}", flush=True)


def agreement(learner: Learner, tasks: mt.tasks.Tasks, count: int, seed: int) -> Iterator[str]:
    """Yield a line a method: its time and its agreement with exact values, over `count` tasks of 10 examples."""
    episodes = unstack(tasks.batch(0, count, seed))
    truth, full = timed(exact, learner, episodes)
    for name, method in METHODS.items():
        values, seconds = timed(method.values, learner, episodes)
        ranks = [correlation(a, b) for a, b in zip(values, truth, strict=True)]
        cost = f"{seconds:.4f} | {100 * seconds / full:.1f} % | {method.adaptations(10)}"
        yield f"{name} | {cost} | {np.median(ranks):.3f} |"


def correlation(values: Tensor, truth: Tensor) -> float:
    """Return Spearman's correlation; values that are all alike rank nothing, which is 0."""
    return 0.0 if (values == values[0]).all() else float(spearmanr(values, truth).statistic)


def found(learner: Learner, tasks: Mislabelled, count: int, seed: int) -> Iterator[str]:
    """Yield a line a method: the share of tasks whose mislabelled example has the lowest value."""
    episodes = unstack(tasks.batch(0, count, seed))
    wrong = tasks.truth(0, count, seed).float().argmax(1)  # [T]
    for name, method in METHODS.items():
        if method.adaptations(25) == "–":
            continue
        values, _ = timed(method.values, learner, episodes)
        its = values.gather(1, wrong[:, None])
        rank, tied = (values < its).sum(1).float(), (values == its).sum(1).float()  # rank 0: the worst
        first = mt.measures.estimate(torch.where(rank == 0, 1 / tied, 0.0).double().numpy())  # ties are drawn by lot
        told = f"{100 * first.mean:.1f} ± {100 * first.interval:.1f} | {(rank + (tied + 1) / 2).mean():.2f}"
        yield f"{name} | {method.adaptations(25)} | {told} |"


def timed(values: Values, learner: Learner, episodes: list[Episode]) -> tuple[Tensor, float]:
    """Return the values `[T, n]` and the processor's seconds a task, after a first call that warms up."""
    values(learner, episodes[0])
    start = time.process_time()
    each = torch.stack([values(learner, episode).detach() for episode in episodes])
    return each, (time.process_time() - start) / len(episodes)


def features(args: argparse.Namespace) -> None:
    """Print how often the spurious column is found by what the teaching features did, one row a learner."""
    print("\n| learner, on tables | " + " | ".join(FEATURES) + " | random |")
    print("|---|" + "---|" * (len(FEATURES) + 1))
    tasks = Planted("syn1", shots=64, queries=1, sharpness=math.inf, spurious=True).test
    episodes, column = unstack(tasks.batch(0, args.tasks, args.seed)), tasks.truth(0, args.tasks, args.seed).spurious
    for name, learner in tables(args).items():
        cells = []
        for explainer in FEATURES.values():
            hits = [column[t, share(learner, explainer, episode).argmax()].item() for t, episode in enumerate(episodes)]
            cells.append(f"{100 * np.mean(hits):.1f} %")
        print(f"| {name} | {' | '.join(cells)} | {100 / tasks.features:.1f} % |", flush=True)


def tables(args: argparse.Namespace) -> dict[str, Learner]:
    """Return learners of 11 columns: the metric ones on the columns themselves, MAML trained on the clean rule."""
    torch.manual_seed(0)
    maml = MAML(MLP(11, 32, 2), lr=0.3, steps=5)
    clean = Planted("syn1", shots=64, queries=32, sharpness=math.inf)
    start = time.process_time()
    for _ in mt.train(maml, clean, 10**6, 8, 3e-3):
        if time.process_time() - start > args.seconds / 5:
            break
    metric = {
        "Prototypical network": PrototypicalNetwork(torch.nn.Identity(), 2),
        "Ridge head": RidgeHead(torch.nn.Identity(), 2, penalty=0.1, scale=4.0),
    }
    return {**metric, "MAML, MLP": maml}


def share(learner: Learner, explainer: ViewExplainer, episode: Episode) -> Tensor:
    """Return how much of a prediction each teaching column `[d]` accounts for: its rows' attributions add up."""
    support: Examples = episode.support
    margin = views.support(learner, support, episode.query.x[0], target=1, link=lambda s: s - s.flip(-1))
    return explainer(margin, support.x).detach().sum(0).abs()


def _game(learner: Learner, episode: Episode) -> views.Game:
    return views.game(views.taught(learner, episode), episode.support.w)


def _embedded(learner: Learner, state: Any, x: Tensor) -> Tensor:
    seen = learner.features(state, x)
    return seen["embedding"] if "embedding" in seen else list(seen.values())[-2].flatten(1)


if __name__ == "__main__":
    main()
