"""ROAD's imputers: the paper's equations solved by SciPy one by one, and scikit-learn's regressions."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression as Ordinary
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.func import vmap

from mapsto.errors import MapstoError
from mapsto.explainers import Occlusion
from mapsto.measures import LinearRegression, NoisyLinear, insertion_deletion

F64 = torch.float64


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


# ---- images


def test_one_hidden_pixel_is_the_weighted_mean_of_its_neighbours() -> None:
    image, mask = normal(3, 3, seed=0), torch.ones(3, 3)
    mask[1, 1] = 0
    beside = image[0, 1] + image[1, 0] + image[1, 2] + image[2, 1]
    corners = image[0, 0] + image[0, 2] + image[2, 0] + image[2, 2]
    filled = NoisyLinear(noise=0.0)(image, mask)
    assert filled[1, 1].item() == pytest.approx((beside / 6 + corners / 12).item())
    mask[0, 0], mask[1, 1] = 0, 1  # a corner has three neighbours, of weight 5/12 together
    corner = (image[0, 1] / 6 + image[1, 0] / 6 + image[1, 1] / 12) / (5 / 12)
    assert NoisyLinear(noise=0.0)(image, mask)[0, 0].item() == pytest.approx(corner.item())


def residuals(filled: Tensor, hidden: Tensor) -> list[float]:
    """How far each hidden pixel is from the weighted mean of its neighbours, pixel by pixel."""
    h, w = filled.shape
    found = []
    for i, j in hidden.nonzero().tolist():
        near = [
            (i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a or b) and 0 <= i + a < h and 0 <= j + b < w
        ]
        weight = [1 / 6 if i == a or j == b else 1 / 12 for a, b in near]
        mean = sum(u * filled[a, b].item() for u, (a, b) in zip(weight, near, strict=True)) / sum(weight)
        found.append(abs(filled[i, j].item() - mean))
    return found


def law_of_imputation(impute: NoisyLinear) -> None:
    image = normal(2, 5, 6, seed=1)
    mask = (torch.rand(5, 6, generator=torch.Generator().manual_seed(2)) < 0.4).to(F64)
    filled = impute(image, mask)
    assert torch.equal(filled[:, mask > 0.5], image[:, mask > 0.5])
    assert (filled - image).abs().max() > 0.5
    for channel in filled:
        assert len(found := residuals(channel, mask < 0.5)) > 12 and max(found) < 1e-9


def test_every_hidden_pixel_is_the_weighted_mean_of_its_neighbours() -> None:
    law_of_imputation(NoisyLinear(noise=0.0))


@pytest.mark.parametrize(
    "mutant",
    [
        NoisyLinear(noise=0.01),
        lambda image, mask: torch.where(mask > 0.5, image, image.mean()),
        lambda image, mask: torch.where(mask > 0.5, image, (image * mask).sum() / mask.sum()),
        lambda image, mask: NoisyLinear(noise=0.0)(image * mask, torch.ones_like(mask)),
    ],
)
def test_the_law_of_imputation_finds_mutants(mutant: object) -> None:
    with pytest.raises(AssertionError):
        law_of_imputation(mutant)


def test_noise_is_small_and_seeded_and_on_hidden_pixels_only() -> None:
    image, mask = normal(9, 9, seed=3), torch.ones(9, 9).tril()
    plain, first, again, other = (
        NoisyLinear(noise, seed)(image, mask) for noise, seed in ((0, 0), (0.1, 0), (0.1, 0), (0.1, 1))
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(first[mask > 0], image[mask > 0])
    assert (first - plain)[mask == 0].std().item() == pytest.approx(0.1, rel=0.3)


def test_an_image_without_visible_pixels_is_zero_and_masks_can_be_batched() -> None:
    image = normal(4, 4, seed=4)
    masks = torch.stack([torch.zeros(4, 4), torch.ones(4, 4), torch.eye(4)])
    filled = vmap(lambda mask: NoisyLinear(noise=0.0)(image, mask))(masks)
    assert not filled[0].any() and torch.equal(filled[1], image)
    torch.testing.assert_close(filled[2], NoisyLinear(noise=0.0)(image, masks[2]))


# ---- tables

MIXED = normal(200, 5, seed=5) @ normal(5, 5, seed=6) + torch.tensor([0.0, 5.0, -3.0, 0.0, 100.0], dtype=F64)


def by_scikit_learn(model: object, row: Tensor, mask: Tensor) -> np.ndarray:
    seen = mask.numpy() > 0.5
    rows, filled = MIXED.numpy(), row.numpy().copy()
    model.fit(rows[:, seen], rows[:, ~seen])
    filled[~seen] = model.predict(row.numpy()[None, seen])[0]
    return filled


def law_of_regression(impute: LinearRegression) -> None:
    row = normal(5, seed=7) * 3
    for hidden in ([0], [1, 4], [0, 2, 3]):
        mask = torch.ones(5).index_fill(0, torch.tensor(hidden), 0)
        theirs = by_scikit_learn(Ordinary(), row, mask)
        assert np.abs(theirs - row.numpy())[hidden].min() > 0.1
        np.testing.assert_allclose(impute(row, mask).numpy(), theirs, rtol=1e-3, atol=1e-3)


def test_tables_are_filled_by_scikit_learns_linear_regression() -> None:
    law_of_regression(LinearRegression(MIXED, noise=0.0))


@pytest.mark.parametrize(
    "mutant",
    [
        LinearRegression(MIXED, noise=0.1),
        LinearRegression(MIXED, ridge=1.0, noise=0.0),
        LinearRegression(MIXED.flip(1), noise=0.0),
        lambda row, mask: torch.where(mask > 0.5, row, MIXED.mean(0)),
    ],
)
def test_the_law_of_regression_finds_mutants(mutant: object) -> None:
    with pytest.raises(AssertionError):
        law_of_regression(mutant)


def test_the_ridge_is_scikit_learns() -> None:
    row, mask = normal(5, seed=7), torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])
    alpha = 0.5 * len(MIXED) * MIXED.var(0, correction=0).mean().item()
    ours = LinearRegression(MIXED, ridge=0.5, noise=0.0)(row, mask)
    np.testing.assert_allclose(ours.numpy(), by_scikit_learn(Ridge(alpha=alpha), row, mask), rtol=1e-9)


def test_a_row_without_visible_columns_is_the_mean_and_constant_columns_do_no_harm() -> None:
    rows = torch.cat([MIXED, torch.full((200, 2), 7.0)], 1)
    impute = LinearRegression(rows, noise=0.0)
    torch.testing.assert_close(impute(rows[0], torch.zeros(7)), rows.mean(0))
    found = impute(rows[0], torch.tensor([1.0, 0, 1, 1, 0, 1, 0]))
    assert found.isfinite().all() and found[6].item() == pytest.approx(7)


@pytest.mark.parametrize("background", [MIXED[:1], MIXED.where(MIXED < 100, torch.nan)])
def test_a_background_that_cannot_be_regressed_is_refused(background: Tensor) -> None:
    with pytest.raises(MapstoError, match=r"^background: got"):
        LinearRegression(background)


def test_what_does_not_fit_an_imputer_is_refused(unchecked: None) -> None:
    with pytest.raises(MapstoError, match=r"mask: got shape \(2, 2\)"):
        NoisyLinear()(torch.ones(1, 3, 3), torch.zeros(2, 2))
    with pytest.raises(MapstoError, match=r"x: got shape \(4,\)"):
        LinearRegression(MIXED)(torch.ones(4), torch.ones(4))
    with pytest.raises(MapstoError, match="groups: got -1"):
        LinearRegression(MIXED).game(lambda x: x.sum(), MIXED[0], torch.tensor([-1, 0, 0, 1, 1]))


# ---- games


def test_a_game_of_groups_of_pixels() -> None:
    image = normal(3, 4, 4, seed=8)
    groups = torch.arange(4).repeat_interleave(2).reshape(2, 4)[:, ::2].repeat_interleave(2, 0).repeat_interleave(2, 1)
    played = NoisyLinear(noise=0.0).game(lambda x: x.sum(), image, groups)
    assert played.players == int(groups.max()) + 1
    mask = torch.zeros(played.players).index_fill(0, torch.tensor([0]), 1)
    expected = NoisyLinear(noise=0.0)(image, (groups == 0).to(F64)).sum()
    torch.testing.assert_close(played(mask), expected)
    assert Occlusion()(played).shape == (played.players,)


def test_a_copied_column_is_not_missed_when_it_is_hidden_alone() -> None:
    rows = normal(300, 3, seed=9)
    rows[:, 1] = rows[:, 0]  # what one hides, the other tells
    played = LinearRegression(rows, noise=0.0).game(lambda x: x.sum(), rows[0])
    lost = Occlusion()(played)
    assert lost[:2].abs().max() < 1e-3 < 0.1 < lost[2].abs()
    found = insertion_deletion(
        lambda x: LinearRegression(rows, noise=0.0).game(lambda x: x.sum(), x), rows[:5], rows[:5]
    )
    assert found.deletion.shape == (5, 4) and found.gap.isfinite().all()
