"""Does the size of an attribution tell what decides from what is merely there, or its sign?

    OMP_NUM_THREADS=1 python benchmarks/signs.py          two minutes of one core

A prototypical network learns `PlantedStrokes`, 5-way 5-shot: two strokes make a class, two distractors lie in each
image. Of the queries of eight new tasks the score of the true class is explained, alone and ahead of the mean of the
others; AUROC of label strokes against distractors, among pixels of one of them, by the size of the values and with
their sign (mean over images ± 95 % interval). Besides, how much the score falls when either is wiped out.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import mapsto as mt
from mapsto.explainers import Gradient, InputXGradient, IntegratedGradients, Occlusion, patches
from mapsto.measures import auroc, estimate
from mapsto.views import game, query

WAYS, TASKS = 5, 8
STROKES = mt.tasks.PlantedStrokes(WAYS, shots=5, queries=5)
PATCHES = patches((1, 28, 28), 4)
METHODS: dict[str, Callable[[mt.views.View, Tensor], Tensor]] = {
    "Gradient": Gradient(),
    "InputXGradient": InputXGradient(),
    "IntegratedGradients": IntegratedGradients(16),
    "Occlusion, 4 × 4": lambda view, x: Occlusion(chunk_size=16)(game(view, x, groups=PATCHES))[PATCHES],
}


def main() -> None:
    """Train, explain, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1150, help="of training, two tasks each (default: 1150)")
    learner = trained(parser.parse_args().steps)
    tasks = [Task(learner, index) for index in range(TASKS)]
    print(f"accuracy {np.mean([task.accuracy for task in tasks]):.3f}")
    for kind in ("label strokes", "distractors"):
        print(f"lead lost without the {kind}: {np.mean([task.lost(kind) for task in tasks]):+.2f}")
    for score in ("its score", "its lead"):
        for name, method in METHODS.items():
            sizes, signs = np.array([pair for task in tasks for pair in task.found(method, score)]).T
            print(f"{score}, {name}: by size {estimate(sizes)}, by sign {estimate(signs)}", flush=True)


def trained(steps: int) -> mt.learners.PrototypicalNetwork:
    """Return a small network that has learned to tell new strokes."""
    torch.manual_seed(0)
    learner = mt.learners.PrototypicalNetwork(mt.models.Conv4(hidden=16, norm="layer"), WAYS)
    for _ in mt.train(learner, STROKES, steps, batch=2, lr=2e-3, clip=10.0):
        pass
    return learner.requires_grad_(False)


class Task:
    """A new task, and what its images are made of."""

    def __init__(self, learner: mt.learners.Learner, index: int):
        self.learner, truth = learner, STROKES.test.truth(index, 1)
        self.support, (self.x, self.y, _) = mt.episodes.unstack(STROKES.test.batch(index, 1))[0][:2]
        self.strokes = {"label strokes": truth.query[0], "distractors": truth.query_distractors[0]}
        self.scores = mt.as_module(learner, self.support)

    @property
    def accuracy(self) -> float:
        """The share of queries that the learner gets right."""
        return float((self.scores(self.x).argmax(-1) == self.y).double().mean())

    def lost(self, kind: str) -> float:
        """Return by how much the lead of the true class falls when strokes of a kind are wiped out."""
        wiped = self.x.masked_fill(self.strokes[kind], 0.0)
        weights = self.weights("its lead")
        return float(((self.scores(self.x) - self.scores(wiped)) * weights).sum(-1).mean())

    def weights(self, score: str) -> Tensor:
        """Return how each score of each query counts: that of the true class, less the mean of the others."""
        own = F.one_hot(self.y, WAYS).float()
        return own if score == "its score" else own - (1 - own) / (WAYS - 1)

    def found(self, method: Callable[[mt.views.View, Tensor], Tensor], score: str) -> Iterator[tuple[float, float]]:
        """Yield, for every other query, how well sizes and signs tell label strokes from distractors."""
        label, other = self.strokes.values()
        for i, weights in enumerate(self.weights(score)):
            if i % 2 == 0:
                values = method(query(self.learner, self.support, link=lambda s, w=weights: s @ w), self.x[i])  # type: ignore[misc]
                one = label[i] ^ other[i]
                sizes, signs = (auroc(v[one].double(), label[i][one]) for v in (values.abs(), values))
                yield float(sizes), float(signs)


if __name__ == "__main__":
    main()
