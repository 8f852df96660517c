"""LIME against scikit-learn's ridge regression, captum's LimeBase, and a closed form; patches and superpixels."""

import itertools
import math

import captum.attr
import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr._core.lime import get_exp_kernel_similarity_function
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.func import vmap

from mapsto.errors import MapstoError
from mapsto.explainers import LIME, patches, superpixels
from mapsto.explainers.lime import kernel
from mapsto.views import Game, game

F64 = torch.float64
BASELINE = 0.3


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


FIRST, LAST, X = drawn(0, 12, 7), drawn(1, 3, 12), drawn(2, 4, 7)


def net(x: Tensor) -> Tensor:
    """Score rows `[..., 7]` as `[..., 3]`; smooth, with interactions of every order."""
    return torch.tanh(x @ FIRST.T + 0.3) @ LAST.T


def playing(x: Tensor) -> Game:
    return game(net, x, baseline=BASELINE)


def ridge(masks: Tensor, v: Tensor, weights: np.ndarray | None, penalty: float, intercept: bool = True) -> Tensor:
    model = Ridge(alpha=penalty, fit_intercept=intercept, solver="cholesky")
    return torch.from_numpy(model.fit(masks.double().numpy(), v.numpy(), sample_weight=weights).coef_)


CHOICES = [
    LIME(),
    LIME(samples=40, seed=3),
    LIME(distance="cosine"),
    LIME(samples=60, distance="cosine", width=0.5, penalty=1.0),
    LIME(samples=60, width=1.5, penalty=0.3),
]


@pytest.mark.parametrize("lime", CHOICES)
def test_it_is_scikit_learns_weighted_ridge_regression(lime: LIME) -> None:
    masks = lime.design(7).masks
    default = {"euclidean": 0.75 * math.sqrt(7), "cosine": 0.25}[lime.distance]
    weights = kernel(masks.double().numpy(), lime.distance, lime.width or default)
    for x in X:
        v = vmap(playing(x))(masks)
        expected = ridge(masks, v, weights, max(lime.penalty, 1e-12)).T
        assert expected.std() > 0.05
        torch.testing.assert_close(lime(playing(x)), expected, rtol=1e-7, atol=1e-7)
        for wrong in (ridge(masks, v, None, lime.penalty), ridge(masks, v, weights, lime.penalty, intercept=False)):
            assert (wrong.T - expected).abs().max() > 1e-3  # a forgotten kernel or intercept would be found


def captums(masks: Tensor, distance: str, width: float, penalty: float) -> Tensor:
    """Return LimeBase's slopes on the same coalitions, weighted by its own kernel between masks."""
    similar = get_exp_kernel_similarity_function(distance, width)

    def coalitions(original: Tensor, **_: object):
        yield from masks[:, None]

    oracle = captum.attr.LimeBase(
        lambda x: net(x)[:, 2],
        SkLearnRidge(alpha=penalty),
        similarity_func=lambda original, moved, mask, **_: similar(torch.ones_like(mask), mask, None),
        perturb_func=coalitions,
        perturb_interpretable_space=True,
        from_interp_rep_transform=lambda mask, original, **_: torch.where(mask > 0.5, original, BASELINE),
        to_interp_rep_transform=None,
    )
    return torch.cat([oracle.attribute(x[None], n_samples=len(masks)) for x in X])


@pytest.mark.parametrize(("distance", "width"), [("euclidean", 1.2), ("cosine", 0.25)])
@pytest.mark.parametrize("penalty", [1.0, 0.01])
def test_it_is_captums_lime_on_the_same_coalitions(distance: str, width: float, penalty: float) -> None:
    lime = LIME(samples=50, distance=distance, width=width, penalty=penalty)
    theirs = captums(lime.design(7).masks, distance, width, penalty).double()
    assert theirs.std(0).min() > 0.01 and theirs.std(1).min() > 0.01
    ours = lime.over(playing, X)[..., 2]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    wider = LIME(samples=50, distance=distance, width=2 * width, penalty=penalty).over(playing, X)[..., 2]
    assert (wider - theirs).abs().max() > 1e-2  # another kernel would be found


@pytest.mark.parametrize("width", [0.6, 1.0, 3.0])
def test_the_euclidean_kernel_gives_weighted_banzhaf_values(width: float) -> None:
    present = 1 / (1 + math.exp(-1 / (2 * width**2)))  # every other player is there with this chance, by itself
    v = playing(X[0])
    for player in range(7):
        others = [j for j in range(7) if j != player]
        expected = torch.zeros(3, dtype=F64)
        for there in itertools.product([0.0, 1.0], repeat=6):
            mask = torch.zeros(7)
            mask[others] = torch.tensor(there)
            chance = math.prod(present if seen else 1 - present for seen in there)
            expected += chance * (v(mask + torch.eye(7)[player]) - v(mask))
        assert expected.abs().max() > 0.01
        torch.testing.assert_close(LIME(width=width)(v)[player], expected)


def test_the_kernel_by_hand() -> None:
    masks = np.array([[1.0, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(kernel(masks, "euclidean", 1.5), [1, math.exp(-3 / 4.5), math.exp(-4 / 4.5)])
    np.testing.assert_allclose(kernel(masks, "cosine", 0.5), [1, math.exp(-0.25 / 0.5), math.exp(-1 / 0.5)])


@pytest.mark.parametrize("players", [1, 2, 5, 7, 40])
def test_coalitions_come_with_their_complements_and_no_two_are_alike(players: int) -> None:
    for samples in (2, 6, 50, 120, 500):
        masks = LIME(samples, penalty=1.0).design(players).masks
        rows = {tuple(row) for row in masks.int().tolist()}
        assert len(rows) == len(masks) == min(samples, 2**players)
        assert rows == {tuple(1 - j for j in row) for row in rows}
        assert (1,) * players in rows


def test_fewer_coalitions_than_all_are_a_random_sample() -> None:
    for samples in range(8, 60, 4):
        masks = [LIME(samples, penalty=1.0, seed=seed).design(6).masks for seed in (0, 1)]
        assert len(masks[0]) == samples and {*map(tuple, masks[0].tolist())} != {*map(tuple, masks[1].tolist())}


def test_every_player_is_present_in_half_of_the_coalitions() -> None:
    masks = LIME(samples=400).design(12).masks
    assert (masks.mean(0) - 0.5).abs().max() < 1e-6
    assert masks.sum(1).var() == pytest.approx(12 / 4, rel=0.2)  # sizes as in tosses of a coin


def test_the_seed_decides_the_sample_and_more_samples_come_nearer() -> None:
    truth = LIME()(playing(X[0]))
    assert torch.equal(LIME(40, seed=1)(playing(X[0])), LIME(40, seed=1)(playing(X[0])))
    few, many = (
        torch.stack([LIME(samples, seed=seed)(playing(X[0])) - truth for seed in range(6)]).square().mean()
        for samples in (20, 80)
    )
    assert 0 < many < few / 3
    torch.testing.assert_close(LIME(samples=128)(playing(X[0])), truth)


def test_complements_lower_the_variance_at_equal_outcomes() -> None:
    """What drawing in pairs without repetition is for, against tosses of a coin as in lime's and captum's code."""
    v, width = playing(X[0]), 0.75 * math.sqrt(7)
    truth = LIME()(v)

    def tossed(seed: int) -> Tensor:
        masks = (torch.rand(40, 7, generator=torch.Generator().manual_seed(seed)) < 0.5).float()
        return ridge(masks, vmap(v)(masks), kernel(masks.double().numpy(), "euclidean", width), 1e-12).T

    ours, theirs = (
        torch.stack([once(seed) - truth for seed in range(10)]).square().mean()
        for once in (lambda seed: LIME(40, seed=seed)(v), tossed)
    )
    assert 0 < ours < theirs / 2


# ---- images


def test_patches_number_a_grid_over_all_channels() -> None:
    groups = patches((3, 5, 7), size=3)
    assert groups.shape == (3, 5, 7) and groups.unique().tolist() == list(range(6))
    assert (groups == groups[0]).all()
    assert groups[0].tolist() == [[0, 0, 0, 1, 1, 1, 2]] * 3 + [[3, 3, 3, 4, 4, 4, 5]] * 2


def test_lime_finds_the_patches_that_decide() -> None:
    image = drawn(5, 1, 12, 12).abs() + 0.5
    groups = patches(image.shape, 3)  # 16 players
    worth = torch.where(groups == 6, 2.0, torch.where(groups == 9, -1.0, 0.0)) / 9

    def view(image: Tensor) -> Tensor:
        return torch.tanh((worth * image).sum())

    values = LIME(samples=200, distance="cosine")(game(view, image, groups=groups))
    assert values.abs().argsort(descending=True)[:2].tolist() == [6, 9]
    assert values[6] > 0.3 and values[9] < -0.15
    assert values.abs().sort().values[:14].max() < 0.1


def test_superpixels_of_one_colour_are_the_cells_of_a_grid() -> None:
    assert torch.equal(superpixels(torch.zeros(1, 6, 9), count=6), patches((1, 6, 9), 3))
    assert torch.equal(superpixels(torch.zeros(2, 9, 3), count=3), patches((2, 9, 3), 3))
    assert torch.equal(superpixels(torch.zeros(1, 3, 9), count=3), patches((1, 3, 9), 3))
    assert torch.equal(superpixels(drawn(8, 1, 3, 4), count=12), patches((1, 3, 4), 1))  # each pixel a region


def painted() -> Tensor:
    """A bright disc on a dark ground with a slope and some noise."""
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(20.0), indexing="ij")
    disc = ((rows - 6) ** 2 + (columns - 12) ** 2 < 20).float()
    noise = 0.02 * torch.randn(16, 20, generator=torch.Generator().manual_seed(0))
    return torch.stack([disc + noise, 0.02 * rows, 1 - disc])


def test_superpixels_follow_the_edge_and_are_numbered_without_gaps() -> None:
    image = painted()
    groups = superpixels(image, count=20)
    assert groups.shape == image.shape and (groups == groups[0]).all()
    assert groups.unique().tolist() == list(range(int(groups.max()) + 1))
    assert 10 <= groups.max() + 1 <= 24
    disc = image[2] < 0.5
    mixed = sum(0 < disc[groups[0] == group].float().mean() < 1 for group in range(int(groups.max()) + 1))
    assert mixed == 0
    squares = patches(image.shape, 4)[0]
    assert sum(0 < disc[squares == group].float().mean() < 1 for group in range(20)) > 5  # patches do not follow it
    assert torch.equal(groups, superpixels(image, count=20))


def test_superpixels_are_scikit_learns_k_means_from_the_same_start() -> None:
    from sklearn.cluster import KMeans

    image, count, compactness = painted().double(), 20, 0.3
    spacing = math.sqrt(16 * 20 / count)
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(20.0), indexing="ij")
    places = torch.stack([rows, columns]).double() * compactness / spacing
    pixels = torch.cat([image, places]).flatten(1).T.numpy()
    start = [int(r) * 20 + int(c) for r in (2, 6, 10, 14) for c in (2, 6, 10, 14, 18)]
    oracle = KMeans(count, init=pixels[start], n_init=1, max_iter=300, tol=0, algorithm="lloyd").fit(pixels)
    theirs = torch.from_numpy(oracle.labels_).long().unique(return_inverse=True)[1].reshape(16, 20)
    assert torch.equal(superpixels(image, count, compactness, steps=300)[0], theirs)


def test_superpixels_are_players() -> None:
    image = painted()
    groups = superpixels(image, count=12)
    disc = (image[2] < 0.5).float()
    players = int(groups.max()) + 1
    values = LIME(samples=20 * players, distance="cosine")(game(lambda x: (x[0] * disc).sum(), image, groups=groups))
    inside = torch.stack([disc[groups[0] == group].mean() for group in range(players)]) > 0.5
    assert 0 < inside.sum() < players
    assert values[inside].min() > 3 > 0.1 > values[~inside].abs().max()


# ---- errors


def test_bad_input_is_refused_in_one_sentence() -> None:
    with pytest.raises(MapstoError, match=r"^game: got 13 players.* pass samples=832"):
        LIME()(Game(lambda mask: mask.sum(), 13))
    with pytest.raises(MapstoError, match=r"samples, width: got 6 coalitions .* tell 13 players apart"):
        LIME(samples=6)(Game(lambda mask: mask.sum(), 13))
    with pytest.raises(MapstoError, match=r"kernel of width 0\.001, which do not"):
        LIME(width=1e-3)(Game(lambda mask: mask.sum(), 4))
    with pytest.raises(MapstoError, match=r"^width: got -1"):
        LIME(width=-1)
    with pytest.raises(MapstoError, match="penalty: got -1"):
        LIME(penalty=-1)
    with pytest.raises(MapstoError, match=r"shape, size: got \(4,\) and 2"):
        patches((4,), 2)
    with pytest.raises(MapstoError, match=r"shape, size: got .* and 0"):
        patches((4, 4), 0)
    with pytest.raises(MapstoError, match="count: got 300"):
        superpixels(torch.zeros(1, 4, 4), 300)
    with pytest.raises(MapstoError, match="compactness: got 0"):
        superpixels(torch.zeros(1, 4, 4), 4, compactness=0)


@pytest.mark.parametrize("image", [torch.full((1, 4, 4), torch.nan), torch.zeros(4, 4)])
def test_what_is_no_image_has_no_superpixels(image: torch.Tensor, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=r"^image: got"):
        superpixels(image, 4)


def test_an_unknown_distance_is_refused(unchecked: None) -> None:
    from typing import Any, cast

    with pytest.raises((MapstoError, TypeError), match="distance"):
        LIME(distance=cast(Any, "manhattan"))
