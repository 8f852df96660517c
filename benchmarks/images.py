"""The shipped image classifier, measured on data that it has never seen: accuracy, agreement of its values, and speed.

    MAPSTO_DATA=... python benchmarks/images.py accuracy --tasks 1000
    MAPSTO_DATA=... python benchmarks/images.py agreement --tasks 24 --looks 0 64 96 128
    python benchmarks/images.py speed

- accuracy: Omniglot's test characters (5-way 1-shot), scikit-learn's digits (10-way 5-shot), and drawn characters and
  planted strokes (5-way 1-shot), with 95 % intervals over tasks;
- agreement: pooled R² of the values to exact Shapley values of the same model, in probability, over rows, patches and
  classes. `looks` is the number of coalitions about which the explanation asks the model; with 0, it is one pass.
  KernelSHAP asks about the same coalitions, and also knows that patches without ink have the value 0. For this reason,
  the exact values come from all coalitions of the patches with ink. With `--all`, the values of the
  row with the largest value are also computed from all 65,536 coalitions, and the largest difference is printed;
- speed: milliseconds an image for the prediction with its explanation, by the clock and of processor
  time (which other programs do not change much), and the size of the weights.

The classifier was trained on drawn characters of seed 0; those here have seed 1000 + `--seed`.
Every line is a JSON object.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from learned import exact_values, kernel_values, trust
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

import mapsto as mt
from mapsto.explainers.learned import Players
from mapsto.weights import FOLDER, load_images

SIZE = 32
TEN = 10
DATA = ("omniglot", "drawn", "planted", "digits")


def resized(x: Tensor) -> Tensor:
    """Return images `[n, 1, h, w]` at the size that the classifier reads."""
    return F.interpolate(x, size=(SIZE, SIZE), mode="bilinear", align_corners=False)


def few_shot(name: str, count: int, seed: int, queries: int) -> Iterator[mt.Episode]:
    """Yield `count` unseen 5-way 1-shot tasks."""
    sources = {
        "omniglot": lambda: mt.tasks.Omniglot(ways=5, shots=1, queries=queries),
        "drawn": lambda: mt.tasks.DrawnCharacters(ways=5, shots=1, queries=queries),
        "planted": lambda: mt.tasks.PlantedStrokes(ways=5, shots=1, queries=queries, size=SIZE),
    }
    for task in mt.episodes.unstack(sources[name]().test.batch(0, count, seed=1000 + seed)):
        yield mt.Episode(*(part._replace(x=resized(part.x)) for part in (task.support, task.query)))


def digits(count: int, seed: int, shots: int = 5, queries: int = 15) -> Iterator[mt.Episode]:
    """Yield `count` tasks of all ten digits, 8 × 8 pixels enlarged, with 5 support examples of each."""
    data = load_digits()
    x = resized(torch.tensor(data.images, dtype=torch.float32)[:, None] / 16)
    y, generator = torch.tensor(data.target), torch.Generator().manual_seed(seed)
    for _ in range(count):
        rows = [(y == c).nonzero()[:, 0] for c in range(TEN)]
        rows = [of[torch.randperm(len(of), generator=generator)] for of in rows]
        support, query = (torch.cat([of[a:b] for of in rows]) for a, b in ((0, shots), (shots, shots + queries)))
        yield mt.Episode(mt.episodes.examples(x[support], y[support]), mt.episodes.examples(x[query], y[query]))


def accuracy(joint: mt.Joint, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the accuracy on each kind of task."""
    for name in args.data:
        joint.learner.ways = TEN if name == "digits" else 5
        tasks = digits(args.tasks, args.seed) if name == "digits" else few_shot(name, args.tasks, args.seed, 15)
        right = []
        for task in tasks:
            state = joint.adapt(task.support)
            right.append((joint.predict(state, task.query.x).argmax(1) == task.query.y).double().mean())
        mean, interval = mt.measures.estimate(torch.stack(right).numpy())
        yield {"data": name, "tasks": len(right), "accuracy": mean, "interval": interval}


def asked(joint: mt.Joint, state: Any) -> Callable[[Tensor], Tensor]:
    """Return the model as a function from rows to probabilities."""
    return lambda rows: joint.predict(state, rows).softmax(-1)


def _learned(joint: mt.Joint, state: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the learned values of one row and their trust."""
    reasons = joint.explain(state, x)["why"]
    return reasons.values[0], reasons.trust[0]


def r2(values: Sequence[Tensor], true: Sequence[Tensor]) -> float:
    """Return 1 − SSE/SST, pooled over rows, players and classes."""
    got, exactly = torch.stack(list(values)), torch.stack(list(true))
    return 1 - float((got - exactly).square().sum() / (exactly - exactly.mean()).square().sum())


def agreement(joint: mt.Joint, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the agreement with exact values on each kind of task, one row of each task."""
    players, why = joint.explainers["why"].players, joint.explainers["why"]
    for name in args.data:
        joint.learner.ways = TEN if name == "digits" else 5
        tasks = digits(args.tasks, args.seed) if name == "digits" else few_shot(name, args.tasks, args.seed, 1)
        rows = [(joint.adapt(task.support), task.query.x[:1]) for task in tasks]
        true = [exact_values(asked(joint, state), x[0], players) for state, x in rows]
        if args.all and name == "omniglot":
            row = max(range(len(true)), key=lambda i: float(true[i].abs().max()))
            difference = _difference(joint, *rows[row], players, true[row])
            yield {"data": name, "row": row, "largest difference to all coalitions": difference}
        for why.looks in args.looks:
            learned, trusted = zip(*(_learned(joint, state, x) for state, x in rows), strict=True)
            line = {"data": name, "rows": len(rows), "looks": why.looks, "R2": r2(learned, true)}
            line |= trust(torch.stack(trusted), torch.stack(learned), torch.stack(true))
            if why.looks:
                sampled = [kernel_values(asked(joint, state), x[0], players, why.looks) for state, x in rows]
                line["R2 of KernelSHAP"] = r2(sampled, true)
            yield line
        why.looks = 0


def speed(joint: mt.Joint, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the milliseconds an image of a prediction with its explanation, alone and 25 at once."""
    torch.set_num_threads(args.threads)
    task = next(few_shot("drawn", 1, args.seed, 5))
    classifier = mt.ImageClassifier().fit(task.support.x, task.support.y)
    for looks in args.looks:
        classifier.mapping_.explainers["why"].looks = looks
        for images in (1, 25):
            x, times = task.query.x[:images], []
            for _ in range(20):
                started = time.perf_counter()
                classifier.predict_proba(x)
                classifier.explain(x)
                times.append(time.perf_counter() - started)
            yield {"images": images, "looks": looks, "milliseconds": 1000 * sorted(times)[len(times) // 2] / images}
    yield {"MiB": (FOLDER / "images.safetensors").stat().st_size / 2**20}


def _difference(joint: mt.Joint, state: Any, x: Tensor, players: Players, values: Tensor) -> float:
    """Return the largest difference between values and those from all coalitions of all patches."""

    def outcome(mask: Tensor) -> Tensor:
        return asked(joint, state)(players.show(x, mask[None, None])[0])[0]

    of_all = mt.explainers.Shapley(chunk_size=2048)(mt.explainers.Game(outcome, players.count))
    return float((of_all - values).abs().max())


PARTS = {"accuracy": accuracy, "agreement": agreement, "speed": speed}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--weights", type=Path, default=FOLDER / "images.safetensors")
    parser.add_argument("--tasks", type=int, default=100, help="tasks of each kind; agreement takes one row of each")
    parser.add_argument("--data", choices=DATA, nargs="+", default=DATA)
    parser.add_argument("--looks", type=int, nargs="+", default=[0, 96], help="coalitions asked of the model")
    parser.add_argument("--threads", type=int, default=1, help="threads of the speed measurement")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="also compare one row with all 65,536 coalitions")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        for line in PARTS[arguments.part](load_images(path=arguments.weights), arguments):
            print(json.dumps(line), flush=True)
