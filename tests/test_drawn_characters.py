"""Drawn characters: ink follows the strokes, images of a class are one character, and hidden squares are blank."""

import math

import numpy as np
import pytest
import torch

import mapsto as mt
from mapsto.tasks import DrawnCharacters, drawn_characters

R = torch.Generator().manual_seed(0)


def test_ink_is_the_formula_at_each_pixel() -> None:
    path = torch.rand(1, 1, 2, 40, 2, generator=R) * 0.6 - 0.3
    drawn = torch.tensor([[[True, False]]])
    got = drawn_characters.ink(path, drawn, torch.tensor([[0.04]]), torch.tensor([[3.0]]), 12)[0, 0].numpy()
    points = path[0, 0, 0].double().numpy()
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    lengths = [(steps[max(i - 1, 0)] * (i > 0) + steps[min(i, 38)] * (i < 39)) / 2 for i in range(40)]
    lengths[0], lengths[-1] = steps[0] / 2, steps[-1] / 2
    for y, x in np.ndindex(12, 12):
        pixel = np.array([(y + 0.5) / 12 - 0.5, (x + 0.5) / 12 - 0.5])
        near = np.exp(-((points - pixel) ** 2).sum(1) / 2 / 0.04**2)
        seen = 1 - np.exp(-3.0 * (lengths * near).sum() / 0.04 / math.sqrt(2 * math.pi))
        assert got[y, x] == pytest.approx(max(seen - 0.03, 0) / 0.97, abs=1e-4)


def test_a_straight_line_has_the_pressure_of_the_pen_in_its_middle() -> None:
    line = torch.stack([torch.zeros(40), torch.linspace(-0.4, 0.4, 40)], 1)[None, None, None]
    got = drawn_characters.ink(line, torch.ones(1, 1, 1) > 0, torch.tensor([[0.03]]), torch.tensor([[1.5]]), 33)[0, 0]
    assert float(got[16, 16]) == pytest.approx((1 - math.exp(-1.5) - 0.03) / 0.97, abs=1e-3)
    assert (got[:8] == 0).all() and (got[16, 4:29] > 0.5).all()  # nothing far away; no gaps


def test_curves_go_through_their_control_points() -> None:
    points = torch.rand(7, 5, 2, generator=R)
    for angular in (True, False):
        path = drawn_characters.curves(points, torch.full((7,), angular))
        apart = (path[:, None] - points[:, :, None]).norm(dim=-1).amin(-1)  # of each control point
        assert apart.max() < 0.08 and apart[:, [0, -1]].max() < 1e-5
    middle = torch.linspace(0, 4, 40)[5]  # between the first two control points
    line = drawn_characters.curves(points, torch.full((7,), True))[:, 5]
    torch.testing.assert_close(line, points[:, 0] + middle * (points[:, 1] - points[:, 0]))


def test_characters_are_centred_and_not_larger_than_their_extent() -> None:
    points = drawn_characters.alphabet(R, 3, 4, 3)
    drawn = torch.tensor([True, True, False]).expand(3, 4, 3)
    extent = torch.full((3, 4, 1, 2), 0.6)
    used = drawn_characters.fitted(points, drawn, extent)[:, :, :2].flatten(2, 3)
    low, high = used.amin(2), used.amax(2)
    torch.testing.assert_close(low, -high, atol=1e-5, rtol=0)
    assert (high - low).max() <= 0.6 + 1e-5


def of_class(part, label):
    return torch.stack([x[y == label] for x, y in zip(part.x, part.y, strict=True)])


def test_images_of_a_class_are_alike_and_of_two_classes_are_not() -> None:
    still = DrawnCharacters(ways=2, shots=3, queries=3, distortion=0.0).batch(0, 20)
    one, other = of_class(still.support, 0), of_class(still.support, 1)
    within = (one[:, :1] - one[:, 1:]).square().sum((2, 3, 4)).mean()
    between = (one - other).square().sum((2, 3, 4)).mean()
    assert within < 0.1 * between  # only the pen differs
    moved = DrawnCharacters(ways=2, shots=3, queries=3).batch(0, 20)
    apart = of_class(moved.support, 0)
    assert (apart[:, :1] - apart[:, 1:]).square().sum((2, 3, 4)).mean() > 3 * within
    queries = of_class(still.query, 0)
    assert (queries - one).square().sum((2, 3, 4)).mean() < 0.1 * between  # the query set shows the same characters


def test_squares_of_query_images_are_hidden_and_of_support_images_are_not() -> None:
    whole, partly = (DrawnCharacters(ways=3, shots=2, queries=8, hidden=h).batch(1, 12) for h in (0.0, 0.5))
    assert torch.equal(whole.support.x, partly.support.x)
    squares = [part.query.x.unflatten(-1, (4, 8)).unflatten(-3, (4, 8)).transpose(-2, -3) for part in (whole, partly)]
    same = (squares[0] == squares[1]).flatten(-2).all(-1)
    blank = (squares[1] == 0).flatten(-2).all(-1)
    assert (same | blank).all()  # a square is whole or blank
    touched = (~same).flatten(2).any(-1).float().mean()
    assert 0.3 < touched < 0.5  # half of them, without those of which only blank squares are hidden
    everything = DrawnCharacters(ways=3, shots=2, queries=8, hidden=1.0).batch(1, 12).query.x
    inked = (squares[0] > 0).flatten(-2).any(-1)
    kept = (everything.unflatten(-1, (4, 8)).unflatten(-3, (4, 8)).transpose(-2, -3) > 0).flatten(-2).any(-1)
    assert 0.4 < kept[inked].float().mean() < 0.6


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("strokes", {"strokes": (0, 2)}),
        ("strokes", {"strokes": (3, 2)}),
        ("size", {"size": 7}),
        ("distortion", {"distortion": -0.1}),
        ("hidden", {"hidden": 1.1}),
        ("ways", {"ways": 1}),
    ],
)
def test_bad_arguments_are_named(name, arguments) -> None:
    with pytest.raises(mt.MapstoError, match=f"^{name}: "):
        DrawnCharacters(**arguments)
