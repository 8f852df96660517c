"""The page of `mapsto play` in headless Chromium: what a person does there gives the numbers of Python.

One visit to the page does everything; the tests compare what it found. The page's policy forbids it to fetch.
"""

import io
import json
import re
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pandas as pd
import play_files
import pytest
import torch
from test_play import maml

import mapsto as mt
from mapsto.episodes import examples
from mapsto.play import page

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome is installed")
TOLERANCE = 1e-4

VISIT = """
const found = {errors: []};
addEventListener("error", event => found.errors.push(event.message));
document.addEventListener("securitypolicyviolation", event => found.errors.push(event.blockedURI));
const {table, characters, waves} = mapsto;
const row = () => JSON.parse(JSON.stringify({...table.state.result, row: table.state.row, shown: table.state.shown,
  about: table.state.about, order: table.state.order, cells: table.state.cells,
  said: document.querySelector(".probability").textContent}));
async function ofTable() {
  await mapsto.ready;
  found.first = row();
  found.guesses = [...table.state.guesses];
  document.querySelector('[data-column="3"] .eye').click();
  await table.ask();
  found.hidden = row();
  const input = document.querySelector('[data-column="0"] input');
  input.value = "15.5";
  input.dispatchEvent(new Event("input"));
  await table.ask();
  found.edited = row();
  await table.choose(1);
  found.known = row();
  await table.explore();
  found.influence = [...table.state.influence];
  const size = ([, change]) => Math.abs(change[0]);
  [found.which] = found.influence.reduce((a, b) => (size(b) > size(a) ? b : a));
  const button = document.querySelector(`[data-row="${found.which}"] .delete`);
  found.moves = button.textContent;
  button.click();
  await table.ask();
  found.deleted = row();
  table.choose(3); // before its answer is there, another row is chosen
  await table.choose(0);
  found.other = row();
  found.others = [...table.state.guesses];
  document.querySelector(".reset").click();
  await table.ask();
  found.undone = row();
  found.written = [...document.querySelectorAll(".cell .much")].map(part => part.textContent.replace("−", "-"));
  found.whiskers = [...document.querySelectorAll(".cell .whisker")].map(part => part.getBoundingClientRect().width);
}
async function ofFiles() {
  found.files = {};
  for (const [name, text] of Object.entries(FILES)) {
    const {names, labels, classes, teaching, columns, outcome, error} = mapsto.tableOf(text);
    const read = columns?.map(column => [column.name, column.kind, teaching.map(i => column.cells[i])]);
    found.files[name] = JSON.parse(JSON.stringify({error, names, labels, classes, outcome, read}));
  }
  found.own = {};
  for (const name of EXPLAINED) {
    await table.openFile(new File([FILES[name]], "own.csv"));
    found.own[name] = row();
  }
  await table.open("a\\n1");
  found.refused = document.querySelector("#problem").textContent;
}
function stroke(canvas, points) {
  const box = canvas.getBoundingClientRect();
  const tell = (kind, [x, y]) => canvas.dispatchEvent(new PointerEvent(kind, {bubbles: true, pointerId: 1,
    clientX: box.left + x * box.width, clientY: box.top + y * box.height}));
  tell("pointerdown", points[0]);
  points.forEach(point => tell("pointermove", point));
  tell("pointerup", points[points.length - 1]);
}
async function ofCharacters() {
  await characters.drawForMe();
  const sixth = document.querySelector("#sixth canvas");
  stroke(sixth, [[0.1, 0.9], [0.3, 0.8], [0.6, 0.9]]);
  await characters.ask();
  found.drawing = {...characters.state.result, rasters: [0, 1, 2, 3, 4, 5].map(characters.raster),
    without: [...document.querySelectorAll(".else b")].map(place => place.textContent)};
  found.alone = [];
  for (const button of document.querySelectorAll(".leave")) {
    button.click();
    await characters.ask();
    found.alone.push(characters.state.result.probabilities);
    button.click();
    await characters.ask();
  }
  sixth.focus();
  characters.set([...[0, 1, 2, 3, 4].map(() => [[[0.2, 0.2], [0.8, 0.8]]]), []]);
  for (const key of [" ", "ArrowRight", "ArrowDown", " "])
    sixth.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  found.keys = characters.raster(5).reduce((a, b) => a + b);
}
function ofWaves() {
  const plot = document.querySelector("#plot svg"), box = plot.getBoundingClientRect();
  for (const x of [0.1, 0.3, 0.5, 0.65, 0.85])
    for (const kind of ["pointerdown", "pointerup"])
      plot.dispatchEvent(new PointerEvent(kind, {bubbles: true, clientX: box.left + x * box.width, clientY: 9}));
  found.points = waves.state.points;
  found.xs = waves.xs;
  found.curves = [0, 1, 10].map(waves.answers);
}
async function ofWords() {
  const notices = document.querySelector("#licences pre");
  document.querySelector("#licences").open = true;
  for (let i = 0; i < 500 && !notices.textContent; i++) await new Promise(done => setTimeout(done, 20));
  found.notices = notices.textContent;
  document.querySelector("#language").click();
  found.chinese = document.querySelector("h1").textContent;
  found.lang = document.documentElement.lang;
}
await ofTable();
await ofFiles();
ofWaves();
await ofCharacters();
await ofWords();
return found;
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("play") / "page.html"
    page.write(path)
    given = f"const FILES = {json.dumps(play_files.FILES)}, EXPLAINED = {json.dumps(play_files.EXPLAINED)};\n"
    return browser.evaluate(path, given + VISIT, "--window-size=1280,900", "--lang=en")


def test_nothing_goes_wrong_and_the_language_changes(found: dict[str, Any]) -> None:
    assert found["errors"] == []
    assert found["lang"] == "zh-Hans" and re.search("[\u4e00-\u9fff]", found["chinese"])


def explained(
    text: str, target: str, row: int, cells: dict[str, float] | None = None, deleted: tuple[int, ...] = ()
) -> tuple[mt.TableClassifier, Any]:
    """Return the classifier of the labelled rows but some, and its explanation of this row with other cells."""
    table = pd.read_csv(io.StringIO(text))
    teaching = table[table[target].notna() & ~table.index.isin([row, *deleted])]
    clf = mt.TableClassifier().fit(teaching.drop(columns=target), teaching[target])
    asked = table.drop(columns=target).iloc[[row]].assign(**(cells or {}))
    return clf, clf.explain(asked)


def same(told: dict[str, Any], expected: Any) -> None:
    np.testing.assert_allclose(told["values"], expected.values[0], atol=TOLERANCE)
    np.testing.assert_allclose(told["errors"], expected.errors[0], atol=TOLERANCE)
    np.testing.assert_allclose(told["base"], expected.base_values[0], atol=TOLERANCE)
    np.testing.assert_allclose(told["probabilities"], expected.predictions[0], atol=TOLERANCE)


def test_a_row_is_predicted_and_explained_as_in_python(found: dict[str, Any]) -> None:
    text = page.example()
    same(found["first"], explained(text, "diagnosis", 0)[1])
    same(found["known"], explained(text, "diagnosis", 1)[1])  # a teaching row is left out before it is predicted
    assert found["known"]["row"] == 1
    assert abs(found["first"]["probabilities"][1] - found["first"]["base"][1]) > 0.05
    assert found["first"]["about"] == 1  # malignant
    assert found["first"]["said"] == f"{100 * found['first']['probabilities'][1]:.0f}\u00a0%"


def test_every_row_without_an_outcome_is_predicted(found: dict[str, Any]) -> None:
    table = pd.read_csv(io.StringIO(page.example()))
    known = table["diagnosis"].notna()
    clf = mt.TableClassifier().fit(table[known].drop(columns="diagnosis"), table["diagnosis"][known])
    rows, guesses = zip(*found["guesses"], strict=True)
    assert list(rows) == np.flatnonzero(~known).tolist()
    np.testing.assert_allclose(guesses, clf.predict_proba(table[~known].drop(columns="diagnosis")), atol=TOLERANCE)


def test_a_hidden_cell_is_v_of_the_others_and_an_edited_one_counts(found: dict[str, Any]) -> None:
    text = page.example()
    column = pd.read_csv(io.StringIO(text)).columns[3]
    hidden = explained(text, "diagnosis", 0, {column: np.nan})[1]
    same(found["hidden"], hidden)
    assert found["hidden"]["values"][3] == [0, 0] and found["hidden"]["shown"][3] is False
    assert abs(found["hidden"]["probabilities"][0] - found["first"]["probabilities"][0]) > 1e-5
    same(found["edited"], explained(text, "diagnosis", 0, {column: np.nan, "radius": 15.5})[1])


def test_each_teaching_row_has_its_influence_and_a_click_deletes_it(found: dict[str, Any]) -> None:
    text = page.example()
    table, (clf, told) = pd.read_csv(io.StringIO(text)), explained(text, "diagnosis", 1)
    asked = table.drop(columns="diagnosis").iloc[[1]]
    rows, changes = zip(*found["influence"], strict=True)
    assert list(rows) == [i for i in np.flatnonzero(table["diagnosis"].notna()) if i != 1]
    np.testing.assert_allclose(changes, clf.influence(asked)[0], atol=TOLERANCE)
    deleted = explained(text, "diagnosis", 1, deleted=(found["which"],))[1]
    same(found["deleted"], deleted)
    change = 100 * (deleted.predictions - told.predictions)[0, found["known"]["about"]]
    assert abs(change) > 0.1 and found["moves"] == f"{change:+.1f}".replace("-", "−")


def test_a_deleted_row_teaches_no_other_row_until_changes_are_undone(found: dict[str, Any]) -> None:
    text = page.example()
    clf, expected = explained(text, "diagnosis", 0, deleted=(found["which"],))
    same(found["other"], expected)
    table = pd.read_csv(io.StringIO(text))
    unknown = table[table["diagnosis"].isna()].drop(columns="diagnosis")
    np.testing.assert_allclose([p for _, p in found["others"]], clf.predict_proba(unknown), atol=TOLERANCE)
    assert np.abs(np.subtract(found["other"]["probabilities"], found["first"]["probabilities"])).max() > 1e-3
    same(found["undone"], explained(text, "diagnosis", 0)[1])


def test_intervals_are_drawn_in_the_unit_of_the_bars(found: dict[str, Any]) -> None:
    about = found["undone"]["about"]
    ratio = json.loads((page.ASSETS / "models" / "models.json").read_text())["ratios"][89]
    assert ratio == pytest.approx(float(mt.weights.load().doubt.ratios[89]), abs=1e-6)  # type: ignore[union-attr]
    reach = np.array([errors[about] for errors in found["undone"]["errors"]])[found["undone"]["order"]] * ratio
    widths = np.array(found["whiskers"])
    assert widths.min() > 1 and widths / reach == pytest.approx(widths.sum() / reach.sum(), rel=0.05)
    lower, upper = explained(page.example(), "diagnosis", 0)[1].intervals(0.9)
    exact = (upper - lower)[0, found["undone"]["order"], about] / 2
    np.testing.assert_allclose(reach, exact, atol=TOLERANCE)
    written = np.array([text.split(" ± ") for text in found["written"]], float).T / 100
    values = np.array(found["undone"]["values"])[found["undone"]["order"], about]
    np.testing.assert_allclose(written, [values, exact], atol=6e-4)


@pytest.mark.parametrize("name", play_files.READ)
def test_a_persons_file_is_read_as_by_the_package(found: dict[str, Any], tmp_path: Path, name: str) -> None:
    told, expected = found["files"][name], play_files.read(tmp_path / f"{name}.csv", name)
    assert told.get("error") is None
    assert [label or None for label in told["labels"]] == expected.labels
    assert told["classes"] == expected.classes
    assert [name for name, *_ in told["read"]] == list(expected.cells)
    for column, kind, cells in told["read"]:
        assert kind.replace("ordered", "category") == expected.kinds[column].replace("ordered", "category"), column
        got = np.array(cells, float)
        np.testing.assert_allclose(got, expected.cells[column], rtol=1e-9, atol=1e-6, err_msg=column)


@pytest.mark.parametrize("name", play_files.EXPLAINED)
def test_a_persons_file_is_explained_as_by_the_package(found: dict[str, Any], tmp_path: Path, name: str) -> None:
    expected, told = play_files.read(tmp_path / f"{name}.csv", name), found["own"][name]
    explanation = expected.explain(told["row"])
    assert explanation.values.shape[2] == len(expected.classes)
    used = [expected.columns.index(column) for column in expected.cells]
    assert np.abs(explanation.values).max() > 0.01
    np.testing.assert_allclose(told["values"], explanation.values[0, used], atol=TOLERANCE)
    np.testing.assert_allclose(told["errors"], explanation.errors[0, used], atol=TOLERANCE)
    np.testing.assert_allclose(told["probabilities"], explanation.predictions[0], atol=TOLERANCE)


@pytest.mark.parametrize(("name", "reason"), play_files.REFUSED.items())
def test_a_file_that_the_page_cannot_read_is_refused_in_a_sentence(
    found: dict[str, Any], name: str, reason: str
) -> None:
    assert found["files"][name]["error"][0] == reason
    assert found["refused"] == json.loads((page.ASSETS / "phrases.json").read_text("utf-8"))["unreadable"][0]


def test_drawings_are_classified_and_explained_as_in_python(found: dict[str, Any]) -> None:
    told = found["drawing"]
    drawn = torch.tensor(told["rasters"], dtype=torch.float32).view(6, 1, 32, 32)
    assert (drawn.flatten(1).max(1).values > 0.9).all() and drawn[5, 0, 24:, :16].sum() > 1  # the stroke of the script
    clf = mt.ImageClassifier().fit(drawn[:5], list("ABCDE"))
    expected = clf.explain(drawn[5:])
    np.testing.assert_allclose(told["probabilities"], clf.predict_proba(drawn[5:])[0], atol=TOLERANCE)
    np.testing.assert_allclose(told["values"], expected.values[0], atol=TOLERANCE)
    np.testing.assert_allclose(told["trust"], expected.trust[0], atol=TOLERANCE)


def test_an_example_that_is_left_out_is_deleted(found: dict[str, Any]) -> None:
    drawn = torch.tensor(found["drawing"]["rasters"], dtype=torch.float32).view(6, 1, 32, 32)
    clf = mt.ImageClassifier().fit(drawn[:5], list("ABCDE"))
    expected = clf.predict_proba(drawn[5:])[0] + clf.influence(drawn[5:])[0]  # [deleted, classes]
    alone = np.array(found["alone"])
    assert (alone.diagonal() == 0).all()
    np.testing.assert_allclose(alone, expected, atol=TOLERANCE)
    for p, said in zip(alone, found["drawing"]["without"], strict=True):  # what the page says beforehand
        assert said.startswith("ABCDE"[p.argmax()])
        if 0.01 < p.max() < 0.99:
            assert said.endswith(f"{100 * p.max():.0f}\u00a0%")


def test_the_keyboard_draws(found: dict[str, Any]) -> None:
    assert found["keys"] > 3


def test_the_licences_of_the_runtime_can_be_read(found: dict[str, Any]) -> None:
    assert found["notices"].startswith("THIRD PARTY SOFTWARE NOTICES")
    assert all(name in found["notices"] for name in ("Eigen", "protobuf", "abseil", "flatbuffers", "re2"))


def test_a_wave_is_learned_step_by_step_as_in_python(found: dict[str, Any]) -> None:
    layers = json.loads((page.ASSETS / "models" / "models.json").read_text())["wave"]
    assert len(found["points"]) == 5
    x, y = (torch.tensor([[point[name]] for point in found["points"]]) for name in "xy")
    xs = torch.tensor(found["xs"])[:, None]
    for steps, curve in zip((0, 1, 10), found["curves"], strict=True):
        learner = maml(layers, max(steps, 1))
        state = learner.adapt(examples(x, y)) if steps else learner.adapt(examples(x[:0], y[:0]))
        np.testing.assert_allclose(curve, learner.predict(state, xs)[:, 0].detach(), atol=TOLERANCE)
    assert np.abs(np.subtract(found["curves"][2], found["curves"][0])).max() > 0.5
