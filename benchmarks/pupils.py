"""Learners beside the exact Bayesian filter: predicting the next answer of pupils who learn while they answer.

    python benchmarks/pupils.py filters
    python benchmarks/pupils.py shipped
    python benchmarks/pupils.py learners --learner DKT --steps 4000

The pupils are those of `mt.tasks.Pupils()`: 4 skills of 10 items each. Each line is for test pupils after 1, 3, 5, 10
or 20 answers, each with 8 possible next items:

- filters: the log loss (nats) and the AUC of the filter under the prior, with quadratures of order 3 and 4, and of the
  filter that knows the parameters of each pupil; also the log loss of always answering the base rate;
- shipped: those of the network that ships. `above` is by how much its log loss exceeds that of the filter under the
  prior on the drawn answers, with a 95 % interval over pupils. `expected` is the same in expectation over the answers:
  the mean KL divergence of the learner's prediction from the filter's;
- learners: those of a learner that is trained here, for each seed. `--validation` takes validation pupils.

Every line is a JSON object. The learners:

- DKT: reads the answers in their order, as seen from the item asked next, and is adapted to no pupil (one for all);
- recurrent: the same idea without that view: a gated recurrent network reads one-hot skills, `Fixed` for all pupils;
- MAML: the recurrent network, adapted to each pupil by a gradient step on the pupil's own answers (first order);
- CNP: a conditional neural process, for which the answers are numbers, 0 and 1;
- InContext: a set transformer, whose support set has two more answers to unknown items, one right and one wrong,
  because it rules out an answer that it has not seen;
- no answers: a network that sees the item and its place only.
"""

import argparse
import functools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

import mapsto as mt
from mapsto import weights
from mapsto.episodes import over_tasks
from mapsto.learners import CNP, DKT, MAML, Fixed, InContext, Learner
from mapsto.models import MLP, Recurrent, SetTransformer
from mapsto.tasks import Pupils, Tasks

SHOTS, QUERIES, PART = (1, 3, 5, 10, 20), 8, 250


class Histories(Tasks):
    """Pupils whose rows are sequences `[n + 1, d + 3]`: the answers before the item, then the item itself."""

    def __init__(self, tasks: Tasks):
        self.tasks, self.split = tasks, tasks.split

    def draw(self, generator: torch.Generator, count: int) -> mt.Episode:
        """Draw `count` pupils."""
        batch = self.tasks.of(self.split).draw(generator, count)
        support, query = batch.support, batch.query
        n = support.w.shape[1]
        real = (support.w > 0)[..., None].float()
        answers = torch.cat([support.x, real * nn.functional.one_hot(support.y, 2), real], -1)  # [T, n, d + 3]
        rows = [answers * (torch.arange(n) < i)[:, None] for i in [*range(n), *[n] * query.w.shape[1]]]
        items = nn.functional.pad(torch.cat([support.x, query.x], 1), (0, 3))
        x = torch.cat([torch.stack(rows, 1), items[:, :, None]], 2)
        return batch._replace(support=support._replace(x=x[:, :n]), query=query._replace(x=x[:, n:]))


class Numbers(Histories):
    """Pupils whose answers are numbers `[n, 1]`."""

    def draw(self, generator: torch.Generator, count: int) -> mt.Episode:
        """Draw `count` pupils."""
        batch = self.tasks.of(self.split).draw(generator, count)
        support, query = (part._replace(y=part.y[..., None].float()) for part in batch[:2])
        return batch._replace(support=support, query=query)


class BothAnswers(Histories):
    """Pupils with two more answers to unknown items (NaN), one wrong and one right."""

    def draw(self, generator: torch.Generator, count: int) -> mt.Episode:
        """Draw `count` pupils."""
        batch = self.tasks.of(self.split).draw(generator, count)
        (x, y, w), t = batch.support, count
        x = torch.cat([x.new_full((t, 2, x.shape[2]), torch.nan), x], 1)
        y = torch.cat([torch.arange(2).expand(t, 2), y], 1)
        real = torch.cat([torch.ones(t, 2), (w > 0).float()], 1)
        return batch._replace(support=mt.Examples(x, y, real / real.sum(1, keepdim=True)))


def plain(tasks: Tasks) -> Tasks:
    return tasks


def classes(scores: Tensor) -> Tensor:
    return scores.double().softmax(-1)[..., 1]


def numbers(scores: Tensor) -> Tensor:
    return scores.double()[..., 0].clamp(0.01, 0.99)


def recurrent() -> Recurrent:
    return Recurrent(features=9, width=32, outputs=2)


LEARNERS: dict[str, tuple[Callable[[], Learner], Callable[[Tasks], Tasks], Callable[[Tensor], Tensor], int, float]] = {
    "DKT": (lambda: DKT(32), plain, classes, 96, 5e-3),
    "recurrent": (lambda: Fixed(recurrent()), Histories, classes, 96, 5e-3),
    "MAML": (lambda: MAML(recurrent(), lr=0.1, first_order=True), Histories, classes, 32, 3e-3),
    "CNP": (lambda: CNP(MLP(7, 64, 64, 64), MLP(70, 64, 64, 2), min_std=0.05), Numbers, numbers, 96, 3e-3),
    "InContext": (lambda: InContext(SetTransformer(32, 2, 4)), BothAnswers, classes, 32, 2e-3),
    "no answers": (lambda: Fixed(MLP(6, 32, 2)), plain, classes, 96, 5e-3),
}


def trained(name: str, steps: int, seed: int) -> tuple[Learner, float]:
    """Return the trained learner, and the processor time that this took, in minutes."""
    make, shaped, _, batch, lr = LEARNERS[name]
    torch.manual_seed(seed)
    learner, start = make(), time.process_time()
    tasks = shaped(Pupils(queries=QUERIES))
    for _ in mt.train(
        learner, tasks, steps=steps, batch=batch, lr=lr, schedule="cosine", warmup=steps // 40, seed=seed
    ):
        pass
    return learner, (time.process_time() - start) / 60


def predictions(learner: Learner, name: str, tasks: Tasks, count: int) -> Tensor:
    """Return the learner's probabilities of a right answer to the queries of the first `count` pupils."""
    _, shaped, answer, _, _ = LEARNERS[name]
    predict = over_tasks(lambda episode: learner.predict(learner.adapt(episode.support), episode.query.x))
    with torch.no_grad():
        return torch.cat([answer(predict(shaped(tasks).batch(i, PART))) for i in range(count // PART)])


def surprise(p: Tensor, y: Tensor) -> Tensor:
    return -(y * p.log() + (1 - y) * (1 - p).log())


def scored(p: Tensor, y: Tensor) -> dict[str, float]:
    return {"log loss": float(surprise(p, y).mean()), "AUC": float(roc_auc_score(y.flatten(), p.flatten()))}


def beside(p: Tensor, bayes: Tensor, y: Tensor) -> dict[str, float]:
    """Return the scores of predictions, and by how much they are worse than those of the filter under the prior."""
    above = (surprise(p, y) - surprise(bayes, y)).mean(1)  # [pupils]
    expected = bayes * (bayes / p).log() + (1 - bayes) * ((1 - bayes) / (1 - p)).log()
    interval = 1.96 * float(above.std()) / len(above) ** 0.5
    return scored(p, y) | {"above": float(above.mean()), "interval": interval, "expected": float(expected.mean())}


def pupils(shots: int, args: argparse.Namespace) -> tuple[Pupils, Tensor]:
    """Return the pupils after so many answers, and the answers to their queries."""
    tasks = Pupils(shots=shots, queries=QUERIES).of("validation" if args.validation else "test")
    return tasks, torch.cat([tasks.batch(i, PART).query.y.double() for i in range(args.pupils // PART)])


def filters(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the scores of the filters."""
    for shots in args.shots:
        tasks, y = pupils(shots, args)
        orders = [oracle(shots, tasks.split, args.pupils, order) for order in (3, 4)]
        informed = torch.cat([tasks.informed(i, PART) for i in range(args.pupils // PART)])
        base = float(surprise(y.mean(), y).mean())
        of = {f"prior, order {order}": scored(p, y) for order, p in zip((3, 4), orders, strict=True)}
        yield {"answers": shots, **of, "informed": scored(informed, y), "base rate": base}


@functools.cache
def oracle(shots: int, split: str, count: int, order: int) -> Tensor:
    """Return the predictions of the filter under the prior."""
    tasks = Pupils(shots=shots, queries=QUERIES).of(split)
    return torch.cat([tasks.bayes(i, PART, order=order) for i in range(count // PART)])


def compared(learner: Learner, name: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for shots in args.shots:
        tasks, y = pupils(shots, args)
        p = predictions(learner, name, tasks, args.pupils)
        yield {"answers": shots} | beside(p, oracle(shots, tasks.split, args.pupils, 3), y)


def shipped(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the scores of the network that ships."""
    yield from compared(weights.load_pupils(), "DKT", args)


def learners(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the scores of learners that are trained here."""
    for name in args.learner:
        for seed in args.seeds:
            learner, minutes = trained(name, args.steps, seed)
            about = {"learner": name, "seed": seed, "steps": args.steps, "minutes": round(minutes, 2)}
            for line in compared(learner, name, args):
                yield about | line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["filters", "shipped", "learners"])
    parser.add_argument("--learner", nargs="+", choices=LEARNERS, default=list(LEARNERS))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--shots", type=int, nargs="+", default=list(SHOTS), help="answers so far")
    parser.add_argument("--pupils", type=int, default=2000, help="a multiple of 250")
    parser.add_argument("--validation", action="store_true", help="validation pupils instead of test pupils")
    args = parser.parse_args()
    for line in {"filters": filters, "shipped": shipped, "learners": learners}[args.what](args):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
