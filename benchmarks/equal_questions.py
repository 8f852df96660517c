"""Shapley values from equally many questions: our explainers beside those of shap, captum and shapiq.

    OMP_NUM_THREADS=1 python benchmarks/equal_questions.py --games 30 --out runs/equal.jsonl
    python benchmarks/equal_questions.py --out runs/equal.jsonl --report

Games with exact values: tanh networks of 10 and 12 players (all coalitions), boosted trees and forests of 30, 60 and
100 (a leaf is a product of players who are there and players who are not, whose shares are known), and polynomials of
up to four players (each product is shared equally). Each method may evaluate 5, 20 and 80 coalitions a player. The
error of a game is the squared distance to the exact values over their squared norm; a cell shows the median over games.
The last column says how often intervals of ± 1.645 standard errors hold the exact value (90 % is nominal).

shapiq is left out where it is not installed, and its kADDSHAP (5,050 unknowns at 100) and ProxySPEX for more than 30
players. Version 1.4 has KernelSHAP, kADDSHAP, permutations, SVARM and ProxySPEX (if lightgbm is installed); version 1.8
(Python 3.12 and later; the packages xgboost and lightgbm) has the others. LeverageSHAP (Musco & Witter 2025) is written
here from its paper, too.
"""

import argparse
import importlib
import importlib.util
import json
import math
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import shap
import torch
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

import mapsto as mt
from mapsto.explainers import BayesianShapley, Shapley
from mapsto.explainers.coalitions import exact_arrays

Worth = Callable[[np.ndarray], np.ndarray]  # coalitions [c, p] ↦ outcomes [c]
Method = Callable[[Worth, int, int, int], tuple[np.ndarray, np.ndarray | None]]
CELLS = [("network", 10), ("network", 12), *((kind, p) for kind in ("trees", "polynomial") for p in (30, 60, 100))]
A_PLAYER = (5, 20, 80)


# ---- games with exact values


def network(players: int, seed: int) -> tuple[Worth, np.ndarray]:
    g = np.random.default_rng(seed)
    first, second = g.normal(size=(players, 32)) * math.sqrt(2 / players), g.normal(size=(32, 32)) / 4
    last, bias, x = g.normal(size=32) / math.sqrt(32), 0.3 * g.normal(size=32), g.normal(size=players)

    def worth(masks: np.ndarray) -> np.ndarray:
        return np.tanh(np.tanh(masks * x @ first + bias) @ second) @ last

    every, weights = exact_arrays(players)
    return worth, weights @ worth(every.astype(float))


def polynomial(players: int, seed: int) -> tuple[Worth, np.ndarray]:
    terms, values = polynomial_terms(players, seed), np.zeros(players)
    for chosen, worth in terms:
        values[chosen] += worth / len(chosen)
    return lambda masks: np.sum([worth * masks[:, chosen].prod(1) for chosen, worth in terms], 0), values


def polynomial_terms(players: int, seed: int) -> list[tuple[np.ndarray, float]]:
    """Return sets of one to four players and the worth of each."""
    g, terms = np.random.default_rng(seed), []
    counts, scales = (players, 2 * players, 2 * players, players // 2), (1.0, 0.5, 0.35, 0.3)
    for size, count, scale in zip((1, 2, 3, 4), counts, scales, strict=True):
        for _ in range(count):
            terms.append((g.choice(players, size, replace=False), scale * g.normal()))
    return terms


@lru_cache
def grown(players: int, boosted: bool, seed: int) -> tuple[Any, np.ndarray]:
    g = np.random.default_rng(seed)
    x = g.normal(size=(600, players))
    y = x[:, :20] @ (g.normal(size=20) * np.exp(-np.arange(20) / 6)) + x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) * x[:, 3]
    y = y + 2 * ((x[:, 4] > 0) & (x[:, 5] > 0)) + 0.3 * g.normal(size=600)
    if boosted:
        return GradientBoostingRegressor(
            n_estimators=60, max_depth=4, learning_rate=0.15, max_features=0.5, random_state=seed
        ).fit(x, y), x
    return RandomForestRegressor(30, max_features=0.4, min_samples_leaf=3, random_state=seed).fit(x, y), x


def trees(players: int, seed: int) -> tuple[Worth, np.ndarray]:
    """One row of a table explained with another row as the baseline."""
    model, rows = grown(players, seed % 2 == 1, seed % 6)
    x, absent = rows[np.random.default_rng(seed).integers(len(rows), size=2)]
    boosted = isinstance(model, GradientBoostingRegressor)
    parts, scale = (model.estimators_[:, 0], model.learning_rate) if boosted else (model.estimators_, 1 / 30)
    values = np.sum([scale * _of_tree(tree.tree_, x, absent) for tree in parts], 0)
    return lambda masks: model.predict(np.where(masks > 0.5, x, absent)), values


def _of_tree(tree: Any, x: np.ndarray, absent: np.ndarray) -> np.ndarray:
    values = np.zeros(len(x))
    for there, gone, worth in paths(tree, x, absent):
        a, b = len(there), len(gone)
        for j in there:
            values[j] += worth * math.factorial(a - 1) * math.factorial(b) / math.factorial(a + b)
        for j in gone:
            values[j] -= worth * math.factorial(a) * math.factorial(b - 1) / math.factorial(a + b)
    return values


def paths(tree: Any, x: np.ndarray, absent: np.ndarray) -> list[tuple[frozenset[int], frozenset[int], float]]:
    """Return, for each leaf that some coalition reaches, who is there, who is not, and the worth."""
    leaves: list[tuple[frozenset[int], frozenset[int], float]] = []

    def descend(node: int, there: frozenset[int], gone: frozenset[int]) -> None:
        if tree.children_left[node] == -1:
            leaves.append((there, gone, tree.value[node].item()))
            return
        j, bound = tree.feature[node], tree.threshold[node]
        for child, left in ((tree.children_left[node], True), (tree.children_right[node], False)):
            with_x, with_absent = (np.float32(x[j]) <= bound) == left, (np.float32(absent[j]) <= bound) == left
            if with_x and with_absent:
                descend(child, there, gone)
            elif with_x and j not in gone:
                descend(child, there | {j}, gone)
            elif with_absent and j not in there:
                descend(child, there, gone | {j})

    descend(0, frozenset(), frozenset())
    return leaves


GAMES = {"network": network, "trees": trees, "polynomial": polynomial}


# ---- methods: worth, players, questions, seed ↦ values [p], and standard errors where there are any


def ours(make: Callable[[int, int], Any]) -> Method:
    def explain(worth: Worth, players: int, questions: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        view = mt.views.model(lambda rows: worth(np.asarray(rows, float)))
        game = mt.views.game(view, torch.ones(players, dtype=torch.float64))
        values, errors = make(questions, seed).attribute_with_error(game)
        return values.numpy(), errors.numpy()

    return explain


def leverage(worth: Worth, players: int, questions: int, seed: int) -> tuple[np.ndarray, None]:
    """Least squares with the Shapley kernel over different pairs, as many of each size."""
    g, half = np.random.default_rng(seed), players // 2
    drawn: set[frozenset[int]] = set()
    share = np.array([1.0 if 2 * size == players else 2.0 for size in range(1, half + 1)])
    rooms = [float(math.comb(players, size) // (1 + (2 * size == players))) for size in range(1, half + 1)]
    wanted = np.minimum(np.round(questions / 2 * share / share.sum()), rooms).astype(int)
    while wanted.sum() < min(questions // 2, int(sum(rooms))):
        wanted[int(np.argmax([min(room - count, 1) for room, count in zip(rooms, wanted, strict=True)]))] += 1
    weights = {}
    for size, count in enumerate(wanted, 1):
        before = len(drawn)
        while len(drawn) < before + count:
            chosen = frozenset(g.permutation(players)[:size].tolist())
            if 2 * size == players and 0 not in chosen:
                chosen = frozenset(range(players)) - chosen
            drawn.add(chosen)
            weights[chosen] = share[size - 1] * (players - 1) / (size * (players - size)) / max(count, 1)
    masks = np.array([[float(j in chosen) for j in range(players)] for chosen in weights])
    root = np.sqrt(np.array(list(weights.values())))[:, None]
    ends = worth(np.stack([np.zeros(players), np.ones(players)]))
    total = ends[1] - ends[0]
    target = (worth(masks) - worth(1 - masks)) / 2 - (masks - 0.5).sum(1) * total / players
    centred = masks - masks.mean(1, keepdims=True)
    found = np.linalg.lstsq(root * centred, root[:, 0] * target, rcond=None)[0]
    return found - found.mean() + total / players, None


def by_shap(worth: Worth, players: int, questions: int, seed: int) -> tuple[np.ndarray, None]:
    np.random.seed(seed)
    explainer = shap.KernelExplainer(worth, np.zeros((1, players)))
    return explainer.shap_values(np.ones((1, players)), nsamples=questions, l1_reg=False, silent=True)[0], None


def by_captum(worth: Worth, players: int, questions: int, seed: int) -> tuple[np.ndarray, None]:
    torch.manual_seed(seed)
    explainer = captum.attr.KernelShap(lambda masks: torch.tensor(worth(masks.double().numpy())))
    values = explainer.attribute(torch.ones(1, players), n_samples=questions, perturbations_per_eval=questions)
    return values[0].double().numpy(), None


def by_shapiq(name: str, **options: Any) -> Method:
    def explain(worth: Worth, players: int, questions: int, seed: int) -> tuple[np.ndarray, None]:
        approximator = getattr(importlib.import_module("shapiq.approximator"), name)(
            n=players, random_state=seed, **options
        )
        found = approximator.approximate(questions, lambda masks: worth(np.atleast_2d(masks).astype(float)))
        return found.get_n_order_values(1), None

    return explain


OURS: dict[str, Method] = {
    "BayesianShapley": ours(lambda questions, seed: BayesianShapley(questions, seed=seed)),
    "Shapley": ours(lambda questions, seed: Shapley(questions, seed=seed)),
}
THEIRS: dict[str, Method] = {
    "LeverageSHAP": leverage,
    "shap, KernelExplainer": by_shap,
    "captum, KernelShap": by_captum,
}
SHAPIQ: list[tuple[str, str, dict[str, Any]]] = [
    ("KernelSHAP paired", "KernelSHAP", {"pairing_trick": True}),
    ("kADDSHAP", "kADDSHAP", {"max_order": 2, "pairing_trick": True}),
    ("permutations", "PermutationSamplingSV", {}),
    ("SVARM", "SVARM", {}),
    ("ProxySPEX", "ProxySPEX", {"index": "SV", "max_order": 1}),
    ("LeverageSHAP", "LeverageSHAP", {}),
    ("PolySHAP", "PolySHAP", {"pairing_trick": True}),
    ("OddSHAP", "OddSHAP", {}),
    ("ProxySHAP", "ProxySHAP", {"max_order": 1, "index": "SV", "adjustment": True}),
    ("RegressionMSR", "RegressionMSR", {"index": "SV"}),
    ("RegressionMSR, lightgbm", "RegressionMSR", {"index": "SV", "proxy_model": "lightgbm"}),
]
if importlib.util.find_spec("shapiq"):
    there = set(dir(importlib.import_module("shapiq.approximator")))
    if not importlib.util.find_spec("lightgbm"):
        there -= {"ProxySPEX", "OddSHAP", "ProxySHAP", "RegressionMSR"}
    THEIRS |= {f"shapiq, {name}": by_shapiq(kind, **options) for name, kind, options in SHAPIQ if kind in there}
SMALL = ("shapiq, kADDSHAP", "shapiq, ProxySPEX")  # too slow for more than 30 players


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare Shapley values from equally many questions.")
    parser.add_argument("--games", type=int, default=30)
    parser.add_argument("--most", type=int, default=10**9, help="skip cells with more questions")
    parser.add_argument("--out", type=Path, default=Path("runs/equal.jsonl"))
    parser.add_argument("--report", action="store_true", help="print what was measured, and measure nothing")
    args = parser.parse_args()
    if not args.report:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        lines = args.out.read_text().splitlines() if args.out.exists() else []
        done = {tuple(json.loads(line)[part] for part in ("game", "players", "questions")) for line in lines}
        for kind, players in CELLS:
            for each in A_PLAYER:
                if each * players <= args.most and (kind, players, each * players) not in done:
                    line = measured(kind, players, each * players, args.games)
                    with args.out.open("a") as file:
                        file.write(json.dumps(line) + "\n")
    report([json.loads(line) for line in args.out.read_text().splitlines()])


def measured(kind: str, players: int, questions: int, games: int) -> dict[str, Any]:
    """Return the median error, the mean coverage and the seconds of each method."""
    found: dict[str, Any] = {"game": kind, "players": players, "questions": questions, "games": games}
    played = [GAMES[kind](players, seed) for seed in range(games)]
    for name, method in {**OURS, **THEIRS}.items():
        if name in SMALL and players > 30:
            continue
        errors, held, start = [], [], time.process_time()
        for seed, (worth, exact) in enumerate(played):
            values, spread = method(worth, players, questions, seed)
            errors.append(np.square(values - exact).sum() / np.square(exact).sum())
            if spread is not None:
                held.append((np.abs(values - exact) <= 1.645 * spread).mean())
        found[name] = {"error": float(np.median(errors)), "seconds": (time.process_time() - start) / games}
        if held:
            found[name]["held"] = float(np.mean(held))
    return found


def report(lines: list[dict[str, Any]]) -> None:
    print(f"| game, players, questions | {' | '.join(OURS)} | best other | ratio | held |\n|{'---|' * (len(OURS) + 4)}")
    ratios = []
    for line in lines:
        others = [name for name, found in line.items() if isinstance(found, dict) and name not in OURS]
        best = min(others, key=lambda name: line[name]["error"])
        ratios.append(min(line[name]["error"] for name in OURS) / line[best]["error"])
        mine = " | ".join(f"{line[name]['error']:.1e}" for name in OURS)
        held = " / ".join(f"{100 * line[name]['held']:.0f}" for name in OURS if "held" in line[name])
        cell = f"{line['game']}, {line['players']}, {line['questions']}"
        print(f"| {cell} | {mine} | {line[best]['error']:.1e}, {best} | {ratios[-1]:.2f} | {held} % |")
    good, worst = np.mean(np.array(ratios) <= 1.05), max(ratios)
    print(f"\nat most 1.05 times the error of the best other in {100 * good:.0f} % of cells; worst {worst:.2f}")


if __name__ == "__main__":
    main()
