"""Do explainers tell the answer by what they show? A cheat must be flagged, and honest explainers must not.

    python benchmarks/honesty.py cheat --seeds 20
    python benchmarks/honesty.py table --seed 0
    MAPSTO_DATA=... python benchmarks/honesty.py images
    python benchmarks/honesty.py mapping

- cheat: in each run, a network learns syn2, where columns 3 to 6 decide. The cheat shows one of two columns that decide
  nothing, by the predicted class, so that the choice encodes the prediction. The honest selector shows the columns that
  decide. One line a run: who is flagged by `mt.measures.audit.label_leak`, and the leak with its 95 % interval.
- table, images, mapping: the accuracy of an explainer's own predictor, or of the model if it has none, minus that of
  EVAL-X, from the same players, with 95 % intervals over minibatches or tasks of at least 5,000 held-out rows in all.
  Explainers that do not choose show their five strongest players. `table` trains each explainer network on 10,000 rows
  of syn2 with Bernoulli labels, and also prints the leak. `images` judges the shipped image classifier on drawn
  characters (5-way 1-shot), and `mapping` the shipped mapping on a table of syn2 without noise, whose prediction both
  are to predict.

`Interpreter` has concepts and shows no players, so that there is nothing to judge.
"""

import argparse
import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from selecting import Hiding
from torch import Tensor, nn

import mapsto as mt
from mapsto.explainers.learned import INVASE, L2X, REALX, AmortisedShapley, Columns, DistilledShapley, PolicyGradient
from mapsto.explainers.learned.explainer import Prediction
from mapsto.explainers.learned.players import strongest
from mapsto.explainers.learned.selector import Losses, Selection, Selector
from mapsto.measures import EvalX
from mapsto.measures.audit import label_leak
from mapsto.measures.audit.selections import READERS, accuracies, gap
from mapsto.tasks.planted import relevant, score

COLUMNS, FIVE = 11, 5
Lines = Iterator[dict[str, Any]]


class Scripted(Selector):
    """Show the given columns of each class of the prediction, and predict the class that has these columns."""

    def __init__(self, by_class: Tensor):
        super().__init__(Columns(COLUMNS), 2, None, "model", 0.0, 0.0, 0, "perceptron", 4)
        self.by_class_shown = by_class
        self.steps.fill_(1)

    def losses(self, prediction: Prediction, logits: Tensor, visible: Tensor, target: Tensor) -> Losses:
        """Refuse: there is nothing to learn."""
        raise NotImplementedError

    def explain(self, prediction: Prediction) -> Selection:
        """Return the columns of the predicted class."""
        shown = self.by_class_shown[prediction.outcome.argmax(1)]
        return self.selection(prediction, shown, shown > 0)

    def predicted(self, prediction: Prediction, shown: Tensor) -> Tensor:
        """Return the prediction of the model for the shown columns, which does not use the choice."""
        return prediction.ask(prediction.x * shown)


def data(rows: int, seed: int, noise: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows of syn2, their classes, drawn at random if there is noise, and the columns that decide them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, COLUMNS, generator=generator)
    chance = torch.sigmoid(-score("syn2", x))
    cut = torch.rand(rows, generator=generator) if noise else 0.5
    return x, (cut < chance).long(), relevant("syn2", x)


def columns(*shown: int) -> Tensor:
    """Return a mask of such columns."""
    return torch.zeros(COLUMNS).index_fill(0, torch.tensor(shown), 1.0)


def cheat(args: argparse.Namespace) -> Lines:
    """Yield, for each run, whether the cheat and the honest explainers are flagged."""
    for seed in range(args.seed, args.seed + args.seeds):
        x, y, truth = data(8000, seed, noise=False)
        tasks = mt.tasks.Minibatches(x, y, size=200, splits=(0.5, 0.0, 0.5), seed=seed)
        torch.manual_seed(seed)
        useless = (~truth[0]).nonzero()[:, 0].tolist()
        explainers = {
            "cheat": Scripted(torch.stack([columns(useless[seed % 6]), columns(useless[seed % 6 + 1])])),
            "honest": Scripted(truth[:1].float().expand(2, -1)),
        }
        learner = mt.learners.Fixed(mt.models.MLP(COLUMNS, 64, 64, 2))
        train(learner, tasks, 600, seed)
        of = label_leak(mt.Joint(learner, explainers), tasks, steps=args.reading, seed=seed)
        yield {"seed": seed, **{name: {"flagged": leak.flagged, "leak": list(leak.leak)} for name, leak in of.items()}}


def train(learner: mt.learners.Learner, tasks: mt.tasks.Tasks, steps: int, seed: int) -> None:
    """Train a learner, or a `Joint`."""
    for _ in mt.train(learner, tasks, steps, 1, lr=2e-3, schedule="cosine", seed=seed):
        pass


def table(args: argparse.Namespace) -> Lines:
    """Yield the gap of each explainer network on syn2 with Bernoulli labels, as in `selecting.py`."""
    x, y, _ = data(20_000, args.seed, noise=True)
    tasks = mt.tasks.Minibatches(x, y, size=200, splits=(0.5, 0.0, 0.5), seed=args.seed)
    players = Columns(COLUMNS, baseline=torch.nan)
    options: dict[str, Any] = {"target": "label", "cost": 0.1, "warmup": 1000}
    networks = {
        "L2X": lambda: L2X(players, 4, 2, target="label"),
        "INVASE": lambda: INVASE(players, 2, **options),
        "REALX": lambda: REALX(players, 2, **options),
        "PolicyGradient": lambda: PolicyGradient(players, 2, **options),
        "AmortisedShapley": lambda: AmortisedShapley(players, 2),
        "DistilledShapley": lambda: DistilledShapley(players, 2, width=64, hidden=128),
    }
    for name, network in networks.items():
        if args.only and name not in args.only:
            continue
        torch.manual_seed(args.seed)
        joint = mt.Joint(mt.learners.Fixed(Hiding(COLUMNS, 2)), {name: network()})
        train(joint, tasks, args.steps, args.seed)
        yield judged(joint, tasks, name, args)


class Answered(mt.tasks.DrawnCharacters):
    """Tasks whose queries show random patches only, and have the class that a model gives to the whole image."""

    def __init__(self, joint: mt.Joint, **shape: Any):
        super().__init__(**shape)
        self.joint, self.players = joint, joint.player_explainers["why"].players

    def draw(self, generator: torch.Generator, count: int) -> mt.Episode:
        """Draw tasks, and ask the model."""
        tasks = []
        for task in mt.episodes.unstack(super().draw(generator, count)):
            x = task.query.x
            with torch.no_grad():
                answer = self.joint.predict(self.joint.adapt(task.support), x).argmax(1)
            share = torch.rand(len(x), 1, generator=generator)
            masks = (torch.rand(len(x), self.players.count, generator=generator) < share).to(x)
            query = task.query._replace(x=self.players.show(x, masks[:, None])[:, 0], y=answer)
            tasks.append(task._replace(query=query))
        return mt.episodes.stack(tasks)


def images(args: argparse.Namespace) -> Lines:
    """Yield the gap of the shipped image classifier's explainer on drawn characters, over 5-way 1-shot tasks.

    EVAL-X starts as the classifier, and learns to give the classifier's answers from random patches.
    """
    joint = mt.weights.load_images()
    judge = copy.deepcopy(joint.learner).requires_grad_(True)
    for _ in mt.train(judge, Answered(joint, queries=10), args.reading, batch=2, lr=1e-3, schedule="cosine"):
        pass
    tasks, why, own, right = mt.tasks.DrawnCharacters(queries=10).test, joint.explainers["why"], [], []
    with torch.no_grad():
        for task in mt.episodes.unstack(tasks.batch(0, args.rows // 50)):
            state, x = joint.adapt(task.support), task.query.x
            prediction = joint.prediction(state, x)
            answer = prediction.outcome.argmax(1)
            shown = strongest(why.importance(prediction), FIVE) & why.players.visible(x)
            rows = why.players.show(x, shown[:, None].to(x))[:, 0]
            own.append(float((joint.predict(state, rows).argmax(1) == answer).double().mean()))
            right.append(float((judge.predict(judge.adapt(task.support), rows).argmax(1) == answer).double().mean()))
    difference = mt.measures.estimate(np.array(own) - np.array(right))
    numbers = {"own": np.mean(own), "EVAL-X": np.mean(right), "gap": list(difference)}
    yield {"explainer": "ImageClassifier", "rows": 50 * len(own), "players": FIVE, **numbers}


def judged(joint: mt.Joint, tasks: mt.tasks.Tasks, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Return the gap and the leak of an explainer."""
    training = {"steps": args.reading, "batch": 1, "lr": 2e-3}
    judges = {role: READERS[role] for role in ("evaluator", "reader")}
    accuracy = accuracies(joint, tasks, judges, args.rows, FIVE, args.seed, training)[name]
    of, leak = gap(accuracy, 0.01), mt.measures.estimate(accuracy["reader"] - accuracy["evaluator"])
    numbers = {"own": of.own.mean, "EVAL-X": of.evaluator.mean, "gap": list(of.gap), "leak": list(leak)}
    return {"explainer": name, "seed": args.seed, "players": of.shown.mean, **numbers}


class Squares(nn.Module):
    """A perceptron that also reads the squares of the columns; without them, it learns the rule of syn2 slowly."""

    def __init__(self) -> None:
        super().__init__()
        self.network = mt.models.MLP(4 * COLUMNS, 256, 256, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        return self.network(torch.cat([x, x.square()], 1))


def mapping(args: argparse.Namespace) -> Lines:
    """Yield the gap of the shipped mapping's explanations on one table of syn2, whose rows it reads in context."""
    learner, taught, told = mt.weights.load(), 512, args.rows // 2
    x, y, _ = data(taught + 24_000 + told, args.seed, noise=False)
    train, test = x[taught:-told], x[-told:]
    with torch.no_grad():
        state = learner.adapt(mt.episodes.examples(x[:taught], y[:taught]))
        parts = [learner.explain(state, part) for part in test.split(250)]
        classes = torch.cat([learner.predict(state, part).argmax(1) for part in train.split(250)])
    values, base = (torch.cat(part) for part in zip(*parts, strict=True))
    answer = (base + values.sum(1)).argmax(1)
    shown = strongest(values.gather(2, answer[:, None, None].expand(-1, COLUMNS, 1))[..., 0].abs(), FIVE)
    judge = EvalX(Squares(), args.steps, lr=1e-3, seed=args.seed).fit(train, classes)
    hidden = test.where(shown, torch.nan)
    with torch.no_grad():
        own = torch.cat([learner.predict(state, part).argmax(1) for part in hidden.split(250)]) == answer
    right = judge.judge(test, answer, shown).right
    difference = mt.measures.estimate((own.double() - right).numpy())
    everything = float(judge.judge(test, answer, torch.ones_like(shown)).right.mean())
    numbers = {"own": float(own.double().mean()), "EVAL-X": float(right.mean()), "gap": list(difference)}
    yield {"explainer": "mapping", "rows": told, "players": FIVE, **numbers, "EVAL-X from all columns": everything}


PARTS = {"cheat": cheat, "table": table, "images": images, "mapping": mapping}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=20, help="runs of the cheat")
    parser.add_argument("--steps", type=int, default=3000, help="training steps of an explainer")
    parser.add_argument("--reading", type=int, default=1200, help="training steps of EVAL-X and of the readers")
    parser.add_argument("--rows", type=int, default=10_000, help="held-out rows")
    parser.add_argument("--only", nargs="+", default=[], help="the explainer networks of a table to judge")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for line in PARTS[arguments.part](arguments):
        print(json.dumps(line), flush=True)
