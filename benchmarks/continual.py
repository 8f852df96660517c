"""Omniglot one image at a time: how much of it all is still known after 10 … 600 new characters.

    MAPSTO_DATA=... python benchmarks/continual.py --minutes 60            three methods, an hour of training each
    MAPSTO_DATA=... python benchmarks/continual.py --only OML ANML --classes 100
    python benchmarks/continual.py --report                                the tables of what has been measured

Protocol: characters of the evaluation alphabets, 15 images each, class after class, one gradient step an image on a
linear head that starts from 0, the representation fixed; then accuracy on 5 other images of every character (held out)
and on the sequence's own 15. The inner rate is chosen for each method and length on sequences of validation characters
(158 at most), never on the test. The three differ in how the representation was meta-trained:

    fine-tuning   by classifying all 806 training characters at once (pretraining), 84 images a step
    OML           through sequences of 20 images, judged on them and on 64 remembered images
    ANML          as OML, its features gated by a second network

The networks are `Conv3`: alike in all three, ANML having the gate besides. The budget is CPU time of training; the
first steps are timed, and as many are taken as fit. Resumable: runs go to `--out`, an interrupted training continues, a
finished measurement is only printed again. Published accuracy after 600 characters, held out: ANML 63.8, OML 18.2, an
oracle that sees the images shuffled 71 (Beaulieu et al. 2020).
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import Episode, Examples
from mapsto.estimate import estimate
from mapsto.learners import ANML
from mapsto.models import Conv3
from mapsto.tasks import Trajectories
from mapsto.training import meta_gradient

SHOTS, QUERIES = 15, 5  # of each character at test
CHUNK = 256  # images represented at a time


class Pretraining(Trajectories):
    """The training of plain fine-tuning: as many images a step, of any characters; nothing is learned in sequence."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        """Draw random training images to be told apart, and no sequence, which would cost time and teach nothing."""
        x, y = self._any(generator, count)
        query = Examples(x, y, torch.full(y.shape, 1 / self.remember))
        return Episode(Examples(*(leaf[:, :0] for leaf in query)), query)


def learner(gated: bool, hidden: int, ways: int) -> ANML:
    """Return OML, or ANML with a gate of 7/16 as many channels, as in the paper."""
    body = Conv3(hidden=hidden)
    gate = Conv3(hidden=max(1, 7 * hidden // 16), outputs=body.width) if gated else None
    return ANML(body, gate, body.width, ways)


METHODS: dict[str, tuple[bool, Callable[[], Trajectories]]] = {
    "fine-tuning": (False, lambda: Pretraining(remember=84)),
    "OML": (False, lambda: Trajectories(remember=64)),
    "ANML": (True, lambda: Trajectories(remember=64)),
}


def main() -> None:
    """Measure what is missing, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=METHODS, help="these methods")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training each (default: 60)")
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 50, 100, 200, 400, 600])
    parser.add_argument("--trajectories", type=int, default=5, help="of each length, at test (default: 5)")
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001])
    parser.add_argument("--hidden", type=int, default=64, help="channels of the network (default: 64; paper: 256)")
    parser.add_argument("--out", type=Path, default=Path("runs/continual"))
    parser.add_argument("--report", action="store_true", help="print what has been measured and measure nothing")
    args = parser.parse_args()
    for name in [] if args.report else args.only or METHODS:
        measure(name, args)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    report(args.out)


def measure(name: str, args: argparse.Namespace) -> None:
    """Train one method for its time and write what it retains after each number of classes."""
    run = args.out / f"{name}, {args.hidden} channels, {args.minutes:g} min"
    gated, source = METHODS[name]
    tasks = source()
    torch.manual_seed(0)
    of = learner(gated, args.hidden, tasks.known)
    steps = affordable(of, tasks, 60 * args.minutes, args.out / f"{run.name}.steps")
    for step in mt.train(of, tasks, steps, batch=1, lr=1e-3, run=run, resume=True, checkpoint_every=200):
        if step.step % 200 == 0:
            told = ", ".join(
                f"{key} {value:.3f}" for key, value in step.metrics.items() if "acc" in key or key == "loss"
            )
            print(f"{run.name}: step {step.step} of {steps}, {told}, {step.seconds:.0f} s", flush=True)
    path = run.with_suffix(run.suffix + ".jsonl")
    done = {json.loads(line)["classes"] for line in path.read_text().splitlines()} if path.exists() else set()
    for classes in args.classes:
        if classes not in done:
            found = {"method": name, "run": run.name, "steps": steps, "classes": classes, **tested(of, classes, args)}
            with path.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(f"{run.name}: {classes} classes, held out {told_accuracy(found['held out'])}", flush=True)


def affordable(of: ANML, tasks: Trajectories, seconds: float, path: Path) -> int:
    """Return how many steps fit the budget, by the median of a few; remembered, for an interrupted run goes on."""
    if not path.exists():
        gradient, params = meta_gradient(of), {name: p.detach() for name, p in of.named_parameters()}
        times = []
        for i in range(4):
            episodes, start = tasks.batch(i, 1), time.process_time()
            gradient(params, episodes)
            times.append(time.process_time() - start)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(max(1, int(seconds / sorted(times)[1]))))
    return int(path.read_text())


@torch.no_grad()
def tested(of: ANML, classes: int, args: argparse.Namespace) -> dict[str, Any]:
    """Choose the rate on validation sequences, then learn test sequences at it."""
    source = Trajectories(classes=classes, shots=SHOTS, queries=QUERIES)
    known = min(classes, len(source.pools["validation"]))
    chooses = Trajectories(classes=known, shots=SHOTS, queries=QUERIES).validation
    choosing = [represented(of, chooses.batch(i, 1)) for i in range(2)]
    by_rate = {rate: sum(retained(episode, known, rate)[0] for episode in choosing) for rate in args.rates}
    rate = max(by_rate, key=lambda r: by_rate[r])
    found = [retained(represented(of, source.test.batch(i, 1)), classes, rate) for i in range(args.trajectories)]
    held, own = (estimate(torch.tensor(values).numpy())._asdict() for values in zip(*found, strict=True))
    return {"rate": rate, "held out": held, "own": own, **sparsity(of, source.test.batch(0, 1).query.x[0, :CHUNK])}


def represented(of: ANML, batch: Episode) -> Episode:
    """Return the one episode of a batch with its images as gated features, which no step of the sequence changes."""

    def seen(part: Examples) -> Examples:
        pieces = [shown(of, images)["gated"] for images in part.x[0].split(CHUNK)]
        return Examples(torch.cat(pieces), part.y[0], part.w[0])

    return Episode(seen(batch.support), seen(batch.query))


def shown(of: ANML, x: Tensor) -> dict[str, Tensor]:
    """Return the features of some images, whatever the head."""
    return of.features(of.adapt(Examples(x[:0], torch.zeros(0, dtype=torch.long), x.new_zeros(0))), x)


def retained(episode: Episode, classes: int, rate: float) -> tuple[float, float]:
    """Learn a sequence of features and return the accuracy on the held-out rows and on the sequence's own."""
    width = episode.support.x.shape[-1]
    of = ANML(nn.Identity(), None, width, classes, lr=rate)
    scores = of.predict(of.adapt(episode.support), episode.query.x)
    right = (scores.argmax(1) == episode.query.y).double()
    own = classes * SHOTS
    return float(right[own:].mean()), float(right[:own].mean())


def sparsity(of: ANML, x: Tensor) -> dict[str, float]:
    """Return the share of features above a hundredth of their image's largest, before and after the gate."""
    features = shown(of, x)
    shares = {}
    for name, key in (("active", "representation"), ("active, gated", "gated")):
        f = features[key]
        shares[name] = float((f > 0.01 * f.amax(1, keepdim=True)).double().mean())
    return shares


def report(out: Path) -> None:
    """Print accuracy by classes, a row a run and measure, and the sparsity of the features."""
    found = [json.loads(line) for path in sorted(out.glob("*.jsonl")) for line in path.read_text().splitlines()]
    lengths = sorted({row["classes"] for row in found})
    runs = list(dict.fromkeys(row["run"] for row in found))
    for measured in ("held out", "own"):
        print(f"Accuracy, {measured} images | steps | " + " | ".join(f"{n}" for n in lengths))
        print("|".join(["---"] * (2 + len(lengths))))
        for run in runs:
            rows = {row["classes"]: row for row in found if row["run"] == run}
            cells = [told_accuracy(rows[n][measured]) if n in rows else "" for n in lengths]
            print(f"{run} | {next(iter(rows.values()))['steps']} | " + " | ".join(cells))
        print()
    print("Features above a hundredth of the largest | before the gate | after it\n---|---|---")
    for run in runs:
        last = [row for row in found if row["run"] == run][-1]
        print(f"{run} | {100 * last['active']:.1f} % | {100 * last['active, gated']:.1f} %")


def told_accuracy(accuracy: dict[str, float]) -> str:
    """Write an accuracy with its 95 % interval over sequences, in percent."""
    return f"{100 * accuracy['mean']:.1f} ± {100 * accuracy['interval']:.1f}"


if __name__ == "__main__":
    main()
