"""`mt.reports.table` and `mt.reports.task`: a script gets what the command line gives, with classes of its own too."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

import mapsto as mt
from mapsto.cli import main
from mapsto.episodes import Episode, Examples, State
from mapsto.errors import MapstoError
from mapsto.reports.table.training import training_rows


def patients(n: int = 40, seed: int = 0) -> pd.DataFrame:
    """Numbers, a zip code, categories, dates and missing cells; the outcome follows age and ward."""
    generator = np.random.default_rng(seed)
    age, ward = generator.integers(30, 90, n).astype(float), generator.choice(["north", "south"], n)
    ill = age + 20 * (ward == "north") + generator.normal(size=n) > 70
    admitted = (np.datetime64("2024-01-01") + generator.integers(0, 300, n)).astype(str)
    table = pd.DataFrame({"age": age, "ward": ward, "admitted": admitted, "zip": generator.integers(1000, 99999, n)})
    table.loc[::7, "age"] = np.nan
    return table.assign(outcome=np.where(ill, "died", "lived"))


def plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(style|script).*?</\1>", "", text, flags=re.DOTALL)).split())


def without_time(text: str) -> str:
    return re.sub(r"[\d.]+ ms", "", text)


def without_file(text: str) -> str:
    """Leave out what only the command knows: the file, its lines, and the options of the command line."""
    parts = (
        '<meta name="mapsto-input"[^>]*>', '<section id="reading">.*?</section>', r" \(line \d+ of the file\)",
        '<th scope="col" class="n">line<small>of the file</small></th>', r'<td class="n">\d+</td>',
        "<p>The file of predictions.*?</p>",
    )  # fmt: skip
    return " ".join(re.sub("|".join(parts), "", without_time(text), flags=re.DOTALL).split()).replace("> <", "><")


# --- a table


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    patients().to_csv("train.csv", index=False)
    patients(15, seed=1).to_csv("new.csv", index=False)
    return tmp_path


def test_a_script_gets_the_numbers_and_the_page_of_the_command(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["explain", "new.csv", "--train", "train.csv", "--target", "outcome", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    train, new = pd.read_csv("train.csv", dtype=str), pd.read_csv("new.csv", dtype=str)  # cells as they are written
    x, y = train.drop(columns="outcome"), train["outcome"]
    clf = mt.TableClassifier().fit(x, y)
    answer = mt.reports.table(
        clf, new.drop(columns="outcome"), new["outcome"], "mine.html", train=(x, y), title="new.csv: outcome"
    )
    assert told["accuracy"] > 0.6 and told["agreement"]["r2"] > 0.5
    for key in ("auc", "accuracy", "log_loss", "calibration_error", "agreement", "baselines"):
        assert answer.summary[key] == told[key]
    assert answer.notes == told["notes"]
    mine, theirs = Path("mine.html").read_text(), Path("new-explained/report.html").read_text()
    assert without_file(mine) == without_file(theirs)
    assert " of the file): " in theirs and " of the file): " not in mine
    assert theirs.count("high raises") == 2  # age and zip, although a file holds texts
    numbers = answer.shades[:, [0, 2, 3]]  # and dates
    assert all(isinstance(cell, float) and np.isfinite(cell) for cell in numbers.flat if cell is not None)
    assert [cell is None for cell in numbers[:, 0]] == new["age"].isna().tolist() and (numbers[:, 1:] != None).all()  # noqa: E711
    assert set(answer.shades[:, 1]) == {"north", "south"}


def test_training_rows_among_the_rows_to_explain_are_said(tmp_path: Path) -> None:
    """The training rows are read back in single precision."""
    g = np.random.default_rng(0)
    X = pd.DataFrame({"age": g.normal(60, 9, 20), "dose": 1000 * g.normal(size=20), "ward": g.choice(["a", "b"], 20)})
    X["ward"] = X["ward"].where(g.random(20) > 0.2)
    y = np.where(X["age"] + g.normal(size=20) > 60, "ill", "well")
    clf = mt.TableClassifier().fit(X[:16], y[:16])
    result = mt.reports.table(clf, X, y, path=tmp_path / "r.html", quality=False)
    (note,) = (note for note in result.notes if note.startswith("rows for testing"))
    assert "16 of 20" in note


def test_without_the_training_rows_they_are_read_back(folder: Path) -> None:
    train, new = pd.read_csv("train.csv"), pd.read_csv("new.csv")
    x, y = train.drop(columns="outcome"), train["outcome"]
    clf = mt.TableClassifier().fit(x, y)
    rows, labels = training_rows(clf)
    pd.testing.assert_frame_equal(rows.reset_index(drop=True), x, check_dtype=False)  # to the last digit
    assert labels.tolist() == y.tolist() and rows.index[0] == "1"
    whole, read = (
        mt.reports.table(clf, new.drop(columns="outcome"), new["outcome"], f"{i}.html", train=given)
        for i, given in enumerate([(x, y), None])
    )
    assert {**read.summary, "ms_per_row": 0} == {**whole.summary, "ms_per_row": 0}
    np.testing.assert_array_equal(read.push, whole.push)
    assert without_time(Path("0.html").read_text()) == without_time(Path("1.html").read_text())


def test_a_loaded_classifier_of_repeated_and_left_out_rows_is_told(folder: Path) -> None:
    x = pd.DataFrame({"a": np.arange(20.0), "same": 1, "b": np.arange(20) % 3 / 10})
    weights = np.array([2, 0] + [1] * 18)
    mt.TableClassifier().fit(x, np.arange(20) > 9, weights).save("clf.safetensors")
    clf = mt.TableClassifier.load("clf.safetensors")
    rows, labels = training_rows(clf)
    assert list(rows.index) == [str(i) for i in range(1, 21) if i != 2] and labels.tolist() == [False] * 9 + [True] * 10
    np.testing.assert_allclose(rows["b"].astype(float), np.delete(np.arange(20) % 3 / 10, 1), atol=1e-7)
    assert rows["same"].isna().all()
    answer = mt.reports.table(clf, x.iloc[5:15], path="r.html", quality=False)
    expected = -clf.influence(x.iloc[5:15].iloc[answer.cases])[:, [0, *range(2, 20)]]
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(answer.push, expected, atol=1e-6)


def test_outcomes_judge_where_they_are_known(folder: Path) -> None:
    train, new = patients(), patients(15, seed=1)
    x, y = train.drop(columns="outcome"), train["outcome"]
    clf = mt.TableClassifier().fit(x, y)
    rows = new.drop(columns="outcome")
    some = new["outcome"].where(np.arange(15) < 12, None).where(np.arange(15) != 3, "moved away")
    none, part = (mt.reports.table(clf, rows, outcomes, "r.html", train=(x, y)) for outcomes in (None, some.tolist()))
    assert none.summary["measured"] == "cross-validation" and none.summary["measured_rows"] == len(train)
    assert none.outcome_count == 0 and 0.7 < none.summary["accuracy"] < 1
    known = np.delete(np.arange(12), 3)
    right = part.probabilities[known].argmax(1) == (new["outcome"].to_numpy()[known] == "lived")
    assert part.summary["measured"] == "held-out rows" and part.summary["cross_validation"]["measured_rows"] == len(
        train
    )
    assert part.outcome_count == 11 and part.summary["accuracy"] == pytest.approx(right.mean()) and right.mean() > 0.5
    assert any(
        "1 rows with an outcome that no training row has (moved away) are not used for testing" in n for n in part.notes
    )
    assert "known: 11 of 15." in plain(Path("r.html").read_text())


def test_codes_are_written_as_they_came(
    folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    n = 30
    table = pd.DataFrame(
        {"zip": [f"0{2139 + i}" for i in range(n)], "year": 1990 + np.arange(n), "id": 10001 + np.arange(n)}
    )
    clf = mt.TableClassifier().fit(table, np.arange(n) > 14)
    answer = mt.reports.table(clf, table.iloc[::3], path="r.html", train=(table, np.arange(n) > 14), quality=False)
    seen = plain(Path("r.html").read_text())
    assert "zip = 02139" in seen and "year = 1990" in seen and "id = 10001" in seen
    assert not re.search(r"\b2,1\d\d|\b1,99\d|\b10,0\d\d", seen)
    from mapsto.commands.terminal import show

    show(answer, "t", [])
    out = capsys.readouterr().out
    assert "zip = 02139" in out and "year = 1990" in out
    assert re.findall(r"zip = (\S+) [+−]", seen) and set(re.findall(r"zip = (\S+):", out)) <= set(table["zip"])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("clf", {"clf": mt.learners.RidgeHead(nn.Identity(), 2)}),
        ("clf", {"clf": mt.TableClassifier()}),
        ("clf", {"clf": mt.TableRegressor()}),
        ("X", {"X": np.zeros((0, 2))}),
        ("X", {"X": np.zeros(2)}),
        ("X", {"X": pd.DataFrame({"b": [1.0], "c": [2.0]})}),
        ("y", {"y": ["no"]}),
        ("y", {"y": [["no", "yes", "no"]]}),
        ("train", {"train": (np.zeros((3, 2)), ["no"] * 3)}),
        ("train", {"train": (np.zeros((10, 2)), ["no"] * 3)}),
        ("path", {"path": "absent/r.html"}),
        ("path", {"path": "."}),
    ],
)
def test_a_table_that_cannot_be_told_is_one_sentence(
    folder: Path, unchecked: None, name: str, change: dict[str, object]
) -> None:
    x = pd.DataFrame({"a": np.arange(10.0), "b": np.arange(10) % 3})
    clf = mt.TableClassifier().fit(x, np.array(["no", "yes"])[np.arange(10) % 2])
    arguments = {"clf": clf, "X": x.iloc[:3], "path": "r.html"} | change
    with pytest.raises(MapstoError, match=f"^{name}: .*") as raised:
        mt.reports.table(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value) and not Path("r.html").exists()


# --- a task


class Nearest(mt.learners.Learner):
    """A user's own learner: the nearest teaching example's target, softly."""

    loss_name = "mse"

    def __init__(self) -> None:
        super().__init__()
        self.width = nn.Parameter(torch.tensor(1.0))

    def adapt(self, support: Examples) -> State:
        return support

    def predict(self, state: State, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        distance = (x[:, None] - state.x).square().sum(-1)
        share = state.w * (-distance / self.width).exp()
        return share @ state.y / share.sum(1, keepdim=True).clamp_min(1e-9)


class Voting(Nearest):
    """The same for classes."""

    loss_name = "cross_entropy"

    def predict(self, state: State, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        targets = torch.nn.functional.one_hot(state.y, 2).float()
        return 3 * super().predict(state._replace(y=targets), x)


class Planes(mt.tasks.Tasks):
    """A user's own tasks: noiseless planes over three columns."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        x = torch.randn(count, 14, 3, generator=generator)
        y = x @ torch.randn(count, 3, 1, generator=generator)
        return Episode(*(Examples(x[:, part], y[:, part], torch.full((count, n), 1 / n)) for part, n in
                         ((slice(0, 8), 8), (slice(8, 14), 6))))  # fmt: skip


class Sides(Planes):
    """The same as two classes."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        episode = super().draw(generator, count)
        support, query = (part._replace(y=(part.y[..., 0] > 0).long()) for part in episode[:2])
        return Episode(support, query)


@pytest.mark.parametrize(("learner", "tasks"), [(Nearest, Planes), (Voting, Sides)])
def test_a_learner_and_tasks_of_ones_own_are_told(
    tmp_path: Path, learner: type[mt.learners.Learner], tasks: type[mt.tasks.Tasks]
) -> None:
    own = learner()
    path = tmp_path / "task.html"
    answer = mt.reports.task(own, tasks(), 2, ["Occlusion", "Shapley"], path)
    support, query = mt.episodes.unstack(tasks().test.batch(2, 1, 0))[0][:2]
    scores = own.predict(own.adapt(support), query.x[:4]).detach()
    classes = own.loss_name == "cross_entropy"
    np.testing.assert_allclose(answer.outputs, scores.softmax(-1) if classes else scores, atol=1e-5)
    assert answer.name == "test task 2" and set(answer.reasons.values) == {"Occlusion", "Shapley"}
    assert (answer.classes is not None) == classes and list(answer.columns) == ["column 0", "column 1", "column 2"]
    target = int(answer.outputs[0].argmax()) if classes else None

    def score(support: Examples) -> float:
        scores = own.predict(own.adapt(support), query.x[:1])[0].detach()
        return float(scores.softmax(-1)[target] if classes else scores.mean())

    without = support._replace(w=torch.where(torch.arange(8) == 5, 0.0, support.w))
    assert answer.teaching.examples[5] == pytest.approx(score(support) - score(without), abs=1e-5)
    text = path.read_text()
    order = re.findall(r'<section (?:class="\w+" )?id="(\w+)"', text)
    assert order == ["summary", "answers", "reasons", "taught", "film", "trust", "words"]
    seen = plain(text)
    assert f"{learner.__name__} on a task of {tasks.__name__}" in seen
    assert f"{learner.__name__} adapts without inner gradient steps" in seen
    assert "How the training went" not in seen and "What was asked for" not in seen


@pytest.mark.usefixtures("two_neighbours")
def test_a_script_gets_the_task_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    line = (
        "--learner MAML --learner.body MLP --learner.body.widths [11,8,2] --learner.lr 0.5 --tasks Planted "
        f"--tasks.shots 12 --tasks.queries 5 --steps 1 --batch 1 --run {run}"
    )
    assert main(["train", *line.split()]) == 0
    capsys.readouterr()
    assert main(["report", str(run), "--episode", "3", "--method", "Occlusion", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["task"]
    learner = mt.learners.MAML(mt.models.MLP(11, 8, 2), lr=0.5)
    mt.training.load_weights(learner, run)
    answer = mt.reports.task(learner, mt.tasks.Planted(shots=12, queries=5), 3, "Occlusion", tmp_path / "mine.html")
    assert [answer.answer(i) for i in range(4)] == [row["says"] for row in told["answers"]]
    means = {
        key: trust.explainer.mean
        for key, trust in answer.reasons.trust["Occlusion"].items()
        if key in ("gap", "infidelity")
    }
    assert means == pytest.approx({key: told["trust"]["Occlusion"][key]["explainer"][0] for key in means})
    mine, theirs = ((tmp_path / name).read_text() for name in ("mine.html", "run/report.html"))
    parts = [
        re.search(r'<section id="answers">.*?<section id="(words|evaluation)">', page, re.DOTALL)
        for page in (mine, theirs)
    ]
    body = [part[0].rpartition("<section")[0].strip() for part in parts if part]
    assert body[0] == body[1] and len(body[0]) > 10_000


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("learner", {"learner": nn.Linear(3, 1)}),
        ("tasks", {"tasks": [1, 2]}),
        ("index", {"index": -1}),
        ("methods", {"methods": ["Astrology"]}),
        ("methods", {"methods": "SelfExplaining"}),
        ("methods", {"methods": " , "}),
        ("path", {"path": "absent/r.html"}),
    ],
)
def test_a_task_that_cannot_be_told_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked: None, name: str, change: dict[str, object]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = {"learner": Nearest(), "tasks": Planes(), "path": "r.html"} | change
    with pytest.raises(MapstoError, match=f"^{name}: .*") as raised:
        mt.reports.task(**arguments)  # type: ignore[arg-type]
    assert "--" not in str(raised.value) and "\n" not in str(raised.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "cells", [{}, {"n": [5.0], "k": ["a"]}], ids=["every cell is missing", "every column is constant"]
)
def test_reasons_that_are_all_zero_are_not_compared(folder: Path, cells: dict[str, list]) -> None:
    rng = np.random.default_rng(0)
    x = pd.DataFrame({c: rng.normal(size=30) for c in "abcde"}) if not cells else pd.DataFrame(cells).loc[[0] * 30]
    clf = mt.TableClassifier().fit(x, np.arange(30) % 2)
    rows = x[:3] if cells else x[:3].assign(**dict.fromkeys(x, np.nan))
    answer = mt.reports.table(clf, rows, path="r.html", train=(x, np.arange(30) % 2))
    agreement = answer.summary["agreement"]
    assert agreement["r2"] is None and agreement["cosine"] is None and agreement["rows"] == 3
    assert np.abs(answer.reasons.values).max() == 0 and "R² =" not in Path("r.html").read_text()


def test_training_rows_that_are_not_those_of_the_classifier_are_refused(folder: Path) -> None:
    table = patients()
    x, y = table.drop(columns="outcome"), table["outcome"]
    clf = mt.TableClassifier().fit(x, y)
    flipped = y.map({"lived": "died", "died": "lived"})
    for wrong in ((x, flipped), (x[::-1], y[::-1]), (x.drop(columns=x.columns[0]), y), (x, y[:-1])):
        with pytest.raises(MapstoError, match=r"^train: "):
            mt.reports.table(clf, x[:3], path="r.html", train=wrong)
    reordered = x[x.columns[::-1]]
    assert mt.reports.table(clf, x[:3], path="r.html", train=(reordered, y), quality=False).push.shape[1] == len(x)
