"""Explanations carried to new tasks: an explainer that learned over tasks beside one that learns on the new task alone.

    python benchmarks/transfer.py syn2 --seed 0          or: syn1, syn3

A prototypical network of products reads 512 rows of a planted table, whose columns are permuted in each task.
`AmortisedShapley` is trained over tasks in two ways: to explain as it is, and to explain after a few steps on ten rows
of the task (`mt.joint.Tuning`). On unseen tasks, R² to the exact Shapley values (2,048 looks) of

- as is: the explainer that learned over tasks, in one look;
- adapted: the explainer that learned over tasks for these steps, after the steps;
- alone: a new explainer, trained on ten rows of this task until it equals the first, or until the time is over. Its
  best R² counts.
"""

import argparse
import copy
import json
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.episodes import Episode, Examples, unstack
from mapsto.explainers.learned import AmortisedShapley, Columns
from mapsto.explainers.learned.explainer import LearnedExplainer, Prediction

COLUMNS, TAUGHT, ROWS = 11, 512, 10
TUNING = mt.joint.Tuning(steps=5, lr=0.05, minibatch=ROWS)


class Products(nn.Module):
    """Each column, its absolute value, and all products of two columns."""

    def forward(self, x: Tensor) -> Tensor:
        """Expand rows `[n, d]`."""
        i, j = torch.triu_indices(x.shape[-1], x.shape[-1])
        return torch.cat([x, x.abs(), x[..., i] * x[..., j]], -1)


class Task(NamedTuple):
    """One unseen task: predictions of ten rows to learn from, and of rows to explain, with their exact values."""

    lesson: Prediction
    rows: Examples
    unseen: Prediction
    exact: Tensor


def new(seed: int, tuning: mt.joint.Tuning | None = None) -> mt.Joint:
    """Return the learner with a new explainer."""
    torch.manual_seed(seed)
    channels = COLUMNS * (COLUMNS + 5) // 2
    learner = mt.learners.PrototypicalNetwork(nn.Sequential(Products(), nn.Linear(channels, 64, bias=False)), ways=2)
    why = AmortisedShapley(Columns(COLUMNS), reads={"0": channels, "1": 64}, width=64, depth=2, coalitions=8)
    return mt.Joint(learner, {"why": why}, tuning=tuning)


def r2(explainer: LearnedExplainer, task: Task) -> float:
    """Return R² of the explainer's values to the exact values."""
    with torch.no_grad():
        values = explainer.explain(task.unseen).values
    return 1 - float((values - task.exact).square().sum() / (task.exact - task.exact.mean()).square().sum())


def prepared(joint: mt.Joint, episode: Episode, explained: int) -> Task:
    """Adapt the learner to a task, and compute the exact values."""
    support, query = episode.support, episode.query
    with torch.no_grad():
        state = joint.adapt(support)
    view = mt.views.query(joint, support, link=lambda scores: scores.softmax(-1))
    exact = mt.explainers.Shapley(chunk_size=4096)
    values = torch.stack([exact(mt.views.game(view, x)).float() for x in query.x[:explained]])
    rows = Examples(support.x[:ROWS], support.y[:ROWS], torch.full((ROWS,), 1 / ROWS))
    with torch.no_grad():
        return Task(joint.prediction(state, rows.x), rows, joint.prediction(state, query.x[:explained]), values)


def alone(seed: int, task: Task, aim: float, limit: float) -> tuple[float, float]:
    """Train a new explainer on the rows of one task; return its best R², and the seconds until it reached the aim."""
    explainer = new(seed).explainers["why"]
    optimizer = torch.optim.Adam(explainer.parameters(), lr=2e-3)
    best, started, steps = -np.inf, time.process_time(), 0
    while best < aim and time.process_time() - started < limit:
        loss, _ = explainer.loss(task.lesson, task.rows.y, task.rows.w)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        explainer.steps += 1
        steps += 1
        if steps % 20 == 0:
            best = max(best, r2(explainer, task))
    return best, time.process_time() - started if best >= aim else np.inf


def adapted(joint: mt.Joint, task: Task) -> LearnedExplainer:
    """Return the explainer after the steps on the rows of one task."""
    explainer = copy.deepcopy(joint.explainers["why"])
    torch.manual_seed(0)
    with torch.no_grad():
        explainer.load_state_dict(TUNING(explainer, lambda rows: task.lesson, task.rows), strict=False)
    return explainer


def main() -> None:
    """Train over tasks, measure on unseen tasks, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=["syn1", "syn2", "syn3"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1500, help="training steps over tasks")
    parser.add_argument("--tasks", type=int, default=50, help="unseen tasks")
    parser.add_argument("--explained", type=int, default=8, help="rows of each unseen task that are explained")
    parser.add_argument("--limit", type=float, default=15.0, help="processor seconds of training on one task alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tasks = mt.tasks.Planted(args.rule, shots=TAUGHT, queries=16, sharpness=float("inf"))
    trained = []
    for tuning in (None, TUNING):
        joint = new(args.seed, tuning)
        started = time.process_time()
        for step in mt.train(joint, tasks, steps=args.steps, batch=4, lr=1.5e-3, schedule="cosine", seed=args.seed):
            if step.step % 100 == 0:
                print(step.step, {k: round(float(v), 4) for k, v in step.metrics.items()}, flush=True)
        print(json.dumps({"tuning": tuning is not None, "minutes": (time.process_time() - started) / 60}), flush=True)
        trained.append(joint)
    lines = []
    for index, episode in enumerate(unstack(tasks.test.batch(0, args.tasks))):
        task = prepared(trained[0], episode, args.explained)
        as_is = r2(trained[0].explainers["why"], task)
        best, seconds = alone(args.seed + index, task, as_is, args.limit)
        tuned = r2(adapted(trained[1], task), task)
        untuned = r2(adapted(trained[0], task), task)
        lines.append([as_is, tuned, untuned, best, seconds])
    of = np.array(lines)
    names = ("as is", "adapted", "as is, then adapted", "alone", "seconds")
    medians = {name: float(np.median(column)) for name, column in zip(names, of.T, strict=True)}
    better = float((of[:, 0] > of[:, 3]).mean())
    print(json.dumps({"rule": args.rule, "seed": args.seed, "median": medians, "as is better than alone": better}))


if __name__ == "__main__":
    main()
