"""Accuracy against clarity: what it costs to train a model that is easier to explain.

    python benchmarks/tradeoff.py planted --out runs/tradeoff.jsonl      or: credit.g, spambase, digits, tasks
    python benchmarks/tradeoff.py --out runs/tradeoff.jsonl --report runs/tradeoff.png

Each (case, penalty, weight, seed) appends one JSON line with the accuracy and the clarity on validation and on test
rows. The seed also divides the rows. `--report` chooses, for each case and penalty, the weight with the clearest model
among those that cost at most one point of accuracy on the validation rows (means over seeds). It prints the test
numbers of this weight, and draws all of them.

- `tree`: the mean number of decisions for a held-out row in a tree that imitates the model's classes. It is fitted to
  the training rows (in `tasks`, to other query rows of the task), and its leaves hold at least five rows.
- `hoyer`, `l1`: units of the last hidden layer above one hundredth of its largest activation, mean over rows.
- `stability`, `total variation`: the penalty itself, with noise 0.1.
- `agreement`: the disagreement of learned Shapley values and leave-one-out values, see `mapsto.joint.consensus`. Model
  and explainer are first trained without this penalty, for as many steps.
- `decay`: AdamW's weight decay in place of a penalty; its clarity is the path length of `tree`.

Tables are `MAPSTO_DATA/tables/NAME.csv.gz`; `planted` is a rule of two columns with 10 % wrong labels, `tasks` are
two-class tasks with curved log-odds for MAML.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor, nn
from tradeoff_report import report

import mapsto as mt
from mapsto.episodes import Episode, unstack
from mapsto.explainers.learned import AmortisedShapley, Columns, LeaveOneOut, Patches, Players
from mapsto.joint.consensus import disagreement
from mapsto.learners import MAML, Fixed, Learner, Regularised
from mapsto.penalties import Sparsity, Stability, TotalVariation, TreeLikeness
from mapsto.penalties.penalty import AdaptedModel, Penalty

Clarity = Callable[[Learner, Episode, Tensor], float]  # arguments: learner, held-out task, rows to fit a tree to


class Case(NamedTuple):
    """The tasks of a case, the learner of a body, a new body with this activation, and how to train it."""

    tasks: mt.tasks.Tasks
    learner: Callable[[nn.Module], Learner]
    body: Callable[[str], nn.Module]
    layer: str
    players: Players
    training: dict[str, Any]


def planted(seed: int) -> Case:
    """Return a table of six columns whose class is x₁ > 0 and x₂ > −0.3, with 10 % wrong labels."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4000, 6, generator=generator)
    wrong = torch.rand(4000, generator=generator) < 0.1
    return of_table(x.numpy(), (((x[:, 0] > 0) & (x[:, 1] > -0.3)) ^ wrong).long().numpy(), seed)


def stored(name: str, seed: int) -> Case:
    """Return a stored table with standardised columns; categories become columns of 0 and 1."""
    table = pd.read_csv(Path(os.environ["MAPSTO_DATA"]) / "tables" / f"{name}.csv.gz")
    columns = pd.get_dummies(table.drop(columns="target")).astype(float)
    columns = columns.fillna(columns.median())
    x = ((columns - columns.mean()) / columns.std().clip(lower=1e-9)).clip(-4, 4)
    return of_table(x.to_numpy(), pd.factorize(table["target"], sort=True)[0], seed)


def of_table(x: np.ndarray, y: np.ndarray, seed: int) -> Case:
    """Return a multi-layer perceptron for a table."""
    tasks = mt.tasks.Minibatches(x, y, size=800, splits=(0.6, 0.2, 0.2), seed=seed)
    body = partial(mt.models.MLP, x.shape[1], 64, 64, int(y.max()) + 1)
    training = {"steps": 400, "batch": 1, "lr": 3e-3, "schedule": "cosine"}
    return Case(tasks, Fixed, lambda activation: body(activation=activation), "3", Columns(x.shape[1]), training)


def digits(seed: int) -> Case:
    """Return a small convolutional network for handwritten digits of 8 × 8 pixels."""
    x, y = load_digits(return_X_y=True)
    tasks = mt.tasks.Minibatches(x.reshape(-1, 1, 8, 8) / 16, y, size=128, splits=(0.6, 0.2, 0.2), seed=seed)

    def body(activation: str) -> nn.Module:
        act = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
        maps = (nn.Conv2d(1, 16, 3, padding=1), act(), nn.Conv2d(16, 32, 3, padding=1, stride=2), act())
        return nn.Sequential(*maps, nn.Flatten(), nn.Linear(512, 64), act(), nn.Linear(64, 10))

    training = {"steps": 300, "batch": 1, "lr": 3e-3, "schedule": "cosine"}
    return Case(tasks, Fixed, body, "6", Patches((1, 8, 8), 2), training)


def logistic(seed: int) -> Case:
    """Return two-class tasks for MAML."""
    tasks = mt.tasks.Logistic(shots=20, queries=100, curvature=1.0)
    learner = partial(MAML, lr=0.3, steps=3)
    training = {"steps": 150, "batch": 8, "lr": 3e-3, "schedule": "cosine"}
    return Case(
        tasks, learner, lambda activation: mt.models.MLP(2, 32, 2, activation=activation), "1", Columns(2), training
    )


CASES: dict[str, Callable[[int], Case]] = {
    "planted": planted,
    "credit.g": partial(stored, "credit.g"),
    "spambase": partial(stored, "spambase"),
    "digits": digits,
    "tasks": logistic,
}
WEIGHTS: dict[str, tuple[float, ...]] = {
    "tree": (0.0, 1.0, 2.0, 4.0, 8.0, 16.0),
    "decay": (0.0, 1.0, 3.0, 10.0),
    "hoyer": (0.0, 0.03, 0.1, 0.3, 1.0),
    "l1": (0.0, 0.03, 0.1, 0.3, 1.0),
    "stability": (0.0, 0.1, 0.3, 1.0, 3.0),
    "agreement": (0.0, 0.1, 0.3, 1.0),
    "total variation": (0.0, 0.03, 0.1, 0.3, 1.0),
}
OF_CASE = {"digits": ("hoyer", "l1", "stability", "total variation"), "tasks": ("tree", "hoyer")}
OF_TABLES = ("tree", "decay", "hoyer", "l1", "stability", "agreement")


def path(learner: Learner, task: Episode, rows: Tensor) -> float:
    """Return the mean number of decisions in a tree that imitates the model's classes and is fitted to `rows`."""
    classes = adapted(learner, task).scores(rows).argmax(1)
    tree = DecisionTreeClassifier(min_samples_leaf=5, random_state=0).fit(rows.numpy(), classes.numpy())
    return float(tree.decision_path(task.query.x.numpy()).sum(1).mean() - 1)


def active(layer: str, learner: Learner, task: Episode, rows: Tensor) -> float:
    """Return the number of units of a layer above one hundredth of its largest activation, averaged over rows."""
    size = adapted(learner, task).layer(task.query.x, layer).flatten(1).abs()
    return float((size > 0.01 * size.max()).double().sum(1).mean())


def measured(penalty: Penalty, learner: Learner, task: Episode, rows: Tensor) -> float:
    """Return the penalty itself, with the same random changes of the rows for every model."""
    torch.manual_seed(0)
    return float(penalty(adapted(learner, task), task.query.x, task.query.w))


def disagree(learner: Learner, task: Episode, rows: Tensor) -> float:
    """Return the mean disagreement of the explainers of a `Joint`."""
    assert isinstance(learner, mt.Joint)
    prediction = learner.prediction(learner.adapt_to(task), task.query.x)
    importances = [explainer.importance(prediction) for explainer in learner.player_explainers.values()]
    return float(task.query.w @ disagreement(importances))


def adapted(learner: Learner, task: Episode) -> AdaptedModel:
    """Return the model that the learner adapts to a task."""
    state = learner.adapt_to(task)
    return AdaptedModel(partial(learner.features, state), partial(learner.predict, state))


def built(case: Case, penalty: str, weight: float) -> tuple[Learner, Clarity, dict[str, Any]]:
    """Return the learner with its penalty, the measure of clarity, and the options of its training."""
    options = case.training | ({"weight_decay": weight} if penalty == "decay" else {})
    learner = case.learner(case.body("tanh" if penalty in ("stability", "total variation") else "relu"))
    if penalty == "agreement":
        learned = AmortisedShapley(case.players, 2, coalitions=2, width=16, depth=1, heads=2)
        explainers = {"learned": learned, "posthoc": LeaveOneOut(case.players)}
        return mt.Joint(learner, explainers, candour=1.0, agreement=weight), disagree, options
    kinds: dict[str, tuple[Penalty, Clarity]] = {
        "tree": (TreeLikeness(8), path),
        "decay": (TreeLikeness(8), path),
        "hoyer": (Sparsity(case.layer), partial(active, case.layer)),
        "l1": (Sparsity(case.layer, "l1"), partial(active, case.layer)),
        "stability": (Stability(0.1), partial(measured, Stability(0.1))),
        "total variation": (TotalVariation(), partial(measured, TotalVariation())),
    }
    chosen, clarity = kinds[penalty]
    return Regularised(learner, chosen, 0.0 if penalty == "decay" else weight), clarity, options


def held_out(case: Case, split: str) -> list[tuple[Episode, Tensor]]:
    """Return a split as one task, with the training rows; or 50 tasks, each with half of its query rows set apart."""
    if isinstance(case.tasks, mt.tasks.Minibatches):
        return [(whole(case.tasks, split), whole(case.tasks, "train").query.x)]
    tasks = unstack(getattr(mt.tasks.Logistic(shots=20, queries=1000, curvature=1.0), split).batch(0, 50))
    return [(t._replace(query=mt.Examples(*(part[:500] for part in t.query))), t.query.x[500:]) for t in tasks]


def whole(tasks: mt.tasks.Minibatches, split: str) -> Episode:
    """Return all rows of a split as one task."""
    x, y = tasks.x[tasks.rows[split]], tasks.y[tasks.rows[split]]
    return Episode(mt.examples(x[:0], y[:0]), mt.examples(x, y))


def judged(learner: Learner, clarity: Clarity, tasks: list[tuple[Episode, Tensor]]) -> dict[str, float]:
    """Return the accuracy in % and the clarity, averaged over tasks."""
    learner.eval().requires_grad_(False)
    right = [(adapted(learner, t).scores(t.query.x).argmax(1) == t.query.y).double().mean() for t, _ in tasks]
    return {
        "accuracy": 100 * float(torch.stack(right).mean()),
        "clarity": float(np.mean([clarity(learner, task, rows) for task, rows in tasks])),
    }


def consume(steps: Iterable[object]) -> None:
    """Train to the end."""
    for _ in steps:
        pass


def run(name: str, penalty: str, weight: float, seed: int) -> dict[str, Any]:
    """Train and measure one model."""
    torch.manual_seed(seed)
    case = CASES[name](seed)
    learner, clarity, options = built(case, penalty, weight)
    if isinstance(learner, mt.Joint):
        learner.agreement = 0.0  # reasons that have not been learned yet cannot agree
        consume(mt.train(learner, case.tasks, seed=seed, **options))
        learner.agreement = weight
    consume(mt.train(learner, case.tasks, seed=seed, **options))
    results = {split: judged(learner, clarity, held_out(case, split)) for split in ("validation", "test")}
    return {"case": name, "penalty": penalty, "weight": weight, "seed": seed, **results}


def main() -> None:
    """Measure what the command line names, or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES, nargs="?")
    parser.add_argument("--penalties", nargs="*", choices=WEIGHTS, help="all that fit the case by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/tradeoff.jsonl"))
    parser.add_argument("--report", type=Path, help="PNG file to draw")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.report:
        report(arguments.out, arguments.report)
        return
    for penalty in arguments.penalties or OF_CASE.get(arguments.case, OF_TABLES):
        for weight in WEIGHTS[penalty]:
            for seed in range(arguments.seeds):
                line = json.dumps(run(arguments.case, penalty, weight, seed))
                print(line, flush=True)
                with arguments.out.open("a") as out:
                    out.write(line + "\n")


if __name__ == "__main__":
    main()
