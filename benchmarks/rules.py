"""Anchors, surrogate trees and counterfactuals: on planted rules, and on breast cancer data.

    python benchmarks/rules.py                                  # planted rules and a random forest
    python benchmarks/rules.py --model TableClassifier --rows 2 --batch 16 --budget 160 --size 3    # minutes a row

Planted: tables of eight normal columns; each case draws a rule of one to three columns, a threshold of -0.5, 0 or 0.5
and a side for each, and a row that meets it, so the truth is known; "parity" is a rule of all its four columns, which
no anchor can state. Breast cancer (scikit-learn's, 569 rows, 30 columns): the model learns from half of the rows,
anchors and counterfactuals explain others. "Precision within bounds": the share of anchors whose precision on 5,000 new
draws, made by other code, lies within the reported bounds; "coverage within bounds" likewise, on rows that the anchor
never saw. A counterfactual's distance is beside that of the nearest background row of another class, in the same unit.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

import mapsto as mt
from mapsto.explainers import Anchors, Counterfactual, SurrogateTree
from mapsto.explainers.rules.anchors import Anchor
from mapsto.explainers.rules.predicates import matches

Classifier = Callable[[np.ndarray], np.ndarray]
Line = tuple[str, str, str]  # what, measure, value


class Asked(NamedTuple):
    """One anchor and what is needed to judge it."""

    anchor: Anchor
    classifier: Classifier
    truth: tuple[int, ...] | None
    seconds: float


def planted(rng: np.random.Generator, d: int = 8) -> tuple[Classifier, tuple[int, ...]]:
    """Draw a rule and return it as a classifier, with its columns."""
    columns = np.sort(rng.choice(d, rng.integers(1, 4), replace=False))
    cuts, above = rng.choice([-0.5, 0.0, 0.5], len(columns)), rng.random(len(columns)) < 0.5
    return lambda x: ((x[:, columns] > cuts) == above).all(1), tuple(int(c) for c in columns)


def parity(x: np.ndarray) -> np.ndarray:
    return (x > 0).sum(1) % 2


def ask(explain: Anchors, classifier: Classifier, row: np.ndarray, truth: tuple[int, ...] | None = None) -> Asked:
    start = time.process_time()
    return Asked(explain(classifier, row), classifier, truth, time.process_time() - start)


def planted_cases(cases: int, bins: int, settings: dict[str, Any]) -> Iterator[Asked]:
    """Explain one row that meets each of `cases` rules."""
    background = np.random.default_rng(0).normal(size=(2000, 8))
    for case in range(cases):
        rng = np.random.default_rng([1, case])
        rule, truth = planted(rng)
        rows = rng.normal(size=(1000, 8))
        yield ask(Anchors(background, bins=bins, seed=case, **settings), rule, rows[rule(rows)][0], truth)


def fresh_precision(asked: Asked, background: np.ndarray, draws: int = 5000) -> float:
    """Draw anew from D(· | anchor): what breaks a column's conditions is replaced by a value that meets them."""
    rng = np.random.default_rng(7)
    rows = background[rng.integers(len(background), size=draws)]
    for column in asked.anchor.columns:
        rule = [p for p in asked.anchor.predicates if p.column == column]
        values = background[matches(rule, background), column]
        rows[:, column] = np.where(matches(rule, rows), rows[:, column], rng.choice(values, draws))
    told = np.concatenate([np.asarray(asked.classifier(part)) for part in np.array_split(rows, 5)])
    return float(((told.argmax(1) if told.ndim == 2 else told) == asked.anchor.label).mean())


def within(value: float, bounds: tuple[float, float], draws: float = np.inf) -> bool:
    """Tell whether a value lies within the bounds, but for three standard errors of its own `draws`."""
    slack = 3 * np.sqrt(value * (1 - value) / draws)
    return bool(bounds[0] - slack <= value <= bounds[1] + slack)


def anchor_lines(what: str, asked: list[Asked], background: np.ndarray, unseen: np.ndarray) -> Iterator[Line]:
    """Yield what is measured of some anchors."""
    found = [a for a in asked if a.anchor.found]
    yield what, "rows", f"{len(asked)}"
    yield what, "anchor found; says that none is", f"{len(found)}; {len(asked) - len(found)}"
    best = [a.anchor.precision for a in asked if not a.anchor.found]
    if best:
        yield what, "precision of the best where none is, median and most", f"{np.median(best):.3f}, {max(best):.3f}"
    if found and found[0].truth is not None:
        yield what, "of those found, exactly the rule's columns", share(a.anchor.columns == a.truth for a in found)
    if found:
        yield what, "columns, mean and most", f"{mean(len(a.anchor.columns) for a in found)}, {most(found)}"
        yield what, "coverage, mean", f"{np.mean([a.anchor.coverage for a in found]):.3f}"
        precise = [fresh_precision(a, background) for a in found]
        inside = [within(p, a.anchor.precision_bounds, 5000) for p, a in zip(precise, found, strict=True)]
        covers = [matches(a.anchor.predicates, unseen).mean() for a in found]
        covered = [within(c, a.anchor.coverage_bounds, len(unseen)) for c, a in zip(covers, found, strict=True)]
        yield what, "precision on new draws, mean and least", f"{np.mean(precise):.3f}, {min(precise):.3f}"
        yield what, "precision, coverage within bounds", f"{share(inside)}, {share(covered)}"
    yield what, "rows asked about, mean", f"{np.mean([a.anchor.evaluations for a in asked]):,.0f}"
    yield what, "CPU seconds a row", f"{np.mean([a.seconds for a in asked]):.2f}"


def share(flags: Any) -> str:
    marks = list(flags)
    return f"{100 * np.mean(marks):.1f} %"


def mean(numbers: Any) -> str:
    return f"{np.mean(list(numbers)):.2f}"


def most(found: list[Asked]) -> int:
    return max(len(a.anchor.columns) for a in found)


class Cancer(NamedTuple):
    """A model, the rows it learned from, and others."""

    model: Any
    learned: np.ndarray
    others: np.ndarray
    names: list[str]
    accuracy: float


def cancer(model: str) -> Cancer:
    data = load_breast_cancer()
    parts = train_test_split(data.data, data.target, train_size=0.5, random_state=0, stratify=data.target)
    built = RandomForestClassifier(100, random_state=0) if model == "forest" else mt.TableClassifier(members=1)
    built.fit(parts[0], parts[2])
    return Cancer(built, parts[0], parts[1], list(data.feature_names), built.score(parts[1], parts[3]))


def tree_lines(what: str, c: Cancer) -> Iterator[Line]:
    start = time.process_time()
    surrogate = SurrogateTree(c.learned, c.names)(c.model.predict_proba)
    told, truth = surrogate.scores(c.others), c.model.predict_proba(c.others)
    f = surrogate.fidelity
    yield what, "leaves; CPU seconds", f"{len(surrogate.leaves)}; {time.process_time() - start:.1f}"
    yield what, f"agreement on {f.rows} rows held out", f"{100 * f.agreement:.1f} %"
    yield what, "agreement of the majority class there", f"{100 * f.majority:.1f} %"
    yield what, "R² of the scores there", f"{f.r2:.3f}"
    agree = share(told.argmax(1) == truth.argmax(1))
    yield what, f"agreement on the {len(told)} rows that neither tree nor model saw", agree


def counterfactual_lines(what: str, c: Cancer, rows: int) -> Iterator[Line]:
    explain, start = Counterfactual(c.learned, c.names), time.process_time()
    found = [explain(c.model.predict_proba, row) for row in c.others[:rows]]
    seconds = (time.process_time() - start) / rows
    found = [change for change in found if change.found]
    ratio = [change.distance / change.nearest_distance for change in found]
    yield what, "rows, a change found", f"{rows}, {100 * len(found) / rows:.0f} %"
    yield what, "columns changed, mean", mean(len(f.columns) for f in found)
    yield what, "distance, median", f"{np.median([f.distance for f in found]):.2f}"
    near = [f.nearest_distance for f in found]
    yield what, "distance of the nearest row of another class, median", f"{np.median(near):.2f}"
    yield what, "the ratio of the two, median and largest", f"{np.median(ratio):.3f}, {max(ratio):.3f}"
    yield what, "rows asked about, mean", f"{np.mean([f.evaluations for f in found]):,.0f}"
    yield what, "CPU seconds a row", f"{seconds:.2f}"


def lines(args: argparse.Namespace) -> Iterator[Line]:
    """Yield every line of the table as soon as it is known."""
    settings = {"batch": args.batch, "budget": args.budget, "max_size": args.size}
    normal = np.random.default_rng(0).normal(size=(2000, 8)), np.random.default_rng(9).normal(size=(20_000, 8))
    if args.cases:
        for bins in (4, 10):
            asked = list(planted_cases(args.cases, bins, settings))
            yield from anchor_lines(f"planted, {bins} bins", asked, *normal)
        four = [np.ascontiguousarray(x[:, :4]) for x in normal]
        asked = [ask(Anchors(four[0], seed=i, **settings), parity, four[1][i]) for i in range(args.cases // 5)]
        yield from anchor_lines("parity of all columns", asked, *four)
    if args.rows:
        c = cancer(args.model)
        yield f"cancer, {args.model}", "accuracy of the model", f"{100 * c.accuracy:.1f} %"
        explain = Anchors(c.learned, c.names, **settings)
        asked = [ask(explain, c.model.predict_proba, row) for row in c.others[: args.rows]]
        yield from anchor_lines(f"anchors, cancer, {args.model}", asked, c.learned, c.others)
        yield from tree_lines(f"tree, cancer, {args.model}", c)
        yield from counterfactual_lines(f"counterfactuals, cancer, {args.model}", c, args.rows)


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=100, help="planted rules, a fifth as many parities; 0: none")
    parser.add_argument("--rows", type=int, default=30, help="rows of the breast cancer data to explain; 0: none")
    parser.add_argument("--model", choices=["forest", "TableClassifier"], default="forest")
    parser.add_argument("--batch", type=int, default=128, help="perturbations of a rule at a time")
    parser.add_argument("--budget", type=int, default=5000, help="perturbations to certify a rule")
    parser.add_argument("--size", type=int, default=6, help="the most conditions of an anchor")
    print("| what | measured | value |\n|---|---|---|")
    for line in lines(parser.parse_args()):
        print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
