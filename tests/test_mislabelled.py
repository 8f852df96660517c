"""Planted wrong labels: where they are, that nothing else changes, and what is refused."""

from collections.abc import Callable

import pytest
import torch

import mapsto as mt
from mapsto.episodes import Episode
from mapsto.errors import MapstoError
from mapsto.tasks import Arrays, Linear, Logistic, Mislabelled, Tasks


def source(shots: int | tuple[int, int] = 3) -> Arrays:
    x, y = torch.arange(15 * 8.0).reshape(15, 8).repeat_interleave(8, 0), torch.arange(15).repeat_interleave(8)
    return Arrays(x.numpy(), y.numpy(), ways=4, shots=shots, queries=2, splits=(0.4, 0.3, 0.3))


def turned(tasks: Tasks, faulty: Mislabelled) -> torch.Tensor:
    return faulty.batch(2, 5, seed=3).support.y != tasks.batch(2, 5, seed=3).support.y


def law_of_faults(kind: type[Mislabelled], count: int) -> None:
    tasks = source()
    faulty = kind(tasks, count)
    one, other = tasks.batch(2, 5, seed=3), faulty.batch(2, 5, seed=3)
    assert torch.equal(turned(tasks, faulty), faulty.truth(2, 5, seed=3))
    assert faulty.truth(2, 5, seed=3).sum(1).tolist() == [count] * 5
    assert torch.equal(one.support.x, other.support.x) and torch.equal(one.support.w, other.support.w)
    assert all(torch.equal(a, b) for a, b in zip(one.query, other.query, strict=True))
    assert other.support.y.min() >= 0 and other.support.y.max() < 4


def law_of_places(kind: type[Mislabelled]) -> None:
    tasks = source()
    faulty = kind(tasks)
    truth = faulty.truth(0, 400)
    assert truth.sum(0).min() > 400 / 12 / 3
    shift = (faulty.batch(0, 400).support.y - tasks.batch(0, 400).support.y)[truth] % 4
    assert torch.bincount(shift, minlength=4)[1:].min() > 400 / 3 / 2 and (shift == 0).sum() == 0


def law_of_padding(kind: type[Mislabelled]) -> None:
    tasks = source(shots=(1, 4))
    faulty = kind(tasks, 3)
    w = faulty.batch(0, 50).support.w
    assert (w == 0).any()  # worth checking
    assert (w[faulty.truth(0, 50)] > 0).all()


LAWS: dict[str, Callable[[type[Mislabelled]], None]] = {
    "one fault": lambda kind: law_of_faults(kind, 1),
    "three faults": lambda kind: law_of_faults(kind, 3),
    "places": law_of_places,
    "padding": law_of_padding,
}


@pytest.mark.parametrize("law", LAWS)
def test_faults_keep_the_law(law: str) -> None:
    LAWS[law](Mislabelled)


class Forgotten(Mislabelled):
    """Truth is of other tasks than the batch."""

    def truth(self, index: int, count: int, seed: int = 0) -> torch.Tensor:
        return super().truth(index, count, seed + 1)


class Queried(Mislabelled):
    """Turns a query label too."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        drawn = super().draw(generator, count)
        return drawn._replace(query=drawn.query._replace(y=drawn.query.y.roll(1, 1)))


class Redrawn(Mislabelled):
    """Draws any class anew, the right one among them."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        drawn, wrong = self._draw(generator, count)
        y = torch.where(wrong, torch.randint(4, wrong.shape, generator=generator), drawn.support.y)
        return drawn._replace(support=drawn.support._replace(y=y))


class Next(Mislabelled):
    """Turns every label to the next class, at the first place where it can."""

    def _draw(self, generator: torch.Generator, count: int) -> tuple[Episode, torch.Tensor]:
        drawn = self.tasks.of(self.split).draw(generator, count)
        support = drawn.support
        wrong = torch.arange(support.y.shape[1]).expand(support.y.shape) < self.mislabelled
        return drawn._replace(support=support._replace(y=torch.where(wrong, (support.y + 1) % 4, support.y))), wrong


class Padded(Mislabelled):
    """Turns what is padding as soon as what teaches."""

    def truth(self, index: int, count: int, seed: int = 0) -> torch.Tensor:
        found = super().truth(index, count, seed)
        return torch.rand(found.shape, generator=torch.Generator().manual_seed(0)).argsort(1) < self.mislabelled


@pytest.mark.parametrize(
    ("law", "mutant"),
    [
        *(("one fault", Forgotten), ("one fault", Queried), ("three faults", Redrawn)),
        *(("places", Next), ("padding", Padded)),
    ],
)
def test_mutants_of_faults_are_found(law: str, mutant: type[Mislabelled]) -> None:
    with pytest.raises(AssertionError):
        LAWS[law](mutant)


def test_splits_and_seeds_are_those_of_the_source() -> None:
    tasks = source()
    faulty = Mislabelled(tasks)
    assert torch.equal(faulty.test.batch(0, 2).support.x, tasks.test.batch(0, 2).support.x)
    assert not torch.equal(faulty.truth(0, 20), faulty.truth(1, 20))
    assert mt.tasks.Mislabelled is Mislabelled


def test_bad_input_is_refused() -> None:
    with pytest.raises(MapstoError, match=r"^mislabelled: got 0"):
        Mislabelled(source(), 0)
    with pytest.raises(MapstoError, match=r"^mislabelled: got 13, expected at most 12"):
        Mislabelled(source(), 13).batch(0, 2)
    with pytest.raises(MapstoError, match=r"^tasks: got targets of torch.float32"):
        Mislabelled(Linear(features=2)).batch(0, 2)
    with pytest.raises(MapstoError, match=r"^tasks: got 1 class"):
        Mislabelled(_OneClass()).batch(0, 2)
    Mislabelled(Logistic(features=2), 2).batch(0, 2)


class _OneClass(Logistic):
    def draw(self, generator: torch.Generator, count: int) -> Episode:
        episode = super().draw(generator, count)
        return episode._replace(support=episode.support._replace(y=torch.zeros_like(episode.support.y)))
