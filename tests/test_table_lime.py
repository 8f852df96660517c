"""LIME for tables: the numbers of the lime package, exact models of bins, and the rows that it draws."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mapsto import views
from mapsto.errors import MapstoError
from mapsto.explainers import LIME

F64 = torch.float64
ROWS = np.random.default_rng(0).normal(size=(200, 3))
ROWS[:, 1] = np.exp(ROWS[:, 1])
ROWS[:, 2] = np.random.default_rng(1).integers(0, 3, 200)
x = torch.tensor(ROWS[3])


def model(rows: Tensor) -> Tensor:
    return torch.tanh(rows[:, 0] * rows[:, 1]) + (rows[:, 2] == 1) * rows[:, 0]


# Of lime 0.2.0.1, `LimeTabularExplainer(ROWS, categorical_features=[2], feature_selection="none")`, 400,000 rows:
# quartiles, `discretizer="decile"`, and `discretize_continuous=False, sample_around_instance=True`.
LIMES = {4: [-1.524, 0.006, 0.0915], 10: [-1.0971, 0.0249, 0.0543], None: [0.3794, -0.7454, 0.6451]}


@pytest.mark.parametrize("bins", LIMES)
def test_the_coefficients_are_those_of_the_lime_package(bins: int | None) -> None:
    explainer = LIME.of_table(ROWS, bins, samples=40_000, categorical=[2])
    values = explainer(views.model(model, batch_size=40_000), x)
    torch.testing.assert_close(values, torch.tensor(LIMES[bins], dtype=F64), atol=0.03, rtol=0)


def test_a_model_of_the_bins_has_its_own_coefficients() -> None:
    edges = torch.tensor(np.quantile(ROWS, [0.25, 0.5, 0.75], axis=0))

    def bins(rows: Tensor) -> Tensor:
        return (rows[..., None, :] > edges).sum(-2)

    def score(row: Tensor) -> Tensor:
        same = (bins(row) == bins(x)).double()
        return torch.stack([same @ torch.tensor([2.0, -3.0, 0.0], dtype=F64) + 1, same[1]])

    values = LIME.of_table(ROWS, samples=500, penalty=0)(score, x)
    expected = torch.tensor([[2.0, 0.0], [-3.0, 1.0], [0.0, 0.0]], dtype=F64)
    torch.testing.assert_close(values, expected, atol=1e-6, rtol=0)
    ridge = LIME.of_table(ROWS, samples=500, penalty=1e4)(score, x)
    assert 0 < ridge[0, 0] < 0.2


def test_rows_are_drawn_from_the_bins_or_around_the_row() -> None:
    seen: list[Tensor] = []

    def recorded(rows: Tensor) -> Tensor:
        seen.append(rows)
        return rows[:, 0]

    view = views.model(recorded, batch_size=10_000)
    LIME.of_table(ROWS, categorical=[2])(view, x)
    rows = seen[-1].numpy()
    assert rows.shape == (5000, 3) and np.array_equal(rows[0], ROWS[3])
    for j in (0, 1):
        shares = np.histogram(rows[:, j], np.quantile(ROWS[:, j], [0, 0.25, 0.5, 0.75, 1]))[0] / 5000
        assert shares == pytest.approx([0.25] * 4, abs=0.03)
    assert [np.mean(rows[:, 2] == c) for c in range(3)] == pytest.approx(
        [np.mean(ROWS[:, 2] == c) for c in range(3)], abs=0.03
    )
    LIME.of_table(ROWS, bins=None, categorical=[2])(view, x)
    rows = seen[-1].numpy()
    assert rows[:, :2].mean(0) == pytest.approx(ROWS[3, :2], abs=0.1)
    assert rows[:, :2].std(0) == pytest.approx(ROWS[:, :2].std(0), rel=0.05) and set(rows[:, 2]) == {0, 1, 2}


@pytest.mark.parametrize("bins", [4, None])
def test_many_rows_have_the_values_of_each(bins: int | None) -> None:
    explainer = LIME.of_table(torch.tensor(ROWS), bins, samples=300, categorical=[2], chunk_size=77)
    together = explainer.over(views.model(model), torch.tensor(ROWS[:3]))
    for row, values in zip(ROWS, together, strict=False):
        torch.testing.assert_close(explainer(views.model(model), torch.tensor(row)), values)
    single = explainer(views.model(model), torch.tensor(ROWS[0]).float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), together[0], rtol=1e-3, atol=1e-4)


def test_a_column_of_one_value_has_no_effect() -> None:
    rows = np.c_[ROWS[:, :2], np.ones(200)]
    for bins in (4, None):
        values = LIME.of_table(rows, bins, samples=400)(lambda row: row[0] * row[1], torch.tensor(rows[3]))
        assert values.isfinite().all() and values[2].abs() < (1e-6 if bins else 0.3)


def test_bad_tables_are_refused(unchecked: None) -> None:
    cases: dict[str, list[Callable[[], Any]]] = {
        "background": [
            lambda: LIME.of_table(ROWS[0]), lambda: LIME.of_table(ROWS[:1]), lambda: LIME.of_table(3.0),
            lambda: LIME.of_table(np.where(ROWS > 2, np.nan, ROWS)),
        ],
        "bins": [lambda: LIME.of_table(ROWS, bins=1)],
        "samples": [lambda: LIME.of_table(ROWS, samples=1)],
        "width": [lambda: LIME.of_table(ROWS, width=0)],
        "penalty": [lambda: LIME.of_table(ROWS, penalty=-1)],
        "categorical": [lambda: LIME.of_table(ROWS, categorical=[3])],
        "point": [lambda: LIME.of_table(ROWS)(views.model(model), x[:2])],
    }  # fmt: skip
    for name, calls in cases.items():
        for call in calls:
            with pytest.raises(MapstoError, match=f"^{name}: "):
                call()
