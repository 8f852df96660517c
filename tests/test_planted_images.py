"""Planted images: what is drawn, that the truth is the truth, and that it cannot be guessed from one image's ink."""

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter as scipy_blur
from sklearn.linear_model import LogisticRegression

from mapsto.errors import MapstoError
from mapsto.tasks import PlantedStrokes, XAITris, planted_images, xai_tris
from mapsto.tasks.xai_tris import patterns

STILL = {"ways": 4, "shots": 2, "queries": 3, "jitter": 0.0}


def drawn(tasks, count=6, index=0):
    return tasks.batch(index, count), tasks.truth(index, count)


# --- strokes: the drawing ---------------------------------------------------------------------------------------------


def test_ink_is_what_the_distance_to_the_line_says():
    """Brute force: the distance of each pixel's middle to 2,001 points of each segment."""
    lines = planted_images.curves(torch.Generator().manual_seed(0), 6) * 12
    ends = np.linspace(0, 1, 2001)[:, None]
    for line, ink in zip(lines.numpy(), planted_images.rasterise(lines, 12, 1.5).numpy(), strict=True):
        dots = np.concatenate([a + ends * (b - a) for a, b in itertools.pairwise(line)])
        y, x = np.mgrid[:12, :12] + 0.5
        distance = np.sqrt((y[..., None] - dots[:, 0]) ** 2 + (x[..., None] - dots[:, 1]) ** 2).min(-1)
        expected = np.clip(0.5 + 0.75 - distance, 0, 1)
        assert expected.sum() > 5 and ((expected > 0) & (expected < 1)).any()  # some ink, some of it faded
        np.testing.assert_allclose(ink, expected, atol=2e-3)


def test_strokes_are_arcs_and_bent_lines_with_ends_equally_far_apart():
    lines = planted_images.curves(torch.Generator().manual_seed(0), 400)
    span = (lines[:, -1] - lines[:, 0]).norm(dim=-1)
    torch.testing.assert_close(span, torch.full_like(span, 0.44), rtol=1e-5, atol=0)
    turns = (lines.diff(dim=1)[:, 1:] * lines.diff(dim=1)[:, :-1]).sum(-1)
    lengths = lines.diff(dim=1).norm(dim=-1)
    turns = turns / lengths[:, 1:] / lengths[:, :-1]  # cosines of the angles between segments
    corners = (turns < 1 - 1e-5).sum(1)
    assert 0.4 < (corners == 1).float().mean() < 0.6  # bent once; arcs turn everywhere
    assert lines.min() > 0 and lines.max() < 1


# --- strokes: the truth -----------------------------------------------------------------------------------------------


def law_ink_is_one_of_both(episode, truth):
    """Ink is a label stroke's or a distractor's; nothing else is there, and neither is missing."""
    for part, label, other in zip(episode[:2], truth[:2], truth[2:], strict=True):
        assert torch.equal(part.x > 0, label | other)
        assert label.flatten(2).any(-1).all() and (label ^ other).flatten(2).any(-1).all()


def law_label_strokes_are_the_class(episode, truth):
    """Without jitter, label strokes are the same in all images of a class, and others in every other class."""
    for t in range(len(truth.query)):
        masks = torch.cat([truth.support[t], truth.query[t]]).flatten(1).float()
        y = torch.cat([episode.support.y[t], episode.query.y[t]])
        same = (masks[:, None] == masks).all(-1)
        assert torch.equal(same, y[:, None] == y)


def law_distractors_are_of_one_image(episode, truth):
    """No two images share their distractors, which know nothing of the class."""
    for masks in (truth.support_distractors, truth.query_distractors):
        masks = masks.flatten(2)
        same = (masks[:, :, None] == masks[:, None]).all(-1)
        assert same.sum() == masks.shape[0] * masks.shape[1]  # each with itself alone


def law_ink_tells_nothing(tasks):
    """In one image label strokes and distractors have as much ink: half of what only one of them drew, within 4 s.e."""
    episode, truth = drawn(tasks, 40)
    only, others = truth.query & ~truth.query_distractors, truth.query_distractors & ~truth.query
    ink = torch.stack([(episode.query.x * mask).flatten(2).sum(-1) for mask in (only, others)])  # [2, T, m]
    gap = (ink[0] - ink[1]).mean(1) / ink.sum(0).mean()  # a task's images share their label strokes
    assert gap.mean().abs() < 4 * gap.std() / len(gap) ** 0.5 < 0.1


STROKE_LAWS = {
    "ink": lambda tasks: law_ink_is_one_of_both(*drawn(tasks)),
    "labels": lambda tasks: law_label_strokes_are_the_class(*drawn(tasks)),
    "distractors": lambda tasks: law_distractors_are_of_one_image(*drawn(tasks)),
    "matched": law_ink_tells_nothing,
}


@pytest.mark.parametrize("law", STROKE_LAWS)
def test_strokes_keep_the_law(law):
    STROKE_LAWS[law](PlantedStrokes(**STILL))


class OtherTruth(PlantedStrokes):
    def truth(self, index, count, seed=0):
        return super().truth(index + 1, count, seed)


class Swapped(PlantedStrokes):
    def truth(self, index, count, seed=0):
        one, two, other, others = super().truth(index, count, seed)
        return planted_images.StrokeTruth(other, others, one, two)


class SharedDistractors(PlantedStrokes):
    def truth(self, index, count, seed=0):
        truth = super().truth(index, count, seed)
        first = truth.query_distractors[:, :1].expand_as(truth.query)
        return truth._replace(query_distractors=first)


class FaintDistractors(PlantedStrokes):
    def _layers(self, generator, count):
        layers, fade = super()._layers(generator, count), torch.tensor([1.0, 0.7])[:, None, None]
        return layers._replace(query=layers.query._replace(x=layers.query.x * fade))


@pytest.mark.parametrize(
    ("law", "mutant"),
    [("ink", OtherTruth), ("labels", Swapped), ("distractors", SharedDistractors), ("matched", FaintDistractors)],
)
def test_mutants_of_strokes_are_found(law, mutant):
    with pytest.raises(AssertionError):
        STROKE_LAWS[law](mutant(**STILL))


def overlap(episode, truth_of_support, count):
    """Classify by how much of a class's mark in the support set is inked in the query image."""
    right = []
    for t in range(count):
        mark, y = truth_of_support[t].flatten(1).float(), episode.support.y[t]
        seen = mark @ (episode.query.x[t].flatten(1) > 0).float().T / mark.sum(1, keepdim=True)  # [n, m]
        right.append((y[seen.argmax(0)] == episode.query.y[t]).float().mean())
    return float(torch.stack(right).mean())


def test_label_strokes_decide_the_class_and_distractors_do_not():
    tasks = PlantedStrokes(ways=4, shots=1, queries=5, jitter=0.0)
    episode, truth = drawn(tasks, 30)
    assert overlap(episode, truth.support, 30) > 0.97
    assert abs(overlap(episode, truth.support_distractors, 30) - 0.25) < 0.08


def test_jitter_moves_each_stroke_by_so_many_pixels_at_most():
    def middles(jitter):
        _, truth = drawn(PlantedStrokes(ways=2, shots=1, queries=24, strokes=1, jitter=jitter), 3)
        place = torch.arange(28.0)
        mass = truth.query[:, :, 0].float()
        at = torch.stack([(mass * place[:, None]).sum((2, 3)), (mass * place).sum((2, 3))], -1)
        return at / mass.sum((2, 3))[..., None], drawn(PlantedStrokes(ways=2, shots=1, queries=24, strokes=1), 3)[0]

    for jitter in (0.0, 3.0):
        where, episode = middles(jitter)
        for t in range(3):
            for y in (0, 1):
                spread = where[t][episode.query.y[t] == y]
                reach = (spread.max(0).values - spread.min(0).values).max()
                assert reach == 0 if jitter == 0 else 0.8 * 2 * jitter < reach < 2 * jitter + 1


def test_more_and_no_distractors_and_padding():
    none = PlantedStrokes(distractors=0, queries=2)
    episode, truth = drawn(none, 3)
    assert torch.equal(episode.query.x > 0, truth.query) and not truth.query_distractors.any()
    ragged = PlantedStrokes(shots=(1, 3), queries=2)
    episode, truth = drawn(ragged, 5)
    padded = episode.support.w == 0
    assert padded.any() and not truth.support[padded].any() and truth.support[~padded].flatten(1).any(1).all()
    many = drawn(PlantedStrokes(distractors=5, queries=2), 5)[1]
    assert many.query_distractors.sum() > 1.5 * many.query.sum()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ways": 1}, "^ways: "),
        ({"strokes": 0}, "^strokes: "),
        ({"distractors": -1}, "^distractors: "),
        ({"size": 4}, "^size: "),
        ({"jitter": 20.0}, "^jitter: "),
        ({"width": 0.0}, "^width: "),
    ],
)
def test_strokes_refuse(arguments, message):
    with pytest.raises(MapstoError, match=message):
        PlantedStrokes(**arguments)


# --- XAI-TRIS ---------------------------------------------------------------------------------------------------------


def test_the_blur_is_scipys():
    images = np.random.default_rng(0).normal(size=(5, 8, 8))
    ours = (torch.from_numpy(images).flatten(1) @ xai_tris.gaussian_filter(3.0).double().T).view(5, 8, 8)
    expected = np.stack([scipy_blur(image, 3.0) for image in images])
    assert expected.std() > 0.05 and np.abs(expected).max() < np.abs(images).max() / 2
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_the_patterns_are_where_they_were_published():
    rows = {
        0: ["........", ".#......", ".##.....", ".#......"],
        1: ["........"] * 4 + [".....#..", ".....#..", ".....##."],
    }
    for pattern, lines in zip(patterns(), rows.values(), strict=True):
        drawn_rows = ["".join(".#"[int(v)] for v in row) for row in pattern]
        assert drawn_rows[: len(lines)] == lines and set("".join(drawn_rows[len(lines) :])) == {"."}


def upright(tasks, index, count):
    """Return images, labels and truth of one stack of tasks with every symmetry and numbering undone."""
    episode, truth = drawn(tasks, count, index)
    symmetry, swap, _, _ = tasks._signals(tasks.generator(index, count), count)
    x, mask = episode.query.x[:, :, 0].clone(), truth.query[:, :, 0].clone()
    for t in range(count):
        for images in (x, mask):
            images[t] = images[t].rot90(-int(symmetry[t]) % 4, (-2, -1))
            images[t] = images[t].flip(-1) if symmetry[t] >= 4 else images[t]
    return x.flatten(0, 1), (episode.query.y ^ swap).flatten(), mask.flatten(0, 1)


def score(x, y):
    """Accuracy of logistic regression on the second half, fitted on the first."""
    half = len(x) // 2
    found = LogisticRegression(C=10.0, max_iter=500).fit(x[:half], y[:half])
    return found.score(x[half:], y[half:])


@pytest.mark.parametrize(
    ("scenario", "straight"), [("linear", True), ("multiplicative", False), ("xor", False), ("rigid", False)]
)
def test_only_the_linear_scenario_is_linear_and_all_can_be_solved(scenario, straight):
    x, y, _ = upright(XAITris(scenario, queries=400), 0, 4)
    plain = score(x.flatten(1).numpy(), y.numpy())
    seen = torch.einsum("nij,pij->np", x, patterns())
    known = {
        "linear": seen,
        "xor": seen.prod(1, keepdim=True),
        "multiplicative": torch.einsum("nij,pij->np", x.square(), patterns()),
        "rigid": torch.einsum("nij,pcij->npc", x, xai_tris._anywhere()).amax(-1),
    }[scenario]
    informed = score(known.numpy(), y.numpy())
    assert informed > 0.72
    assert plain > 0.8 if straight else plain < 0.62


def law_truth_is_where_the_signal_is(tasks):
    """With signal alone, what differs from 0 is the truth, or with fixed patterns a part of it."""
    episode, truth = drawn(tasks, 8)
    shown = episode.query.x != 0
    assert shown.any() and not (shown & ~truth.query).any()
    assert torch.equal(truth.query.flatten(2).sum(-1), torch.full(shown.shape[:2], tasks_size(tasks)))
    if tasks.scenario in ("rigid", "xor"):
        assert torch.equal(shown, truth.query)


def tasks_size(tasks):
    return 4 if tasks.scenario == "rigid" else 8


@pytest.mark.parametrize("scenario", ["linear", "rigid", "xor"])
def test_the_truth_is_where_the_signal_is(scenario):
    law_truth_is_where_the_signal_is(XAITris(scenario, alpha=1.0, queries=20))


class Unturned(XAITris):
    def truth(self, index, count, seed=0):
        _, _, _, signal = self._signals(self.generator(index, count, seed), count)
        mask = (signal != 0)[:, :, None]
        return xai_tris.TetrominoTruth(mask[:, : self.shots[1]], mask[:, self.shots[1] :])


class OneOfTwo(XAITris):
    def truth(self, index, count, seed=0):
        _, _, _, signal = self._signals(self.generator(index, count, seed), count)
        symmetry = self._signals(self.generator(index, count, seed), count)[0]
        mask = xai_tris._turned(signal != 0, symmetry)[:, :, None]
        return xai_tris.TetrominoTruth(mask[:, : self.shots[1]], mask[:, self.shots[1] :])


@pytest.mark.parametrize(("scenario", "mutant"), [("xor", Unturned), ("rigid", Unturned), ("linear", OneOfTwo)])
def test_a_wrong_truth_is_found(scenario, mutant):
    with pytest.raises(AssertionError):
        law_truth_is_where_the_signal_is(mutant(scenario, alpha=1.0, queries=20))


@pytest.mark.parametrize("scenario", ["linear", "multiplicative", "rigid", "xor"])
@pytest.mark.parametrize("background", ["white", "correlated"])
def test_signal_and_noise_have_the_stated_shares(scenario, background):
    tasks = XAITris(scenario, background, queries=200)
    x = drawn(tasks, 20)[0].query.x
    expected = 1.0 if scenario == "multiplicative" else tasks.alpha**2 + (1 - tasks.alpha) ** 2
    assert float(x.square().mean()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("scenario", ["multiplicative", "xor"])
def test_where_class_means_are_equal_pixels_alone_tell_nothing(scenario):
    x, y, _ = upright(XAITris(scenario, queries=500), 3, 8)
    gap = x[y == 0].mean(0) - x[y == 1].mean(0)
    assert gap.abs().max() < 5 * x.std() * (2 / (len(x) / 2)) ** 0.5
    linear = upright(XAITris("linear", queries=500), 3, 8)
    assert (linear[0][linear[1] == 0].mean(0) - linear[0][linear[1] == 1].mean(0)).abs().max() > 0.5


def test_correlated_background_is_smooth():
    def neighbours(background):
        x = drawn(XAITris("linear", background, alpha=0.0), 4)[0].query.x[:, :, 0]
        return float((x[..., 1:] * x[..., :-1]).mean() / x.square().mean())

    assert abs(neighbours("white")) < 0.03 and neighbours("correlated") > 0.9


def test_all_symmetries_and_numberings_occur():
    symmetry, swap, which, _ = XAITris("rigid")._signals(torch.Generator().manual_seed(0), 400)
    assert symmetry.bincount().min() > 25 and 150 < swap.sum() < 250 and 0.45 < which.float().mean() < 0.55
    images = torch.arange(64.0).view(1, 1, 8, 8).expand(8, 1, 8, 8)
    assert len(xai_tris._turned(images, torch.arange(8)).flatten(1).unique(dim=0)) == 8
    anywhere = xai_tris._anywhere()
    assert anywhere.shape == (2, 168, 8, 8) and len(anywhere.flatten(0, 1).flatten(1).unique(dim=0)) == 336
    assert (anywhere.sum((-1, -2)) == 4).all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scenario": "cubic"}, "^scenario: "),
        ({"background": "imagenet"}, "^background: "),
        ({"alpha": 1.5}, "^alpha: "),
        ({"queries": 0}, "^queries: "),
    ],
)
def test_xai_tris_refuses(arguments, message):
    with pytest.raises(MapstoError, match=message):
        XAITris(**arguments)
