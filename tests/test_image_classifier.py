"""`ImageClassifier`: laws that hold for any weights, images that are refused, and characters learned from one example.

The laws are tested over the shipped weights, and over random weights of another size with another baseline.
"""

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

import mapsto as mt
from mapsto import weights
from mapsto.errors import MapstoError
from mapsto.estimators import ink, pixels
from mapsto.explainers import groups
from mapsto.tasks import PlantedStrokes

ROUNDING = 1e-5  # the mapping computes in float32


def drawn(ways=4, shots=2, size=28, seed=0):
    """Return training images and labels, and new images and labels, of drawn characters in light ink."""
    tasks = PlantedStrokes(ways, shots, 4, strokes=3, distractors=0, size=size, jitter=size / 28, width=size / 14)
    support, query = tasks.batch(seed, 1)[:2]
    return support.x[0].numpy(), support.y[0].numpy(), query.x[0].numpy(), query.y[0].numpy()


def hide(images, visible, across=4):
    """Set the patches of each image that are not `visible` [n, 16] to NaN."""
    h, w = images.shape[2:]
    rows, columns = (np.array_split(np.arange(length), across) for length in (h, w))
    images = images.copy()
    for i, place in itertools.product(range(len(images)), range(16)):
        if not visible[i, place]:
            images[i][:, rows[place // 4][:, None], columns[place % 4]] = np.nan
    return images


def enumerated(clf, image, players):
    """Exact Shapley values of `players` by their definition, through predict_proba alone; other patches stay."""
    d, masks = len(players), np.array(list(itertools.product([False, True], repeat=len(players))))
    visible = np.ones((len(masks), 16), bool)
    visible[:, players] = masks
    v = clf.predict_proba(hide(np.repeat(image[None], len(masks), 0), visible))
    number = {tuple(mask): i for i, mask in enumerate(masks)}
    phi = np.zeros((16, v.shape[1]))
    for j, mask in itertools.product(range(d), masks):
        if not mask[j]:
            kernel = math.factorial(mask.sum()) * math.factorial(d - mask.sum() - 1) / math.factorial(d)
            phi[players[j]] += kernel * (v[number[(*mask[:j], True, *mask[j + 1 :])]] - v[number[tuple(mask)]])
    return phi


OTHER = """
learner:
  class_path: mapsto.joint.Joint
  init_args:
    learner:
      class_path: mapsto.learners.PrototypicalNetwork
      init_args:
        body: {class_path: Conv4, init_args: {channels: 1, hidden: 6, size: 20, pooling: average, activation: gelu}}
        ways: 3
    explainers:
      why:
        class_path: mapsto.explainers.learned.AmortisedShapley
        init_args:
          players:
            class_path: mapsto.explainers.learned.Patches
            init_args: {shape: [1, 20, 20], size: 5, baseline: 0.125}
          reads: {embedding: 6}
          width: 8
"""


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Random weights of another model: another size, batch norm, another baseline."""
    path = tmp_path_factory.mktemp("weights") / "images.safetensors"
    path.with_suffix(".yaml").write_text(OTHER)
    torch.manual_seed(0)
    tensors = weights._built(path).state_dict()
    tensors["explainers.why.steps"] += 1
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
    return path


@pytest.fixture(params=["shipped", "random"])
def model(request, monkeypatch, other):
    """Let the estimator use the shipped weights, then the other ones."""
    if request.param == "random":
        load = weights.load_images
        monkeypatch.setattr(weights, "load_images", lambda ways: load(ways, other))
    return request.param


# --- laws -------------------------------------------------------------------------------------------------------------


def test_values_add_up_and_the_base_is_the_prediction_of_nothing(model):
    X, y, new, _ = drawn()
    clf = mt.ImageClassifier().fit(X, y)
    visible = np.random.default_rng(0).random((len(new), 16)) < np.linspace(0, 1, len(new))[:, None]
    new = hide(new, visible)
    e, p = clf.explain(new), clf.predict_proba(new)
    assert e.values.shape == (16, 16, 4) and e.class_names == [0, 1, 2, 3] and e.noun == e[:2].noun == "patch"
    assert np.abs(e.values).max() > 1e-4
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(e.predictions, p, atol=ROUNDING)
    np.testing.assert_allclose(e.base_values, clf.predict_proba(np.full((16, 1, 40, 30), np.nan)), atol=ROUNDING)
    np.testing.assert_allclose(e.values.sum(-1), 0, atol=1e-12)
    assert (e.values[~visible] == 0).all() and np.isnan(e.data[~visible]).all() and (e.data[visible] >= 0).all()
    assert e.feature_names[:5] == ["row 1, column 1", *(f"row 1, column {c}" for c in (2, 3, 4)), "row 2, column 1"]


@pytest.mark.parametrize(("h", "w"), [(28, 28), (30, 45), (64, 31)])
def test_one_hidden_pixel_hides_its_patch(model, h, w):
    X, y, _, _ = drawn(2, 1)
    new = np.random.default_rng(0).random((16, 3, h, w)).astype(np.float32)
    clf = mt.ImageClassifier().fit(X, y)
    whole = hide(new, ~np.eye(16, dtype=bool))
    for pick in (0, -1):
        pixel = new.copy()
        for i in range(16):
            c, row, column = np.argwhere(np.isnan(whole[i]))[pick]
            pixel[i, c, row, column] = np.nan
        assert np.isnan(pixel).sum() == 16
        np.testing.assert_array_equal(clf.predict_proba(pixel), clf.predict_proba(whole))
    np.testing.assert_array_equal(np.isnan(clf.explain(whole).data), np.eye(16, dtype=bool))
    assert np.abs(clf.predict_proba(whole) - clf.predict_proba(new)).max() > 0


def test_a_hidden_patch_is_hidden_in_training_images_too(model):
    X, y, new, _ = drawn()
    visible = np.random.default_rng(0).random((len(X), 16)) < 0.7
    hidden = hide(X, visible)
    one_pixel = np.where(np.isnan(hidden) & (np.random.default_rng(1).random(X.shape) < 0.5), np.nan, X)
    assert np.isnan(one_pixel).sum() < np.isnan(hidden).sum()
    clf = mt.ImageClassifier().fit(hidden, y)
    np.testing.assert_array_equal(clf.predict_proba(new), mt.ImageClassifier().fit(one_pixel, y).predict_proba(new))
    painted = np.where(np.isnan(hidden), 0.125 if model == "random" else 0.0, X).astype(np.float32)  # the baseline
    same = mt.ImageClassifier().fit(painted, y)
    assert clf.ink_.background == same.ink_.background == 0
    np.testing.assert_allclose(clf.predict_proba(new), same.predict_proba(new), atol=10 * ROUNDING)
    assert np.abs(clf.predict_proba(new) - mt.ImageClassifier().fit(X, y).predict_proba(new)).max() > 1e-4
    assert any("hidden patches" in note for note in clf.notes_)


def test_an_exact_check_from_outside_agrees():
    from mapsto.reports.images.exact import exact_values

    X, y, new, _ = drawn()
    clf = mt.ImageClassifier().fit(1 - X, y)  # so that the background is not 0
    visible = np.zeros((3, 16), bool)
    visible[:, [5, 6, 9, 10, 2, 4]] = True
    images = hide(1 - new[:3], visible)
    outside = np.stack([enumerated(clf, image, [2, 4, 5, 6, 9, 10]) for image in images])
    assert np.abs(outside).max() > 0.05
    np.testing.assert_allclose(exact_values(clf, images), outside, atol=ROUNDING)
    np.testing.assert_allclose(outside.sum(1), clf.explain(images).values.sum(1), atol=ROUNDING)


def test_an_empty_patch_contributes_nothing_as_enumeration_says():
    X, y, new, _ = drawn()
    clf = mt.ImageClassifier().fit(X, y)
    empty = clf.explain(new).data == 0
    assert 10 < empty.sum() < empty.size
    assert (clf.explain(new).values[empty] == 0).all()
    np.testing.assert_allclose(clf.predict_proba(hide(new, ~empty)), clf.predict_proba(new), atol=1e-12)


def test_values_resemble_the_exact_ones():
    from mapsto.reports.images.exact import exact_values

    X, y, new, _ = drawn()
    clf = mt.ImageClassifier().fit(X, y)
    chosen = [i for i, data in enumerate(clf.explain(new).data) if (data > 0).sum() <= 8][:4]
    exact, values = exact_values(clf, new[chosen]), clf.explain(new[chosen]).values
    assert exact.std() > 0.02
    assert np.corrcoef(exact.flatten(), values.flatten())[0, 1] > 0.5


def test_the_order_of_training_images_does_not_matter(model):
    X, y, new, _ = drawn()
    order = np.random.default_rng(0).permutation(len(X))
    one, two = mt.ImageClassifier().fit(X, y), mt.ImageClassifier().fit(X[order], y[order])
    np.testing.assert_allclose(two.predict_proba(new), one.predict_proba(new), atol=10 * ROUNDING)
    np.testing.assert_allclose(two.explain(new).values, one.explain(new).values, atol=10 * ROUNDING)
    np.testing.assert_allclose(two.influence(new)[:, order.argsort()], one.influence(new), atol=10 * ROUNDING)


@pytest.mark.parametrize("names", [["b", "d", "a", "c"], [10, 7, -3, 8], np.array(["x", "é", "z", ""], object)])
def test_the_names_of_classes_do_not_matter(names):
    X, y, new, _ = drawn()
    plain, named = mt.ImageClassifier().fit(X, y), mt.ImageClassifier().fit(X, np.asarray(names)[y])
    assert named.classes_.tolist() == sorted(names) and named.explain(new[:1]).class_names == sorted(names)
    order = np.argsort(np.asarray(names))
    np.testing.assert_allclose(named.predict_proba(new), plain.predict_proba(new)[:, order], atol=ROUNDING)
    assert named.predict(new).tolist() == np.asarray(names)[plain.predict(new)].tolist()


def test_two_classes_may_be_true_and_false():
    X, y, new, _ = drawn(2)
    clf = mt.ImageClassifier().fit(X, y == 1)
    assert clf.classes_.tolist() == [False, True] and clf.predict(new).dtype == bool


def test_weights_count_images(model):
    X, y, new, _ = drawn()
    w = np.array([2, 1, 0, 3, 1, 1, 2, 1])
    paper = 0.6 + 0.05 * np.arange(8)[:, None, None, None] - 0.5 * X
    counted = np.repeat(np.arange(8), w)
    clf, repeated = mt.ImageClassifier().fit(paper, y, w), mt.ImageClassifier().fit(paper[counted], y[counted])
    assert clf.ink_ == repeated.ink_ != mt.ImageClassifier().fit(paper, y, w > 0).ink_
    p = clf.predict_proba(new)
    np.testing.assert_allclose(p, repeated.predict_proba(new), atol=10 * ROUNDING)
    np.testing.assert_allclose(p, mt.ImageClassifier().fit(paper, y, 0.3 * w).predict_proba(new), atol=10 * ROUNDING)
    assert np.abs(p - mt.ImageClassifier().fit(paper, y).predict_proba(new)).max() > 1e-4
    assert (clf.influence(new)[:, 2] == 0).all() and np.abs(clf.influence(new)[:, 3]).max() > 1e-4


def test_influence_is_fitting_without_the_image(model):
    X, y, new, _ = drawn()
    X, y = np.concatenate([X, X[:1, :, ::-1]]), np.append(y, 4)
    clf = mt.ImageClassifier().fit(X, y)
    p, change = clf.predict_proba(new), clf.influence(new)
    assert change.shape == (16, 9, 5)
    keep = np.arange(9) != 3
    without = mt.ImageClassifier().fit(X[keep], y[keep]).predict_proba(new)
    np.testing.assert_allclose(change[:, 3], without - p, atol=10 * ROUNDING)
    np.testing.assert_allclose(change[:, 8, 4], -p[:, 4], atol=ROUNDING)  # the only image of its class
    own = y[:8][:, None] == np.arange(5)
    assert change[:, :8][:, own].mean() < 0 or model == "random"
    np.testing.assert_allclose(clf.influence(new, among=[8, 3]), change[:, [8, 3]], atol=ROUNDING)
    np.testing.assert_allclose(clf.influence(new, among=~keep), change[:, [3]], atol=ROUNDING)


def test_classifiers_share_nothing():
    X, y, new, _ = drawn()
    clf = mt.ImageClassifier().fit(X, y)
    change = clf.influence(new)
    mt.ImageClassifier().fit(X, y % 2)
    np.testing.assert_array_equal(clf.influence(new), change)


@pytest.mark.parametrize("names", [[3, 1, 2, 0], ["b", "d", "a", "c"]])
def test_saved_and_loaded_it_answers_the_same(model, tmp_path, names):
    X, y, new, _ = drawn(size=40)
    clf = mt.ImageClassifier().fit(1 - X, np.asarray(names)[y], np.arange(8))
    clf.save(tmp_path / "marks.safetensors")
    again = mt.ImageClassifier.load(tmp_path / "marks.safetensors")
    assert again.classes_.tolist() == sorted(names) and again.notes_ == clf.notes_ != []
    np.testing.assert_array_equal(again.predict_proba(1 - new), clf.predict_proba(1 - new))
    np.testing.assert_array_equal(again.explain(1 - new).values, clf.explain(1 - new).values)
    np.testing.assert_array_equal(again.influence(1 - new), clf.influence(1 - new))
    with pytest.raises(MapstoError, match=r"^path: .*ImageClassifier\.load"):
        mt.TableClassifier.load(tmp_path / "marks.safetensors")


def test_a_file_is_of_one_estimator_and_of_the_shipped_weights(tmp_path, monkeypatch):
    X, y, _, _ = drawn(2, 1)
    mt.ImageClassifier().fit(X, y).save(tmp_path / "a.safetensors")
    mt.TableClassifier().fit(np.eye(4), [0, 1, 0, 1]).save(tmp_path / "table.safetensors")
    with pytest.raises(MapstoError, match=r"^path: .*TableClassifier\.load"):
        mt.ImageClassifier.load(tmp_path / "table.safetensors")
    monkeypatch.setattr(weights, "fingerprint", lambda path: path.name.replace("images", "others"))
    with pytest.raises(MapstoError, match="this version ships others"):
        mt.ImageClassifier.load(tmp_path / "a.safetensors")


def test_results_do_not_depend_on_other_images(model, monkeypatch):
    X, y, new, _ = drawn()
    clf = mt.ImageClassifier().fit(X, y)
    p, values, influence = clf.predict_proba(new), clf.explain(new).values, clf.influence(new)
    np.testing.assert_allclose(np.concatenate([clf.predict_proba(new[[i]]) for i in range(16)]), p, atol=ROUNDING)
    np.testing.assert_allclose(np.concatenate([clf.explain(new[[i]]).values for i in range(16)]), values, atol=ROUNDING)
    monkeypatch.setattr(mt.estimators.image_classifier, "_ROWS", 3)
    monkeypatch.setattr(mt.estimators.image_classifier, "_TOKENS", 20)
    np.testing.assert_allclose(clf.predict_proba(new), p, atol=ROUNDING)
    np.testing.assert_allclose(clf.explain(new).values, values, atol=ROUNDING)
    np.testing.assert_allclose(clf.influence(new), influence, atol=ROUNDING)


def test_results_do_not_depend_on_the_number_of_cores():
    X, y, new, _ = drawn()
    clf, before = mt.ImageClassifier().fit(X, y), torch.get_num_threads()
    try:
        of = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            of.append(clf.explain(new))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(of[0].values, of[1].values, atol=ROUNDING)
    np.testing.assert_allclose(of[0].trust, of[1].trust, atol=ROUNDING)
    assert of[0].trust.shape == (len(new),) and (of[0].trust > 0).all() and (of[0].trust <= 1).all()


def test_channels_dtypes_and_containers_do_not_matter():
    X, y, new, _ = drawn(3)
    p = mt.ImageClassifier().fit(X, y).predict_proba(new)
    for change in (np.float64, torch.from_numpy, lambda x: torch.from_numpy(x).double().requires_grad_(), list):
        clf = mt.ImageClassifier().fit(change(X), torch.from_numpy(y))
        np.testing.assert_allclose(clf.predict_proba(change(new)), p, atol=ROUNDING)
    three = mt.ImageClassifier().fit(X.repeat(3, 1), y)
    np.testing.assert_allclose(three.predict_proba(new.repeat(3, 1)), p, atol=10 * ROUNDING)
    np.testing.assert_allclose(three.predict_proba(new), p, atol=10 * ROUNDING)
    assert any("three channels" in note for note in three.notes_)
    red = np.concatenate([new, 0 * new, 0 * new], 1)
    np.testing.assert_allclose(three.predict_proba(red), three.predict_proba(0.299 * new), atol=10 * ROUNDING)


def test_the_same_call_gives_the_same_numbers():
    X, y, new, _ = drawn()
    torch.manual_seed(1)
    one = mt.ImageClassifier().fit(X, y)
    torch.manual_seed(2)
    two = clone(one).fit(X, y)
    np.testing.assert_array_equal(one.explain(new).values, two.explain(new).values)
    assert not one.mapping_.training and not any(p.requires_grad for p in one.mapping_.parameters())


# --- background and size ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain():
    """Return training images and labels, new images, and their predictions and explanations."""
    X, y, new, _ = drawn()
    clf = mt.ImageClassifier().fit(X, y)
    return X, y, new, clf.predict_proba(new), clf.explain(new)


@pytest.mark.parametrize(
    ("paper", "strength"), [(1.0, -1.0), (0.9, -0.9), (0.1, 0.9), (0.2, 0.8), (0.5, -0.5), (0.4, -0.4), (0.6, 0.4)]
)
def test_the_background_may_be_light_or_dark(paper, strength, plain):
    X, y, new, p, e = plain
    assert (X == 0).mean() > 0.5
    clf = mt.ImageClassifier().fit(paper + strength * X, y)
    np.testing.assert_allclose(clf.predict_proba(paper + strength * new), p, atol=10 * ROUNDING)
    np.testing.assert_allclose(clf.explain(paper + strength * new).base_values, e.base_values, atol=10 * ROUNDING)
    assert any("dark on light" in note for note in clf.notes_) == (strength < 0)


def test_ink_is_the_distance_from_the_background_on_one_side():
    levels = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])[:, None, None, None].expand(-1, 1, 28, 28)
    np.testing.assert_allclose(ink.Ink(0.75, True, 28)(levels)[:, 0, 5, 5], [1, 2 / 3, 1 / 3, 0, 0], atol=1e-6)
    np.testing.assert_allclose(ink.Ink(0.25, False, 28)(levels)[:, 0, 5, 5], [0, 0, 1 / 3, 2 / 3, 1], atol=1e-6)


def test_training_images_of_the_other_kind_are_noted():
    X, y, _, _ = drawn()
    mixed = np.concatenate([0.5 - 0.4 * X[1:], 0.5 + 0.4 * X[:1]])
    clf = mt.ImageClassifier().fit(mixed, np.concatenate([y[1:], y[:1]]))
    assert clf.ink_.dark and any(f"1 of {len(X)} training images are mostly lighter" in note for note in clf.notes_)
    assert (
        not mt.ImageClassifier().fit(np.zeros_like(X), y).ink_.dark and mt.ImageClassifier().fit(0 * X, y).notes_ == []
    )


def test_the_background_is_the_median_of_the_visible_border():
    images = torch.full((2, 1, 28, 28), 0.75)
    images[:, :, 1:-1, 1:-1] = 0.0
    w = torch.tensor([0.5, 0.5])
    assert ink.background(images, w) == 0.75
    images[0] = torch.where(images[0] > 0, 0.25, 0.0)
    assert ink.background(images, torch.tensor([0.6, 0.4])) == 0.25
    assert ink.background(images, torch.tensor([0.4, 0.6])) == 0.75
    images[0, 0, 0, :] = images[0, 0, -1, :] = images[0, 0, :, 0] = images[0, 0, :, -1] = torch.nan  # hides its border
    assert ink.background(images, torch.tensor([0.9, 0.1])) == 0.75
    assert ink.background(images[:1], torch.ones(1)) == 0.0  # of all visible pixels, because no border is visible


def test_patches_are_those_of_array_split():
    for length in range(28, 65):
        expected = np.repeat(range(4), [len(part) for part in np.array_split(range(length), 4)])
        np.testing.assert_array_equal(groups.bands(length, 4), expected)


@pytest.mark.parametrize("length", [28, 30, 37, 64])
@pytest.mark.parametrize("size", [20, 28, 32])
def test_resizing_averages_each_patch_by_itself(length, size):
    matrix = ink.areas(length, size)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)
    band, part = groups.bands(length, 4), torch.arange(size) // (size // 4)
    assert ((matrix > 0) <= (part[:, None] == band)).all()
    for i in range(4):  # each patch keeps its mean
        of_band = band == i
        x = torch.rand(int(of_band.sum()))
        np.testing.assert_allclose((matrix[part == i][:, of_band] @ x).mean(), x.mean(), atol=1e-6)
    if length == size:
        assert torch.equal(matrix, torch.eye(size))


def test_predictions_hardly_depend_on_the_size():
    X, y, new, labels = drawn(size=56)
    half = new.reshape(16, 1, 28, 2, 28, 2).mean((3, 5))
    clf = mt.ImageClassifier().fit(X, y)
    assert np.abs(clf.predict_proba(half) - clf.predict_proba(new)).mean() < 0.05
    assert clf.score(half, labels) > 0.7


# --- bad input --------------------------------------------------------------------------------------------------------


GOOD = np.zeros((2, 1, 28, 28)), [0, 1]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 28, 28)), r"shape \(2, 28, 28\).*images\[:, None\]"),
        (np.zeros((3, 28, 28)), r"images\[None\]"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((2, 28, 28, 3)), r"which is \[n, h, w, c\]"),
        (np.zeros((2, 28, 28, 1)), r"which is \[n, h, w, c\]"),
        (np.zeros((2, 2, 28, 28)), "2 channels"),
        (np.zeros((2, 1, 27, 28)), "27 × 28 pixels"),
        (np.zeros((2, 1, 28, 65)), "28 × 65 pixels"),
        (np.zeros((0, 1, 28, 28)), "no image"),
        (np.zeros((2, 1, 28, 28), np.uint8), "uint8.*by 255"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), "uint8.*by 255"),
        (np.zeros((2, 1, 28, 28), bool), "bool"),
        (np.full((2, 1, 28, 28), "a"), "<U1"),
        (np.full((2, 1, 28, 28), 255.0), "numbers from 255 to 255"),
        (np.full((2, 1, 28, 28), -0.1), "numbers from -0.1"),
        (np.full((2, 1, 28, 28), np.inf), "inf"),
        ([np.zeros((1, 28, 28)), np.zeros((1, 30, 30))], "differ in shape"),
        ("marks.png", r"shape \(\)"),
        (None, r"shape \(\)"),
    ],
)
def test_images_that_cannot_be_read_are_refused_in_one_sentence(images, words):
    clf = mt.ImageClassifier().fit(*GOOD)
    for call in (lambda: mt.ImageClassifier().fit(images, [0, 1]), lambda: clf.predict(images)):
        with pytest.raises(MapstoError, match=f"^images: got .*{words}") as refused:
            call()
        assert "\n" not in str(refused.value) and str(refused.value).count(". ") == 0


def test_a_training_image_without_a_visible_patch_is_refused():
    images = np.zeros((3, 1, 28, 28))
    images[1, 0, ::7, ::7] = np.nan
    with pytest.raises(MapstoError, match=r"^images: got image 1 without"):
        mt.ImageClassifier().fit(images, [0, 1, 1])
    images[1, 0, 0, 0] = 0
    assert mt.ImageClassifier().fit(images, [0, 1, 1]).predict_proba(images).shape == (3, 2)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1, 1], r"shape \(3,\)"),
        (None, r"shape \(\)"),
        ([1, 1], r"one class only \(1\)"),
        ([0, np.nan], "NaN in 1 of 2"),
        (["a", None], "NaN in 1 of 2"),
        ([0.5, 1.25], "continuous"),
        ([[0, 1], [1, 0]], r"shape \(2, 2\)"),
        (np.array(["a", 1], object), "mixes numbers and texts"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(labels, words):
    with pytest.raises(MapstoError, match=f"^labels: .*{words}"):
        mt.ImageClassifier().fit(GOOD[0], labels)


def test_a_fit_that_fails_leaves_nothing_behind():
    clf = mt.ImageClassifier()
    with pytest.raises(MapstoError):
        clf.fit(GOOD[0], [1, 1])
    with pytest.raises(NotFittedError):
        clf.predict(GOOD[0])


@pytest.mark.parametrize("weight", [[1, -1], [np.nan, 1], [0, 0], [1]])
def test_weights_that_cannot_be_read_are_refused(weight):
    with pytest.raises(MapstoError, match=r"^sample_weight: got"):
        mt.ImageClassifier().fit(*GOOD, weight)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "explain", "influence", "save"])
def test_fit_comes_first(method, tmp_path):
    with pytest.raises(NotFittedError):
        getattr(mt.ImageClassifier(), method)(tmp_path if method == "save" else GOOD[0])


def test_damaged_weights_are_refused(tmp_path):
    path = tmp_path / "images.safetensors"
    with pytest.raises(MapstoError, match=r"^weights: .*images.yaml is missing"):
        weights.load_images(5, path)
    path.with_suffix(".yaml").write_text((weights.FOLDER / "images.yaml").read_text())
    path.write_bytes(b"")
    with pytest.raises(MapstoError, match=r"^weights: .*images.safetensors is missing, damaged"):
        weights.load_images(5, path)


def test_the_configuration_is_one_that_training_reads():
    from mapsto.commands.configuration import objects_parser

    parser = objects_parser("train", "")
    config = yaml.safe_load((weights.FOLDER / "images.yaml").read_text())
    learner = parser.make(
        parser.parse_args(["--learner", json.dumps(config["learner"]), "--tasks", "PlantedStrokes"])
    ).learner
    assert isinstance(learner, mt.Joint) and list(learner.explainers) == ["why"]
    assert {k: v.shape for k, v in learner.state_dict().items()} == {
        k: v.shape for k, v in weights.load_images(7).state_dict().items()
    }


# --- it learns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [28, 50])
def test_five_characters_are_learned_from_one_example_each(size):
    right = []
    for seed in range(4):
        X, y, new, labels = drawn(5, 1, size, seed)
        right.append(mt.ImageClassifier().fit(1 - X, y).score(1 - new, labels))
    assert np.mean(right) > 0.7  # chance is 0.2


def test_scikit_learn_cross_validates_it():
    X, y, _, _ = drawn(3, 4)
    hidden = hide(X, np.tile(np.arange(16) > 0, (12, 1)))
    assert np.mean(cross_val_score(mt.ImageClassifier(), hidden, y, cv=2)) > 0.6


def test_many_classes():
    X, y, new, labels = drawn(60, 1)
    clf = mt.ImageClassifier().fit(X, y)
    e = clf.explain(new[:5])
    assert e.values.shape == (5, 16, 60)
    np.testing.assert_allclose(e.predictions, clf.predict_proba(new[:5]), atol=ROUNDING)
    assert clf.score(new, labels) > 0.2  # chance is 0.017


@pytest.mark.usefixtures("unchecked")
def test_the_recipe_runs_as_it_is_printed(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text()
    section = page.partition("## Learn characters from one example each\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(block, names)
    assert names["e"].values.shape == (20, 16, 5) and (tmp_path / "why.png").exists()


def test_the_public_name():
    assert mt.ImageClassifier is mt.estimators.ImageClassifier
    assert pixels.SMALLEST == 28 and pixels.LARGEST == 64 and Path(weights.IMAGES).exists()
