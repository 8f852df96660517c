"""The page of `mapsto play` in headless Chromium: what a person does there gives the numbers of Python.

One visit to the page does everything; the tests compare what it found. The page's policy forbids it to fetch.
"""

import io
import json
import re
from typing import Any

import browser
import numpy as np
import pandas as pd
import pytest
import torch
from test_play import maml

import mapsto as mt
from mapsto.episodes import examples
from mapsto.play import page

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome is installed")
TOLERANCE = 1e-4
MOODS = ('"calm, still"', "restless")
CSV = "dose,ward,mood,fever,well\n" + "\n".join(
    f"{row * 5 % 11},{'south' if row % 3 else 'north'},{MOODS[row % 2]},"
    f"{'' if row % 5 == 1 else 36 + row % 4 / 2},{'' if row % 7 == 5 else 'yes' if row * 5 % 11 > 4 else 'no'}"
    for row in range(24)
)

VISIT = """
const found = {errors: []}, wait = ms => new Promise(done => setTimeout(done, ms));
addEventListener("error", event => found.errors.push(event.message));
document.addEventListener("securitypolicyviolation", event => found.errors.push(event.blockedURI));
const {table, characters, waves} = mapsto;
const row = () => JSON.parse(JSON.stringify({...table.state.result, row: table.state.row, shown: table.state.shown,
  cells: table.state.cells, said: document.querySelector(".probability").textContent}));
async function ofTable() {
  await mapsto.ready;
  found.first = row();
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
  await table.open(CSV);
  found.own = row();
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
  const pads = [...document.querySelectorAll(".pad canvas")];
  stroke(pads[5], [[0.1, 0.9], [0.3, 0.8], [0.6, 0.9]]);
  await characters.ask();
  found.drawing = {...characters.state.result, rasters: [0, 1, 2, 3, 4, 5].map(characters.raster),
    without: [...document.querySelectorAll(".else")].map(place => place.textContent)};
  document.querySelectorAll(".leave")[1].click();
  await characters.ask();
  found.left = {...characters.state.result};
  pads[5].focus();
  characters.set([...[0, 1, 2, 3, 4].map(() => [[[0.2, 0.2], [0.8, 0.8]]]), []]);
  for (const key of [" ", "ArrowRight", "ArrowDown", " "])
    pads[5].dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  found.keys = characters.raster(5).reduce((a, b) => a + b);
}
function ofWaves() {
  const plot = document.querySelector("#plot svg"), box = plot.getBoundingClientRect();
  for (const x of [0.1, 0.3, 0.5, 0.65, 0.85])
    plot.dispatchEvent(new MouseEvent("click", {bubbles: true, clientX: box.left + x * box.width, clientY: 9}));
  found.points = waves.state.points;
  found.xs = waves.xs;
  found.curves = [0, 1, 10].map(waves.answers);
}
function ofWords() {
  const missing = () => [...document.querySelectorAll("button, input, select, textarea, [tabindex]")]
    .filter(part => ![part, ...(part.labels ?? [])].some(of => of.textContent.trim() || of.getAttribute("aria-label")))
    .map(part => part.outerHTML.slice(0, 90));
  found.unnamed = missing();
  document.querySelector("#language").click();
  found.chinese = document.querySelector("h1").textContent;
  found.lang = document.documentElement.lang;
}
await ofTable();
ofWaves();
await ofCharacters();
ofWords();
return found;
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("play") / "page.html"
    page.write(path)
    return browser.evaluate(path, f"const CSV = {json.dumps(CSV)};\n{VISIT}", "--window-size=1280,900")


def test_nothing_goes_wrong_and_everything_has_a_name(found: dict[str, Any]) -> None:
    assert found["errors"] == [] and found["unnamed"] == []
    assert found["lang"] == "zh" and re.search("[\u4e00-\u9fff]", found["chinese"])


def explained(
    text: str, target: str, row: int, cells: dict[str, float] | None = None
) -> tuple[mt.TableClassifier, Any]:
    """Return the classifier of the labelled rows but one, and its explanation of this row with other cells."""
    table = pd.read_csv(io.StringIO(text))
    teaching = table[table[target].notna() & (table.index != row)]
    clf = mt.TableClassifier().fit(teaching.drop(columns=target), teaching[target])
    asked = table.drop(columns=target).iloc[[row]].assign(**(cells or {}))
    return clf, clf.explain(asked)


def same(told: dict[str, Any], expected: Any) -> None:
    np.testing.assert_allclose(told["values"], expected.values[0, :, 1], atol=TOLERANCE)
    np.testing.assert_allclose(told["errors"], expected.errors[0, :, 1], atol=TOLERANCE)
    np.testing.assert_allclose(told["base"], expected.base_values[0, 1], atol=TOLERANCE)
    np.testing.assert_allclose(told["probability"], expected.predictions[0, 1], atol=TOLERANCE)


def test_a_row_is_predicted_and_explained_as_in_python(found: dict[str, Any]) -> None:
    text = page.example()
    same(found["first"], explained(text, "diagnosis", 0)[1])
    same(found["known"], explained(text, "diagnosis", 1)[1])  # a teaching row is left out before it is predicted
    assert found["known"]["row"] == 1 and abs(found["first"]["probability"] - found["first"]["base"]) > 0.05


def test_a_hidden_cell_is_v_of_the_others_and_an_edited_one_counts(found: dict[str, Any]) -> None:
    text = page.example()
    column = pd.read_csv(io.StringIO(text)).columns[3]
    hidden = explained(text, "diagnosis", 0, {column: np.nan})[1]
    same(found["hidden"], hidden)
    assert found["hidden"]["values"][3] == 0 and found["hidden"]["shown"][3] is False
    assert abs(found["hidden"]["probability"] - found["first"]["probability"]) > 1e-5
    same(found["edited"], explained(text, "diagnosis", 0, {column: np.nan, "radius": 15.5})[1])


def test_a_persons_own_table_is_read_as_in_python(found: dict[str, Any]) -> None:
    clf, expected = explained(CSV, "well", 5)
    assert [column.kind for column in clf.columns_] == ["number", "category", "category", "number"]
    assert found["own"]["row"] == 5
    same(found["own"], expected)


def test_drawings_are_classified_and_explained_as_in_python(found: dict[str, Any]) -> None:
    told = found["drawing"]
    drawn = torch.tensor(told["rasters"], dtype=torch.float32).view(6, 1, 32, 32)
    assert (drawn.flatten(1).max(1).values > 0.9).all() and drawn[5, 0, 24:, :16].sum() > 1  # the stroke of the script
    clf = mt.ImageClassifier().fit(drawn[:5], list("ABCDE"))
    expected = clf.explain(drawn[5:])
    np.testing.assert_allclose(told["probabilities"], clf.predict_proba(drawn[5:])[0], atol=TOLERANCE)
    np.testing.assert_allclose(told["values"], expected.values[0], atol=TOLERANCE)
    np.testing.assert_allclose(told["trust"], expected.trust[0], atol=TOLERANCE)
    without = clf.predict_proba(drawn[5:])[0] + clf.influence(drawn[5:])[0]  # [deleted, classes]
    for name, p, said in zip(clf.classes_[without.argmax(1)], without.max(1), told["without"], strict=True):
        assert f" {name} " in said
        if 0.01 < p < 0.99:
            assert f"{100 * p:.0f}\u00a0%" in said


def test_an_example_that_is_left_out_is_deleted(found: dict[str, Any]) -> None:
    drawn = torch.tensor(found["drawing"]["rasters"], dtype=torch.float32).view(6, 1, 32, 32)
    clf = mt.ImageClassifier().fit(drawn[:5], list("ABCDE"))
    expected = clf.predict_proba(drawn[5:])[0] + clf.influence(drawn[5:], among=[1])[0, 0]
    assert found["left"]["probabilities"][1] == 0
    np.testing.assert_allclose(found["left"]["probabilities"], expected, atol=TOLERANCE)


def test_the_keyboard_draws(found: dict[str, Any]) -> None:
    assert found["keys"] > 3


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
