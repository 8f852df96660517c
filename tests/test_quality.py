"""The quality of a table's predictions: folds that hide what they should, measures, honest first lines."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

import mapsto as mt
from mapsto.cli import main
from mapsto.estimators import TableClassifier
from mapsto.reports.table import Question, crossing, rows, words
from mapsto.reports.table.answer import answer
from mapsto.reports.table.class_build import ClassBuild
from mapsto.reports.table.evidence import Evidence, cross_validated
from mapsto.reports.table.folds import Fold, affordable, folds
from mapsto.reports.table.headlines import headlines
from mapsto.reports.table.lines import quality_lines
from mapsto.reports.table.quality import measures

# --- folds


def law_of_folds(parts: list[Fold], strata: np.ndarray, groups: np.ndarray) -> None:
    """Assert that parts are disjoint, groups whole, every class taught, and every class of several groups tested."""
    tested = np.concatenate([part.test for part in parts])
    assert len(np.unique(tested)) == len(tested)
    for part in parts:
        assert sorted([*part.train, *part.test]) == list(range(len(strata)))
        assert not set(groups[part.train]) & set(groups[part.test])
        assert set(strata[part.train]) == set(strata)
    several = [c for c in set(strata) if len(set(groups[strata == c])) > 1]
    assert set(several) <= set(strata[tested]) or len(set(groups)) < 4


@pytest.mark.parametrize("seed", range(30))
def test_folds_are_lawful(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(4, 60)), int(rng.integers(1, 5))
    strata = np.unique(rng.integers(0, k, n), return_inverse=True)[1]
    groups = np.arange(n) if seed % 2 else np.unique(rng.integers(0, 15, n), return_inverse=True)[1]
    law_of_folds(folds(strata, groups, seed) or [Fold(np.arange(n), np.arange(0))], strata, groups)


def test_folds_have_their_share_of_every_class_and_a_seed() -> None:
    strata = np.repeat([0, 1, 2], [50, 23, 11])
    parts = folds(strata, seed=3)
    counts = np.array([np.bincount(strata[part.test], minlength=3) for part in parts])
    assert counts.sum(0).tolist() == [50, 23, 11]
    assert (np.ptp(counts, 0) <= 1).all() and np.ptp(counts.sum(1)) <= 2
    again, other = folds(strata, seed=3), folds(strata, seed=4)
    assert [p.test.tolist() for p in again] == [p.test.tolist() for p in parts] != [p.test.tolist() for p in other]


@pytest.mark.parametrize(("rarest", "count"), [(1, 5), (2, 3), (3, 3), (4, 4), (9, 5)])
def test_a_rare_class_makes_fewer_folds_and_a_single_row_always_teaches(rarest: int, count: int) -> None:
    strata = np.repeat([0, 1], [40, rarest])
    parts = folds(strata)
    assert len(parts) == count
    assert (40 in np.concatenate([part.test for part in parts])) == (rarest > 1)


def test_groups_of_many_sizes_keep_shares() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(1, 6, 60))
    strata = (rng.random(60) < 0.3).astype(int)[groups]
    parts = folds(strata, groups)
    shares = [strata[part.test].mean() for part in parts]
    assert len(parts) == 5 and np.ptp(shares) < 0.1 and np.ptp([len(part.test) for part in parts]) < 0.1 * len(strata)


def test_who_shares_a_group_with_the_only_row_of_a_class_teaches_too() -> None:
    strata, groups = np.array([0, 0, 0, 0, 0, 0, 1]), np.array([0, 1, 2, 3, 4, 5, 5])
    parts = folds(strata, groups)
    law_of_folds(parts, strata, groups)
    assert sorted(np.concatenate([part.test for part in parts])) == [0, 1, 2, 3, 4]


def test_folds_are_of_one_size() -> None:
    many = folds(np.repeat(np.arange(5), 6))  # the sixth row of each class goes to another fold
    assert [len(part.test) for part in many] == [6] * 5
    groups = np.concatenate([np.zeros(20, int), np.arange(1, 81)])  # a large group is dealt first
    for seed in range(3):
        assert [len(part.test) for part in folds(np.zeros(100, int), groups, seed)] == [20] * 5


def test_nothing_is_tested_if_every_class_has_one_row_or_one_group() -> None:
    assert folds(np.arange(4)) == []
    assert folds(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])) == []


def test_of_large_tables_fewer_folds_are_predicted() -> None:
    parts = folds(np.arange(1000) % 2)
    assert [len(affordable(parts, columns)) for columns in (0, 3, 10, 100)] == [5, 5, 2, 1]


# --- evidence


def patients(n: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age, ward = rng.normal(60, 12, n).round(), rng.choice(["north", "south", "west"], n)
    dead = age + 12 * (ward == "north") + 8 * rng.normal(size=n) > 66
    return pd.DataFrame({"age": age, "ward": ward, "dose": rng.normal(size=n), "dead": np.where(dead, "yes", "no")})


def question(n: int = 60, **changed: Any) -> Question:
    """Return a question whose explained rows have no outcome."""
    table, new = patients(n), patients(4, seed=1)
    x, rows = table.drop(columns="dead"), new.drop(columns="dead")
    unknown = np.array([None] * 4, object)
    return replace(Question(x, table["dead"].to_numpy(), rows, unknown, rows[:0], np.array([], "U3")), **changed)


def test_cross_validation_is_a_new_classifier_on_each_fold() -> None:
    asked = question(30)
    fitted = TableClassifier().fit(asked.train, asked.labels)
    found = cross_validated(fitted, asked)
    assert found is not None and found.how == "by 5-fold cross-validation of the 30 labelled rows"
    y = (asked.labels == "yes").astype(int)
    parts = folds(y)
    np.testing.assert_array_equal(found.y, y[np.concatenate([part.test for part in parts])])
    for i, part in enumerate(parts):
        rows = found.folds == i
        own = TableClassifier().fit(asked.train.iloc[part.train], asked.labels[part.train])
        np.testing.assert_allclose(found.p[rows], own.predict_proba(asked.train.iloc[part.test]), atol=1e-7)
        x = pd.get_dummies(asked.train, columns=["ward"]).to_numpy(float)
        mean, scale = x[part.train, :2].mean(0), x[part.train, :2].std(0)
        x[:, :2] = (x[:, :2] - mean) / scale
        rival = LogisticRegression(max_iter=2000).fit(x[part.train], y[part.train]).predict_proba(x[part.test])
        np.testing.assert_allclose(found.rivals["logistic_regression"][rows], rival, atol=1e-6)
        np.testing.assert_allclose(found.base[rows, 1], y[part.train].mean())


def test_visits_of_one_patient_are_never_predicted_from_each_other() -> None:
    rng = np.random.default_rng(0)
    visits = np.repeat(np.arange(20), 3)
    labels, names = rng.choice(["a", "b"], 20)[visits], np.array([f"patient {i}" for i in visits], object)
    x = pd.DataFrame({"crp": rng.normal(size=20)[visits]})
    asked = question(train=x, labels=labels, groups=names)
    fitted = TableClassifier().fit(x, labels)
    aware, naive = (cross_validated(fitted, q, rivals=False) for q in (asked, replace(asked, groups=None)))
    assert aware is not None and naive is not None and aware.groups is not None and naive.groups is None
    where = [set(aware.folds[aware.groups == group]) for group in range(20)]
    assert len(aware.y) == 60 and all(len(folds) == 1 for folds in where) and len(set.union(*where)) == 5
    width = [np.ptp(measures(found, fitted.classes_)["intervals"]["accuracy"]) for found in (aware, naive)]
    assert width[0] > 1.4 * width[1]


def test_a_missing_group_is_a_group_of_its_own() -> None:
    groups = np.array(["a", None, "b", float("nan"), "a"], object)
    numbers = crossing.numbered(groups)
    assert numbers is not None and numbers[0] == numbers[4] and len(set(numbers)) == 4


def test_classes_that_cannot_be_tested_are_not_and_that_is_said() -> None:
    asked = question(30)
    labels = asked.labels.astype(object)
    labels[7] = "moved"
    found = cross_validated(TableClassifier().fit(asked.train, labels), replace(asked, labels=labels), rivals=False)
    assert found is not None and found.p.shape == (29, 3)
    why = "(the only row of a class always teaches)"
    assert found.how == f"by 5-fold cross-validation of the 30 labelled rows, 29 of which were predicted {why}"
    few = replace(asked, train=asked.train[:2], labels=np.array(["no", "yes"]))
    fitted = TableClassifier().fit(few.train, few.labels)
    assert cross_validated(fitted, few) is None
    nothing = answer(few, fitted).summary
    assert nothing["auc"] is None and nothing["measured"] is None and nothing["baselines"]["majority"]["auc"] is None


def test_no_fold_adds_a_note() -> None:
    asked = question(30)
    train = asked.train[["ward"]].assign(ward=[f"ward {i}" if i < 4 else "north" for i in range(30)])
    rows = {"rows": train[3:5], "outcomes": np.array([None] * 2, object), "others": asked.others[["ward"]]}
    found = answer(replace(asked, train=train, **rows))
    assert found.evidence is not None and not any("never seen" in note for note in found.notes)


# --- measures


def some_evidence(classes: int = 2, rows: int = 80, sharp: float = 1.5) -> Evidence:
    rng = np.random.default_rng(classes)
    y = rng.integers(0, classes, rows)
    e = np.exp(rng.normal(size=(rows, classes)) + sharp * np.eye(classes)[y])
    base = np.tile(np.bincount(y) / rows, (rows, 1))
    worse = np.exp(rng.normal(size=(rows, classes)))
    return Evidence(
        "held-out rows",
        "on 80 rows",
        y,
        e / e.sum(1, keepdims=True),
        base,
        {"random_forest": worse / worse.sum(1, keepdims=True)},
    )


def test_measures_of_two_classes_are_those_of_scikit_learn() -> None:
    found, e = measures(some_evidence(), np.array(["no", "yes"])), some_evidence()
    called = e.p.argmax(1)
    assert found["positive"] == "yes" and found["threshold"] == 0.5 and found["measured_rows"] == 80
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(e.y, e.p[:, 1]))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(e.y, called))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(e.y, e.p))
    for name, measure, label in (
        ("sensitivity", metrics.recall_score, 1), ("specificity", metrics.recall_score, 0),
        ("ppv", metrics.precision_score, 1), ("npv", metrics.precision_score, 0),
    ):  # fmt: skip
        assert found[name] == pytest.approx(measure(e.y, called, pos_label=label)), name
        assert found["intervals"][name][0] < found[name] < found["intervals"][name][1], name
    (tn, fp), (fn, tp) = metrics.confusion_matrix(e.y, called).tolist()
    names = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    assert found["confusion"] == dict(zip(names, (tp, fp, fn, tn), strict=True)) and len({tp, fp, fn, tn}) == 4
    turned = measures(e, np.array(["yes", "no"]))
    assert (turned["sensitivity"], turned["ppv"]) == (found["specificity"], found["npv"])


def test_measures_of_three_classes_have_recall_and_precision_of_each() -> None:
    found, e = measures(some_evidence(3), np.array([1, 2, 5])), some_evidence(3)
    assert found["sensitivity"] is None and found["confusion"] is None and found["threshold"] is None
    assert list(found["per_class"]) == ["1", "2", "5"]
    table = metrics.classification_report(e.y, e.p.argmax(1), output_dict=True)
    for c, scores in enumerate(found["per_class"].values()):
        assert scores["recall"] == pytest.approx(table[str(c)]["recall"])
        assert (
            scores["precision"] == pytest.approx(table[str(c)]["precision"])
            and scores["rows"] == table[str(c)]["support"]
        )
        assert scores["intervals"]["recall"][0] < scores["recall"] < scores["intervals"]["recall"][1]


def test_baselines_are_compared_on_the_same_rows() -> None:
    e = some_evidence()
    found = measures(e, np.array(["no", "yes"]))
    share = np.bincount(e.y).max() / 80
    majority, base, rival = (found["baselines"][name] for name in ("majority", "base_rates", "random_forest"))
    assert majority["accuracy"] == base["accuracy"] == pytest.approx(share)
    assert (majority["auc"], majority["log_loss"], majority["difference"]["log_loss"]) == (0.5, None, None)
    assert base["log_loss"] == pytest.approx(metrics.log_loss(e.y, e.base))
    assert base["difference"]["log_loss"]["value"] == pytest.approx(base["log_loss"] - found["log_loss"])
    assert base["difference"]["log_loss"]["low"] > 0  # clearly worse than the mapping
    assert rival["difference"]["auc"]["value"] == pytest.approx(rival["auc"] - found["auc"])
    assert rival["difference"]["auc"]["high"] < 0
    low, high = found["intervals"]["auc"]
    assert base["difference"]["auc"] == pytest.approx(
        {"value": 0.5 - found["auc"], "low": 0.5 - high, "high": 0.5 - low}
    )


def test_shares_without_rows_are_none_and_an_impossible_event_costs_what_it_does_in_scikit_learn() -> None:
    p = np.array([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2]])
    e = Evidence("held-out rows", "", np.array([1, 0, 0]), p, np.tile([0.7, 0.3], (3, 1)))
    found = measures(e, np.array(["no", "yes"]))
    assert found["ppv"] is None and found["intervals"]["ppv"] is None and found["sensitivity"] == 0
    assert found["log_loss"] == pytest.approx(metrics.log_loss(e.y, p))


def test_a_single_row_with_a_known_outcome_tells_next_to_nothing_and_is_written_without_nonsense() -> None:
    p = np.array([[0.3, 0.7]])
    e = Evidence("held-out rows", "on 1 row", np.array([1]), p, np.array([[0.5, 0.5]]), {"random_forest": p})
    found = measures(e, np.array(["no", "yes"]))
    assert found["auc"] is None and found["intervals"]["auc"] is None and found["intervals"]["log_loss"] == [0, np.inf]
    assert found["intervals"]["accuracy"] == pytest.approx([0.025, 1])
    written = json.dumps([words.quality(found, 2), words.decisions(found), words.comparison(found, found["baselines"])])
    assert "inf" not in written and "nan" not in written.lower()
    assert headlines(found) == [
        "It is uncertain whether these predictions are better than always giving the base rates "
        "(log loss 0.357 against 0.693, less is better). Do not rely on them."
    ]


# --- first lines


def summary(auc: float, loss: float, rivals: dict[str, tuple], base: float = 0.6, low: float = 0.6) -> dict[str, Any]:
    """Return a summary in which each rival has (AUC, its half width, log loss, its half width)."""

    def difference(value: float, half: float) -> dict[str, float]:
        return {"value": value, "low": value - half, "high": value + half}

    scores = {
        name: {"auc": a, "log_loss": b, "difference": {
            "auc": difference(a - auc, wide), "log_loss": difference(b - loss, far)
        }} for name, (a, wide, b, far) in rivals.items()
    }  # fmt: skip
    scores["base_rates"] = {"log_loss": base, "difference": {"log_loss": difference(base - loss, 0.05)}}
    scores["majority"] = {"accuracy": 0.5}
    return {
        "auc": auc, "log_loss": loss, "intervals": {"auc": [low, 0.99]}, "baselines": scores, "measured_rows": 80
    }  # fmt: skip


def test_a_rival_that_is_clearly_better_is_named_first() -> None:
    rivals = {"random_forest": (0.85, 0.1, 0.4, 0.05), "logistic_regression": (0.926, 0.08, 0.4, 0.05)}
    assert headlines(summary(0.796, 0.42, rivals)) == [
        "On these rows logistic regression ranks clearly better: AUC 0.926 against 0.796 "
        "(difference 0.130, 95 % interval 0.050 to 0.210). Consider using it."
    ]


@pytest.mark.parametrize(
    ("rival", "said"),
    [
        ((0.85, 0.1, 0.4, 0.1), None),
        ((0.6, 0.1, 0.4, 0.1), None),  # clearly worse
        (
            (0.85, 0.1, 0.3, 0.05),
            "gives clearly better probabilities: a lower log loss, 0.300 against 0.420",
        ),
        ((0.95, 0.1, 0.9, 0.05), "though its probabilities are worse (log loss 0.900 against 0.420"),
        ((0.6, 0.1, 0.3, 0.05), "though it ranks worse (AUC 0.600 against 0.796"),
        ((0.796 + 0.0504, 0.05, 0.4, 0.1), None),  # an interval that is printed as 0.000 to 0.100
    ],
)
def test_only_what_is_clear_is_said(rival: tuple, said: str | None) -> None:
    found = headlines(summary(0.796, 0.42, {"random_forest": rival}))
    assert found == [] if said is None else (len(found) == 1 and said in found[0])
    assert ("Consider" in "".join(found)) == (said is not None and "though" not in said)


@pytest.mark.parametrize(
    ("loss", "low", "said"),
    [
        (0.40, 0.6, None),
        (0.58, 0.4, "It is uncertain whether these predictions are better than always giving the base rates"),
        (0.58, 0.6, None),
        (0.603, 0.4, "These predictions are worse than always giving the base rates (log loss 0.603 against 0.600"),
        (0.70, 0.6, "The probabilities are worse than the base rates (log loss 0.700 against 0.600, less is better)."),
    ],
)
def test_predictions_that_are_worth_nothing_are_called_so(loss: float, low: float, said: str | None) -> None:
    found = headlines(summary(0.7, loss, {}, low=low))
    assert found == [] if said is None else (len(found) == 1 and said in found[0])


def test_words_set_accuracy_beside_the_commonest_class_and_log_loss_beside_base_rates() -> None:
    found = measures(some_evidence(), np.array(["no", "yes"]))
    told = {entry["name"]: entry for entry in words.quality(found, 2)}
    most = round(100 * found["baselines"]["majority"]["accuracy"])
    assert told["Accuracy"]["meaning"].endswith(f"right class; always naming the commonest class gets {most}.")
    assert told["Log loss"]["meaning"].endswith(
        f"base rates {found['baselines']['base_rates']['log_loss']:.3f}. These predictions are better."
    )
    worse = {**found, "log_loss": 0.9}
    assert words.quality(worse, 2)[-1]["meaning"].endswith(" These predictions are worse.")
    for low, said in ((0.0, True), (0.04, False)):
        shown = words.quality({**found, "intervals": {"calibration_error": [low, 0.2]}}, 2)
        assert any("perfect, but chance alone may cause this much." in entry["meaning"] for entry in shown) == said
    low, high = found["intervals"]["accuracy"]
    assert words.right(found, "Of 100, {0}", "no") == (
        f"Of 100, {round(100 * found['accuracy'])} were put in the right class (95 % interval {100 * low:.0f} to "
        f"{100 * high:.0f}); always naming no, the commonest class, gets {most}."
    )


# --- the whole


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a table of 40 patients of whom 3 died, for no reason; 4 outcomes are to be predicted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    table = patients(40).assign(dead="no").drop(columns="dose")
    table.loc[[3, 20, 29], "dead"] = "yes"
    table.loc[36:, "dead"] = None
    table.to_csv("few.csv", index=False)
    return tmp_path


def plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)).split())


def test_three_deaths_of_36_look_as_little_as_they_are(few: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["explain", "few.csv", "--target", "dead"]) == 0
    out = capsys.readouterr().out
    first = out.splitlines()[1]
    assert "always giving the base rates" in first and first.endswith("Do not rely on them.")
    page = plain(Path("few-explained/report.html").read_text())
    assert page.index(first) < page.index("The model learned from 36 rows")
    assert "always naming no, the commonest class, gets 92." in page
    assert "By 3-fold cross-validation of the 36 labelled rows: about" in page
    for said in ("If a row is called yes from a probability of 50 % on", "of 3 rows that are yes were called yes",
                 "The predictive values hold only where yes is about as common as in these rows (3 of 36).",
                 "always the commonest class", "These are the cross-validated training rows."):  # fmt: skip
        assert said in page, said
    squeezed = " ".join(re.sub(r"[│┃|]", " ", out).split())
    for said in ("Quality and checks, by 3-fold cross-validation of the 36 labelled rows", "sensitivity 0.",
                 "yes from 0.5 on", "accuracy of majority 0.917", "log loss of base rates 0."):  # fmt: skip
        assert said in squeezed, said
    assert max(map(len, out.splitlines()[2:30])) <= 80


def test_without_outcomes_the_stored_rows_are_cross_validated(few: Path) -> None:
    table = patients(25)
    x, y = table.drop(columns="dead"), table["dead"]
    TableClassifier().fit(x, y).save("clf.safetensors")
    clf = mt.TableClassifier.load("clf.safetensors")
    stored, given = (cross_validated(clf, rows.question(clf, x[:3], None, train, 0), False) for train in (None, (x, y)))
    assert stored is not None and given is not None
    assert stored.how == "by 5-fold cross-validation of the 25 labelled rows"
    np.testing.assert_allclose(stored.p, given.p, atol=1e-4)
    assert np.ptp(stored.p) > 0.5


def test_few_held_out_rows_are_measured_and_cross_validation_stands_beside_them() -> None:
    table = patients(60)
    x, y = table.drop(columns="dead"), table["dead"].to_numpy()
    clf, some = TableClassifier().fit(x[:30], y[:30]), slice(30, 42)
    asked = question(train=x[:30], labels=y[:30], rows=x[some], outcomes=y[some].astype(object))
    p = clf.predict_proba(x[some])
    first, found = ClassBuild().quality(clf, asked, p)
    second = found["cross_validation"]
    assert first is not None and first.measured == "held-out rows" and (first.p == p).all()
    assert second is not None and second["measured_rows"] == 30
    assert found["measured_rows"] == 12 and found["accuracy"] == pytest.approx((p.argmax(1) == first.y).mean())
    assert words.second_look(found).startswith(
        "Only 12 rows: the intervals are wide. For comparison, by 5-fold cross-validation of the 30 labelled rows: AUC"
    )
    json.dumps(found, allow_nan=False)
    many = replace(asked, rows=x[30:], outcomes=y[30:].astype(object))
    assert ClassBuild().quality(clf, many, clf.predict_proba(x[30:]))[1]["cross_validation"] is None


def test_lines_of_three_classes_name_each(few: Path) -> None:
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"a": rng.normal(size=30), "b": rng.normal(size=30)})
    labels = np.array(["low", "mid", "high"])[np.digitize(x["a"] + 0.3 * x["b"], [-0.4, 0.4])]
    found = answer(Question(x, labels, x[:2], np.array([None] * 2, object), x[:0], labels[:0]))
    lines = {name: (value, remark) for name, value, remark in quality_lines(found)}
    assert "sensitivity" not in lines and float(lines["recall of mid"][0]) > 0.4
    assert re.fullmatch(
        r"0.\d\d to [01].\d\d; precision [01]\.\d{3} \(0.\d\d to [01].\d\d\)", lines["recall of low"][1]
    )
    assert re.fullmatch(r"[+−]?0\.\d{3} \(−?0\.\d\d to −?0\.\d\d\)", lines["AUC of random forest"][1])
