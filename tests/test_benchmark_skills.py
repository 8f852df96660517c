"""The skills benchmark: its tables follow their rules, and its command does nothing twice."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(FOLDER))
    import skill_tables
    import skills

    yield SimpleNamespace(tables=skill_tables, skills=skills)
    sys.path.remove(str(FOLDER))


def test_draw_is_a_pure_function_of_its_arguments(bench) -> None:
    for skill in bench.skills.SKILLS:
        first, again = (bench.skills.draw(skill, 32, 2, 1, judged=64) for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True)), skill
        for changed in ((48, 2, 1), (32, 4, 1), (32, 2, 0)):
            assert not np.array_equal(first[0][:9, 0], bench.skills.draw(skill, *changed, judged=64)[0][:9, 0]), skill


def test_every_class_is_drawn_and_columns_are_added(bench) -> None:
    for skill, (_, classes, _) in bench.skills.SKILLS.items():
        for index in range(4):
            X, y, X_test, y_test = bench.skills.draw(skill, 32, 0, index)
            assert np.bincount(y, minlength=classes).min() >= 2 and len(y) == 32, skill
            assert set(y_test) == set(y) == set(range(classes)) and len(y_test) == 256, skill
            assert np.isfinite(X).all() and X.shape[1] == X_test.shape[1] <= 7, skill
    for skill in ("linear", "xor", "moons"):  # of a fixed number of relevant columns
        widths = [bench.skills.draw(skill, 32, irrelevant, 0)[0].shape[1] for irrelevant in (0, 2, 4, 8)]
        assert np.diff(widths).tolist() == [2, 2, 4], skill


def test_an_oracle_that_knows_the_rule_is_nearly_perfect(bench) -> None:
    for skill, (table, classes, _) in bench.skills.SKILLS.items():
        found = []
        for seed in range(5):
            _, y, score = table(np.random.default_rng(seed), 1000)
            found.append(bench.skills.auc(y, score if classes > 2 else np.stack([-score, score], 1)))
        assert np.mean(found) > 0.97, skill


def test_relevant_columns_matter_and_irrelevant_ones_do_not(bench) -> None:
    X, y, _, _ = bench.skills.draw("threshold", 400, 4, 0)
    aucs = np.sort([abs(roc_auc_score(y, column) - 0.5) for column in X.T])
    assert aucs[-1] > 0.48 and aucs[-2] < 0.1
    X, y, _, _ = bench.skills.draw("xor", 400, 2, 0)
    pairs = {(i, j): abs(np.mean((X[:, i] != X[:, j]) == y) - 0.5) for i in range(6) for j in range(i)}
    found = sorted(pairs.values())
    assert found[-1] > 0.47 and found[-2] < 0.1 and set(np.unique(X)) == {0, 1}


def test_too_few_rows_for_the_classes_are_refused(bench) -> None:
    with pytest.raises(ValueError, match=r"rows: got 12 .* too few for the 10 classes"):
        bench.skills.draw("blobs, 10 classes", 12, 0, 0)


def test_auc_of_several_classes_is_scikit_learns(bench) -> None:
    generator = np.random.default_rng(0)
    y, p = generator.integers(0, 3, 60), generator.dirichlet(np.ones(3), 60)
    assert bench.skills.auc(y, p) == pytest.approx(roc_auc_score(y, p, multi_class="ovr"))
    assert bench.skills.auc(y % 2, p[:, :2]) == pytest.approx(roc_auc_score(y % 2, p[:, 1]))


def test_every_rival_learns_and_ranks_rows_of_every_class(bench) -> None:
    for name, fit_predict in bench.skills.METHODS.items():
        for skill, classes in (("linear", 2), ("blobs, 3 classes", 3)) if name != "mapping" else ():
            X, y, X_test, y_test = bench.skills.draw(skill, 32, 0, 2)
            p = fit_predict(X, y, X_test)
            assert p.shape == (256, classes) and bench.skills.auc(y_test, p) > 0.75, (name, skill)


@pytest.fixture
def few(bench, monkeypatch):
    for name in list(bench.skills.SKILLS)[2:]:
        monkeypatch.delitem(bench.skills.SKILLS, name)
    calls = []

    def chance(X, y, X_test):
        calls.append(X.shape[1])
        return np.tile([0.5, 0.5], (len(X_test), 1))

    for name in bench.skills.METHODS:
        monkeypatch.setitem(bench.skills.METHODS, name, chance)
    return calls


def test_draw_i_has_the_irrelevant_columns_of_its_turn(bench, few) -> None:
    assert bench.skills.score(bench.skills.METHODS["LR"], 32, 5) == {"linear": 0.5, "ratio": 0.5}
    assert few == [3, 5, 7, 11, 3, 2, 4, 6, 10, 2]


def test_lines_of_rivals_are_reused_and_the_mapping_is_measured_again(bench, few, tmp_path) -> None:
    out = tmp_path / "runs" / "lines.jsonl"
    lines = bench.skills.measure([32], 3, out, ["mapping", "LR"])
    assert len(few) == 12 and set(lines) == {(s, 32, m) for s in ("linear", "ratio") for m in ("mapping", "LR")}
    bench.skills.measure([32], 2, out, ["mapping", "LR"])
    assert len(few) == 12 + 4
    out.write_text(out.read_text()[:-9])  # interrupted while writing the last line, one of the mapping
    assert set(bench.skills.stored(out)) == set(lines)
    bench.skills.measure([256], 1, out, ["GP"])
    assert len(few) == 16  # too many rows for the Gaussian process


def test_the_report_of_lines_whose_means_are_known(bench, few) -> None:
    aucs = {"mapping": ([0.9, 0.8, 0], [0.99, 0.99]), "LR": ([0.9, 0.9, 1], [0.9, 0.9]), "SVM": ([1, 0.7], [1, 1])}
    lines = {
        (skill, 32, method): {"auc": values}
        for method, found in aucs.items()
        for skill, values in zip(("linear", "ratio"), found, strict=True)
    }
    said = bench.skills.report(lines, 32, 2)
    assert "| linear | 0.850 | 0.900 | 0.850 |  |  |  | 0.050 |" in said
    assert "| ratio | 0.990 | 0.900 | 1.000 |  |  |  | 0.010 |" in said
    assert "| *mean* | 0.920 | 0.900 | 0.925 |  |  |  | 0.030 |" in said
    assert "of the best rival: 50 % of the skills" in said and "Worst gap: 0.050 (linear)" in said
