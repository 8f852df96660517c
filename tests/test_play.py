"""The graphs of `mapsto play` give the numbers of Python, and the page is whole, small and says everything twice."""

import gzip
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import mapsto as mt
from mapsto.cli import main
from mapsto.explainers.coalitions import design
from mapsto.explainers.learned.distilled_shapley import designs
from mapsto.play import graphs, images, page, reading, waves

onnxruntime = pytest.importorskip("onnxruntime", exc_type=ImportError)
TOLERANCE = 1e-4


@cache
def session(graph: str, weights: str) -> "onnxruntime.InferenceSession":
    """Return a session of a shipped graph; its weights are passed in memory, as in the browser."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, raw = 1, unpacked(weights)
    options.add_external_initializers_from_files_in_memory(["weights.bin"], [raw], [len(raw)])
    return onnxruntime.InferenceSession(unpacked(graph), options)


@cache  # sessions read their weights from these bytes for as long as they run
def unpacked(name: str) -> bytes:
    return gzip.decompress((page.ASSETS / "models" / f"{name}.gz").read_bytes())


def table(n: int, d: int, k: int = 2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(d)
    X = random.normal(size=(n, d)) * 10.0 ** random.integers(-3, 4, d)
    X[:, 1:][random.random((n, d - 1)) < 0.1] = np.nan
    ranks = (X[:, 0] / X[:, 0].std() + random.normal(size=n)).argsort().argsort()
    return X, ranks * k // n


@pytest.mark.parametrize(
    ("n", "d", "rows", "k"), [(40, 10, 1, 2), (64, 12, 3, 2), (9, 3, 2, 3), (6, 1, 1, 2), (60, 4, 2, 10)]
)
def test_the_graphs_for_tables_predict_and_explain_as_the_classifier_does(n: int, d: int, rows: int, k: int) -> None:
    X, y = table(n + rows, d, k)
    y[:k] = np.arange(k)
    clf = mt.TableClassifier().fit(X[:n], y[:n])
    assert clf.support_.x.shape == (n, d) and len(clf.classes_) == k
    expected = clf.explain(X[n:])
    given = {name: part.numpy() for name, part in zip("xyw", clf.support_, strict=True)}
    state = session("fit.onnx", "tables.bin").run(None, {**given, "classes": np.arange(k)})
    x = clf._tensor(clf._numbers(clf._columns_of_fit(X[n:]))).numpy()
    masks, weights = (part.numpy() for part in design(d))
    inputs = {"x": x, "masks": masks, "weights": weights, **{f"state{i}": part for i, part in enumerate(state)}}
    values, base, errors = session("explain.onnx", "tables.bin").run(None, inputs)
    assert np.abs(expected.values).max() > 0.01
    np.testing.assert_allclose(values, expected.values, atol=TOLERANCE)
    np.testing.assert_allclose(base, expected.base_values, atol=TOLERANCE)
    np.testing.assert_allclose(errors, expected.errors, atol=TOLERANCE)


def test_a_row_of_weight_0_is_deleted_in_the_graph() -> None:
    support = [torch.randn(12, 4, generator=torch.Generator().manual_seed(0)).numpy(), np.arange(12) % 2]
    fit = session("fit.onnx", "tables.bin")
    kept = np.full(12, 1 / 11, np.float32)
    kept[3] = 0
    even, classes = np.full(12, 1 / 12, np.float32), np.arange(2)
    with_it = fit.run(["state0"], {"x": support[0], "y": support[1], "w": even, "classes": classes})[0]
    deleted = dict(
        zip(["x", "y", "w"], [*(np.delete(part, 3, 0) for part in support), np.delete(kept, 3)], strict=True)
    )
    names = [output.name for output in fit.get_outputs()]
    of_zero = fit.run(names, {"x": support[0], "y": support[1], "w": kept, "classes": classes})
    without = fit.run(names, {**deleted, "classes": classes})
    nothing = -1  # the readout for a row without cells is the last tensor of the state
    np.testing.assert_allclose(of_zero[nothing], without[nothing], atol=1e-4)
    assert with_it.shape == of_zero[0].shape and not np.allclose(with_it, of_zero[0], atol=1e-4)


def drawings() -> tuple[torch.Tensor, torch.Tensor]:
    episode = mt.tasks.PlantedStrokes(ways=5, shots=1, queries=2, distractors=0).batch(0, 1)
    support, query = (F.interpolate(part.x[0].float(), (32, 32), mode="area") for part in episode[:2])
    return support[episode.support.y[0].argsort()], query


def test_the_graph_for_images_classifies_and_explains_as_the_classifier_does() -> None:
    support, query = drawings()
    clf = mt.ImageClassifier().fit(support, np.arange(5))
    run, w = session("images.onnx", "images.bin").run, np.full(5, 0.2, np.float32)
    blank = torch.zeros_like(query[:1])
    few = torch.where(torch.arange(32) < 8, query[:1], blank)  # a drawing with ink in one column of patches
    for image in (*query[:2].split(1), few, blank):
        expected = clf.explain(image)
        p, values, base, trust = run(None, {"support": support.numpy(), "w": w, "x": image.numpy()})
        np.testing.assert_allclose(p, clf.predict_proba(image), atol=TOLERANCE)
        np.testing.assert_allclose(values, expected.values, atol=TOLERANCE)
        np.testing.assert_allclose(base, expected.base_values, atol=TOLERANCE)
        np.testing.assert_allclose(trust, expected.trust, atol=TOLERANCE)
    assert np.abs(clf.explain(query[:1]).values).max() > 0.05


def test_an_image_of_weight_0_is_deleted_in_the_graph() -> None:
    support, query = drawings()
    expected = mt.ImageClassifier().fit(support, np.arange(5)).influence(query[:1], among=[2])[0, 0]
    run = session("images.onnx", "images.bin").run
    w = np.full(5, 0.2, np.float32)
    without = np.where(np.arange(5) == 2, 0, w)
    before, after = (
        run(["probabilities"], {"support": support.numpy(), "w": weights, "x": query[:1].numpy()})[0][0]
        for weights in (w, without)
    )
    assert after[2] == 0
    np.testing.assert_allclose(after - before, expected, atol=TOLERANCE)


def test_the_shipped_numbers_are_those_of_the_pretrained_model_and_of_maml() -> None:
    numbers = json.loads((page.ASSETS / "models" / "models.json").read_text())
    ratios = mt.weights.load().doubt.ratios  # type: ignore[union-attr]
    np.testing.assert_allclose(numbers["ratios"], ratios.numpy(), atol=1e-6)
    tasks = mt.tasks.Sinusoids(shots=5, queries=20).test
    errors = {steps: mt.evaluate(maml(numbers["wave"], steps), tasks, episodes=64).mse.mean for steps in (1, 10)}
    assert errors[10] < errors[1] < 0.9  # a wave's own variance is 4.4 on average


def maml(layers: list, steps: int) -> mt.learners.MAML:
    """Return the learner of the page."""
    body = mt.models.MLP(1, 40, 40, 1)
    linear = [part for part in body if isinstance(part, nn.Linear)]
    with torch.no_grad():
        for part, (weight, bias) in zip(linear, layers, strict=True):
            part.weight.copy_(torch.tensor(weight))
            part.bias.copy_(torch.tensor(bias))
    return mt.learners.MAML(body, loss="mse", lr=waves.LR, steps=steps)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's own, while it exports
def test_weights_are_stored_once_and_in_16_bits_only_if_this_loses_nothing() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.coarse = nn.Parameter(torch.arange(512.0) / 8)
            self.fine = nn.Parameter(torch.linspace(0, 1, 512))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.coarse + self.fine

    shared, model = graphs.Weights(), Sum()
    x = torch.ones(512)
    first, second = (graphs.graph(model, (x,), ({},), ["x"], ["y"], shared) for _ in range(2))
    assert first == second and len(shared.data) == 512 * (2 + 4)
    options, raw = onnxruntime.SessionOptions(), bytes(shared.data)
    options.add_external_initializers_from_files_in_memory(["weights.bin"], [raw], [len(raw)])
    y = onnxruntime.InferenceSession(first, options).run(None, {"x": x.numpy()})[0]
    np.testing.assert_array_equal(y, model(x).detach().numpy())


def test_the_page_is_one_small_file_that_fetches_nothing() -> None:
    text = page.page()
    assert len(text) < 15e6
    assert "default-src 'none'" in text and "connect-src" not in text  # so that no script can fetch
    assert not re.search(r"""(?:src|href)=["'](?!#)""", text.partition('<script type="text/plain"')[0])
    assert all((page.ASSETS / "runtime" / name).stat().st_size < 4 * 2**20 for name in ("ort.wasm.gz", "ort.mjs.gz"))
    assert "MIT License" in text and "Microsoft" in text


def test_every_phrase_is_there_in_both_languages() -> None:
    phrases = json.loads((page.ASSETS / "phrases.json").read_text(encoding="utf-8"))
    sources = "\n".join(
        file.read_text(encoding="utf-8") for file in page.ASSETS.glob("*.[hj]*") if file.suffix != ".json"
    )
    used = set(re.findall(r'data-(?:say|label)(?:="|": ")(\w+)"', sources)) | set(
        re.findall(r'\bsay\("(\w+)"', sources)
    )
    used |= set(re.findall(r'\bend\("(\w+)"\)', sources)) | set(re.findall(r'(?:error: |refuse\()"(\w+)"', sources))
    used |= {"one_class", "many_classes", "no_runtime"}
    used |= {word for pair in re.findall(r'\bsay\([^()]*\? "(\w+)" : "(\w+)"', sources) for word in pair}
    assert used == set(phrases)
    for key, (english, chinese) in phrases.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), key
        assert re.search("[\u4e00-\u9fff]", chinese) and not re.search("[\u4e00-\u9fff]", english), key


def luminance(colour: str) -> float:
    """Return the relative luminance of #rgb or #rrggbb (WCAG 2.2)."""
    letters = colour[1:] if len(colour) == 7 else "".join(2 * letter for letter in colour[1:])
    parts = [int(letters[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize("dark", [False, True])
def test_texts_and_controls_stand_out_from_their_ground(dark: bool) -> None:
    style = (page.ASSETS / "style.css").read_text()
    themes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(themes) == 2
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", themes[dark]))

    def contrast(a: str, b: str) -> float:
        low, high = sorted((luminance(colours[a]), luminance(colours[b])))
        return (high + 0.05) / (low + 0.05)

    for ground in ("paper", "stage", "card"):
        for text in ("ink", "muted", "up", "down", "accent"):
            assert contrast(text, ground) >= 4.5, (text, ground)
        assert contrast("edge", ground) >= 3, ground
    assert contrast("on-accent", "accent") >= 4.5
    assert min(contrast(bar, "card") for bar in ("up-bar", "down-bar")) >= 2.5  # each has its number beside it


def test_coalitions_from_a_table_are_those_of_the_explainer() -> None:
    visible = torch.tensor([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]]) > 0
    masks, weights = images.Tabulated(5, 20)(visible)
    for i, row in enumerate(visible):
        expected = designs(row[None], 20, torch.zeros(()))
        count = expected[0].shape[1]
        torch.testing.assert_close(masks[i, :count], expected[0][0])
        torch.testing.assert_close(weights[i, :, :count], expected[1][0])
        assert not masks[i, count:].any() and not weights[i, :, count:].any()


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "new" / "page.html"
    assert main(["play", "--out", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"page": str(path), "opened": False}
    assert path.read_text(encoding="utf-8") == page.page()


def test_without_a_file_the_page_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.chdir(tmp_path)
    assert main(["play"]) == 0
    assert opened == [(tmp_path / "play.html").as_uri()]


@pytest.mark.parametrize("pattern", [r"\bday", r"\S+", r"\d++", r"(?i:a)", r"(?>a)", r"a\Z"])
def test_a_pattern_that_javascript_reads_otherwise_is_not_translated(pattern):
    with pytest.raises(AssertionError, match="has no translation"):
        reading.javascript(pattern)
