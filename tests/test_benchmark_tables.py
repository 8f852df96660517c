"""The tables benchmark measures what it says: judged on games and scores with known answers, and resumable."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(FOLDER))
    import attributions
    import baselines
    import tables
    import tables_report

    yield SimpleNamespace(attributions=attributions, baselines=baselines, tables=tables, report=tables_report)
    sys.path.remove(str(FOLDER))


class Model:
    """P(1) = 0.5 + x0·x1/4 + x2/8, absent cells counting 0; its reasons are exact but for `error`."""

    def __init__(self, error: float = 0.0):
        self.error = error

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        x = np.nan_to_num(X)
        p = 0.5 + x[:, 0] * x[:, 1] / 4 + x[:, 2] / 8
        return np.stack([1 - p, p], 1)

    def truth(self, X: np.ndarray) -> np.ndarray:
        half = X[:, 0] * X[:, 1] / 8  # two columns share their product
        one = np.stack([half, half, X[:, 2] / 8, 0 * half], 1)
        return np.stack([-one, one], 2)

    def explain(self, X: np.ndarray) -> SimpleNamespace:
        noise = np.random.default_rng(0).normal(size=X.shape) * self.error
        base_values = np.full((len(X), 2), 0.5)
        return SimpleNamespace(values=self.truth(X) + np.stack([-noise, noise], 2), base_values=base_values)


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (16, 4))


def test_exact_values_are_those_of_a_game_solved_by_hand(bench, X) -> None:
    assert np.abs(Model().truth(X)).max() > 0.05
    assert bench.attributions.shapley(Model().predict_proba, X) == pytest.approx(Model().truth(X), abs=1e-12)


def test_agreement_is_1_of_exact_reasons_and_less_of_noisy_ones(bench, X) -> None:
    exact, noisy = bench.attributions.judge(Model(), X), bench.attributions.judge(Model(error=0.02), X)
    assert exact["r2"] == pytest.approx(1) and exact["cosine"] == pytest.approx(1) and exact["additive"] < 1e-12
    assert 0.5 < noisy["r2"] < 0.99 and noisy["cosine"] < 0.99 and noisy["additive"] > 1e-3


@pytest.mark.slow
def test_kernel_explainer_plays_the_same_game(bench, X) -> None:
    found = bench.attributions.kernel_explainer(Model(error=0.01), X)
    assert found["kernel_r2"] >= found["r2"] > 0.5
    assert found["kernel_ms_per_row"] > found["ms_per_row"] > 0


def test_auc_is_scikit_learns(bench) -> None:
    generator = np.random.default_rng(0)
    truth, p = generator.integers(0, 3, 60), generator.dirichlet(np.ones(3), 60)
    assert bench.tables.auc(truth, p) == pytest.approx(roc_auc_score(truth, p, multi_class="ovr", average="macro"))
    assert bench.tables.auc(truth % 2, p[:, :2]) == pytest.approx(
        (roc_auc_score(truth % 2 == 0, p[:, 0]) + roc_auc_score(truth % 2, p[:, 1])) / 2
    )
    two = np.where(truth == 2, 0, truth)  # a class without rows to judge is left out
    assert bench.tables.auc(two, p) == pytest.approx(
        (roc_auc_score(two == 0, p[:, 0]) + roc_auc_score(two == 1, p[:, 1])) / 2
    )


def test_a_split_has_two_rows_of_each_class_and_judges_on_others(bench) -> None:
    y = np.repeat([0, 1, 2], [200, 10, 6])
    X = pd.DataFrame({"row": np.arange(len(y))})
    first, again, other = (bench.tables.split(X, y, 16, seed) for seed in (0, 0, 1))
    assert len(first.y) == 16 and np.bincount(first.y).min() >= 2
    assert len(first.new) == 200 and not set(first.X.row) & set(first.new.row)
    assert first.X.row.tolist() == again.X.row.tolist() != other.X.row.tolist()
    assert bench.tables.split(X, y, 4, 0) is None  # less than two rows a class
    assert bench.tables.split(X, y, 200, 0) is None  # too few to judge


@pytest.mark.slow
def test_every_baseline_takes_mixed_columns_missing_cells_and_unknown_texts(bench) -> None:
    generator = np.random.default_rng(0)
    y = np.tile([0, 1, 2], 20)
    number = np.where(generator.random(60) < 0.2, np.nan, y + 0.1 * generator.normal(size=60))
    text = np.array(["a", "b", None], object)[generator.integers(0, 3, 60)]
    X = pd.DataFrame({"number": number, "empty": np.full(60, np.nan), "text": text, "flag": y == 1})
    new = X.assign(text="never seen")
    for name, build in bench.baselines.METHODS.items():
        if name == "mapping":
            continue  # the package's own tests judge it
        p = build(60).fit(X, y).predict_proba(new)
        assert bench.tables.auc(y, p) > 0.9, name
        assert p.sum(1) == pytest.approx(1), name


@pytest.fixture
def folder(tmp_path) -> Path:
    generator = np.random.default_rng(0)
    for name, classes in (("two", 2), ("many", 11)):
        y = generator.integers(0, classes, 300)
        table = pd.DataFrame({"a": y + generator.normal(size=300), "b": generator.normal(size=300), "target": y})
        (tmp_path / "tables").mkdir(exist_ok=True)
        table.to_csv(tmp_path / "tables" / f"{name}.csv.gz", index=False)
    return tmp_path / "tables"


def test_a_run_can_be_interrupted_and_does_nothing_twice(bench, folder, tmp_path) -> None:
    out = tmp_path / "runs" / "lines.jsonl"
    only = ["logistic_regression", "gradient_boosting"]
    bench.tables.run(folder, out, 2, (16,), only)
    whole = out.read_text()
    found = bench.report.lines(out)
    assert [(line["split"], line["method"]) for line in found] == [(s, m) for s in (0, 1) for m in only]
    assert {line["table"] for line in found} == {"two"}  # eleven classes are more than ten
    out.write_text(whole[:-40])  # killed while it wrote its last line
    bench.tables.run(folder, out, 2, (16,), only)
    repaired = bench.report.lines(out)
    assert [_quality(line) for line in repaired] == [_quality(line) for line in found]
    bench.tables.run(folder, out, 2, (16,), only)
    assert bench.report.lines(out) == repaired


def _quality(line: dict) -> dict:
    return {key: value for key, value in line.items() if "_ms" not in key}


def test_the_report_of_lines_whose_means_are_known(bench) -> None:
    quality = {"log_loss": 0.5, "calibration_error": 0.1}
    auc = {("a", "mapping"): (0.8, 0.9), ("b", "mapping"): (0.7, 0.7), ("a", "random_forest"): (0.6, 0.7)}
    auc["b", "random_forest"] = (0.8, 0.8)
    found = [
        {"table": table, "rows": 32, "split": i, "method": method, "auc": values[i], **quality}
        for (table, method), values in auc.items()
        for i in (0, 1)
    ]
    found.append({"table": "a", "rows": 32, "split": 0, "method": "agreement", "failed": "ValueError: too few rows"})
    said = bench.report.report(found)
    assert "| 32 | the mapping | 0.775 ± 0.953 |" in said  # 0.85, 0.70: t(1) = 12.706, s/√2 = 0.075
    assert "| 32 | random forest | 0.725 ± 0.953 | 0.050 ± 1.906 |" in said
    assert said.count("| 1.50 | 2 |") == 2  # each is first on one table
    assert said.index("| b | 0.700 | 0.800 |") < said.index("| a | 0.850 | 0.650 |")  # the mapping's worst first
    assert "- agreement, a: ValueError: too few rows" in said
    assert json.loads(json.dumps(found)) == found
