"""Planted wrong labels: where they are, that nothing else changes, and what is refused."""

import pytest
import torch

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.tasks import Arrays, Linear, Logistic, Mislabelled, Tasks


def source(shots: int | tuple[int, int] = 3) -> Arrays:
    x, y = torch.arange(15 * 8.0).reshape(15, 8).repeat_interleave(8, 0), torch.arange(15).repeat_interleave(8)
    return Arrays(x.numpy(), y.numpy(), ways=4, shots=shots, queries=2, splits=(0.4, 0.3, 0.3))


def turned(tasks: Tasks, faulty: Mislabelled) -> torch.Tensor:
    return faulty.batch(2, 5, seed=3).support.y != tasks.batch(2, 5, seed=3).support.y


@pytest.mark.parametrize("count", [1, 3])
def test_only_the_labels_that_truth_names_are_turned(count: int) -> None:
    tasks = source()
    faulty = Mislabelled(tasks, count)
    one, other = tasks.batch(2, 5, seed=3), faulty.batch(2, 5, seed=3)
    assert torch.equal(turned(tasks, faulty), faulty.truth(2, 5, seed=3))
    assert faulty.truth(2, 5, seed=3).sum(1).tolist() == [count] * 5
    assert torch.equal(one.support.x, other.support.x) and torch.equal(one.support.w, other.support.w)
    assert all(torch.equal(a, b) for a, b in zip(one.query, other.query, strict=True))
    assert other.support.y.min() >= 0 and other.support.y.max() < 4


def test_every_place_and_every_other_class_is_drawn() -> None:
    tasks = source()
    faulty = Mislabelled(tasks)
    truth = faulty.truth(0, 400)
    assert truth.sum(0).min() > 400 / 12 / 3
    shift = (faulty.batch(0, 400).support.y - tasks.batch(0, 400).support.y)[truth] % 4
    assert torch.bincount(shift, minlength=4)[1:].min() > 400 / 3 / 2 and (shift == 0).sum() == 0


def test_padding_is_never_mislabelled() -> None:
    tasks = source(shots=(1, 4))
    faulty = Mislabelled(tasks, 3)
    w = faulty.batch(0, 50).support.w
    assert (w == 0).any()  # worth checking
    assert (w[faulty.truth(0, 50)] > 0).all()


def test_splits_and_seeds_are_those_of_the_source() -> None:
    tasks = source()
    faulty = Mislabelled(tasks)
    assert torch.equal(faulty.test.batch(0, 2).support.x, tasks.test.batch(0, 2).support.x)
    assert not torch.equal(faulty.truth(0, 20), faulty.truth(1, 20))
    assert mt.tasks.Mislabelled is Mislabelled


def test_bad_input_is_refused() -> None:
    with pytest.raises(MapstoError, match="mislabelled: got 0, expected at least 1"):
        Mislabelled(source(), 0)
    with pytest.raises(MapstoError, match="mislabelled: got 13, expected at most 12"):
        Mislabelled(source(), 13).batch(0, 2)
    with pytest.raises(MapstoError, match=r"targets of torch.float32, expected class indices"):
        Mislabelled(Linear(features=2)).batch(0, 2)
    Mislabelled(Logistic(features=2), 2).batch(0, 2)
