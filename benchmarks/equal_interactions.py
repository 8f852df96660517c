"""Interactions of pairs from equally many questions: `Interactions(samples=...)` beside the approximators of shapiq.

    OMP_NUM_THREADS=1 python benchmarks/equal_interactions.py --games 10

The games are those of `equal_questions.py`, whose Shapley interaction indices are known: by all coalitions, leaf by
leaf (∂ of a product of a players who are there and b who are not: a!·b!/(a+b+1)!), or product by product. The error of
a game is the squared distance of the values of all pairs to the exact ones over their squared norm; a cell shows the
median over games. The last column says how often intervals of ± 1.645 standard errors hold the exact value.

ProxySPEX takes part where lightgbm is installed, in games of at most 30 players.
"""

import argparse
import importlib
import importlib.util
import itertools
import math
import time
import warnings
from typing import Any

import numpy as np
import torch
from equal_questions import Worth, grown, network, paths, polynomial_terms
from sklearn.ensemble import GradientBoostingRegressor

import mapsto as mt
from mapsto.explainers import Interactions

CELLS = [("network", 12, 240), ("network", 12, 960)]
CELLS += [(kind, p, n * p) for kind in ("trees", "polynomial") for p, n in ((30, 20), (30, 80), (60, 20), (100, 20))]
THEIRS = ("KernelSHAPIQ", "InconsistentKernelSHAPIQ", "SVARMIQ", "PermutationSamplingSII", "SHAPIQ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=10, help="games a cell")
    parser.add_argument("--most", type=int, default=10**9, help="skip cells with more questions")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # shapiq's, of sampling
    print("| game, players, questions | Interactions, s | best of shapiq, s | ratio | held |\n|---|---|---|---|---|")
    for kind, players, questions in CELLS:
        if questions <= args.most:
            print(cell(kind, players, questions, args.games), flush=True)


def cell(kind: str, players: int, questions: int, games: int) -> str:
    errors: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    held = []
    peers: tuple[str, ...] = THEIRS if importlib.util.find_spec("shapiq") else ()
    peers += ("ProxySPEX",) if peers and players <= 30 and importlib.util.find_spec("lightgbm") else ()
    for seed in range(games):
        worth, exact = GAMES[kind](players, seed)
        for name in ("ours", *peers):
            start = time.process_time()
            values, spread = (
                ours(worth, players, questions, seed)
                if name == "ours"
                else theirs(name, worth, players, questions, seed)
            )
            seconds[name] = seconds.get(name, 0) + (time.process_time() - start) / games
            errors.setdefault(name, []).append(np.square(values - exact).sum() / np.square(exact).sum())
            if spread is not None:
                held.append((np.abs(values - exact) <= 1.645 * spread).mean())
    median = {name: float(np.median(found)) for name, found in errors.items()}
    mine, best = median.pop("ours"), min(median, key=lambda name: median[name]) if median else None
    other = "–" if best is None else f"{median[best]:.1e}, {best}, {seconds[best]:.1f} | {mine / median[best]:.2f}"
    of = f"{kind}, {players}, {questions}"
    return f"| {of} | {mine:.1e}, {seconds['ours']:.1f} | {other} | {100 * np.mean(held):.0f} % |"


def ours(worth: Worth, players: int, questions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    view = mt.views.model(lambda rows: worth(np.asarray(rows, float)))
    game = mt.views.game(view, torch.ones(players, dtype=torch.float64))
    found, errors = Interactions("SII", 2, samples=questions, seed=seed).attribute_with_error(game)
    return found.values[players:].numpy(), errors[players:].numpy()


def theirs(name: str, worth: Worth, players: int, questions: int, seed: int) -> tuple[np.ndarray, None]:
    made: Any = getattr(importlib.import_module("shapiq.approximator"), name)
    approximator = made(n=players, max_order=2, index="SII", random_state=seed)
    found = approximator.approximate(questions, lambda masks: worth(np.atleast_2d(masks).astype(float)))
    return np.array([found[pair] for pair in itertools.combinations(range(players), 2)]), None


# ---- games and the exact values of their pairs


def of_network(players: int, seed: int) -> tuple[Worth, np.ndarray]:
    worth, _ = network(players, seed)
    every = (np.arange(2**players)[:, None] >> np.arange(players)) & 1
    outcomes, size, pairs = worth(every.astype(float)), every.sum(1), []
    for i, j in itertools.combinations(range(players), 2):
        others = size - every[:, i] - every[:, j]
        share = np.array([1 / ((players - 1) * math.comb(players - 2, s)) for s in range(players - 1)])[others]
        pairs.append((share * (2 * every[:, i] - 1) * (2 * every[:, j] - 1) * outcomes).sum())
    return worth, np.array(pairs)


def of_trees(players: int, seed: int) -> tuple[Worth, np.ndarray]:
    model, rows = grown(players, seed % 2 == 1, seed % 6)
    x, absent = rows[np.random.default_rng(seed).integers(len(rows), size=2)]
    boosted = isinstance(model, GradientBoostingRegressor)
    trees, scale = (model.estimators_[:, 0], model.learning_rate) if boosted else (model.estimators_, 1 / 30)
    pairs = np.zeros((players, players))
    for tree in trees:
        for there, gone, leaf in paths(tree.tree_, x, absent):
            for i, j in itertools.combinations(sorted(there | gone), 2):
                left, out = len(there - {i, j}), len(gone - {i, j})
                sign = (-1) ** len(gone & {i, j})
                share = math.factorial(left) * math.factorial(out) / math.factorial(left + out + 1)
                pairs[i, j] += sign * scale * leaf * share
    return lambda masks: model.predict(np.where(masks > 0.5, x, absent)), pairs[np.triu_indices(players, 1)]


def of_polynomial(players: int, seed: int) -> tuple[Worth, np.ndarray]:
    terms, pairs = polynomial_terms(players, seed), np.zeros((players, players))
    for chosen, worth in terms:
        for i, j in itertools.combinations(sorted(chosen), 2):
            pairs[i, j] += worth / (len(chosen) - 1)
    return (
        lambda masks: np.sum([worth * masks[:, chosen].prod(1) for chosen, worth in terms], 0),
        pairs[np.triu_indices(players, 1)],
    )


GAMES = {"network": of_network, "trees": of_trees, "polynomial": of_polynomial}

if __name__ == "__main__":
    main()
