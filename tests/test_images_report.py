"""`mapsto demo --images`, its page and its pictures: what is drawn and said is what the classifier computed."""

import json
import re
import xml.etree.ElementTree as ElementTree
from base64 import b64decode

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import to_rgba

from mapsto.cli import main
from mapsto.commands import demo_images
from mapsto.errors import MapstoError
from mapsto.figures import heat
from mapsto.figures.style import HIGHER, LOWER
from mapsto.reports import images
from mapsto.reports.images import cases, words


@pytest.fixture(scope="module")
def answer():
    return demo_images._answer(seed=0)


# --- the picture ------------------------------------------------------------------------------------------------------


def panels(figure):
    """Return the patches of each image: their corners, and their colours `[4, 4, 4]`; None if there are none."""
    axes = [a for a in figure.axes if a.images]
    meshes = [[c for c in a.collections if isinstance(c, QuadMesh)] for a in axes]
    return [
        (np.asarray(m[0].get_coordinates()), np.reshape(m[0].get_array(), (4, 4, 4))) if m else None for m in meshes
    ]


def test_patches_are_coloured_by_sign_and_opaque_by_size():
    values = np.zeros((2, 16))
    values[0, 2], values[0, 7], values[1, 15] = 0.2, -0.1, 0.05
    first, second = panels(heat(np.zeros((2, 1, 28, 28)), values, ["a", "b"]))
    assert first[1][0, 2, :3].tolist() == list(to_rgba(HIGHER)[:3])
    assert first[1][1, 3, :3].tolist() == list(to_rgba(LOWER)[:3])
    opacity = np.stack([first[1][..., 3], second[1][..., 3]]).reshape(2, 16)
    np.testing.assert_allclose(opacity / opacity.max(), np.abs(values) / 0.2)  # one scale for all images


def test_patches_lie_where_the_classifier_hides_them():
    (corners, _), _ = panels(heat(np.zeros((2, 3, 30, 37)), np.ones((2, 16)), ["a", "b"]))
    assert corners[:, 0, 1].tolist() == [-0.5, 7.5, 15.5, 22.5, 29.5]
    assert corners[0, :, 0].tolist() == [-0.5, 9.5, 18.5, 27.5, 36.5]


def test_values_that_are_nan_are_not_drawn():
    values = np.full((2, 16), np.nan)
    values[1, 1:] = 0.1
    figure = heat(np.zeros((2, 1, 28, 28)), values, ["image", "values"])
    plain, drawn = panels(figure)
    assert plain is None and not any(isinstance(c, LineCollection) for c in figure.axes[0].collections)
    assert drawn[1][0, 0, 3] == 0 and (drawn[1][..., 3] > 0).sum() == 15
    assert len(heat(np.zeros((2, 1, 28, 28)), np.full((2, 16), np.nan), ["a", "b"]).axes) == 2  # without a scale


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("images", (np.zeros((2, 28, 28)), np.zeros((2, 16)), ["a", "b"])),
        ("images", (np.zeros((0, 1, 28, 28)), np.zeros((0, 16)), [])),
        ("values", (np.zeros((2, 1, 28, 28)), np.zeros((1, 16)), ["a", "b"])),
        ("values", (np.zeros((2, 1, 28, 28)), np.zeros((2, 15)), ["a", "b"])),
        ("titles", (np.zeros((2, 1, 28, 28)), np.zeros((2, 16)), ["a"])),
    ],
)
def test_parts_that_do_not_fit_are_refused(name, arguments, unchecked):
    with pytest.raises(MapstoError, match=f"^{name}: got "):
        heat(*arguments)


# --- the answer and the page ------------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_predictions(answer):
    s, p = answer.summary, answer.probabilities
    assert (s["classes"], s["training_images"], s["images"]) == (5, 5, 25)
    right = np.array(answer.classes)[p.argmax(1)] == answer.truth
    assert s["accuracy"] == right.mean() > 0.5
    of_true = [p[i, answer.classes.index(str(name))] for i, name in enumerate(answer.truth)]
    assert s["probability_of_the_true_class"] == pytest.approx(np.mean(of_true))
    assert s["agreement"]["images"] == 6 and s["agreement"]["patches"] <= 12
    assert -1 <= s["agreement"]["cosine"] <= 1 and s["agreement"]["r2"] <= 1


def test_cases_show_mistakes_first_and_each_class(answer):
    shown = cases.chosen(answer)
    assert len(set(shown)) == 6
    assert {answer.predicted[i] for i in shown} == set(answer.predicted.tolist())
    truth = answer.truth.copy()
    truth[[3, 20]] = truth[[20, 3]]
    mistaken = images.Answer(**{**vars(answer), "truth": truth})
    wrong = [i for i in range(25) if answer.classes[answer.predicted[i]] != truth[i]]
    assert cases.chosen(mistaken)[:2] == wrong[:2]
    case = cases._case(mistaken, 3)
    assert f"The prediction is wrong. The true class is {truth[3]}" in case["caption"]
    assert case["heading"] == f"Image 4: {100 * answer.probabilities[3].max():.1f} % probability of character 1"


def test_strongest_patches_are_named_by_size():
    values = np.zeros(16)
    values[[3, 5, 6, 9]] = 0.1, -0.3, 0.05, 0.0001
    assert words.strongest(values, [str(j) for j in range(16)]) == "5 (−30.0), 3 (+10.0) and 6 (+5.0)"
    assert words.strongest(0 * values, [""] * 16) == "no patch moved it by 0.1 points"


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_demo_prints_one_json_object_and_writes_its_page(capsys, answer, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_images, "_answer", lambda seed: answer if seed == 7 else pytest.fail("another seed"))
    assert main(["demo", "--images", "--json", "--seed", "7", "--out", str(tmp_path / "new")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {**answer.summary, "report": str(tmp_path / "new" / "report.html"), "notes": answer.notes}
    assert "dark on light" in printed["notes"][0]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]
    page = (tmp_path / "new" / "report.html").read_text()
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "http" not in re.sub(r"base64,[^\"]*", "", page).replace("http-equiv", "")
    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', page)
    assert len(pictures) == page.count('alt="') == 1 + 5 + 6 and 'alt=""' not in page
    for picture in pictures:
        ElementTree.fromstring(b64decode(picture))
    right = round(answer.summary["accuracy"] * 25)
    assert f"It recognised {right} of 25. Guessing would recognise about 5." in page
    assert f"{answer.summary['agreement']['r2']:.3f}" in page and answer.notes[0] in page


def test_the_demo_speaks_on_the_terminal(capsys, answer, tmp_path):
    demo_images._show(answer, tmp_path / "report.html")
    printed = capsys.readouterr().out
    assert "5 images taught, 25 predicted and explained" in printed and "agreement R²" in printed
    assert all(f"character {c}" in printed for c in range(1, 6)) and "wrote" in printed


def test_a_file_in_the_way_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(demo_images, "_answer", lambda seed: pytest.fail("worked first"))
    assert main(["demo", "--images", "--out", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.startswith("mapsto: --out: ")
