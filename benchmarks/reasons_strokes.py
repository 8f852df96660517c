"""Which explanation of an image to use: every method on drawn characters whose label strokes are known.

    OMP_NUM_THREADS=1 python benchmarks/reasons_strokes.py             some twenty minutes of one core
    python benchmarks/reasons_strokes.py --methods Gradient GradCAM    some methods
    python benchmarks/reasons_strokes.py --report                      the table of what has been measured

`PlantedStrokes`, 5-way 5-shot, 28 × 28: two strokes make a class, two distractors lie in each image, from the same
distribution. A method explains the score of the true class ahead of the mean of the others, in 25 queries of each of
eight tasks; its values, by size and with their sign, are held against which ink is of the label strokes, among pixels
that have ink of either kind and not of both (AUROC an image, mean over images and tasks ± 95 % interval over tasks).
There 0.5 is chance, for what looks at the image alone too: its ink, its edges. Hidden parts, without ink, are patches
of 4 × 4 pixels or as many superpixels, whose values their pixels share evenly. First it is told by how much the lead
falls without either kind of stroke: distractors speak against the class, so that the size of their values is no
mistake.
Explainer networks are trained over other tasks, with the learner frozen, and explain a new task as they are: by the
lead in probability of the values of `AmortisedShapley`, and by the probability with which a selector shows a patch
(`PolicyGradient`, which is rewarded for the true class and pays for patches, so that its values have no sign).
Training is part of the benchmark: so many seconds of the processor a learner, and an explainer; kept in `--out`.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reasons import METHODS as OF_ROWS
from reasons import Case, Counted, Method, costed, report
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.func import vmap
from torch.nn import functional as F

import mapsto as mt
from mapsto.explainers import LIME, GradCAM, HiResCAM, ViewExplainer, patches, superpixels
from mapsto.explainers.activation_maps import enlarge
from mapsto.explainers.groups import shared
from mapsto.explainers.learned import AmortisedShapley, Patches, PolicyGradient
from mapsto.explainers.learned.explainer import PlayerExplainer
from mapsto.learners import MAML, Learner, PrototypicalNetwork

WAYS, SIZE, TASKS = 5, 28, 8
JUDGED: dict[str, Callable[[Tensor], Tensor]] = {"strokes, by size": Tensor.abs, "strokes, by sign": Tensor.clone}
PATCHES = patches((1, SIZE, SIZE), 4)
LEARNERS = {
    "ProtoNet": lambda: PrototypicalNetwork(mt.models.Conv4(hidden=32, norm="layer"), WAYS),
    "MAML": lambda: MAML(mt.models.Conv4(hidden=32, norm="layer", outputs=WAYS), lr=0.1, steps=3, zero_head=True),
}


READS = {"blocks.1": 32, "blocks.2": 32}
NETWORKS: dict[str, Callable[[], PlayerExplainer]] = {
    "AmortisedShapley, learned": lambda: AmortisedShapley(Patches((1, SIZE, SIZE), 4), reads=READS),
    "PolicyGradient, learned": lambda: PolicyGradient(
        Patches((1, SIZE, SIZE), 4), reads=READS, target="label", cost=0.3, warmup=50, network="attention", width=64
    ),
}


def mapped(explainer: ViewExplainer) -> Method:
    """Explain by a map of the third block's features, brought to the image's size."""

    def values(case: Case) -> Tensor:
        Counted.asked += 2 * len(case.x)  # the features, and their gradient
        points = (mt.views.feature(case.learner, case.support, x, "blocks.2", link=case.link) for x in case.x)
        return torch.stack([enlarge(explainer(view, point), (SIZE, SIZE))[None] for view, point in points])

    return values


def by_superpixels(case: Case) -> Tensor:
    """Explain by hiding regions of like pixels, as many as there are patches; each image has its own."""
    found = []
    for x in case.x:
        groups = superpixels(x, int(PATCHES.max()) + 1)
        game = mt.views.game(case.view, x, baseline=torch.zeros_like(x), groups=groups)
        found.append(shared(LIME(256)(game)[None], groups)[0])
    return torch.stack(found)


FIT = {name: method for name, method in OF_ROWS.items() if name not in ("its own, learned", "Shapley, exact")}
METHODS = FIT | {
    "LIME of 256, superpixels": by_superpixels,
    "GradCAM": mapped(GradCAM()),
    "HiResCAM": mapped(HiResCAM()),
}


def learned(joint: mt.Joint) -> Method:
    """Explain in one look by an explainer network that was trained over other tasks."""
    (network,) = joint.explainers.values()

    def values(case: Case) -> Tensor:
        state = joint.adapt(case.support)
        Counted.asked += len(case.x)
        if isinstance(network, AmortisedShapley):
            Counted.asked += 2 * len(case.x)  # all players, and none
            each = vmap(vmap(case.link))(joint.explain(state, case.x)["why"].values)
        else:
            each = joint.explain(state, case.x)["why"].probability
        return case.spread(each)

    return values


def main() -> None:
    """Measure what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", nargs="+", choices=LEARNERS, default=list(LEARNERS))
    parser.add_argument("--methods", nargs="+", choices=METHODS | NETWORKS, default=list(METHODS), metavar="METHOD")
    parser.add_argument(
        "--seconds", type=float, default=240, help="of the processor, to train a learner (default: 240)"
    )
    parser.add_argument(
        "--explainer-seconds", type=float, default=180, help="of the processor, to train an explainer (default: 180)"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/reasons-strokes"))
    parser.add_argument("--report", action="store_true", help="print what has been measured and measure nothing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "found.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["learner"], row["method"]) for row in found}
    for name in [] if args.report else args.learners:
        learner = trained(name, args.out, args.seconds)
        told = ", ".join(f"{value:+.2f} without {kind}" for kind, value in fallen(learner).items())
        print(f"{name}: the lead falls by {told}", flush=True)
        for method in (method for method in args.methods if (name, method) not in done):
            if method in NETWORKS:
                how = learned(meta_trained(learner, name, method, args.out, args.explainer_seconds))
            else:
                how = METHODS[method]
            for row in measured(learner, how):
                found.append({"learner": name, "method": method} | row)
                with path.open("a") as file:
                    file.write(json.dumps(found[-1]) + "\n")
            print(json.dumps(found[-2:]), flush=True)
    report(found)


def trained(name: str, out: Path, seconds: float) -> Learner:
    """Return a learner that has been trained for so long, or was."""
    torch.manual_seed(0)
    learner: Learner = LEARNERS[name]()
    fit(learner, out / f"{name}.safetensors", seconds)
    return learner.requires_grad_(False)


def meta_trained(learner: Learner, name: str, method: str, out: Path, seconds: float) -> mt.Joint:
    """Return a learner with an explainer network that has been trained over tasks for so long, or was."""
    torch.manual_seed(0)
    joint = mt.Joint(learner, {"why": NETWORKS[method]()}, trains="explainers")
    fit(joint, out / f"{name}-{method.partition(',')[0]}.safetensors", seconds)
    return joint


def fit(learner: Learner, path: Path, seconds: float) -> None:
    """Train a learner over tasks for so long, or load it."""
    if path.exists():
        learner.load_state_dict(load_file(path))
        return
    tasks, start = mt.tasks.PlantedStrokes(WAYS, shots=5, queries=5), time.process_time()
    for step in mt.train(learner, tasks, 100_000, batch=2, lr=2e-3, clip=10.0):
        if step.step % 50 == 0:
            numbers = {key: round(float(value), 4) for key, value in step.metrics.items()}
            print(f"{path.stem}: step {step.step}, {numbers}", flush=True)
        if time.process_time() - start > seconds:
            break
    save_file(learner.state_dict(), path)


def measured(learner: Learner, method: Method) -> list[dict[str, Any]]:
    """Return what a method finds of the strokes that make the class, task by task, and what that costs."""
    found = np.array([of_task(learner, method, index) for index in range(TASKS)])
    costs = {"accuracy": found[:, 0].mean(), "asked": found[:, 1].tolist(), "seconds": found[:, 2].tolist()}
    return [{"family": family, "auroc": found[:, 3 + i].tolist()} | costs for i, family in enumerate(JUDGED)]


def of_task(learner: Learner, method: Method, index: int) -> list[float]:
    """Return the learner's accuracy on a task, and of the method the cost of an image and the mean AUROCs."""
    episode, truth = drawn(index)
    right = learner.predict(learner.adapt(episode.support), episode.query.x).argmax(-1) == episode.query.y
    found = []
    for k in range(WAYS):
        of_class = episode.query.y == k
        values, asked, seconds = costed(method, case(learner, episode, k))
        labels, others = truth.query[0][of_class], truth.query_distractors[0][of_class]
        found.append([asked, seconds, *(recovered(judge(values), labels, others) for judge in JUDGED.values())])
    return [float(right.double().mean()), *np.mean(found, 0)]


def fallen(learner: Learner) -> dict[str, float]:
    """Return by how much the lead of the true class falls, on average, when strokes of a kind are wiped out."""
    falls: dict[str, list[float]] = {"label strokes": [], "distractors": []}
    for index in range(TASKS):
        episode, truth = drawn(index)
        (x, y), state = episode.query[:2], learner.adapt(episode.support)
        own = F.one_hot(y, WAYS).double()
        weights = own - (1 - own) / (WAYS - 1)
        for fall, mask in zip(falls.values(), (truth.query[0], truth.query_distractors[0]), strict=True):
            lost = learner.predict(state, x) - learner.predict(state, x.masked_fill(mask, 0.0))
            fall.append(float((lost * weights).sum(-1).mean()))
    return {kind: float(np.mean(fall)) for kind, fall in falls.items()}


def drawn(index: int) -> tuple[mt.episodes.Episode, Any]:
    """Return a test task and where its strokes are."""
    tasks = mt.tasks.PlantedStrokes(WAYS, shots=5, queries=5).test
    return mt.episodes.unstack(tasks.batch(index, 1))[0], tasks.truth(index, 1)


def case(learner: Learner, episode: mt.episodes.Episode, k: int) -> Case:
    """Return the case of the queries of class k: how far their score is ahead of the mean of the others."""
    support, x = episode.support, episode.query.x[episode.query.y == k]
    lead = lambda scores: scores[k] - (scores.sum() - scores[k]) / (WAYS - 1)  # noqa: E731
    hide = lambda view, point: mt.views.game(view, point, baseline=torch.zeros_like(point), groups=PATCHES)  # noqa: E731
    return Case(
        learner, support, lead, mt.views.query(learner, support, link=lead), x, hide, partial(shared, groups=PATCHES)
    )


def recovered(values: Tensor, labels: Tensor, others: Tensor) -> float:
    """Return the mean over images of the AUROC of values, among pixels of one kind of stroke alone."""
    one = labels ^ others
    found = [mt.measures.auroc(v[i].double(), t[i]) for v, t, i in zip(values, labels, one, strict=True)]
    return float(torch.stack(found).mean())


if __name__ == "__main__":
    main()
