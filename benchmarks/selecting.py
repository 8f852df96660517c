"""Selectors on the six rules of Chen et al. 2018 and Yoon et al. 2019, whose relevant columns are known.

    python benchmarks/selecting.py syn1 --seed 0

10,000 training rows of 11 columns with Bernoulli labels, 10,000 test rows. For each selector, over the test rows:

- TPR: the mean fraction of the relevant columns that are selected; FDR: of the selected columns that are irrelevant;
- the accuracy of the selector's own predictor from the selected columns, and that of EVAL-X from the same columns;
- AUROC of EVAL-X.

The selectors are trained to predict the labels, as published, or the model's prediction (`--target model`). The model
that policy gradient asks is trained with random hidden columns. L2X selects as many columns as decide; the others
choose the number.
"""

import argparse
import json
import time
from typing import get_args

import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.explainers.learned import INVASE, L2X, REALX, Columns, PolicyGradient
from mapsto.explainers.learned.explainer import Target
from mapsto.measures import EvalX
from mapsto.tasks.planted import Rule, relevant, score

ROWS = 10_000
COUNT = {"syn1": 2, "syn2": 4, "syn3": 4, "syn4": 4, "syn5": 4, "syn6": 5}


class Hiding(nn.Module):
    """A perceptron for rows with missing cells, which are NaN; in training, random cells are hidden."""

    def __init__(self, columns: int, outputs: int, width: int = 200):
        super().__init__()
        self.network = mt.models.MLP(2 * columns, width, width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores."""
        there = ~x.isnan()
        if self.training:
            there = there & (torch.rand_like(x) < torch.rand(len(x), 1))
        return self.network(torch.cat([torch.where(there, x, 0.0), there.to(x)], 1))


def data(rule: Rule, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows, labels, and which columns decide each row."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, 11, generator=generator)
    y = (torch.rand(ROWS, generator=generator) < torch.sigmoid(-score(rule, x))).long()
    return x, y, relevant(rule, x)


def selectors(rule: Rule, target: Target, cost: float, warmup: int) -> dict:
    """Return new selectors by name."""
    players = Columns(11, baseline=torch.nan)
    return {
        "L2X": L2X(players, COUNT[rule], 2, target=target),
        "INVASE": INVASE(players, 2, target=target, cost=cost, warmup=warmup),
        "REAL-X": REALX(players, 2, target=target, cost=cost, warmup=warmup),
        "policy gradient": PolicyGradient(players, 2, target=target, cost=cost, warmup=warmup),
    }


def run(rule: Rule, seed: int, only: str, options: argparse.Namespace) -> None:
    """Train and measure each selector, and print one JSON line for each."""
    x, y, _ = data(rule, 2 * seed)
    tasks = mt.tasks.Minibatches(x, y, size=512, splits=(1.0, 0.0, 0.0))
    torch.manual_seed(seed)
    judge = EvalX(mt.models.MLP(22, 200, 200, 2), seed=seed).fit(x, y)
    for name, selector in selectors(rule, options.target, options.cost, options.warmup).items():
        if only and name != only:
            continue
        started = time.process_time()
        joint = mt.Joint(mt.learners.Fixed(Hiding(11, 2)), {"select": selector})
        steps = mt.train(joint, tasks, options.steps, 1, lr=options.lr, seed=seed, weight_decay=options.decay)
        for _ in steps:
            pass
        line = {"rule": rule, "seed": seed, "selector": name, **measures(joint, judge, *data(rule, 2 * seed + 1))}
        line["minutes"] = (time.process_time() - started) / 60
        print(json.dumps({k: v if isinstance(v, str | int) else round(v, 4) for k, v in line.items()}), flush=True)


def measures(joint: mt.Joint, judge: EvalX, x: Tensor, y: Tensor, truth: Tensor) -> dict[str, float]:
    """Return how well the selected columns agree with the relevant ones, and what can be predicted from them."""
    _, shown, outcome = joint.explain(joint.adapt(mt.Examples(x[:0], y[:0], torch.empty(0))), x)["select"]
    judged = judge.judge(x, y, shown)
    numbers = {
        "TPR": (shown & truth).sum(1) / truth.sum(1),
        "FDR": (shown & ~truth).sum(1) / shown.sum(1).clamp(min=1),
        "own accuracy": (outcome.argmax(1) == y).double(),
        "EVAL-X accuracy": judged.right,
        "EVAL-X AUROC": judged.auroc,
    }
    return {name: float(values.mean()) for name, values in numbers.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=COUNT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="the name of one selector")
    parser.add_argument("--target", choices=get_args(Target), default="label", help="the outcome to predict")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--decay", type=float, default=0.0, help="the weight decay of AdamW")
    parser.add_argument("--cost", type=float, default=0.1)
    parser.add_argument("--warmup", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(arguments.rule, arguments.seed, arguments.only, arguments)
