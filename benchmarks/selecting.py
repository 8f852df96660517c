"""Selectors on the six rules of Chen et al. 2018 and Yoon et al. 2019, whose relevant columns are known.

    python benchmarks/selecting.py syn1 --seed 0

10,000 training rows of 11 columns with Bernoulli labels, 10,000 test rows. Four selectors
learn together with one model. Over the test rows:

- AUROC: of the importances as scores of the relevant columns, for each selector and for the consensus of all;
- TPR: the mean fraction of the relevant columns that are selected; FDR: of the selected columns that are irrelevant;
- the accuracy of the selector's own predictor from the selected columns, and that of EVAL-X from the same columns;
- EVAL-X AUROC: of its probabilities for the labels;
- trust: how much of the model's answer the selector predicts from the selected columns, beside how much of it the model
  itself keeps, on average, if the other columns take the values of 32 other test rows: the calibration error over ten
  bins of equally many rows, and Spearman's correlation.

The selectors are trained to predict the labels, as published, or the model's prediction (`--target model`). The model
that policy gradient asks is trained with random hidden columns. L2X selects as many columns as decide; the others
choose the number.
"""

import argparse
import json
import time
from typing import Any, get_args

import torch
from learned import calibration
from torch import Tensor, nn

import mapsto as mt
from mapsto.explainers.learned import INVASE, L2X, REALX, Columns, PolicyGradient
from mapsto.explainers.learned.explainer import Target
from mapsto.explainers.learned.fidelity import same_probability
from mapsto.explainers.learned.selector import Selector
from mapsto.measures import EvalX
from mapsto.measures.faithfulness.known_truth import auroc
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


def selectors(rule: Rule, **options: Any) -> dict[str, Selector]:
    """Return new selectors by name."""
    players = Columns(11, baseline=torch.nan)
    return {
        "L2X": L2X(players, COUNT[rule], 2, target=options["target"]),
        "INVASE": INVASE(players, 2, **options),
        "REALX": REALX(players, 2, **options),
        "PolicyGradient": PolicyGradient(players, 2, **options),
    }


def run(rule: Rule, seed: int, options: argparse.Namespace) -> None:
    """Train the selectors together on one model, and print one JSON line for each, and one for their consensus."""
    x, y, _ = data(rule, 2 * seed)
    tasks = mt.tasks.Minibatches(x, y, size=512, splits=(1.0, 0.0, 0.0))
    torch.manual_seed(seed)
    judge = EvalX(mt.models.MLP(22, 200, 200, 2), seed=seed).fit(x, y)
    new = selectors(rule, **{name: getattr(options, name) for name in ("target", "cost", "restraint", "warmup")})
    joint = mt.Joint(mt.learners.Fixed(Hiding(11, 2)), {n: e for n, e in new.items() if n in (options.only or new)})
    started = time.process_time()
    for _ in mt.train(joint, tasks, options.steps, 1, lr=options.lr, seed=seed, weight_decay=options.decay):
        pass
    minutes = (time.process_time() - started) / 60
    for name, numbers in measures(joint, judge, *data(rule, 2 * seed + 1)).items():
        line = {"rule": rule, "seed": seed, "selector": name, **{k: round(v, 4) for k, v in numbers.items()}}
        print(json.dumps({**line, "minutes of all": round(minutes, 2)}), flush=True)


def measures(joint: mt.Joint, judge: EvalX, x: Tensor, y: Tensor, truth: Tensor) -> dict[str, dict[str, float]]:
    """Return how well each selector's importances agree with the truth, and what the selected columns predict."""
    state = joint.adapt(mt.Examples(x[:0], y[:0], torch.empty(0)))
    found = {"consensus": {"AUROC": recovered(joint.consensus(state, x), truth)}}
    for name, reasons in joint.explain(state, x).items():
        judged, shown = judge.judge(x, y, reasons.shown), reasons.shown
        numbers = {
            "TPR": (shown & truth).sum(1) / truth.sum(1),
            "FDR": (shown & ~truth).sum(1) / shown.sum(1).clamp(min=1),
            "own accuracy": (reasons.outcome.argmax(1) == y).double(),
            "EVAL-X accuracy": judged.right,
            "EVAL-X AUROC": judged.auroc,
        }
        means = {of: float(values.mean()) for of, values in numbers.items()}
        trusted = calibration(reasons.trust, kept(joint, x, shown))
        means |= {f"trust {key}": value for key, value in trusted.items()}
        found[name] = {"AUROC": recovered(reasons.probability, truth), **means}
    return found


@torch.no_grad()
def kept(joint: mt.Joint, x: Tensor, shown: Tensor) -> Tensor:
    """Return how much of each answer the model keeps if the columns that are not shown are those of other rows."""
    generator, state = torch.Generator().manual_seed(0), joint.adapt(mt.Examples(x[:0], x[:0, 0].long(), x[:0, 0]))
    others = (x[torch.randperm(len(x), generator=generator)] for _ in range(32))
    mean = torch.stack([joint.predict(state, torch.where(shown, x, rows)).softmax(1) for rows in others]).mean(0)
    return same_probability(joint.predict(state, x).softmax(1), mean)


def recovered(importance: Tensor, truth: Tensor) -> float:
    """Return the AUROC of the importances as scores of the relevant columns, the mean over rows."""
    return float(auroc(importance, truth).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=COUNT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="the names of some selectors; by default all")
    parser.add_argument("--target", choices=get_args(Target), default="label", help="the outcome to predict")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--decay", type=float, default=0.0, help="the weight decay of AdamW")
    parser.add_argument("--cost", type=float, default=0.1)
    parser.add_argument("--restraint", type=float, default=0.0003)
    parser.add_argument("--warmup", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(arguments.rule, arguments.seed, arguments)
