"""Every learner on Omniglot under one protocol and one budget: which method to use when there is little time to train.

    export MAPSTO_DATA=... OMP_NUM_THREADS=1
    python benchmarks/learners.py                       every learner, 5 minutes of training each
    python benchmarks/learners.py --only MAML Reptile   some of them
    python benchmarks/learners.py --ways 5              those with a head for each class, for 5 ways alone
    python benchmarks/learners.py --report                              the table of what has been measured

Protocol: trained on the 1,200 characters of Snell et al. 2017, rotations as classes, 28 × 28 grey, 1 shot, body
Conv4-64 with layer norm (no query sees another), one-cycle rate, Adam; 600 test episodes of the 423 unseen characters
with 5 queries a class. The budget is CPU time of training, evaluation not counted: the first steps are timed by the
processor's clock, whatever else runs, and as many are taken as fit. Exceptions: Reptile trains on 10 shots and has
strides, as in its paper; the Meta network has a body of 32 channels and no norm, the LSTM meta-learner 32 channels.
MAML adapts by two steps, most of the time (85 %) going to the first alone, which is cheaper; what learns its rates
(Meta-SGD, MAML++) by one, as Meta-SGD's paper does: with a head from 0 that step moves the head, and nothing else.
Learners that learn nothing of a single class are trained once, with 20 ways or 60, and tested with 5 and with 20: the
metric ones, and MAML where the head starts from 0 (Kao et al. 2022). The others are trained once for each.
Resumable: runs go to `--out`, an interrupted training continues, a finished result is only printed again.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

import mapsto as mt
from mapsto.learners import (
    MAML,
    SNAIL,
    VSML,
    Learner,
    MatchingNetwork,
    MetaGAN,
    MetaLSTM,
    MetaNetwork,
    MultiTask,
    PrototypicalNetwork,
    Reptile,
    RidgeHead,
    SiameseNetwork,
)
from mapsto.learners.matching import FullContext
from mapsto.learners.metagan import TaskGenerator
from mapsto.measures.evaluation.evaluate import summary
from mapsto.models import MLP, Conv4
from mapsto.models.norms import Norm
from mapsto.training import memory, meta_gradient

WAYS = (5, 20)
LENGTH = 8.0  # of a feature
RATE = 0.08 / LENGTH**2  # of an inner step, a class


def tell_ways(learner: Learner, ways: int) -> None:
    """Tell a learner of distances how many classes there are."""
    learner.ways = ways  # type: ignore[assignment]


class Part(NamedTuple):
    """A part of the training: its share of the budget, its rate against the method's, and the learner's attributes."""

    share: float = 1.0
    rate: float = 1.0
    attributes: dict[str, Any] = {}  # noqa: RUF012


@dataclass(frozen=True)
class Method:
    """How a learner is made for so many ways, how it is trained, and what its paper reports, 5-way and 20-way."""

    make: Callable[[int], Any]
    paper: str
    published: tuple[float | None, float | None]
    ways: int | None = None  # in training; None: those of the test, a training each
    shots: int = 1
    queries: int = 5
    batch: int = 1
    lr: float = 3e-3
    clip: float | None = None
    noise: tuple[int, int] | None = None  # that the tasks bring
    parts: tuple[Part, ...] = (Part(),)
    ready: Callable[[Any, int], None] = tell_ways  # for a test with so many ways


def embedding(**arguments: Any) -> Conv4:
    """Return the body; without `outputs` it embeds."""
    body = Conv4(channels=1, hidden=64, norm="layer", **arguments)
    return body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def centred(size: float = 1.0) -> nn.Module:
    """Return the body that embeds, around 0 rather than above it, so that cosines differ."""
    norm = nn.LayerNorm(64)
    nn.init.constant_(norm.weight, size)
    return nn.Sequential(embedding(), norm)


def maml(ways: int, **arguments: Any) -> MAML:
    """Return MAML with a head from 0, which needs one step to move and another to move the rest."""
    return MAML(classifier(ways), **{"lr": RATE * ways, "steps": 2, "zero_head": True} | arguments)


def learned_rates(ways: int, kind: Any) -> MAML:
    """Return one step of it with learned rates and short features, whose head has a rate large beside the outer one."""
    short = LENGTH / 16
    learner = maml(ways, learn_lr=kind, steps=1)
    nn.init.constant_(learner.body.blocks[-1].norm.weight, short)  # type: ignore[arg-type, union-attr, index]
    for name, rate in zip(learner.adapted, learner.rates, strict=True):
        if name in learner.zeroed:
            rate.data *= (LENGTH / short) ** 2
    return learner


def another_head(learner: MAML, ways: int) -> None:
    """Put a head of so many classes in place of a head of which only rates were learned; a class weighs 1 / ways."""
    more: float = ways / learner.body.head.out_features  # type: ignore[assignment, union-attr, operator]
    learner.body.head = nn.Linear(learner.body.width, ways)  # type: ignore[arg-type]
    learner.lr *= more
    for name, rate in zip(learner.adapted, learner.rates, strict=False):  # none where none is learned
        rate.data *= more
        if learner.learn_lr is True and name in learner.zeroed:  # a rate an entry: what the classes have in common
            rate.data = rate.data.mean(0).expand(ways, *rate.shape[1:]).clone()


def classifier(ways: int) -> Conv4:
    """Return the body with a head, its features so long that rates which move the head leave the rest as it is."""
    body = embedding(outputs=ways)
    nn.init.constant_(body.blocks[-1].norm.weight, LENGTH)  # type: ignore[arg-type, union-attr]
    return body


def reptile(ways: int) -> Reptile:
    """Return Reptile as in its paper, but for the norm."""
    return Reptile(embedding(outputs=ways, pooling="stride"), minibatch=10 if ways <= 5 else 20)


def metagan(ways: int, learner: Callable[[int], Learner]) -> MetaGAN:
    """Return a learner with one more class, for fakes by a fully connected generator."""
    return MetaGAN(learner(ways + 1), TaskGenerator(MLP(784, 64), MLP(128, 256, 784), latent=64), ways)


def with_fakes(learner: MetaGAN, ways: int, ready: Callable[[Any, int], None] = tell_ways) -> None:
    """Tell a MetaGAN how many classes there are, and its learner of one more."""
    learner.ways = ways
    ready(learner.learner, ways + 1)


def more_steps(learner: Reptile, ways: int) -> None:
    """Adapt as the paper does at test."""
    learner.steps = 50


def as_trained(learner: Learner, ways: int) -> None:
    """Leave a learner that was trained with as many ways as it is tested with."""


def small(ways: int, norm: Norm) -> Conv4:
    """Return the smaller body of learners that keep a number, or many, for each of its weights."""
    return Conv4(channels=1, hidden=32, outputs=ways, norm=norm)


ADAPTED: dict[str, Any] = {"lr": 4e-3, "clip": 10.0, "ready": another_head}
IN_PARTS = (Part(0.85, 1.0, {"steps": 1}), Part(0.15, 0.1, {"steps": 2}))
METHODS = {
    "Prototypical network": Method(
        lambda ways: PrototypicalNetwork(embedding(), ways), "Snell et al. 2017", (98.8, 96.0), ways=60, lr=4e-3
    ),
    "Matching network": Method(
        lambda ways: MatchingNetwork(centred(), ways, scale=10.0), "Vinyals et al. 2016", (98.1, 93.8), ways=20
    ),
    "Matching network, full context": Method(
        lambda ways: MatchingNetwork(centred(0.3), ways, FullContext(64), scale=10.0),  # its products are not scaled
        "Vinyals et al. 2016", (98.1, 93.8), ways=20,
    ),
    "Siamese network": Method(
        lambda ways: SiameseNetwork(embedding(), ways, margin=8.0), "Koch et al. 2015", (97.3, 88.2), ways=20
    ),
    "Ridge head (R2-D2)": Method(
        lambda ways: RidgeHead(embedding(), ways, scale=10.0), "Bertinetto et al. 2019", (98.91, 96.24), ways=20
    ),
    "MAML": Method(maml, "Finn et al. 2017", (98.7, 95.8), 20, **ADAPTED, parts=IN_PARTS),
    "FOMAML": Method(partial(maml, first_order=True, steps=1), "Finn et al. 2017", (98.3, 89.4), 20, **ADAPTED),
    "MAML++ rates": Method(
        partial(learned_rates, kind="layer-step"), "Antoniou et al. 2019", (99.47, 97.65), 60, **ADAPTED,
    ),
    "ANIL": Method(partial(maml, adapt="head", steps=1), "Raghu et al. 2020", (None, 96.2), 20, **ADAPTED),
    "Meta-SGD": Method(
        partial(learned_rates, kind=True), "Li et al. 2017", (99.53, 95.9), 60, **ADAPTED,
    ),
    "Reptile": Method(
        reptile, "Nichol et al. 2018", (95.39, 88.14), shots=10, queries=1, batch=5, lr=1e-3, ready=more_steps,
    ),
    "SNAIL": Method(
        lambda ways: SNAIL(centred(), 64, ways, length=ways, filters=32),
        "Mishra et al. 2018", (99.07, 97.64), batch=8, queries=1, lr=2e-3, clip=1.0, ready=as_trained,
    ),
    "MetaGAN on prototypes": Method(
        partial(metagan, learner=lambda ways: PrototypicalNetwork(embedding(), ways)),
        "Zhang et al. 2018", (None, None), ways=20, noise=(20, 64), ready=with_fakes,
    ),
    "MetaGAN on MAML": Method(
        partial(metagan, learner=partial(maml, steps=1)), "Zhang et al. 2018", (99.1, 96.4),
        ways=60, noise=(20, 64), lr=4e-3, ready=partial(with_fakes, ready=another_head),
    ),
    "Meta network": Method(
        lambda ways: MetaNetwork(small(ways, "none"), small(ways, "none"), hidden=8, scale=10.0),
        "Munkhdalai & Yu 2017", (98.9, 97.0), queries=3, lr=2e-3, clip=10.0,
        ready=as_trained,
    ),
    "LSTM meta-learner": Method(
        lambda ways: MetaLSTM(small(ways, "layer"), steps=8), "Ravi & Larochelle 2017", (None, None),
        lr=1e-3, clip=0.25, ready=as_trained,
    ),
    "multi-task, fine-tuned": Method(
        lambda ways: MultiTask(classifier(ways), lr=RATE * ways, steps=5), "Caruana 1997", (None, None),
        batch=8, queries=1, ready=as_trained,
    ),
    "VSML": Method(
        lambda ways: VSML(embedding(), ways), "Kirsch & Schmidhuber 2021", (None, None), batch=2, lr=1e-3, clip=1.0,
        ready=as_trained,
    ),
}  # fmt: skip


def main() -> None:
    """Measure what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=METHODS, metavar="NAME", help="these learners: " + ", ".join(METHODS)
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="of training each (default: 5)")
    parser.add_argument("--ways", type=int, nargs="+", choices=WAYS, default=WAYS, help="to train heads for")
    parser.add_argument("--episodes", type=int, default=600, help="of the test (default: 600)")
    parser.add_argument("--out", type=Path, default=Path("runs/learners"))
    parser.add_argument("--report", action="store_true", help="print what has been measured and measure nothing")
    args = parser.parse_args()
    for name in [] if args.report else args.only or METHODS:
        for ways, trained in trainings(METHODS[name], args.ways):
            measure(name, ways, trained, args)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    report(args.out)


def trainings(method: Method, heads: Sequence[int]) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield the ways to test and the ways to train, one pair a training."""
    if method.ways is None:
        yield from (((ways,), ways) for ways in heads)
    else:
        yield WAYS, method.ways


def measure(name: str, tested: tuple[int, ...], ways: int, args: argparse.Namespace) -> None:
    """Train one learner for its time and write what it achieves, unless that is there."""
    run = args.out / f"{name}, {ways}-way, {args.minutes:g} min"
    path = run.with_suffix(run.suffix + ".json")
    if path.exists():
        return
    method = METHODS[name]
    torch.manual_seed(0)
    learner = method.make(ways)
    tasks: mt.tasks.Tasks = mt.tasks.Omniglot(ways=ways, shots=method.shots, queries=method.queries, scheme="snell")
    tasks = tasks if method.noise is None else mt.tasks.WithNoise(tasks, method.noise)
    steps = sum(trained(learner, tasks, method, i, run, 60 * args.minutes) for i in range(len(method.parts)))
    tests = {}
    for k in tested:
        method.ready(learner, k)
        test = mt.tasks.Omniglot(ways=k, shots=1, queries=5).test
        tests[k] = summary(mt.evaluate(learner, test, episodes=args.episodes))
    found = {"learner": name, "ways": ways, "steps": steps, "minutes": args.minutes, "tests": tests}
    path.write_text(json.dumps(found, indent=1))


def trained(learner: Learner, tasks: mt.tasks.Tasks, method: Method, i: int, run: Path, seconds: float) -> int:
    """Train for one part of the budget and return the steps."""
    part = method.parts[i]
    for name, value in part.attributes.items():
        setattr(learner, name, value)
    run = run if i == 0 else run.with_name(f"{run.name}, part {i + 1}")
    steps = affordable(learner, tasks, method, part.share * seconds, run.with_name(f"{run.name}.steps"))
    for step in mt.train(
        learner, tasks, steps, method.batch, part.rate * method.lr, clip=method.clip, schedule="one-cycle",
        run=run, resume=True, checkpoint_every=100,
    ):  # fmt: skip
        if step.step % 50 == 0:
            told = f"step {step.step} of {steps}, loss {step.metrics['loss']:.4f}, {step.seconds:.0f} s"
            print(f"{run.name}: {told}", flush=True)
    return steps


def affordable(learner: Learner, tasks: mt.tasks.Tasks, method: Method, seconds: float, path: Path) -> int:
    """Return how many steps fit the budget, by the median of a few; remembered, for an interrupted run goes on."""
    if not path.exists():
        gradient, params = meta_gradient(learner), {name: p.detach() for name, p in learner.named_parameters()}
        times = []
        with memory.kept():  # as in training
            for i in range(8):
                start = time.process_time()
                gradient(params, tasks.batch(i, method.batch))
                times.append(time.process_time() - start)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(max(10, int(seconds / sorted(times)[4]))))
    return int(path.read_text())


def report(out: Path) -> None:
    """Print one row a learner: accuracy after its budget, beside its paper's."""
    print("| learner | paper | minutes | steps | 5-way 1-shot | published | 20-way 1-shot | published |")
    print("|---|---|---|---|---|---|---|---|")
    found = [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]
    budgets = sorted({row["minutes"] for row in found})
    for (name, method), minutes in itertools.product(METHODS.items(), budgets):
        rows = [row for row in found if row["learner"] == name and row["minutes"] == minutes]
        tests = {ways: test for row in rows for ways, test in row["tests"].items()}
        cells = []
        for ways, published in zip(WAYS, method.published, strict=True):
            test = tests.get(str(ways))
            cells += [told(test["accuracy"]) if test else "", "–" if published is None else f"{published}"]
        if rows:
            steps = " + ".join(f"{row['steps']:,}" for row in rows)
            print(f"| {name} | {method.paper} | {minutes:g} | {steps} | {' | '.join(cells)} |")


def told(accuracy: dict[str, float]) -> str:
    """Write an accuracy with its 95 % interval, in percent."""
    return f"{100 * accuracy['mean']:.2f} ± {100 * accuracy['interval']:.2f}"


if __name__ == "__main__":
    main()
