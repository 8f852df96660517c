"""Explanations of few-shot classifiers beside those of others: insertion and deletion on unseen Omniglot characters.

    MAPSTO_DATA=... python benchmarks/few_shot_peers.py --tasks 200

The shipped image classifier, 5-way 1-shot; each query image is explained by the 16 patches of a 4 × 4 grid, for the
predicted class. Areas under the curves of its probability as patches are shown (insertion: large is good) or hidden
(deletion: small is good), the most important first; means with 95 % intervals over tasks. The others are written for
this benchmark from their papers and public code, for patches in place of pixels or segments:

- ProtoShotXAI (Hess & Ditzler 2023): how much the cosine similarity of the query's embedding and the prototype falls
  if a patch is hidden;
- C3A (Chen et al. 2026): the same for ½·s(own class) − ½·s(all other classes), where s sums, over the positions of the
  query's feature map, the ten largest cosine similarities with positions of the class's support maps;
- SINEX (Fedele, Guidotti & Pedreschi 2024): the cosine similarity with the prototype if a patch is shown alone, and
  SINEXC, if it is shown among others (each with probability ½, 32 draws);
- occlusion of the probability, and the values at random.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import mapsto as mt
from mapsto.estimate import estimate
from mapsto.explainers import Game
from mapsto.explainers.learned.explainer import of_prediction
from mapsto.weights import load_images

SIZE, WAYS, LARGEST = 32, 5, 10
MAP = "blocks.2"  # 4 × 4 positions


class Case:
    """One query image of one task, with the model adapted to the task."""

    def __init__(self, joint: mt.Joint, support: mt.Examples, x: Tensor):
        self.joint, self.x, self.state = joint, x, joint.adapt(support)
        self.prediction = joint.prediction(self.state, x)
        self.why = joint.player_explainers["why"]
        self.chosen = int(self.prediction.outcome.argmax(1))
        self.of_support = joint.features(self.state, support.x)
        self.y = support.y

    def probability(self, mask: Tensor) -> Tensor:
        """Return the probability of the predicted class if only the patches of the mask `[16]` are visible."""
        row = self.why.players.show(self.x, mask[None, None])[0]
        return self.joint.predict(self.state, row).softmax(-1)[0, self.chosen]

    def shown(self, masks: Tensor) -> dict[str, Tensor]:
        """Return the features of the query image if only the patches of each mask `[c, 16]` are visible."""
        return self.joint.features(self.state, self.why.players.show(self.x, masks[None])[0])

    def likeness(self, masks: Tensor) -> Tensor:
        """Return the cosine similarity of the embedding and the prototype of the predicted class, for each mask."""
        embedding = self.shown(masks)["embedding"].flatten(1)
        prototype = self.of_support["embedding"][self.y == self.chosen].flatten(1).mean(0)
        return F.cosine_similarity(embedding, prototype[None])

    def contrast(self, masks: Tensor) -> Tensor:
        """Return how much more the positions of the feature map are like those of the predicted class than others."""
        local = F.normalize(self.shown(masks)[MAP].flatten(2), dim=1)  # [c, channels, positions]
        support = F.normalize(self.of_support[MAP].flatten(2), dim=1)  # [n, channels, positions]

        def nearest(rows: Tensor) -> Tensor:
            alike = torch.einsum("ncp,bcq->bqnp", support[rows], local).flatten(2)
            return alike.topk(LARGEST, -1).values.sum((1, 2))

        own = self.y == self.chosen
        return nearest(own) / 2 - nearest(~own) / 2


def without(score: Callable[[Tensor], Tensor]) -> Tensor:
    """Return how much a score falls if one patch is hidden."""
    masks = torch.cat([torch.ones(1, 16), 1 - torch.eye(16)])
    return score(masks)[:1] - score(masks)[1:]


def among_others(case: Case, draws: int = 32) -> Tensor:
    """Return the mean likeness of masks that show each patch among others."""
    masks = (torch.rand(16, draws, 16) < 0.5).float()
    masks[torch.arange(16), :, torch.arange(16)] = 1
    return case.likeness(masks.flatten(0, 1)).view(16, draws).mean(1)


def occluded(case: Case) -> Tensor:
    """Return how much the probability falls if one patch is hidden."""
    return without(lambda masks: case.why.outcomes(case.prediction, masks[None])[0, :, case.chosen])


def own(case: Case) -> Tensor:
    """Return the values of the shipped explainer."""
    return of_prediction(case.prediction, case.why.explain(case.prediction).values)[0]


METHODS: dict[str, Callable[[Case], Tensor]] = {
    "its own, learned": own,
    "C3A": lambda case: without(case.contrast),
    "ProtoShotXAI": lambda case: without(case.likeness),
    "SINEX": lambda case: case.likeness(torch.eye(16)),
    "SINEXC": among_others,
    "Occlusion": occluded,
    "random": lambda case: torch.rand(16),
}


def areas(case: Case, values: Tensor) -> dict[str, float]:
    """Return the areas under the insertion curve and the deletion curve."""
    curves = mt.measures.insertion_deletion(lambda x: Game(case.probability, 16), case.x, values[None])
    return {"insertion": float(curves.insertion_area), "deletion": float(curves.deletion_area)}


def main() -> None:
    """Measure each method and print one JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    joint, tasks = load_images(WAYS), mt.tasks.Omniglot(ways=WAYS, shots=1, queries=1)
    numbers: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    for episode in mt.episodes.unstack(tasks.test.batch(0, args.tasks, args.seed)):
        support, x = (F.interpolate(part.x, size=(SIZE, SIZE), mode="bilinear") for part in episode[:2])
        with torch.no_grad():
            case = Case(joint, episode.support._replace(x=support), x[:1])
            for name, method in METHODS.items():
                numbers[name].append(areas(case, method(case)))
    for name, lines in numbers.items():
        means: dict[str, Any] = {k: estimate(torch.tensor([line[k] for line in lines]).numpy()) for k in lines[0]}
        print(
            json.dumps(
                {"method": name, "tasks": args.tasks} | {k: str(v) for k, v in means.items()}, ensure_ascii=False
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
