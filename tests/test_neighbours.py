"""KNN-Shapley against enumeration of every subset of the teaching examples."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from mapsto.explainers import Shapley, knn_shapley
from mapsto.views import Game

F64 = torch.float64


def drawn(n: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, query = torch.randn(n, 3, dtype=F64, generator=generator), torch.randn(3, dtype=F64, generator=generator)
    return x, torch.arange(n) % 3, query


def vote(x: Tensor, y: Tensor, query: Tensor, label: int, k: int) -> Game:
    """The share of the K nearest present examples that are of the query's class, one subset at a time."""
    order = (x - query).norm(dim=1).argsort()

    def value(mask: Tensor) -> Tensor:
        present = mask[order] > 0.5
        near = present & (present.cumsum(0) <= k)
        return (near & (y[order] == label)).sum().to(F64) / k

    return Game(value, len(x))


def agrees(function: Callable[..., Tensor], n: int, k: int) -> None:
    for seed in range(4):
        x, y, query = drawn(n, seed)
        expected = Shapley()(vote(x, y, query, 1, k))
        assert expected.std() > 0.01  # worth agreeing with
        torch.testing.assert_close(function(x, y, query, 1, k), expected)


@pytest.mark.parametrize(("n", "k"), [(8, 1), (8, 3), (8, 8), (5, 7), (9, 2)])
def test_it_is_the_enumeration_of_all_subsets(n: int, k: int) -> None:
    agrees(knn_shapley, n, k)


def test_forgetting_that_k_bounds_the_place_is_found() -> None:
    def mutant(x: Tensor, y: Tensor, query: Tensor, label: int, k: int) -> Tensor:
        return knn_shapley(x, y, query, label, 1)

    with pytest.raises(AssertionError):
        agrees(mutant, 8, 3)


def test_it_adds_up_and_maps_over_queries() -> None:
    x, y, _ = drawn(30)
    queries, labels = (
        torch.randn(4, 3, dtype=F64, generator=torch.Generator().manual_seed(9)),
        torch.tensor([0, 1, 2, 1]),
    )
    values = vmap(lambda query, label: knn_shapley(x, y, query, label, 5))(queries, labels)
    everyone = torch.stack(
        [vote(x, y, query, int(label), 5)(torch.ones(30)) for query, label in zip(queries, labels, strict=True)]
    )
    assert everyone.std() > 0.05
    torch.testing.assert_close(values.sum(1), everyone)
    loop = [knn_shapley(x, y, query, int(label), 5) for query, label in zip(queries, labels, strict=True)]
    torch.testing.assert_close(values, torch.stack(loop))


def test_rows_in_another_order_have_the_same_values() -> None:
    x, y, query = drawn(12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    values = knn_shapley(x, y, query, 1, 3)
    torch.testing.assert_close(knn_shapley(x[order], y[order], query, 1, 3), values[order])
    assert knn_shapley(x.float(), y, query.float(), 1, 3).dtype == torch.float32


def test_bad_input_is_refused(unchecked: None) -> None:
    x, y, query = drawn(4)
    with pytest.raises(ValueError, match="k: got 0"):
        knn_shapley(x, y, query, 1, 0)
    with pytest.raises(ValueError, match="x: got no examples"):
        knn_shapley(x[:0], y[:0], query, 1)
    with pytest.raises(ValueError, match=r"^y: got shape \(3,\)"):
        knn_shapley(x, y[:3], query, 1)
    with pytest.raises(ValueError, match=r"^query: got shape \(2,\)"):
        knn_shapley(x, y, query[:2], 1)
    with pytest.raises(ValueError, match="x, query: got NaN"):
        knn_shapley(x, y, query * torch.nan, 1)
