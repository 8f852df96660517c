"""Signs and units of a table's report and of what the terminal prints: numbers made by hand are found as they are read.

Four patients, two columns, three training rows; `lived` loses what `died` wins.
"""

import importlib
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from sklearn.metrics import log_loss

from mapsto.commands.terminal import show
from mapsto.estimators import TableClassifier
from mapsto.explanation import Explanation
from mapsto.figures.style import HIGHER, LOWER
from mapsto.reports import page
from mapsto.reports.table import Answer, Question
from mapsto.reports.table.answer import answer, typical_rows
from mapsto.reports.table.class_parts import trust
from mapsto.reports.table.html import write
from mapsto.reports.table.quality import quality
from mapsto.reports.table.words import comparison

CELLS = np.array([[70.0, 9.0], [30.0, 1.0], [60.0, 7.0], [40.0, 2.0]])
DIED = np.array([[0.30, -0.05], [-0.10, 0.04], [0.20, -0.02], [-0.06, 0.03]])  # what each cell gave `died`
P = np.array([0.65, 0.34, 0.58, 0.372])  # of died: .4 and the cells, but for .002 in the last row
PUSH = np.array([[0.04, -0.02, 0.0], [0.0006, -0.0003, 0.0]])  # of the training rows on `died`, in the first two rows
SUMMARY = {"auc": 0.876, "accuracy": 0.75, "log_loss": 0.2, "calibration_error": 0.03, "ms_per_row": 1.25}
RIVALS = {"logistic_regression": {"auc": 0.8}, "random_forest": {"auc": 0.7}}
AGREEMENT = {"r2": 0.981, "cosine": 0.992, "covered": 0.915, "rows": 4, "columns": 2}
TRAIN = pd.DataFrame({"age": [71.0, 20.0, 50.0], "dose": [8.0, 2.0, 5.0]}, index=["r1", "r2", "r3"])


def both(died: np.ndarray) -> np.ndarray:
    """Add the class `lived`, which loses what `died` wins."""
    return np.stack([-died, died], -1)


def reasons() -> Explanation:
    base = np.tile([0.6, 0.4], (4, 1))
    return Explanation(both(DIED), base, CELLS, ["age", "dose"], ["lived", "died"])


def hand_made(rows: int = 4) -> Answer:
    """Return an answer about the first rows, whose numbers are those above."""
    names = ["q1", "q2"] if rows == 2 else None  # None: numbered from 1
    table = pd.DataFrame(CELLS[:rows], columns=["age", "dose"], index=names)
    outcomes = np.array(["died", "lived", "died", "lived"] if rows == 4 else [None] * rows, object)
    labels = np.array(["died", "lived", "died"])
    p, summary = np.stack([1 - P, P], 1)[:rows], {**SUMMARY, "agreement": AGREEMENT, "baselines": RIVALS}
    question = Question(TRAIN, labels, table, outcomes, table[:0], labels[:0])
    return Answer(question, reasons()[:rows], p, [0, 1], both(PUSH), p[question.has_outcome], summary, [])


Picture = tuple[str, Figure]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Picture]]:
    """Return the page with its tags, and its pictures with what is said of them."""
    drawn: list[Picture] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "picture", lambda figure, alt: drawn.append((alt, figure)) or f"[{alt}]")
        path = write(hand_made(), tmp_path_factory.mktemp("report") / "r.html", "t")
    return path.read_text(), drawn


def plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def figure(drawn: list[Picture], begins: str) -> Figure:
    return next(figure for alt, figure in drawn if alt.startswith(begins))


# --- the report in words

SENTENCES = [
    "About 75 of 100 predicted rows that it had not seen were put in the right class.",
    "moved most by age (16.5) and dose (3.5); in brackets, by how many percentage points",
    "AUC 0.876 Of 100 pairs of rows from different classes, about 88 were put in the right order",
    "Accuracy 75.0 % About 75 of 100 rows",
    "Log loss 0.200",
    "would score 0.693",
    "Calibration error 3.0 % Stated probabilities were off by 3.0 percentage points",
    "Time per explained row 1.25 ms",
    "Mean movement in percentage points: age 16.5 and dose 3.5.",
    "age 16.5 high raises dose 3.5 high lowers",
    "Row 1: 65.0 % probability of died",
    "The probability of died goes from 40.0 % to 65.0 %. The outcome was died.",
    "Largest steps: age = 70 (+30.0) and dose = 9 (−5.0).",
    "Row 2: 34.0 % probability of died",
    "Largest steps: age = 30 (−10.0) and dose = 1 (+4.0).",
    "r1: died (+4.0) and r2: lived (−2.0)",
    "would change this prediction by less than 0.1 percentage points",
    "In the fullest, 2 rows, 35.6 % was predicted and 0.0 % came true.",
    "65.0 % 100.0 % (2.5 % to 100.0 %) 1",
    "they reproduce 98.1 % of the variation (R² = 0.981)",
    "largest gap on this page is 0.2 percentage points",
    "1 died 65.0 % died age = 70 +30.0 ; dose = 9 −5.0",
    "2 lived 66.0 % lived age = 30 +10.0 ; dose = 1 −4.0",
    "3 died 58.0 % died age = 60 +20.0 ; dose = 7 −2.0",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_report_says(report: tuple[str, list[Picture]], sentence: str) -> None:
    assert sentence in plain(report[0])


def test_pushes_have_their_sign_and_colour(report: tuple[str, list[Picture]]) -> None:
    table = re.search(r'<th scope="col" class="n">push</th>.*?</table>', report[0], re.DOTALL)
    assert table
    assert re.findall(r'<span class="(\w*)">([^<]*)</span>', table[0]) == [("up", "+4.0"), ("down", "−2.0")]


def test_the_best_of_each_measure_is_bold(report: tuple[str, list[Picture]]) -> None:
    assert re.findall(r'<td class="n( best)?">(0\.\d{3})</td>', report[0]) == [
        (" best", "0.876"), ("", "0.800"), ("", "0.700"),
    ]  # fmt: skip


def test_a_table_whose_rows_mattered_is_not_said_to_be_without(report: tuple[str, list[Picture]]) -> None:
    assert plain(report[0]).count("No single training row mattered much here") == 1


def test_a_small_gap_is_said_to_be_small(tmp_path: Path) -> None:
    exact = replace(hand_made(), probabilities=np.array([0.6, 0.4]) + both(DIED).sum(1))
    path = write(exact, tmp_path / "r.html", "t")
    assert "largest gap on this page is less than 0.0001 percentage points" in plain(path.read_text())


def test_the_least_error_and_the_most_right_are_bold() -> None:
    mine = {"auc": 0.9, "accuracy": 0.8, "log_loss": 0.4, "calibration_error": 0.1}
    worse = {"auc": 0.8, "accuracy": 0.7, "log_loss": 0.5, "calibration_error": 0.2}
    told = comparison(mine, {"other": worse})
    assert [better for _, better in told["heads"]] == ["higher is better"] * 2 + ["lower is better"] * 2
    assert [[best for _, best in cells] for _, cells in told["rows"]] == [[True] * 4, [False] * 4]


# --- the report in pictures


def bars(axes: object) -> list[tuple[float, str]]:
    """Return length and colour of the bars from top to bottom."""
    found = sorted(axes.patches, key=lambda bar: bar.get_y())
    return [(round(bar.get_width(), 9), to_hex(bar.get_facecolor())) for bar in found]


def test_pictures_have_the_signs_of_the_words(report: tuple[str, list[Picture]]) -> None:
    pictures = report[1]
    dots = np.concatenate([c.get_offsets() for c in figure(pictures, "Beeswarm").axes[0].collections])
    np.testing.assert_allclose(np.sort(dots[:, 0]), np.sort(100 * DIED.ravel()))
    fall = figure(pictures, "Waterfall of row 1").axes[0]
    assert bars(fall) == [(30, HIGHER), (-5, LOWER)] and fall.patches[0].get_x() == pytest.approx(40)
    assert bars(figure(pictures, "Waterfall of row 2").axes[0]) == [(-10, LOWER), (4, HIGHER)]
    assert bars(figure(pictures, "Bars: training rows that pushed row 1").axes[0]) == [(4, HIGHER), (-2, LOWER)]


def test_the_reliability_curve_is_of_the_class_it_names(report: tuple[str, list[Picture]]) -> None:
    drawn = figure(report[1], "Reliability curve").axes
    np.testing.assert_allclose(drawn[0].lines[1].get_xdata(), [35.6, 58, 65])
    np.testing.assert_allclose(drawn[0].lines[1].get_ydata(), [0, 100, 100])
    assert "probability of died" in drawn[1].get_xlabel()
    ends = [np.array(part.get_segments())[0, :, 1] for part in drawn[0].collections]
    np.testing.assert_allclose(ends[0], [0, 100 * (1 - 0.025**0.5)])  # exact, of two rows without the event


def test_the_reliability_of_three_classes_is_of_the_most_probable() -> None:
    p = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.6, 0.1]])
    two, outcomes = hand_made(), np.array(["c", "a", "a", "b"], object)
    flat = Explanation(np.zeros((4, 2, 3)), np.full((4, 3), 1 / 3), CELLS, ["age", "dose"], ["a", "b", "c"], CELLS)
    question, push = replace(two.question, outcomes=outcomes), np.zeros((2, 3, 3))
    section = trust(replace(two, question=question, reasons=flat, probabilities=p, test_probabilities=p, push=push))
    assert section is not None and section["what"] == "the most probable class"
    right = {bin["predicted"]: bin["frequency"] for bin in section["bins"]}
    assert right == pytest.approx({0.7: 1, 0.6: 1, 0.5: 0})


def test_typical_rows_are_medians_of_the_two_commonest_predictions() -> None:
    probable = np.array([90, 70, 60, 80, 50, 99, 55, 66, 77, 88, 98, 99]) / 100
    assert typical_rows(probable[:, None] * np.eye(3)[[0] * 5 + [1] * 4 + [2] * 3]) == [1, 8, 4]


# --- the terminal


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    show(replace(hand_made(2), push=both(PUSH * [[1], [100]])), "t", [])
    return " ".join(re.sub(r"[│┃|]", " ", capsys.readouterr().out).split())


@pytest.mark.parametrize(
    "said",
    [
        "AUC 0.876",
        "accuracy 0.750",
        "log loss 0.200",
        "calibration error 0.030",
        "AUC of random forest 0.700",
        "agreement R² 0.981",
        "agreement cosine 0.992",
        "exact values in 90 % intervals 0.915",
        "ms per explained row 1.25",
        "q1 died 65.0 % age = 70: +30.0, dose = 9: −5.0",
        "q2 lived 66.0 % age = 30: +10.0, dose = 1: −4.0",
        "q1 r1 (died) +4.0, r2 (lived) −2.0",
        "q2 r1 (died) −6.0, r2 (lived) +3.0",
    ],
)
def test_the_terminal_says(printed: str, said: str) -> None:
    assert said in printed


# --- what is measured


def test_quality_is_measured_in_its_units(monkeypatch: pytest.MonkeyPatch) -> None:
    q, y = np.stack([1 - P, P], 1), np.array([1, 0, 0, 0])
    worse = np.full((4, 2), 0.5)
    module = importlib.import_module("mapsto.reports.table.evidence")
    monkeypatch.setattr(module, "rival_probabilities", lambda *_: {"random_forest": worse})
    names = np.array(["died", "lived"])
    rows = pd.DataFrame(CELLS)
    question = Question(rows, names[y], rows, names[y].astype(object), rows[:0], names[:0])
    found = quality(SimpleNamespace(classes_=names), question, q)  # type: ignore[arg-type]
    assert found["log_loss"] == pytest.approx(log_loss(y, q)) and found["log_loss"] > 0.4
    assert found["accuracy"] == 0.75 and found["auc"] == 1 and found["baselines"]["random_forest"]["auc"] == 0.5
    right, wrong = np.array([0.65, 0.66, 0.628]), 0.58  # in a bin each
    assert found["calibration_error"] == pytest.approx(((1 - right).sum() + wrong) / 4)


def test_the_time_of_a_row_is_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.6])
    module = importlib.import_module("mapsto.reports.table.answer")
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    x = pd.DataFrame({"age": np.arange(12.0)})
    rows = x.iloc[9:]
    labels = np.arange(9) % 2
    found = answer(Question(x.iloc[:9], labels, rows, np.array([None] * 3), rows[:0], labels[:0]))
    assert found.summary["ms_per_row"] == pytest.approx(200)


def test_a_push_is_what_deleting_the_row_takes_away() -> None:
    """The push on the page is the prediction with the training row, minus the one without it."""
    generator = np.random.default_rng(0)
    x = pd.DataFrame({"age": generator.normal(size=20), "dose": generator.normal(size=20)})
    died = np.where(x["age"] > 0, "yes", "no")
    found = answer(Question(x.iloc[:14], died[:14], x.iloc[14:], died[14:].astype(object), x[:0], died[:0]))
    rows, fitted = x.iloc[14:].iloc[found.cases], TableClassifier().fit(x.iloc[:14], died[:14])
    largest = int(np.abs(found.push[0, :, 1]).argmax())
    without = TableClassifier().fit(x.iloc[:14].drop(index=largest), np.delete(died[:14], largest))
    taken = (fitted.predict_proba(rows) - without.predict_proba(rows))[0]
    assert np.abs(taken).max() > 1e-3
    np.testing.assert_allclose(found.push[0, largest], taken, atol=1e-5)
