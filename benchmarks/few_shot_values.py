"""Shapley values of few-shot image classifiers in one look, on Omniglot's unseen characters.

    MAPSTO_DATA=... python benchmarks/few_shot_values.py ProtoNet          or: MAML
    MAPSTO_DATA=... python benchmarks/few_shot_values.py ProtoNet --patch 4

5-way 1-shot, 28 × 28 pixels. The learner is trained first, then `AmortisedShapley` over tasks. If `--candour` is above
0, the learner goes on learning with it, and becomes easier to explain; else it is frozen. The accuracies are those of
the learner before and after this second training. One query of each of some unseen tasks, in probability:

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
READS = {"blocks.2": 32}


def body(outputs: int | None = None) -> mt.models.Conv4:
    """Return a Conv4 with strides, of which a look costs a tenth of one with max pooling."""
    return mt.models.Conv4(hidden=32, norm="none", pooling="stride", outputs=outputs)


LEARNERS = {
    "ProtoNet": lambda: mt.learners.PrototypicalNetwork(body(), WAYS),
    "MAML": lambda: mt.learners.MAML(body(WAYS), lr=0.1, steps=3, zero_head=True),
}


def trained(learner: mt.learners.Learner, tasks: mt.tasks.Tasks, steps: int) -> float:
    """Train, and return the seconds of the processor that it took."""
    started = time.process_time()
    for step in mt.train(learner, tasks, steps, batch=2, lr=2e-3, schedule="cosine", warmup=20, clip=10.0):
        if step.step % 50 == 0:
            print(step.step, {key: round(float(value), 4) for key, value in step.metrics.items()}, flush=True)
    return time.process_time() - started


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


def accuracy(learner: mt.learners.Learner, tasks: mt.tasks.Tasks) -> float:
    """Return the mean accuracy over 200 tasks."""
    return float(mt.evaluate(learner, tasks, episodes=200).accuracy.mean)


def main() -> None:
    """Train, measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learner", choices=LEARNERS)
    parser.add_argument("--patch", type=int, default=7, help="height and width of a patch in pixels")
    parser.add_argument("--steps", type=int, default=1500, help="of the learner alone")
    parser.add_argument("--explainer-steps", type=int, default=600)
    parser.add_argument("--candour", type=float, default=0.0, help="see `mt.Joint`")
    parser.add_argument("--slopes", type=int, default=4, help="see `AmortisedShapley`")
    parser.add_argument("--coalitions", type=int, default=16, help="of each row, in a step")
    parser.add_argument("--tasks", type=int, default=16, help="unseen tasks")
    parser.add_argument("--part", choices=["validation", "test"], default="test", help="the characters to measure on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    tasks, players = mt.tasks.Omniglot(WAYS, shots=1, queries=3), Patches((1, SIZE, SIZE), args.patch)
    learner, unseen = LEARNERS[args.learner](), getattr(tasks, args.part)
    seconds = [trained(learner, tasks, args.steps)]
    trains = "both" if args.candour else "explainers"
    why = AmortisedShapley(players, reads=READS, coalitions=args.coalitions, slopes=args.slopes)
    joint = mt.Joint(learner, {"why": why}, trains=trains, candour=args.candour)
    before = accuracy(learner, unseen)
    seconds.append(trained(joint, tasks, args.explainer_steps))
    line = {**vars(args), "players": players.count, "seconds": seconds, "accuracies": [before, accuracy(joint, unseen)]}
    print(json.dumps({**line, **measured(joint, players, unseen, args.tasks)}), flush=True)


if __name__ == "__main__":
    main()
