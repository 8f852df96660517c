"""Which two columns act together: interactions on a table where exactly one pair does.

    OMP_NUM_THREADS=1 python benchmarks/reasons_pairs.py

`Planted` syn1, whose label is the sign of the product of two of 11 columns; 2,048 teaching rows, 32 explained rows of
each of three tables, the score being how far class 1 is ahead. A method gives each of the 55 pairs a value; its size is
held against the one pair that makes the label: AUROC a row, and how often that pair is the first (mean over rows and
tables ± 95 % interval over tables). The rivals know nothing of pairs: the product of both columns' Shapley values, and
of their inputs; the mixed second derivative knows, of the point alone, and is 0 all over a network of ReLUs.
"""

import numpy as np
import torch
from reasons import FAMILIES, READERS, TABLES, Case, Method, hidden, read
from torch import Tensor
from torch.func import hessian, vmap

import mapsto as mt
from mapsto.explainers import Shapley, ShapleyInteractions

ROWS = 32


def products_of_values(case: Case) -> Tensor:
    """Return the product of what either column gave."""
    values = hidden(Shapley())(case)
    return values[:, :, None] * values[:, None, :]


METHODS: dict[str, Method] = {
    "random": lambda case: torch.rand(*case.x.shape, case.x.shape[1], generator=torch.Generator().manual_seed(0)),
    "product of the inputs": lambda case: case.x[:, :, None] * case.x[:, None, :],
    "product of Shapley values": products_of_values,
    "mixed second derivative": lambda case: vmap(hessian(case.view), chunk_size=16)(case.x),
    "ShapleyInteractions, 8 orders": hidden(ShapleyInteractions(8)),
    "ShapleyInteractions, exact": hidden(ShapleyInteractions()),
}


def main() -> None:
    """Print a row a method, for each learner."""
    print("| learner | method | AUROC of the pair | it is the first |\n|---|---|---|---|")
    for name in ("MAML", "ProtoNet"):
        cases = [read(READERS[name], FAMILIES["syn1"], table) for table in range(TABLES)]
        for method, values in METHODS.items():
            found = np.array([judged(values(case._replace(x=case.x[:ROWS])), truth[:ROWS]) for case, _, truth in cases])
            auroc, first = (mt.measures.estimate(column) for column in found.T)
            print(f"| {name} | {method} | {auroc} | {first} |", flush=True)


def judged(values: Tensor, truth: Tensor) -> tuple[float, float]:
    """Return the mean AUROC of the pair of columns `truth` `[n, d]`, and how often it is the first of the largest."""
    i, j = torch.triu_indices(values.shape[1], values.shape[2], 1)
    sizes, pairs = values[:, i, j].abs().double(), truth[:, i] & truth[:, j]  # [n, p]
    assert (pairs.sum(1) == 1).all()
    first = sizes.argmax(1) == pairs.float().argmax(1)
    return float(mt.measures.auroc(sizes, pairs).mean()), float(first.double().mean())


if __name__ == "__main__":
    main()
