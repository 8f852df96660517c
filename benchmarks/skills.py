"""What a mapping cannot do yet: its AUC on generated tables with a known rule, beside that of rivals.

    python benchmarks/skills.py --rows 32 64 128 256 --draws 12 --out runs/skills.jsonl
    python benchmarks/skills.py --methods mapping --out runs/skills.jsonl     # with the rivals' stored results

skill_tables.py generates the tables, one function per skill. Draw i has 0, 2, 4 or 8 irrelevant columns in turn; 256
rows judge. Each (skill, rows, method) appends one JSON line to --out. Lines of the rivals are reused; the mapping is
measured again by every command that names it, because it may have changed. The Gaussian process reads up to 128 rows.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from skill_tables import SKILLS, draw
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import mapsto as mt

FitPredict = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # X, y, X_test ↦ probabilities [n, k]
Line = dict[str, Any]
CLOSE = 0.015


def auc(y: np.ndarray, p: np.ndarray) -> float:
    """Return the area under the ROC curve; for several classes, one class against the rest, averaged."""
    if p.shape[1] == 2:
        return float(roc_auc_score(y, p[:, 1]))
    return float(np.mean([roc_auc_score(y == k, p[:, k]) for k in np.unique(y)]))


def mapping(X: np.ndarray, y: np.ndarray, X_test: np.ndarray) -> np.ndarray:
    return mt.TableClassifier().fit(X, y).predict_proba(X_test)


def logistic_regression(X: np.ndarray, y: np.ndarray, X_test: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    return tuned(model, {"logisticregression__C": [0.01, 0.1, 1, 10, 100]}, X, y).predict_proba(X_test)


def svm(X: np.ndarray, y: np.ndarray, X_test: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), SVC())
    grid = {"svc__C": [0.3, 1, 10, 100], "svc__gamma": [0.01, 0.03, 0.1, 0.3, 1]}
    return scores(tuned(model, grid, X, y), X_test)


def gaussian_process(X: np.ndarray, y: np.ndarray, X_test: np.ndarray) -> np.ndarray:
    """One length scale for each column; the marginal likelihood decides."""
    kernel = ConstantKernel(10.0, (0.1, 1e3)) * RBF(np.full(X.shape[1], 2.0), (0.1, 1e3))
    model = make_pipeline(StandardScaler(), GaussianProcessClassifier(kernel, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # length scales of irrelevant columns reach their bound
        return model.fit(X, y).predict_proba(X_test)


def forest(X: np.ndarray, y: np.ndarray, X_test: np.ndarray) -> np.ndarray:
    return RandomForestClassifier(300, random_state=0).fit(X, y).predict_proba(X_test)


def boosting(X: np.ndarray, y: np.ndarray, X_test: np.ndarray) -> np.ndarray:
    model = HistGradientBoostingClassifier(random_state=0)
    return tuned(model, {"min_samples_leaf": [2, max(4, len(y) // 16)]}, X, y).predict_proba(X_test)


METHODS: dict[str, FitPredict] = {
    "mapping": mapping,
    "LR": logistic_regression,
    "SVM": svm,
    "GP": gaussian_process,
    "forest": forest,
    "boosting": boosting,
}


def tuned(model: Any, grid: dict[str, list], X: np.ndarray, y: np.ndarray) -> Any:
    """Choose settings by the AUC of cross-validation, then fit to all rows."""
    folds = StratifiedKFold(int(min(5, np.bincount(y).min())), shuffle=True, random_state=0)
    return GridSearchCV(model, grid, cv=folds, scoring=lambda m, X, y: auc(y, scores(m, X))).fit(X, y)


def scores(model: Any, X: np.ndarray) -> np.ndarray:
    """Return a score for each class [n, k]: the decision function, or probabilities."""
    if not hasattr(model, "decision_function"):
        return model.predict_proba(X)
    found = model.decision_function(X)
    return found if found.ndim == 2 else np.stack([-found, found], 1)


def aucs(fit_predict: FitPredict, skill: str, rows: int, draws: int, irrelevant: Sequence[int]) -> list[float]:
    """Return the AUC of each draw of one skill."""
    found = []
    for i in range(draws):
        X, y, X_test, y_test = draw(skill, rows, irrelevant[i % len(irrelevant)], i)
        found.append(auc(y_test, np.asarray(fit_predict(X, y, X_test))))
    return found


def score(fit_predict: FitPredict, rows: int, draws: int, irrelevant: Sequence[int] = (0, 2, 4, 8)) -> dict[str, float]:
    """Return the mean AUC of each skill; draw i has `irrelevant[i % len(irrelevant)]` irrelevant columns."""
    return {skill: float(np.mean(aucs(fit_predict, skill, rows, draws, irrelevant))) for skill in SKILLS}


def stored(out: Path) -> dict[tuple[str, int, str], Line]:
    """Read the lines; a later one replaces an earlier one, and half a line at the end is cut off."""
    if not out.exists():
        return {}
    whole, newline, rest = out.read_text().rpartition("\n")
    if rest:
        out.write_text(whole + newline)
    return {(line["skill"], line["rows"], line["method"]): line for line in map(json.loads, whole.splitlines())}


def measure(rows: Sequence[int], draws: int, out: Path, methods: Sequence[str]) -> dict[tuple[str, int, str], Line]:
    """Measure what has no line yet, and the mapping; return all lines."""
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = stored(out)
    for n, method, skill in ((n, method, skill) for n in rows for method in methods for skill in SKILLS):
        line = lines.get((skill, n, method))
        if (method == "GP" and n > 128) or (line and method != "mapping" and len(line["auc"]) >= draws):
            continue
        start = time.perf_counter()
        found = aucs(METHODS[method], skill, n, draws, (0, 2, 4, 8))
        seconds = round(time.perf_counter() - start, 2)
        line = {"skill": skill, "rows": n, "method": method, "auc": found, "seconds": seconds}
        lines[skill, n, method] = line
        with out.open("a") as file:
            file.write(json.dumps(line) + "\n")
    return lines


def report(lines: dict[tuple[str, int, str], Line], rows: int, draws: int) -> str:
    """Write the table of one number of rows, then how far the mapping is behind the best rival."""
    table = np.array([[_mean(lines.get((skill, rows, method)), draws) for method in METHODS] for skill in SKILLS])
    best = np.where(np.isnan(table[:, 1:]), -np.inf, table[:, 1:]).max(1)
    gap = np.where(np.isinf(best), np.nan, best - table[:, 0])
    out = [f"{rows} rows, {draws} draws\n", "| skill | " + " | ".join(METHODS) + " | best rival − mapping |"]
    out.append("|---|" + "---:|" * (len(METHODS) + 1))
    for skill, row, behind in zip(SKILLS, table, gap, strict=True):
        out.append(f"| {skill} | " + " | ".join(map(_cell, row)) + f" | {_cell(behind)} |")
    out.append("| *mean* | " + " | ".join(map(_cell, table.mean(0))) + f" | {_cell(gap.mean())} |")
    if not np.isnan(gap).any():
        worst, close = gap.argmax(), (gap <= CLOSE).mean()
        out.append(f"\nWithin {CLOSE} of the best rival: {100 * close:.0f} % of the skills.")
        out.append(f"Worst gap: {gap[worst]:.3f} ({list(SKILLS)[worst]}).")
    return "\n".join(out)


def _mean(line: Line | None, draws: int) -> float:
    return float(np.mean(line["auc"][:draws])) if line else np.nan


def _cell(number: float) -> str:
    return "" if np.isnan(number) else f"{number:.3f}"


def main() -> None:
    """Measure what is missing, then print one table for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("runs/skills.jsonl"), help="the file of JSON lines, added to")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="measure only these")
    args = parser.parse_args()
    lines = measure(args.rows, args.draws, args.out, args.methods)
    print("\n\n".join(report(lines, rows, args.draws) for rows in args.rows))


if __name__ == "__main__":
    main()
