"""Shapley values of few-shot image classifiers in one look, on Omniglot's unseen test characters.

    MAPSTO_DATA=... python benchmarks/few_shot_values.py ProtoNet          or: MAML
    MAPSTO_DATA=... python benchmarks/few_shot_values.py ProtoNet --patch 4

5-way 1-shot, 28 × 28 pixels. The learner is trained first, then `AmortisedShapley` over tasks, with the learner frozen.
One query of each of some test tasks, in probability:

- R² of the values, pooled over rows, patches and classes, to exact ones from all coalitions of the patches with ink
  (`--patch 7`: 4 × 4 patches), or to KernelSHAP with 20,000 coalitions (`--patch 4`: 7 × 7 patches);
- the first number of looks of KernelSHAP with which its squared error is as small, and its time in explanations.
"""

import argparse
import json
import time

import torch
from learned import exact_values, kernel_values
from torch import Tensor

import mapsto as mt
from mapsto.explainers.learned import AmortisedShapley, Patches, Players

WAYS, SIZE, MANY = 5, 28, 20_000
READS = {"blocks.1": 32, "blocks.2": 32}
LEARNERS = {
    "ProtoNet": lambda: mt.learners.PrototypicalNetwork(mt.models.Conv4(hidden=32, norm="layer"), WAYS),
    "MAML": lambda: mt.learners.MAML(
        mt.models.Conv4(hidden=32, norm="layer", outputs=WAYS), lr=0.1, steps=3, zero_head=True
    ),
}


def trained(learner: mt.learners.Learner, tasks: mt.tasks.Tasks, seconds: float) -> int:
    """Train for so many seconds of the processor, and return the number of steps."""
    started = time.process_time()
    for step in mt.train(learner, tasks, 100_000, batch=2, lr=2e-3, clip=10.0):
        if step.step % 50 == 0:
            print(step.step, {key: round(float(value), 4) for key, value in step.metrics.items()}, flush=True)
        if time.process_time() - started > seconds:
            break
    return step.step


def measured(joint: mt.Joint, players: Players, tasks: mt.tasks.Tasks, count: int) -> dict[str, float]:
    """Return the agreement with exact values, and the looks and the time of KernelSHAP for the same error."""
    rows, seconds = [], 0.0
    for task in mt.episodes.unstack(tasks.batch(0, count)):
        state, x = joint.adapt(task.support), task.query.x[:1]
        started = time.perf_counter()
        values = joint.explain(state, x)["why"].values[0]
        seconds += time.perf_counter() - started

        def ask(rows: Tensor, state=state) -> Tensor:
            return joint.predict(state, rows).softmax(-1)

        few = players.count <= 16
        exact = exact_values(ask, x[0], players) if few else kernel_values(ask, x[0], players, MANY)
        rows.append((ask, x[0], values, exact))
    of, exact = (torch.stack(parts) for parts in ([row[2] for row in rows], [row[3] for row in rows]))
    error, spread = (float(part.square().sum()) for part in (of - exact, exact - exact.mean()))
    looks, took = 4 * players.count, 0.0
    while looks < (2**players.count if few else MANY):
        started = time.perf_counter()
        sampled = torch.stack([kernel_values(ask, x, players, looks) for ask, x, *_ in rows])
        took = time.perf_counter() - started
        if float((sampled - exact).square().sum()) <= error:
            break
        looks *= 2
    return {"R2": 1 - error / spread, "KernelSHAP looks": looks, "KernelSHAP time ratio": took / seconds}


def main() -> None:
    """Train, measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learner", choices=LEARNERS)
    parser.add_argument("--patch", type=int, default=7, help="height and width of a patch in pixels")
    parser.add_argument("--seconds", type=float, default=60, help="of the processor, to train the learner")
    parser.add_argument("--explainer-seconds", type=float, default=120, help="of the processor, to train the explainer")
    parser.add_argument("--tasks", type=int, default=16, help="test tasks")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    tasks, players = mt.tasks.Omniglot(WAYS, shots=1, queries=3), Patches((1, SIZE, SIZE), args.patch)
    learner = LEARNERS[args.learner]()
    steps = trained(learner, tasks, args.seconds)
    joint = mt.Joint(learner, {"why": AmortisedShapley(players, reads=READS)}, trains="explainers")
    more = trained(joint, tasks, args.explainer_seconds)
    line = {"learner": args.learner, "players": players.count, "steps": [steps, more]}
    line["accuracy"] = float(mt.evaluate(joint, tasks.test, episodes=100).accuracy.mean)
    print(json.dumps({**line, **measured(joint, players, tasks.test, args.tasks)}), flush=True)


if __name__ == "__main__":
    main()
