"""Trajectories of drawings that say who and what they are, and sources that break each promise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_tasks import read_glyph, small_omniglot
from torch import Tensor

from mapsto.episodes import Episode
from mapsto.errors import MapstoError
from mapsto.tasks import Tasks, Trajectories
from mapsto.tasks.source import SPLITS

CLASSES, SHOTS, QUERIES, REMEMBER = 4, 3, 2, 10
POOLS = {"train": [*range(30)], "validation": [*range(30, 36)], "test": [*range(36, 48)]}  # of the small drawings


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trajectories]:
    monkeypatch.setenv("MAPSTO_DATA", str(small_omniglot(tmp_path)))
    chosen = {"classes": CLASSES, "shots": SHOTS, "queries": QUERIES, "remember": REMEMBER, "size": 7}
    return lambda **other: Trajectories(**{**chosen, **other})


def read(images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the character and the drawer of each image."""
    assert images.shape[1:] == (1, 7, 7) and set(images.unique().tolist()) == {0.0, 1.0}
    found = [read_glyph(image[0].numpy().astype(bool)) for image in images]
    assert all(turns == 0 for *_, turns in found)
    return np.array([character for character, *_ in found]), np.array([drawer for _, drawer, _ in found])


def law_in_order(tasks: Tasks) -> None:
    """Expect each character's images together, in order of the labels, no image twice, the query's beginning the same.

    In training a label is the character's place among those of training, else its place in the trajectory.
    """
    n = CLASSES * SHOTS
    for split in SPLITS:
        source = tasks.of(split)
        batch = source.batch(0, 5)
        for i in range(5):
            (support, query) = (type(part)(*(leaf[i] for leaf in part)) for part in batch[:2])
            character, drawer = read(support.x)
            runs = character.reshape(CLASSES, SHOTS)
            assert (runs == runs[:, :1]).all() and len(set(runs[:, 0])) == CLASSES
            expected = np.searchsorted(POOLS[split], runs[:, 0]) if split == "train" else np.arange(CLASSES)
            assert set(runs[:, 0]) <= set(POOLS[split])
            assert support.y.tolist() == np.repeat(expected, SHOTS).tolist()
            assert torch.equal(query.x[:n], support.x) and torch.equal(query.y[:n], support.y)
            held, by = read(query.x[n:])
            assert held.tolist() == np.repeat(runs[:, 0], QUERIES).tolist()
            assert query.y[n:].tolist() == np.repeat(expected, QUERIES).tolist()
            images = set(zip([*character, *held], [*drawer, *by], strict=True))
            assert len(images) == n + len(held) == CLASSES * (SHOTS + QUERIES)


def law_remember(tasks: Tasks) -> None:
    """Expect any training characters by their global number, judged with the query set, and none outside training."""
    batch = tasks.batch(0, 30)
    assert batch.context.x.shape == (30, REMEMBER, 1, 7, 7)
    character, drawer = read(batch.context.x.flatten(0, 1))
    assert np.searchsorted(POOLS["train"], character).tolist() == batch.context.y.flatten().tolist()
    assert set(character) == set(POOLS["train"]) and set(drawer) == set(range(20))
    distinct = [len(set(zip(character[i : i + 10], drawer[i : i + 10], strict=True))) for i in range(0, 300, 10)]
    assert distinct == [REMEMBER] * 30
    own = (batch.context.y[..., None] == batch.support.y[:, None]).any(-1)
    assert own.double().mean() < 0.3  # 4 characters in 30
    assert tasks.validation.batch(0, 2).context is None and tasks.test.batch(0, 2).context is None


def law_weights(tasks: Tasks) -> None:
    batch = tasks.batch(0, 3)
    assert torch.allclose(batch.support.w.sum(1), torch.ones(3))
    assert torch.allclose(batch.query.w.sum(1) + batch.context.w.sum(1), torch.ones(3))
    assert len(torch.cat([batch.query.w, batch.context.w], 1).unique()) == 1
    assert torch.allclose(tasks.test.batch(0, 3).query.w.sum(1), torch.ones(3))


def law_pure(tasks: Tasks) -> None:
    one, again = tasks.batch(3, 2, seed=1), tasks.batch(3, 2, seed=1)
    assert torch.equal(one.support.x, again.support.x) and torch.equal(one.context.x, again.context.x)
    assert not torch.equal(one.support.x, tasks.batch(3, 2, seed=2).support.x)
    assert not torch.equal(one.context.x, tasks.batch(4, 2, seed=1).context.x)


LAWS = {law.__name__: law for law in (law_in_order, law_remember, law_weights, law_pure)}


@pytest.mark.parametrize("law", LAWS)
def test_law(law: str, make: Callable[..., Trajectories]) -> None:
    LAWS[law](make())


class Spoiled(Tasks):
    """A source that draws as `tasks` does, then lets `spoil` break the episodes."""

    def __init__(self, tasks: Tasks, spoil: Callable[[Episode, str], Episode]):
        self.tasks, self.spoil = tasks, spoil

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        return self.spoil(self.tasks.of(self.split).draw(generator, count), self.split)


def shuffled(episode: Episode, split: str) -> Episode:
    order = torch.arange(CLASSES * SHOTS).view(CLASSES, SHOTS).T.flatten()  # class in turn, an image of each
    return episode._replace(support=type(episode.support)(*(leaf[:, order] for leaf in episode.support)))


def numbered_anew(episode: Episode, split: str) -> Episode:
    local = torch.arange(CLASSES).repeat_interleave(SHOTS).expand_as(episode.support.y)
    return episode._replace(support=episode.support._replace(y=local))


def own_only(episode: Episode, split: str) -> Episode:
    if episode.context is None:
        return episode
    own = type(episode.context)(*(leaf[:, :REMEMBER] for leaf in episode.query))
    return episode._replace(context=own)


def heavy(episode: Episode, split: str) -> Episode:
    return episode._replace(query=episode.query._replace(w=torch.ones_like(episode.query.w)))


def impure(episode: Episode, split: str) -> Episode:
    return episode._replace(support=episode.support._replace(x=episode.support.x + torch.rand(())))


@pytest.mark.parametrize(
    ("law", "spoil"),
    [
        (law_in_order, shuffled),
        (law_in_order, numbered_anew),
        (law_remember, own_only),
        (law_weights, heavy),
        (law_pure, impure),
    ],
)
def test_a_source_that_breaks_the_law_is_caught(
    law: Callable[[Tasks], None], spoil: Callable, make: Callable[..., Trajectories]
) -> None:
    law(Spoiled(make(), lambda episode, split: episode))
    with pytest.raises(AssertionError):
        law(Spoiled(make(), spoil))


def test_how_many_outputs_training_needs(make: Callable[..., Trajectories]) -> None:
    assert make().known == 30
    assert make(remember=0).batch(0, 1).context is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "classes: got 0"),
        ({"shots": 0}, "shots: got 0"),
        ({"queries": -1}, "^queries: "),
        ({"remember": -1}, "^remember: "),
        ({"shots": 19}, r"^shots \+ queries: got 21"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[..., Trajectories], arguments: dict, message: str) -> None:
    with pytest.raises(MapstoError, match=message):
        make(**arguments)


def test_more_classes_than_the_split_has_are_refused(make: Callable[..., Trajectories]) -> None:
    assert make(classes=12).test.batch(0, 1).support.y.max() == 11
    with pytest.raises(MapstoError, match=r"^classes: got 12, expected at most 6"):
        make(classes=12).validation.batch(0, 1)
