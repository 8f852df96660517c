"""The reports: one valid page that needs nothing else, says what it must, escapes what people wrote, and is whole."""

import base64
import functools
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from math import comb

import browser
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mapsto import cli
from mapsto.errors import MapstoError
from mapsto.explanation import Explanation
from mapsto.reports.course import course
from mapsto.reports.run import write_run_report
from mapsto.reports.run_folder import read_metrics
from mapsto.reports.table import Answer, Question
from mapsto.reports.table.answer import row_names, typical_rows
from mapsto.reports.table.evidence import Evidence
from mapsto.reports.table.html import write
from mapsto.reports.table.quality import measures
from mapsto.reports.table.words import agreement, comparison, quality, trend
from mapsto.reports.words import duration

SECTIONS = ["summary", "limits", "results", "columns", "predictions", "reliability", "agreement", "rows", "words"]
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """A page as the browser's parser would see it; every fault of its structure is written down."""

    def __init__(self, text):
        super().__init__()
        self.open, self.faults, self.ids, self.images, self.tags, self.titles, self.text = [], [], [], [], [], [], []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        self.faults += [f"<{tag}> has {n} twice" for n in names if names.count(n) > 1]
        found = dict(attrs)
        if "id" in found:
            self.faults += [f"id {found['id']} is used twice"] if found["id"] in self.ids else []
            self.ids.append(found["id"])
        self.faults += ["<p> in <p>"] if tag in ("p", "table", "ul", "div") and self.open[-1:] == ["p"] else []
        self.tags.append(tag)
        self.titles += [found["title"]] if "title" in found else []
        if tag == "img":
            self.images.append(found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def exact(game, d):
    """Return the Shapley values of `game(masks [m, d]) -> [m, k]` by enumeration."""
    masks = np.array(list(itertools.product([False, True], repeat=d)))
    v = dict(zip(map(bytes, masks), game(masks), strict=True))
    values = []
    for j in range(d):
        off = masks[~masks[:, j]]
        on = off | (np.arange(d) == j)
        gains = [(v[bytes(b)] - v[bytes(a)]) / (d * comb(d - 1, a.sum())) for a, b in zip(off, on, strict=True)]
        values.append(np.sum(gains, axis=0))
    return np.array(values)


@functools.cache
def explained(name="cancer", d=5, rows=24):
    """Explain a logistic regression exactly: an answer with real numbers."""
    table = (load_breast_cancer if name == "cancer" else load_wine)(as_frame=True)
    x, y = table.data.iloc[:, :d], table.target.to_numpy()
    order = np.random.default_rng(0).permutation(len(x))
    taught, rest = order[:30], order[30 : 30 + rows]
    means, train = x.iloc[taught].mean().to_numpy(), x.iloc[taught].to_numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train, y[taught])
    cells = x.iloc[rest].to_numpy()
    values = np.array([exact(lambda m, row=row: model.predict_proba(np.where(m, row, means)), d) for row in cells])
    p, base = model.predict_proba(cells), model.predict_proba(means[None])
    cases = typical_rows(p)
    push = np.zeros((len(cases), 30, p.shape[1]))
    for j in range(30):
        kept = np.arange(30) != j
        without = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[kept], y[taught][kept])
        push[:, j] = p[cases] - without.predict_proba(cells[cases])
    classes = [str(c) for c in table.target_names]
    names = np.array(classes)
    labels, outcomes = names[y[taught]], names[y[rest]].astype(object)
    question = Question(x.iloc[taught], labels, x.iloc[rest].reset_index(drop=True), outcomes, x[:0], names[:0])
    reasons = Explanation(values, np.repeat(base, rows, 0), cells, list(x.columns), classes)
    summary = {
        **{"auc": 0.98, "accuracy": 0.93, "log_loss": 0.2, "calibration_error": 0.03, "ms_per_row": 0.8},
        "agreement": {"r2": 0.981, "cosine": 0.992, "covered": 0.915, "rows": 24, "columns": d},
        "baselines": {"logistic_regression": {"auc": 0.99}, "random_forest": {"auc": 0.97}},
    }
    return Answer(question, reasons, p, cases, push, p, summary, ["column 'id' was left out"])


def written(folder, answer, title="A table"):
    """Write a page and return its text, after checking that it is one whole and valid page."""
    text = write(answer, folder / "report.html", title).read_text(encoding="utf-8")
    check(text)
    assert [file.name for file in folder.iterdir()] == ["report.html"]
    return text


def unknown(answer, **changed):
    """Return the answer without the outcomes of its rows."""
    question = replace(answer.question, outcomes=np.full(len(answer.probabilities), None), **changed)
    return replace(answer, question=question, test_probabilities=answer.test_probabilities[:0])


def check(text):
    """Assert what holds for every page: valid, self-contained, every picture real and described."""
    page = Page(text)
    assert page.faults == []
    assert text.startswith("<!doctype html>")
    assert "script" not in page.tags
    assert {"iframe", "link", "object", "embed"}.isdisjoint(page.tags)
    without = re.sub(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"(?:src|href|action)\s*=\s*[\"'](?!\")|url\(|@import|https?://", without)
    for image in page.images:
        assert len(image["alt"]) > 20
        source = base64.b64decode(image["src"].removeprefix("data:image/svg+xml;base64,"), validate=True).decode()
        assert source.count("<path") + source.count("<image") > 10
        assert not re.search(r"(?:href|src)=\"(?!#|data:)", source)
    return page


def plain(text):
    """Return what a reader sees, without tags."""
    return " ".join(" ".join(Page(text).text).split())


def test_report_has_every_section_and_picture(tmp_path):
    text = written(tmp_path, explained())
    page = Page(text)
    assert [i for i in page.ids if i != "notes"] == SECTIONS
    assert "notes" in page.ids
    assert len(page.images) == 1 + 2 * len(explained().cases) + 1
    seen = plain(text)
    for words in (
        "percentage points", "must not be used for", "0.980", "93.0 %", "R² = 0.981", "column 'id' was left out",
        "logistic regression", "learned from 30 rows", "24 other rows from 5 columns", "less than 0.0001",
    ):  # fmt: skip
        assert words in seen, words


def test_three_classes_get_a_picture_each(tmp_path):
    answer = explained("wine")
    page = check(write(answer, tmp_path / "r.html", "Wine").read_text())
    assert len(page.images) == 3 + 2 * len(answer.cases) + 1
    swarms = [image["alt"] for image in page.images if image["alt"].startswith("Beeswarm")]
    commonest = np.argsort(-np.bincount(answer.labels), kind="stable")
    assert commonest.tolist() != [0, 1, 2] and commonest.tolist() == answer.targets
    assert [f"class_{c} in" in alt for c, alt in zip(commonest, swarms, strict=True)] == [True] * 3
    falls = [image["alt"] for image in page.images if image["alt"].startswith("Waterfall")]
    for row, alt in zip(typical_rows(answer.probabilities), falls, strict=True):
        assert f"class_{answer.probabilities[row].argmax()} goes from" in alt


def test_more_than_four_classes_fold_the_rest_away(tmp_path):
    rng, n, d, k = np.random.default_rng(1), 9, 50, 6
    values = rng.normal(size=(n, d, k)) * 0.005
    values -= values.mean(2, keepdims=True)
    base = np.full((n, k), 1 / k)
    cells = rng.normal(size=(n, d)).astype(object)
    cells[:, 0] = rng.choice(["never", "former", "current"], n)
    cells[rng.random((n, d)) < 0.1] = None
    values[[[cell is None for cell in row] for row in cells]] = 0
    names = [f"laboratory measurement number {j} of the second visit" for j in range(d)]
    table, classes = pd.DataFrame(cells, columns=names), [f"class {c}" for c in range(k)]
    outcomes, labels = (np.array(classes)[rng.integers(0, k, n)] for _ in range(2))
    question = Question(table, labels, table, outcomes.astype(object), table[:0], labels[:0])
    reasons, p = Explanation(values, base, cells, names, classes), base + values.sum(1)
    whole, push = explained(), np.zeros((1, n, k))
    text = written(tmp_path, Answer(question, reasons, p, [0], push, p, whole.summary, whole.notes))
    page = Page(text)
    assert sum(image["alt"].startswith("Beeswarm") for image in page.images) == 6
    assert "The other 2 classes" in plain(text)
    assert names[7] in page.text


def test_names_of_200_letters_are_wrapped_and_none_is_cut(tmp_path):
    """Columns, classes and rows are written whole, and no tooltip holds what a table leaves out."""
    answer, whole = explained(), lambda what: f"{what} " + "letters " * 24 + "end"
    names = [whole(f"column {j}") for j in range(5)]
    classes = {old: whole(old) for old in ("malignant", "benign")}
    rows = [whole(f"row {i}") for i in range(24)]
    q, r = answer.question, answer.reasons
    question = replace(
        q,
        train=q.train.set_axis(names, axis=1),
        rows=q.rows.set_axis(names, axis=1).set_axis(rows),
        labels=np.array([classes[label] for label in q.labels]),
        outcomes=np.array([classes[outcome] for outcome in q.outcomes], object),
        others=q.others.set_axis(names, axis=1),
    )
    reasons = Explanation(r.values, r.base_values, r.data, names, list(classes.values()))
    page = Page(written(tmp_path, replace(answer, question=question, reasons=reasons)))
    text = " ".join(page.text)
    assert [name for name in [*names, *classes.values(), *rows] if name not in text] == []
    assert not [title for title in page.titles if "letters" in title]
    assert page.faults == []


def test_unknown_outcomes_are_said_not_invented(tmp_path):
    nothing = dict.fromkeys(("auc", "accuracy", "log_loss", "calibration_error"))
    baselines = {"logistic_regression": {"auc": None}, "random_forest": {"auc": None}}
    unchecked = {"r2": None, "cosine": None, "covered": None, "rows": 24, "columns": 5}
    summary = {**nothing, "agreement": unchecked, "ms_per_row": 1.0, "baselines": baselines}
    text = written(tmp_path, replace(unknown(explained()), summary=summary))
    seen = plain(text)
    assert "quality of these predictions cannot be measured" in seen
    assert "The outcome was" not in seen
    assert "None" not in seen
    assert "logistic regression" not in seen
    assert not any(image["alt"].startswith("Reliability") for image in Page(text).images)
    assert "<details open>" in text


def test_quality_measured_on_other_rows_is_said(tmp_path):
    whole = explained()
    question, p = whole.question, whole.probabilities
    others = unknown(whole, others=question.rows[:7], other_outcomes=question.outcomes[:7].astype(str))
    text = written(tmp_path, replace(others, test_probabilities=p[:7]))
    assert "measured on other rows" in plain(text)
    assert any(image["alt"].startswith("Reliability") for image in Page(text).images)


def test_outcomes_that_are_known_of_some_rows_are_said(tmp_path):
    whole = explained()
    outcomes = np.where(np.arange(24) < 7, whole.question.outcomes, None)
    some = replace(
        whole, question=replace(whole.question, outcomes=outcomes), test_probabilities=whole.probabilities[:7]
    )
    seen = plain(written(tmp_path, some))
    assert "measured on the rows of this page whose outcome is known: 7 of 24." in seen
    assert "of 100 rows with a known outcome" in seen and seen.count(" unknown ") == 17


HOSTILE = '<script>alert("x")</script>'


def test_text_of_users_is_escaped_everywhere(tmp_path):
    whole = explained()
    e, question = whole.reasons, whole.question
    cells = e.data.astype(object)
    cells[:, 1] = HOSTILE
    names = [HOSTILE, *e.feature_names[1:]]
    train = pd.DataFrame(question.train.to_numpy(), columns=names).astype(object)
    train[names[1]] = HOSTILE
    rows, classes = pd.DataFrame(cells, columns=names), {name: HOSTILE + name for name in e.class_names}
    hostile = Question(
        train.set_axis([HOSTILE + str(i) for i in range(len(train))]),
        np.array([classes[label] for label in question.labels]),
        rows.set_axis([HOSTILE + str(i) for i in range(len(rows))]),
        np.array([classes[outcome] for outcome in question.outcomes], object),
        *(rows[:0], np.array([], "U40")),
    )
    reasons = Explanation(e.values, e.base_values, cells, names, list(classes.values()))
    y, base = np.arange(24) % 2, np.full((24, 2), 0.5)
    evidence = Evidence("held-out rows", HOSTILE, y, whole.probabilities, base)
    summary = {**whole.summary, **measures(evidence, np.array(list(classes.values()))), "cross_validation": None}
    summary["baselines"] |= {HOSTILE: {"auc": 0.9}}
    answer = replace(whole, question=hostile, reasons=reasons, summary=summary, notes=[HOSTILE], evidence=evidence)
    text = written(tmp_path, answer, HOSTILE)
    assert "<script" not in text
    assert plain(text).count("<script>") > 20
    with pytest.raises(AssertionError):  # the check sees what it is there to see
        check(text.replace("</main>", HOSTILE + "</main>"))
    with pytest.raises(AssertionError):
        check(text.replace("</main>", "<img src='https://example.org/x.png' alt='a picture from elsewhere'></main>"))


def test_one_and_two_rows_and_missing_cells(tmp_path):
    whole = explained()
    e, q = whole.reasons, whole.question
    for n in (1, 2):
        table = q.rows[:n] * np.nan
        few = Explanation(0 * e.values[:n], e.base_values[:n], table.to_numpy(), e.feature_names, e.class_names)
        question, p = replace(q, rows=table, outcomes=q.outcomes[:n]), e.base_values[:n]
        answer = Answer(question, few, p, [0], whole.push[:1], p, whole.summary, [])
        seen = plain(written(tmp_path, answer))
        assert "No column moved any prediction" in seen
        assert "nothing: no cell is known" in seen


@pytest.mark.parametrize("place", ["absent/report.html", "file/report.html", "."])
def test_an_unwritable_place_is_one_sentence_and_leaves_nothing(tmp_path, place):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(
        MapstoError, match=r"^path: got .* which cannot be written \(.*\), expected a file; name a file"
    ):
        write_run_report(tmp_path / place, title="t", metrics=[], config="")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_an_older_report_stays_whole_when_the_new_one_fails(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("older")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(MapstoError, match="no space left"):
        write_run_report(path, title="t", metrics=[], config="")
    assert path.read_text() == "older"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_the_same_report_is_the_same_file(tmp_path):
    first, second = (write(explained(), tmp_path / name, "t").read_bytes() for name in ("a.html", "b.html"))
    assert first == second


# --- words


def test_measures_are_put_in_words():
    found = {entry["name"]: entry for entry in quality({"auc": 0.876, "accuracy": None, "log_loss": 0.5}, ways=2)}
    assert list(found) == ["AUC", "Log loss"]
    assert "about 88 were put in the right order" in found["AUC"]["meaning"]
    assert "0.693" in found["Log loss"]["meaning"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (3600, "1 h 0 min"),
        (90061, "25 h 1 min"),
    ],
)
def test_a_duration_has_the_larger_unit_from_its_first_second_on(seconds, said):
    assert duration(seconds) == said


def test_the_best_of_each_measure_is_marked():
    found = comparison({"auc": 0.9, "log_loss": 0.4}, {"random_forest": {"auc": 0.95, "log_loss": 0.5}})
    assert [name for name, _ in found["heads"]] == ["AUC", "Log loss"]
    assert found["rows"] == [
        ("this mapping", [("0.900", False), ("0.400", True)]),
        ("random forest", [("0.950", True), ("0.500", False)]),
    ]
    assert comparison({"auc": None}, {"random_forest": {"auc": None}})["heads"] == []


@pytest.mark.parametrize(("r2", "verdict"), [(0.98, "close to"), (0.85, "roughly like"), (0.3, "NOT close to")])
def test_agreement_is_not_flattered(r2, verdict):
    said = " ".join(agreement({"r2": r2, "cosine": 0.9, "covered": 0.87, "rows": 1, "columns": 10}))
    assert f"were {verdict} the exact ones" in said
    assert "1,024 combinations" in said and "87 % of the exact values lie within the 90 % intervals" in said


def test_trend_by_hand():
    x = np.arange(10.0)
    assert trend(x, x) == "high raises"
    assert trend(-x, x) == "high lowers"
    assert trend((x - 4.5) ** 2, x) == "mixed"
    assert trend(np.array([1.0, 0, 3, 4, 2]), x[:5]) == "high raises"  # a rank correlation of .6
    assert trend(-np.array([1.0, 0, 3, 4, 2]), x[:5]) == "high lowers"
    assert trend(np.array([2.0, 1, 0, 4, 3]), x[:5]) == "high raises"  # of .5
    assert trend(np.array([1.0, 3, 0, 4, 2]), x[:5]) == "mixed"  # of .3
    assert trend(np.array([0.1, 0.3, -0.1]), np.array(["a", "a", "b"], dtype=object)) == "a: +20.0; b: −10.0"


def test_rows_are_named_as_their_owner_numbers_them():
    assert row_names(pd.DataFrame({"a": [1, 2]})) == ["1", "2"]
    assert row_names(pd.DataFrame({"a": [1, 2]}, index=[17, 4])) == ["17", "4"]


# --- the report of a run


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "sinusoid <b>"
    folder.mkdir()
    (folder / "config.yaml").write_text("format: 1\nlearner: MAML # <script>\n")
    steps = [{"step": 10 * i, "loss": 4 / (i + 1), "lr": 1e-3, "grad_norm": 1.0, "seconds": i} for i in range(1, 101)]
    steps[49]["validation"] = 0.5
    (folder / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    (folder / "weights.safetensors").write_bytes(b"x" * 1234)
    return folder


def test_run_report(run, capsys):
    measured = {"accuracy": 0.987, "episodes": 600, "mse": {"mean": 0.0, "interval": 0.25}}
    (run / "evaluation.json").write_text(json.dumps(measured))
    assert cli.main(["report", str(run)]) == 0
    text = (run / "report.html").read_text()
    page = check(text)
    assert page.ids == ["summary", "evaluation", "curves", "config", "files"]
    assert [image["alt"].split(":")[0] for image in page.images] == [
        f"Learning curve of {name}" for name in ("loss", "validation", "lr", "grad_norm")
    ]
    seen = plain(text)
    for words in (
        "loss was 2 at step 10 and 0.0396 at the end",
        "0.987",
        "0.0000 ± 0.2500",
        "learner: MAML # <script>",
        "1,234",
        "step 1,000, in 1 min 40 s",
    ):
        assert words in seen, words
    assert "report: " in capsys.readouterr().out


def test_run_report_for_a_machine(run, capsys):
    assert cli.main(["report", str(run), "--json", "--out", str(run / "other.html")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"].endswith("other.html")
    assert found["logged"] == 100
    assert found["last"]["step"] == 1000
    assert "has not been evaluated" in plain((run / "other.html").read_text())


def test_a_line_cut_short_is_left_out_and_said(run, capsys):
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 1010, "lo')
    assert cli.main(["report", str(run)]) == 0
    assert "cut short" in capsys.readouterr().out
    assert "cut short" in plain((run / "report.html").read_text())


def test_a_run_without_a_step_and_one_that_diverged(run):
    (run / "metrics.jsonl").unlink()
    assert cli.main(["report", str(run)]) == 0
    assert "Nothing was logged" in plain((run / "report.html").read_text())
    said = course([{"step": 1, "loss": 2.0}, {"step": 2, "loss": float("nan")}])
    assert "not finite at 1 logged step, first at 2" in " ".join(said)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.yaml", "format: 99\n", "format 99"),
        ("metrics.jsonl", '{"step": 1}\nnonsense\n{"step": 3}\n', "line 2 of"),
        ("metrics.jsonl", '{"step": 1}\n[2]\n{"step": 3}\n', "line 2 of"),
        ("metrics.jsonl", b"\xff\xfe\x00binary\x80\n", "line 1 of"),
        ("evaluation.json", "{", "write it again with `mapsto eval"),
    ],
)
def test_a_broken_run_is_one_sentence(run, capsys, file, content, said):
    (run / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert cli.main(["report", str(run)]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (run / "report.html").exists()


def test_what_is_no_run_is_one_sentence(tmp_path, capsys):
    assert cli.main(["report", str(tmp_path)]) == 1
    assert "config.yaml" in capsys.readouterr().err
    assert cli.main(["report", str(tmp_path / "absent")]) == 1
    assert "not a folder" in capsys.readouterr().err


def test_metrics_of_a_run_that_logged_nothing(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == ([], [])


# --- in a browser

PROBE = """
<!doctype html><html><body><pre id="probe">waiting</pre><script>
const text = new TextDecoder().decode(Uint8Array.from(atob("%s"), letter => letter.charCodeAt(0)));
function measured(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white"; pen.fillRect(0, 0, canvas.width, canvas.height); pen.drawImage(image, 0, 0);
  const dots = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  let ink = 0;
  for (let i = 0; i < dots.length; i += 4) ink += dots[i] < 200 || dots[i + 1] < 200 || dots[i + 2] < 200;
  return {ink: ink / (canvas.width * canvas.height), shown: image.getBoundingClientRect().width, alt: image.alt};
}
function opened(width) {
  return new Promise(done => {
    const frame = document.createElement("iframe");
    frame.style.width = width + "px"; frame.style.height = "900px"; frame.style.border = 0;
    frame.srcdoc = text;
    frame.onload = () => {
      const page = frame.contentDocument;
      page.querySelectorAll("details").forEach(part => part.open = true);
      const images = [...page.images];
      Promise.all(images.map(image => image.decode())).then(() => done(
        {width, needs: page.documentElement.scrollWidth, images: images.map(measured), title: page.title,
         cut: [...page.querySelectorAll(".grid > .scroll")].filter(part => part.scrollWidth > part.clientWidth)
           .map(part => part.textContent)}));
    };
    document.body.append(frame);
  });
}
Promise.all([opened(360), opened(1200)]).then(found => {
  document.getElementById("probe").textContent = JSON.stringify(found);
}).catch(error => { document.getElementById("probe").textContent = JSON.stringify(String(error)); });
</script></body></html>
"""


def browse(folder, text):
    """Open a page in a headless browser, as wide as a phone and as a desk, and measure its pictures."""
    (folder / "probe.html").write_text(PROBE % base64.b64encode(text.encode()).decode())
    done = browser.run(folder / "probe.html", "--dump-dom", timeout=120)
    probe = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert probe, done.stderr
    page = HTMLParser()
    found = []
    page.handle_data = found.append
    page.feed(probe[1])
    page.close()
    return json.loads("".join(found))


@pytest.mark.skipif(
    browser.CHROMIUM is None, reason="no Chromium or Chrome is installed: pictures are not looked at in a browser"
)
@pytest.mark.parametrize("name", ["cancer", "wine"])
def test_a_browser_shows_every_picture(tmp_path, name):
    answer = explained(name)
    if name == "cancer":
        cells = {"true_positives": 9, "false_positives": 1, "false_negatives": 2, "true_negatives": 12}
        shares = {"sensitivity": 9 / 11, "specificity": 12 / 13, "ppv": 9 / 10, "npv": 12 / 14}
        decided = {"confusion": cells, "positive": "malignant", "threshold": 0.5, **shares}
        answer = replace(answer, summary={**answer.summary, **decided})
    text = write(answer, tmp_path / "report.html", f"{name} table").read_text()
    views = browse(tmp_path, text)
    assert [view["width"] for view in views] == [360, 1200]
    for view in views:
        assert view["title"] == f"{name} table"
        assert view["needs"] <= view["width"], "the page must not scroll sideways"
        assert view["width"] == 360 or view["cut"] == [], "a table beside another is seen whole on a desk"
        assert len(view["images"]) == len(Page(text).images)
        for image in view["images"]:
            assert 0.01 < image["ink"] < 0.6, image["alt"]
            assert image["shown"] >= 280, image["alt"]


@pytest.mark.slow
@pytest.mark.skipif(
    browser.CHROMIUM is None, reason="no Chromium or Chrome is installed: the probe itself cannot be checked"
)
def test_the_probe_sees_an_empty_picture_and_a_wide_page(tmp_path):
    empty = base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg" width="400" height="100"/>').decode()
    views = browse(tmp_path, f'<img alt="" src="data:image/svg+xml;base64,{empty}"><div style="width:500px">wide</div>')
    assert views[0]["images"][0]["ink"] == 0
    assert views[0]["needs"] > views[0]["width"]
    assert views[1]["needs"] <= views[1]["width"]
