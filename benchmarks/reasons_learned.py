"""Planted columns in one look: an explainer network trained over tasks beside the methods of `reasons.py`.

    python benchmarks/reasons_learned.py --families syn1 syn2 syn3

The prototypes, the tables, the explained rows and the truth are those of `reasons.py`. For each rule,
`AmortisedShapley` is trained on other tasks of the rule, with columns in another order in each task, for so many
steps. On an unseen table it asks the model about three rows for each explanation (all columns, no column, and the row
itself), and at four points between the mean row of the support set and the row, with a gradient of each class. AUROC
of the sizes of the values, mean over tables ± 95 % interval.
"""

import argparse
import json

import numpy as np
import torch
from reasons import FAMILIES, READERS, TABLES, Case, Counted, judged, read, told
from torch import Tensor
from torch.func import vmap

import mapsto as mt
from mapsto.explainers.learned import AmortisedShapley, Columns

COLUMNS, EMBEDDED, POINTS, CLASSES = 11, 88, 4, 2


def trained(rule: str, steps: int) -> mt.Joint:
    """Return the prototypes with an explainer that was trained on other tasks."""
    torch.manual_seed(0)
    reader = READERS["ProtoNet"]
    why = AmortisedShapley(Columns(COLUMNS, "support"), reads={"embedding": EMBEDDED}, coalitions=32, slopes=POINTS)
    joint = mt.Joint(reader.make(COLUMNS).requires_grad_(False), {"why": why}, trains="explainers")
    tasks = mt.tasks.Planted(rule, shots=reader.taught, queries=16, sharpness=float("inf"))
    for step in mt.train(joint, tasks, steps, batch=2, lr=2e-3, schedule="cosine", warmup=20, clip=10.0):
        if step.step % 100 == 0:
            print(rule, step.step, {key: round(float(v), 4) for key, v in step.metrics.items()}, flush=True)
    return joint


def main() -> None:
    """Train and measure, and print one JSON line for each rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=[f"syn{i}" for i in range(1, 7)], default=["syn1", "syn2"])
    parser.add_argument("--steps", type=int, default=1000, help="to train each explainer")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for rule in args.families:
        joint = trained(rule, args.steps)

        def learned(case: Case, joint: mt.Joint = joint) -> Tensor:
            Counted.asked += (3 + POINTS * (1 + CLASSES)) * len(case.x)
            reasons = joint.explain(joint.adapt(case.support), case.x)["why"]
            return vmap(vmap(case.link))(reasons.values)

        cases = [read(READERS["ProtoNet"], FAMILIES[rule], table) for table in range(TABLES)]
        auroc, asked, seconds = np.array([judged(learned, case, truth) for case, _, truth in cases]).T
        line = {"rule": rule, "AUROC": told(list(auroc)), "asked a row": asked.mean(), "seconds a row": seconds.mean()}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
