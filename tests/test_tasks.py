"""The laws that every source of episodes keeps, known moments of each, and what bad input gets.

Each law is also run against a source that breaks it (a mutant), and must fail there.
"""

import hashlib
import io
import itertools
import json
import math
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.tasks import classes, omniglot_files, planted, sampling
from mapsto.tasks.source import SPLITS, stream

TASKS = 6  # in a batch
CLASSES, EACH = 20, 9  # of the arrays below
REAL = os.environ.get("MAPSTO_DATA")
real_data = pytest.mark.skipif(not REAL, reason="set MAPSTO_DATA to the data folder to test on the real Omniglot")


# --- data whose every example says what it is -------------------------------------------------------------------------


def marked(count=CLASSES, each=EACH):
    """Examples [class, example, noise] and their labels, in random order."""
    of, which = np.divmod(np.random.default_rng(0).permutation(count * each), each)
    return np.stack([of, which, np.ones_like(of)], 1).astype(float), of


def frame(rows=90):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "row": np.arange(rows, dtype=float),
            "age": rng.normal(size=rows),
            "ward": rng.choice(["north", "south"], rows),
            "outcome": ["rare" if i % 15 == 0 else ("ill" if i % 3 else "well") for i in range(rows)],
        }
    )


def glyph(character, drawer):
    """A 7 × 7 drawing that is read back by `read_glyph` even when turned: ink in the first corner, then two numbers."""
    image = np.zeros((7, 7), bool)
    image[0, 0] = True
    image[2] = [character >> bit & 1 for bit in range(7)]
    image[4, :5] = [drawer >> bit & 1 for bit in range(5)]
    return image


def read_glyph(image):
    """Return (character, drawer, quarter turns)."""
    for turns in range(4):
        upright = np.rot90(image, -turns)
        if upright[0, 0] and not (upright[0, -1] or upright[-1, 0] or upright[-1, -1]):
            bits = 1 << np.arange(7)
            return int(upright[2] @ bits), int(upright[4, :5] @ bits[:5]), turns
    raise AssertionError("not a glyph")


def small_omniglot(folder, characters=48):
    """Write a data folder of small drawings: alphabets of six characters, five in eight of them background."""
    names = [f"Alphabet{c // 6:02d}/character{c % 6 + 1:02d}" for c in range(characters)]
    packed = [[np.packbits(glyph(c, d).reshape(-1)) for d in range(20)] for c in range(characters)]
    (folder / "omniglot" / "vinyals").mkdir(parents=True)
    np.savez(
        folder / "omniglot" / "omniglot105_bits.npz",
        packed=np.array(packed),
        size=np.int64(7),
        alphabet_names=np.array(list(dict.fromkeys(name.split("/")[0] for name in names))),
        alphabet_id=np.arange(characters, dtype=np.int16) // 6,
        character_name=np.array([name.split("/")[1] for name in names]),
        is_background=np.arange(characters) < 36,
    )
    for file, part in (("train", slice(0, 24)), ("val", slice(24, 32)), ("test", slice(32, 48))):
        lines = [f"{name}/rot{turn:03d}" for name in names[part] for turn in (0, 90, 180, 270)]
        (folder / "omniglot" / "vinyals" / f"{file}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def omniglot(tmp_path, monkeypatch):
    monkeypatch.setenv("MAPSTO_DATA", str(small_omniglot(tmp_path)))
    return lambda **chosen: mt.tasks.Omniglot(**({"size": 7, "ways": 4, "shots": 2, "queries": 3} | chosen))


@pytest.fixture
def pictures(tmp_path):
    for c, name in enumerate("abcdefghijkl"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(6):
            pixels = np.full((10, 8, 3), (c * 20, i * 40, 90), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    (tmp_path / "pictures" / ".thumbnails").mkdir()  # neither a hidden folder nor a file is a class
    Image.fromarray(pixels).save(tmp_path / "pictures" / ".thumbnails" / "0.png")
    (tmp_path / "pictures" / "notes.txt").write_text("twelve classes")
    return tmp_path / "pictures"


SOURCES = {
    "Sinusoids": lambda **shape: mt.tasks.Sinusoids(**shape),
    "Linear": lambda **shape: mt.tasks.Linear(features=3, **shape),
    "Logistic": lambda **shape: mt.tasks.Logistic(features=3, **shape),
    "Logistic, curved": lambda **shape: mt.tasks.Logistic(features=3, curvature=1.0, **shape),
    "GaussianProcesses": lambda **shape: mt.tasks.GaussianProcesses(**shape),
    **{rule: lambda rule=rule, **shape: mt.tasks.Planted(rule, **shape) for rule in ("syn1", "syn4", "syn6")},
    "DrawnCharacters": lambda **shape: mt.tasks.DrawnCharacters(ways=3, size=12, **shape),
    "PlantedStrokes": lambda **shape: mt.tasks.PlantedStrokes(ways=3, size=12, **shape),
    "XAITris": lambda **shape: mt.tasks.XAITris("xor", "correlated", **shape),
    "Arrays": lambda **shape: mt.tasks.Arrays(*marked(), ways=3, splits=(0.4, 0.3, 0.3), **shape),
    "Table": lambda **shape: mt.tasks.Table(frame(), "outcome", splits=(0.4, 0.3, 0.3), **shape),
    "Tables": lambda **shape: mt.tasks.Tables(rows=(4, 9), columns=(2, 4), queries=shape["queries"]),
    "Table, regression": lambda **shape: mt.tasks.Table(
        frame(), "age", regression=True, splits=(0.4, 0.3, 0.3), **shape
    ),
}
BY_CLASS = ("Arrays", "Omniglot", "ImageFolder", "PlantedStrokes", "DrawnCharacters")


@pytest.fixture(params=[*SOURCES, "Omniglot", "ImageFolder"])
def make(request, omniglot, pictures):
    images = {
        "Omniglot": omniglot,
        "ImageFolder": lambda **shape: mt.tasks.ImageFolder(pictures, ways=3, size=4, splits=(0.4, 0.3, 0.3), **shape),
    }
    return {**SOURCES, **images}[request.param], (4 if request.param == "Omniglot" else 3) * (request.param in BY_CLASS)


def equal(one, other):
    pairs = zip((*one.support, *one.query), (*other.support, *other.query), strict=True)
    return all(torch.equal(a.nan_to_num(-7), b.nan_to_num(-7)) for a, b in pairs)


# --- laws: each takes a source, and raises AssertionError where it is broken ------------------------------------------


def law_reproducible(tasks):
    assert equal(tasks.batch(3, TASKS), tasks.batch(3, TASKS))
    assert equal(tasks.batch(3, TASKS, seed=5), tasks.of("train").batch(3, TASKS, seed=5))


def law_distinct(tasks):
    batches = [tasks.of(split).batch(i, TASKS, seed) for split in SPLITS for i in (0, 1) for seed in (0, 1)]
    for one, other in itertools.combinations(batches, 2):
        assert not torch.equal(one.support.x, other.support.x) and not torch.equal(one.query.x, other.query.x)


def law_weights(tasks, shots):
    support, query = tasks.batch(0, 40)[:2]
    assert torch.allclose(query.w, torch.tensor(1 / query.w.shape[1]))
    real = support.w > 0
    assert torch.allclose(support.w * real.sum(1, keepdim=True), real.float())
    assert set(real.sum(1).tolist()) == {n for n in shots}
    assert (support.x[~real] == 0).all() and support.x[real].flatten(1).abs().sum(1).gt(0).all()


def law_shapes(tasks, support, query, labels):
    episode = tasks.batch(0, TASKS)
    for part, n in ((episode.support, support), (episode.query, query)):
        assert part.x.shape[:2] == (TASKS, n) and part.x.dtype == torch.float32 and part.x.isfinite().all()
        assert part.w.shape == (TASKS, n) and part.w.dtype == torch.float32
        if labels:
            assert part.y.shape == (TASKS, n) and part.y.dtype == torch.int64
            assert part.y.min() == 0 and part.y.max() == labels - 1
        else:
            assert part.y.shape == (TASKS, n, 1) and part.y.dtype == torch.float32
    assert episode.noise is None and episode.context is None


def law_splits_share_no_class(tasks):
    seen = [set(tasks.of(split).batch(0, 40).support.x[..., 0].flatten().tolist()) for split in SPLITS]
    assert all(len(classes) >= 3 for classes in seen)
    assert len(set.union(*seen)) == sum(map(len, seen))


def law_examples_distinct(tasks):
    episode = tasks.batch(0, 40)
    for support, query in zip(episode.support.x, episode.query.x, strict=True):
        drawn = torch.cat([support, query])[:, :2]
        assert len(drawn.unique(dim=0)) == len(drawn)


def law_labels_consistent(tasks, ways, shots, queries):
    """A label is one class in support and query alike, a class is one label, and the numbering is drawn anew."""
    support, query = tasks.batch(0, 40)[:2]
    for of, y in zip(torch.cat([support.x, query.x], 1)[..., 0], torch.cat([support.y, query.y], 1), strict=True):
        assert len(torch.stack([of, y.float()], 1).unique(dim=0)) == ways == len(of.unique())
    assert all((y.bincount(minlength=ways) == shots).all() for y in support.y)
    assert all((y.bincount(minlength=ways) == queries).all() for y in query.y)
    numbered = torch.stack([support.x[..., 0].flatten(), support.y.flatten().float()], 1).unique(dim=0)
    assert len(numbered) > 2 * len(support.x[..., 0].unique())


def law_order_tells_nothing(tasks, ways):
    """Each place holds each label equally often: χ² of the table place × label, at one in a million."""
    for part in tasks.batch(0, 600)[:2]:
        seen = torch.stack([(part.y == label).sum(0) for label in range(ways)]).double()  # [ways, n]
        expected = 600 / ways
        freedom = seen.numel() - len(seen) - seen.shape[1] + 1
        assert ((seen - expected).square() / expected).sum() < freedom + 5 * math.sqrt(2 * freedom) + 15


def test_batches_are_reproducible(make):
    law_reproducible(make[0](shots=2, queries=3))
    assert equal(make[0](shots=2, queries=3).batch(1, TASKS), make[0](shots=2, queries=3).batch(1, TASKS))


def test_batches_differ_by_index_split_and_seed(make):
    law_distinct(make[0](shots=2, queries=3))


def test_weights_are_one_over_n_and_zero_on_padding(make):
    source, ways = make
    if isinstance(source(shots=2, queries=3), mt.tasks.Tables):
        return  # one shape a batch, so nothing is padded; a query of a class that the support lacks weighs 0
    law_weights(source(shots=2, queries=3), [2 * (ways or 1)])
    law_weights(source(shots=(1, 3), queries=2), [n * (ways or 1) for n in (1, 2, 3)])


@pytest.mark.parametrize(
    ("name", "labels"),
    [("Sinusoids", 0), ("Linear", 0), ("GaussianProcesses", 0), ("syn4", 2), ("Arrays", 3), ("Table", 3)],
)
def test_shapes(name, labels):
    rows = 3 if name == "Arrays" else 1
    law_shapes(SOURCES[name](shots=5, queries=4), 5 * rows, 4 * rows, labels)


def test_episodes_by_class_keep_the_laws():
    tasks = SOURCES["Arrays"](shots=3, queries=4)
    law_splits_share_no_class(tasks)
    law_examples_distinct(tasks)
    law_labels_consistent(tasks, 3, 3, 4)
    law_order_tells_nothing(tasks, 3)


class Broken(mt.tasks.Tasks):
    """A source that draws as `tasks` does, then lets `spoil(episode, tasks, generator)` break it."""

    def __init__(self, tasks, spoil):
        self.tasks, self.spoil = tasks, spoil

    def draw(self, generator, count):
        return self.spoil(self.tasks.of(self.split).draw(generator, count), self, generator)


def global_noise(episode, tasks, generator):
    return episode._replace(query=episode.query._replace(x=episode.query.x + torch.rand(())))


def heavy(episode, tasks, generator):
    return episode._replace(support=episode.support._replace(w=torch.ones_like(episode.support.w)))


def readable_padding(episode, tasks, generator):
    return episode._replace(support=episode.support._replace(x=episode.support.x + 1))


def one_split(episode, tasks, generator):
    return tasks.tasks.of("train").draw(generator, len(episode.support.x))


def leaking(episode, tasks, generator):
    return episode._replace(query=episode.support)


def independent_labels(episode, tasks, generator):
    y = episode.query.y
    return episode._replace(query=episode.query._replace(y=y[:, torch.randperm(y.shape[1], generator=generator)]))


def in_order(episode, tasks, generator):
    order = episode.support.y.argsort(1)
    return episode._replace(support=episode.support._replace(y=episode.support.y.gather(1, order)))


def wrong_type(episode, tasks, generator):
    return episode._replace(query=episode.query._replace(y=episode.query.y.float()))


@pytest.mark.parametrize(
    ("law", "spoil", "arguments"),
    [
        (law_reproducible, global_noise, ()),
        (law_weights, heavy, ([3, 6, 9],)),
        (law_weights, readable_padding, ([3, 6, 9],)),
        (law_splits_share_no_class, one_split, ()),
        (law_examples_distinct, leaking, ()),
        (law_labels_consistent, independent_labels, (3, 3, 4)),
        (law_order_tells_nothing, in_order, (3,)),
        (law_shapes, wrong_type, (9, 12, 3)),
    ],
)
def test_mutants_break_their_law(law, spoil, arguments):
    tasks = SOURCES["Arrays"](shots=(1, 3) if law is law_weights else 3, queries=4)
    law(Broken(tasks, lambda episode, *_: episode), *arguments)
    with pytest.raises(AssertionError):
        law(Broken(tasks, spoil), *arguments)


def test_a_fixed_numbering_breaks_its_law():
    x, y = marked()
    tasks = mt.tasks.Arrays(x, y, ways=3, shots=3, queries=4, splits=(0.2, 0.4, 0.4))
    law_labels_consistent(tasks, 3, 3, 4)
    with pytest.raises(AssertionError):  # four classes, three of them a task: number them by size
        law_labels_consistent(Broken(tasks, _by_size), 3, 3, 4)


def _by_size(episode, tasks, generator):
    def numbered(part):
        return part._replace(y=torch.stack([of.unique(return_inverse=True)[1] for of in part.x[..., 0]]))

    return episode._replace(support=numbered(episode.support), query=numbered(episode.query))


@pytest.mark.parametrize("forgotten", ["index", "split", "seed"])
def test_a_source_that_forgets_breaks_its_law(forgotten):
    class Forgets(mt.tasks.Sinusoids):
        def generator(self, index, count=1, seed=0):
            kept = self.of("train") if forgotten == "split" else self
            return mt.tasks.Tasks.generator(
                kept, 0 if forgotten == "index" else index, count, 0 if forgotten == "seed" else seed
            )

    law_distinct(mt.tasks.Sinusoids())
    with pytest.raises(AssertionError):
        law_distinct(Forgets())


# --- streams and draws ------------------------------------------------------------------------------------------------


def law_streams(stream):
    one, other = ([stream(seed, counter) for counter in range(8_000)] for seed in (0, 1))
    assert all(0 <= number < 2**32 for number in one)
    assert len(set(one)) == len(one)  # a bijection
    assert len(set(one) & set(other)) < 5  # 8,000² / 2³² = 0.01 by chance
    odd = np.array(one) & 1
    assert abs(odd.mean() - 0.5) < 0.02


def test_streams_are_distinct_unrelated_and_pinned():
    law_streams(stream)
    assert [stream(0, i) for i in range(3)] == [2856213345, 2947049190, 4191045222]  # the same on every Python
    assert len({stream(seed, 7) for seed in (-(2**70), -1, 0, 1, 2**32, 2**33, 2**70)}) == 7
    with pytest.raises(AssertionError):
        law_streams(lambda seed, counter: seed + counter)
    with pytest.raises(AssertionError):
        law_streams(lambda seed, counter: stream(seed, counter) & 0xFFFF)


def law_choose(choose):
    """Every ordered choice of 2 from 4 equally often: χ² with 11 degrees of freedom, at one in a million."""
    drawn = choose(torch.Generator().manual_seed(0), torch.full((24_000,), 4), 2)
    assert (drawn[:, 0] != drawn[:, 1]).all()
    seen = torch.bincount(drawn[:, 0] * 4 + drawn[:, 1], minlength=16).double()
    assert ((seen[seen > 0] - 2000).square() / 2000).sum() < 48 and (seen > 0).sum() == 12


def test_choose_is_uniform():
    law_choose(sampling.choose)
    with pytest.raises(AssertionError):
        law_choose(lambda generator, population, k: sampling.choose(generator, population, k).sort(-1).values)
    with pytest.raises(AssertionError):
        law_choose(lambda generator, population, k: torch.randint(4, (len(population), k), generator=generator))


def test_choose_takes_populations_of_different_sizes():
    population = torch.tensor([[3, 5], [4, 3]])
    drawn = sampling.choose(torch.Generator().manual_seed(0), population, 3)
    assert drawn.shape == (2, 2, 3) and (drawn < population[..., None]).all()
    assert drawn[0, 0].sort().values.tolist() == drawn[1, 1].sort().values.tolist() == [0, 1, 2]


# --- known moments ----------------------------------------------------------------------------------------------------


def close(sample, mean, sigmas=5.0):
    """Assert that the mean of `sample` (one number a task, independent) is `mean` to `sigmas` standard errors."""
    error = sample.double().std() / math.sqrt(len(sample))
    assert abs(sample.double().mean() - mean) < sigmas * error, (sample.mean(), mean, error)


def law_sinusoids(tasks):
    """E y² = E A² / 2, E y = E A · (2/π) · sin 5 / −5, E x² = 25/3, and |y| ≤ 5."""
    support, query = tasks.batch(0, 20_000)[:2]
    close(query.x[:, 0, 0].square(), 25 / 3)
    close(query.y[:, 0, 0].square(), (5**3 - 0.1**3) / (3 * 4.9) / 2)
    close(support.y[:, 0, 0], 2.55 * 2 / math.pi * -math.sin(5) / 5)
    assert 4.9 < query.y.abs().max() <= 5


def test_sinusoids_have_the_papers_moments():
    law_sinusoids(mt.tasks.Sinusoids(shots=1, queries=1))
    for mutant in ({"amplitude": (1.0, 5.0)}, {"phase": (-math.pi, 0.0)}, {"span": (-4.0, 5.0)}):
        with pytest.raises(AssertionError):
            law_sinusoids(mt.tasks.Sinusoids(shots=1, queries=1, **mutant))


def test_a_sinusoid_is_one_wave():
    """A·sin(x − φ) = a·sin x + b·cos x: two points fix the wave, and the others lie on it."""
    batch = mt.tasks.Sinusoids(shots=10, queries=10).batch(0, 20)
    waves = [torch.cat([part.x.sin(), part.x.cos()], -1).double() for part in batch[:2]]  # [T, n, 2]
    fit = torch.linalg.lstsq(waves[0], batch.support.y.double()).solution
    assert torch.allclose(waves[1] @ fit, batch.query.y.double(), atol=1e-4) and batch.query.y.std() > 1
    height, shift = fit.norm(dim=1), torch.atan2(-fit[:, 1], fit[:, 0])
    assert (height > 0.09).all() and (height < 5.01).all() and (shift > -1e-3).all() and (shift < math.pi + 1e-3).all()


def law_linear(tasks, slope, intercept, noise):
    """Ridge regression with the prior's penalties, solved in closed form, is best: ten times more or less is worse."""
    batch = tasks.batch(0, 400)
    penalty = torch.tensor([noise**2 / slope**2] * tasks.features + [noise**2 / intercept**2]).diag()
    x, at = (torch.cat([part.x, torch.ones_like(part.x[..., :1])], -1) for part in batch[:2])  # [T, n, d + 1]
    error = {}
    for factor in (0.1, 1.0, 10.0):
        fit = torch.linalg.solve(x.mT @ x + factor * penalty, x.mT @ batch.support.y)
        error[factor] = float((at @ fit - batch.query.y).square().mean())
    assert error[1.0] < 0.99 * min(error[0.1], error[10.0]), error
    close(batch.query.y[:, 0, 0].square(), tasks.features * slope**2 + intercept**2 + noise**2)


def test_linear_has_the_stated_prior():
    tasks = mt.tasks.Linear(features=3, shots=4, queries=20, slope=1.5, intercept=0.7, noise=0.5)
    law_linear(tasks, 1.5, 0.7, 0.5)
    with pytest.raises(AssertionError):
        law_linear(
            mt.tasks.Linear(features=3, shots=4, queries=20, slope=1.5, intercept=0.7, noise=0.05), 1.5, 0.7, 0.5
        )
    noiseless = mt.tasks.Linear(features=2, shots=5, queries=5, noise=0.0).batch(0, 8)
    planes = [torch.cat([part.x, torch.ones(8, 5, 1)], -1).double() for part in noiseless[:2]]
    fit = torch.linalg.lstsq(planes[0], noiseless.support.y.double()).solution
    assert torch.allclose(planes[1] @ fit, noiseless.query.y.double(), atol=1e-3)


# --- planted reasons --------------------------------------------------------------------------------------------------

SCORES = {  # by hand, in the columns' published order
    "syn1": lambda x: x[0] * x[1],
    "syn2": lambda x: x[2] ** 2 + x[3] ** 2 + x[4] ** 2 + x[5] ** 2 - 4,
    "syn3": lambda x: -10 * math.sin(0.2 * x[6]) + abs(x[7]) + x[8] + math.exp(-x[9]) - 2.4,
}
BRANCHES = {"syn4": ("syn1", "syn2"), "syn5": ("syn1", "syn3"), "syn6": ("syn2", "syn3")}
RULES = (*SCORES, *BRANCHES)


@pytest.mark.parametrize("rule", RULES)
def test_planted_scores_follow_the_published_rules(rule):
    x = torch.randn(50, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    below, above = BRANCHES.get(rule, (rule, rule))
    expected = [SCORES[below if row[10] < 0 else above](row.tolist()) for row in x]
    assert (
        torch.allclose(planted.score(rule, x), torch.tensor(expected, dtype=torch.float64)) and np.std(expected) > 0.5
    )


def law_relevant(rule, relevant):
    """A column is relevant exactly where nudging it (or, for the switch, turning its sign) moves the row's score."""
    x = torch.randn(60, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    moved = torch.stack(
        [planted.score(rule, torch.where(torch.arange(12) == j, -x if j == 10 else x + 1e-3, x)) for j in range(12)], 1
    )
    assert torch.equal(moved != planted.score(rule, x)[:, None], relevant(rule, x))


@pytest.mark.parametrize("rule", RULES)
def test_planted_truth_is_what_the_score_depends_on(rule):
    law_relevant(rule, planted.relevant)
    with pytest.raises(AssertionError):
        law_relevant(rule, lambda rule, x: planted.relevant(rule, x).roll(1, -1))
    with pytest.raises(AssertionError):
        law_relevant(rule, lambda rule, x: planted.relevant("syn5" if rule == "syn4" else "syn4", x))


def law_truth(tasks, truth):
    """On syn1 without label noise, the product of the two relevant columns decides every label."""
    batch, mask = tasks.batch(4, 20, seed=2), truth(4, 20, seed=2)
    for part, relevant in ((batch.support, mask.support), (batch.query, mask.query)):
        assert relevant.shape == part.x.shape and (relevant.sum(-1) == 2).all()
        assert torch.equal(torch.where(relevant, part.x, 1).prod(-1) < 0, part.y == 1)
    assert len(mask.query[:, 0].unique(dim=0)) > 10  # another pair of columns in each task


def test_planted_truth_belongs_to_its_batch():
    tasks = mt.tasks.Planted("syn1", shots=8, queries=30, sharpness=math.inf, features=14)
    law_truth(tasks, tasks.truth)
    law_truth(tasks.test, tasks.test.truth)
    with pytest.raises(AssertionError):
        law_truth(tasks, lambda index, count, seed: tasks.truth(index + 1, count, seed))
    with pytest.raises(AssertionError):
        law_truth(tasks, tasks.test.truth)


def law_faults(tasks, truth):
    """Exactly the mislabelled rows break the rule; only the spurious column agrees with every label taught."""
    batch, true = tasks.batch(4, 20, seed=2), truth(4, 20, seed=2)
    obeys = (torch.where(true.support, batch.support.x, 1).prod(-1) < 0) == (batch.support.y == 1)
    assert torch.equal(~obeys, true.mislabelled) and (true.mislabelled.sum(1) == 3).all()
    assert torch.equal((torch.where(true.query, batch.query.x, 1).prod(-1) < 0), batch.query.y == 1)
    agrees = (batch.support.x > 0) == (batch.support.y == 1)[..., None]
    assert torch.equal(agrees.all(1), true.spurious) and (true.spurious.sum(1) == 1).all()
    elsewhere = ((batch.query.x > 0) == (batch.query.y == 1)[..., None])[
        true.spurious[:, None].expand(batch.query.x.shape)
    ]
    assert abs(elsewhere.float().mean() - 0.5) < 0.1 and not elsewhere.view(20, 60).all(0).any()  # in no query row
    assert not (true.spurious[:, None] & (true.query.any(1, keepdim=True))).any()


def test_planted_teaching_faults():
    tasks = mt.tasks.Planted("syn1", shots=40, queries=60, sharpness=math.inf, mislabelled=3, spurious=True)
    law_faults(tasks, tasks.truth)
    for mutant in ({"mislabelled": 0}, {"spurious": False}):
        other = mt.tasks.Planted("syn1", 40, 60, math.inf, **({"mislabelled": 3, "spurious": True} | mutant))
        with pytest.raises(AssertionError):
            law_faults(other, tasks.truth)
    with pytest.raises(AssertionError):
        law_faults(tasks, lambda index, count, seed: tasks.truth(index, count, seed + 1))
    for rule in RULES:  # every rule leaves a column to mislead with
        true = mt.tasks.Planted(rule, shots=200, queries=1, spurious=True).truth(0, 3)
        assert (true.spurious.sum(1) == 1).all() and not (true.spurious & true.support.any(1)).any()
    with pytest.raises(MapstoError, match=r"^mislabelled: "):
        mt.tasks.Planted(shots=40, mislabelled=41)


def test_published_labels_of_syn1_allow_an_auc_of_070_and_sharp_ones_more():
    """The score itself, the best classifier there is: E AUC by quadrature over x₁, x₂ gives 0.697."""
    best = {}
    for sharpness in (1.0, 5.0, math.inf):
        tasks = mt.tasks.Planted("syn1", shots=1, queries=20_000, sharpness=sharpness)
        x, y = (t[0] for t in tasks.batch(0, 1).query[:2])
        best[sharpness] = roc_auc_score(y, -torch.where(tasks.truth(0, 1).query[0], x, 1).prod(-1))
        assert abs(y.float().mean() - 0.5) < 0.02
    grid = torch.linspace(-5, 5, 201, dtype=torch.float64)
    mass = torch.exp(-(grid**2) / 2)
    s, p = (grid[:, None] * grid).flatten(), (mass[:, None] * mass).flatten()
    order = s.argsort()
    ones, zeros = (p * torch.sigmoid(-s))[order], (p * torch.sigmoid(s))[order]
    expected = float((zeros * (ones.cumsum(0) - ones / 2)).sum() / (ones.sum() * zeros.sum()))
    assert abs(best[1.0] - expected) < 0.015 and 0.68 < expected < 0.72
    assert best[1.0] < best[5.0] - 0.1 and best[math.inf] == 1.0


# --- arrays, tables, pictures -----------------------------------------------------------------------------------------


def test_arrays_take_named_splits_and_text_labels():
    x, y = marked()
    names = np.array([f"kind {of}" for of in y])
    chosen = {"train": ["kind 3", "kind 4"], "test": ["kind 0", "kind 1", "kind 2"]}
    tasks = mt.tasks.Arrays(x, names, ways=2, shots=2, queries=2, splits=chosen)
    assert set(tasks.batch(0, 30).support.x[..., 0].unique().tolist()) == {3, 4}
    assert set(tasks.test.batch(0, 30).support.x[..., 0].unique().tolist()) == {0, 1, 2}
    with pytest.raises(MapstoError, match=r"^ways: got 2, "):
        tasks.validation.batch(0, 1)


def test_arrays_draw_from_classes_of_different_sizes():
    y = np.repeat([0, 1, 2], [5, 50, 7])
    x = np.stack([y, np.arange(len(y))], 1)
    tasks = mt.tasks.Arrays(x, y, ways=3, shots=2, queries=3, splits=(1.0, 0.0, 0.0))
    drawn = tasks.batch(0, 400)
    rows = torch.cat([drawn.support.x, drawn.query.x], 1)[..., 1].long()
    assert len(rows.unique()) == len(y)
    counts = torch.bincount(rows.flatten())
    for c, size in enumerate((5, 50, 7)):  # each example of a class equally often
        expected = 400 * 5 / size
        assert (counts[y == c] - expected).abs().max() < 5 * math.sqrt(expected) + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ways": 1}, "ways: got 1"),
        ({"shots": 0}, "shots: got 0"),
        ({"shots": (3, 2)}, r"shots: got \(3, 2\)"),
        ({"queries": 0}, "queries: got 0"),
        ({"queries": 99}, r"^y: got 9 example"),
        ({"y": np.zeros(180, int)}, r"^y: got 1 class"),
        ({"y": np.arange(5)}, r"^y: got shape \(5,\)"),
        ({"y": np.where(np.arange(180) == 0, np.nan, marked()[1])}, r"y: got 1 missing label"),
        ({"x": np.array([["a"]] * 180)}, "x: got <U1"),
        ({"x": np.zeros(180)}, r"x: got float64 of shape \(180,\)"),
        ({"x": np.full((180, 2), np.inf)}, r"x: got 360 infinite value"),
        ({"splits": (0.9, 0.9, 0.9)}, "^splits: "),
        ({"splits": {"train": [0, 1, 2], "tset": [3]}}, "splits: got the name 'tset'"),
        ({"splits": {"train": [0, 1, 2], "test": [2, 3, 4]}}, "splits: got class 2 twice"),
        ({"splits": {"train": [0, 1, 77]}}, "splits: got 77 in 'train'"),
    ],
)
def test_arrays_refuse(change, message):
    x, y = marked()
    with pytest.raises(MapstoError, match=message):
        mt.tasks.Arrays(**({"x": x, "y": y, "ways": 2, "shots": 1, "queries": 2} | change))


def test_table_rows_of_splits_are_disjoint_and_stratified():
    tasks = mt.tasks.Table(frame(), "outcome", shots=8, queries=6, splits=(0.5, 0.25, 0.25))
    rows = [set(tasks.x[tasks.rows[split]][:, 0].tolist()) for split in SPLITS]
    assert sum(map(len, rows)) == len(set.union(*rows)) == 90
    for split, share in zip(SPLITS, (0.5, 0.25, 0.25), strict=True):
        counts = torch.bincount(tasks.y[tasks.rows[split]], minlength=3)
        assert (counts - share * torch.bincount(tasks.y)).abs().max() <= 1
        drawn = tasks.of(split).batch(0, 200)
        assert set(drawn.support.x[..., 0].flatten().tolist()) <= rows[SPLITS.index(split)]
        law_examples_distinct(tasks.of(split))
        assert all(len(y.unique()) == 3 for y in drawn.support.y)  # "rare" is one row in fifteen


def test_table_support_without_the_promise_would_miss_a_class(monkeypatch):
    tasks = mt.tasks.Table(frame(), "outcome", shots=8, queries=6, splits=(0.5, 0.25, 0.25))
    monkeypatch.setattr("mapsto.tasks.table.one_of_each", lambda keys, y: keys)
    assert not all(len(y.unique()) == 3 for y in tasks.batch(0, 200).support.y)


def test_table_reads_a_file_with_missing_cells(tmp_path):
    table = frame()
    table.loc[3, "age"] = np.nan
    table.loc[4, "outcome"] = None
    table.to_csv(tmp_path / "patients.csv", index=False)
    tasks = mt.tasks.Table(tmp_path / "patients.csv", "outcome", splits=(1.0, 0.0, 0.0))
    assert tasks.columns == ["row", "age", "ward"] and tasks.names == ["ill", "rare", "well"]
    assert len(tasks.y) == 89 and 4.0 not in tasks.x[:, 0] and tasks.x[3, 1].isnan()
    assert torch.equal(tasks.x[:3, 2], torch.tensor([float(ward == "south") for ward in table["ward"][:3]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "outcom"}, "^target: got 'outcom'"),
        ({"table": frame().assign(outcome="ill")}, "^target: got one class"),
        ({"table": frame().assign(outcome=None)}, "^target: got no value"),
        ({"table": frame(8)}, r"^table: got 5 row"),
        ({"table": frame()[["outcome"]].assign(same=1)}, "^table: got 1 column"),
        ({"table": frame().assign(age=np.inf)}, "infinite"),
        ({"regression": True}, "^target: "),
        ({"splits": (1.0, 1.0, 1.0)}, "splits: got"),
        ({"table": "nowhere.csv"}, "nowhere.csv"),
    ],
)
def test_table_refuses(change, message):
    with pytest.raises(MapstoError, match=message):
        mt.tasks.Table(**({"table": frame(), "target": "outcome", "shots": 3, "queries": 3} | change))


def test_image_folder_reads_and_scales(pictures):
    tasks = mt.tasks.ImageFolder(pictures, ways=3, shots=1, queries=2, size=5, channels=3, splits=(0.4, 0.3, 0.3))
    episode = tasks.batch(0, 10)
    assert episode.support.x.shape == (10, 3, 3, 5, 5)
    assert tasks.names == list("abcdefghijkl") and (episode.query.x[:, :, 2] * 255).round().unique().tolist() == [90]
    colour = (episode.support.x[..., 0, 0] * 255).round()  # [T, n, channel]: red is 20 · class, green 40 · example
    drawn = [torch.cat([episode.support.x, episode.query.x], 1)[..., 0, 0] * 255]
    assert set(colour[..., 0].unique().tolist()) <= {20.0 * c for c in range(12)}
    law_splits_share_no_class(Broken(tasks, _first_pixel))
    law_examples_distinct(Broken(tasks, _first_pixel))
    assert drawn[0].max() <= 255


def _first_pixel(episode, tasks, generator):
    return episode._replace(
        support=episode.support._replace(x=episode.support.x[..., 0, 0]),
        query=episode.query._replace(x=episode.query.x[..., 0, 0]),
    )


def test_image_folder_refuses(pictures, tmp_path):
    def refused(path, message, **shape):
        with pytest.raises(MapstoError, match=message) as caught:
            mt.tasks.ImageFolder(path, **({"ways": 2, "shots": 1, "queries": 2} | shape))
        assert "\n" not in str(caught.value)

    refused(tmp_path / "nowhere", "^path: got .*nowhere")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "^path: got .*empty")
    refused(pictures, r"^path .*: got 6 example", queries=20)
    refused(pictures, "^channels: ", channels=2)
    (pictures / "b" / "2.png").write_bytes((pictures / "b" / "2.png").read_bytes()[:40])
    refused(pictures, r"path: .*2\.png cannot be read as a picture")
    (pictures / "b" / "2.png").write_bytes(b"not a picture")
    refused(pictures, r"path: .*2\.png cannot be read as a picture")
    (tmp_path / "one" / "only").mkdir(parents=True)
    (pictures / "a" / "0.png").rename(tmp_path / "one" / "only" / "0.png")
    refused(tmp_path / "one", r"^path .*: got 1 class")


# --- Omniglot ---------------------------------------------------------------------------------------------------------


def glyphs(part):
    """Decode a batch of drawings: [T, n, (character, drawer, turns)]."""
    return np.array([[read_glyph(image[0].numpy() > 0.5) for image in task] for task in part.x])


@pytest.mark.parametrize("rotations", ["classes", "random", "none"])
def test_omniglot_classes_are_characters_turned(omniglot, rotations):
    tasks = omniglot(rotations=rotations)
    for split, characters in (("train", range(24)), ("validation", range(24, 32)), ("test", range(32, 48))):
        batch = tasks.of(split).batch(0, 30)
        drawn = np.concatenate([glyphs(batch.support), glyphs(batch.query)], 1)
        y = torch.cat([batch.support.y, batch.query.y], 1).numpy()
        assert set(drawn[..., 0].flat) <= set(characters) and len(set(drawn[..., 0].flat)) > len(characters) / 2
        assert set(drawn[..., 2].flat) == ({0} if rotations == "none" else {0, 1, 2, 3})
        for task, labels in zip(drawn, y, strict=True):
            assert (
                len({(*row[[0, 2]], label) for row, label in zip(task, labels, strict=True)}) == 4
            )  # one turn a class
            assert len({tuple(row) for row in task}) == len(task)  # no drawing twice
            assert rotations == "classes" or len(set(task[:, 0])) == 4  # upright or turned, a character once


def test_omniglot_schemes(omniglot, unchecked):
    def characters(tasks):
        return [set(np.concatenate([pool.numpy() for pool in tasks.pools[split]]) % 48) for split in SPLITS]

    assert characters(omniglot(scheme="vinyals")) == [set(range(24)), set(range(24, 32)), set(range(32, 48))]
    assert characters(omniglot(scheme="snell")) == [set(range(32)), set(), set(range(32, 48))]
    with pytest.raises(MapstoError, match=r"^ways: got \d, "):
        omniglot(scheme="snell").validation.batch(0, 1)
    assert characters(omniglot(scheme="background")) == [set(range(30)), set(range(30, 36)), set(range(36, 48))]
    with pytest.raises(MapstoError, match=r"scheme: got 'koch'"):
        omniglot(scheme="koch")
    with pytest.raises(MapstoError, match=r"rotations: got 'all'"):
        omniglot(rotations="all")
    with pytest.raises(MapstoError, match=r"^ways: got 40, "):
        omniglot(ways=40).validation.batch(0, 1)


def law_one_alphabet(tasks):
    for task in glyphs(tasks.batch(0, 40).support):
        assert len({(row[0] // 6, row[2]) for row in task}) == 1


def test_omniglot_within_an_alphabet(omniglot):
    law_one_alphabet(omniglot(within_alphabet=True))
    with pytest.raises(AssertionError):
        law_one_alphabet(omniglot())


def test_shrinking_agrees_with_pillow():
    bits = np.random.default_rng(0).random((3, 105, 105)) < 0.3
    ours = omniglot_files._shrink(np.packbits(bits.reshape(3, -1), axis=-1), 105, 28)
    for one, image in zip(ours.numpy(), bits, strict=True):
        theirs = Image.fromarray((image * 255).astype(np.uint8)).resize((28, 28), Image.Resampling.BILINEAR)
        assert np.abs(one.astype(int) - np.array(theirs).astype(int)).max() <= 1 and one.std() > 10


def zipped(part, alphabets):
    """Zip PNG drawings as the authors do: images_part/Alphabet/character01/0001_01.png, ink black."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for a, c, d in itertools.product(range(alphabets), range(2), range(20)):
            image = np.ones((105, 105), bool)
            image[a * 10 + c, d] = False
            png = io.BytesIO()
            Image.fromarray(image).save(png, "png")
            archive.writestr(
                f"images_{part}/Z{a}/character{c + 1:02d}/{a * 2 + c + 1:04d}_{d + 1:02d}.png", png.getvalue()
            )
    return buffer.getvalue()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A stand-in for the authors' sites, and an empty cache."""
    site = tmp_path / "site"
    site.mkdir()
    content = {
        "images_background.zip": zipped("background", 3),
        "images_evaluation.zip": zipped("evaluation", 2),
        "train.txt": b"Z0/character01/rot000\nZ0/character02/rot000\n",
        "val.txt": b"Z1/character01/rot000\nZ1/character02/rot000\n",
        "test.txt": b"Z2/character01/rot000\nZ2/character02/rot000\n",
    }
    for name, data in content.items():
        (site / name).write_bytes(data)
    sources = {name: (site.as_uri(), hashlib.sha256(data).hexdigest()) for name, data in content.items()}
    monkeypatch.setattr(omniglot_files, "SOURCES", sources)
    monkeypatch.delenv("MAPSTO_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return site


def test_omniglot_downloads_once_and_checks(published, tmp_path):
    tasks = mt.tasks.Omniglot(ways=2, shots=1, queries=1, size=105)
    assert tasks.batch(0, 2).support.x.shape == (2, 2, 1, 105, 105)
    drawings = omniglot_files.drawings(105)
    assert drawings.names[:3] == ("Z0/character01", "Z0/character02", "Z1/character01") and len(drawings.names) == 10
    assert drawings.background.tolist() == [True] * 6 + [False] * 4
    where = drawings.images[3].flatten(1).argmax(1)  # Z1/character02: ink at row 11, column the drawer
    assert where.tolist() == [11 * 105 + d for d in range(20)] and (drawings.images[3] > 0).sum() == 20
    for file in published.iterdir():
        file.unlink()
    omniglot_files._drawings.cache_clear()
    assert torch.equal(omniglot_files.drawings(105).images, drawings.images)  # from the cache
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_omniglot_refuses_a_changed_download(published, tmp_path):
    (published / "images_evaluation.zip").write_bytes(b"something else")
    with pytest.raises(MapstoError, match=r"^Omniglot: got .*images_evaluation\.zip with SHA-256"):
        omniglot_files.drawings(104)
    assert not list((tmp_path / "cache").rglob("*"))
    (published / "images_background.zip").unlink()
    with pytest.raises(MapstoError, match=r"could not download .*images_background\.zip .*or set MAPSTO_DATA"):
        omniglot_files.drawings(104)
    with pytest.raises(MapstoError, match=r"grey: got False, but .*omniglot28\.npz does not exist"):
        omniglot_files.drawings(28, grey=False)


def test_omniglot_names_what_is_missing_or_corrupt(tmp_path, monkeypatch):
    monkeypatch.setenv("MAPSTO_DATA", str(tmp_path / "data"))
    with pytest.raises(MapstoError, match=r"^MAPSTO_DATA: got a folder without .*omniglot105_bits\.npz"):
        mt.tasks.Omniglot()
    with pytest.raises(MapstoError, match=r"size: got 0"):
        mt.tasks.Omniglot(size=0)
    file = small_omniglot(tmp_path / "data") / "omniglot" / "omniglot105_bits.npz"
    whole = file.read_bytes()
    for broken in (b"", b"not an archive", whole[: len(whole) // 2], whole[:3000] + bytes(200) + whole[3200:]):
        file.write_bytes(broken)
        with pytest.raises(MapstoError, match=r"omniglot105_bits\.npz is corrupt .*; delete it"):
            mt.tasks.Omniglot(size=7)
    file.write_bytes(whole)
    (file.parent / "vinyals" / "val.txt").write_text("Klingon/character01/rot000\n")
    with pytest.raises(MapstoError, match=r"^scheme: got 'Klingon/character01'"):
        mt.tasks.Omniglot(size=7)


@real_data
def test_real_omniglot_has_the_published_splits():
    def sizes(**chosen):
        return [sum(map(len, mt.tasks.Omniglot(**chosen).pools[split])) for split in SPLITS]

    assert sizes() == [4 * 1028, 4 * 172, 4 * 423]
    assert sizes(rotations="none") == [1028, 172, 423]
    assert sizes(scheme="random", rotations="random") == [1100, 100, 423]
    train, validation, test = sizes(scheme="background", rotations="none")
    assert train + validation == 964 and test == 659 and 100 < validation < 250


@real_data
@pytest.mark.parametrize(("grey", "low", "high"), [(False, 0.36, 0.48), (True, 0.42, 0.56)])
def test_nearest_pixels_on_real_omniglot(grey, low, high):
    """Vinyals et al. 2016, Table 1: the nearest image by pixels is right 41.7 % of the time (5-way 1-shot).

    Antialiasing blurs, which brings two drawings of a character closer: it is right more often.
    """
    episode = mt.tasks.Omniglot(queries=5, grey=grey).test.batch(0, 300)
    support, query = (torch.nn.functional.normalize(part.x.flatten(2), dim=-1) for part in episode[:2])
    nearest = (query @ support.mT).argmax(-1)
    accuracy = (episode.support.y.gather(1, nearest) == episode.query.y).float().mean()
    assert low < accuracy < high


@real_data
@pytest.mark.parametrize("name", ["heart.statlog", "autos", "vote"])
@pytest.mark.filterwarnings("ignore:column .* never seen in the training rows")
def test_real_tables(name):
    known = next(t for t in json.loads((Path(REAL) / "tables" / "manifest.json").read_text()) if t["name"] == name)
    tasks = mt.tasks.Table(Path(REAL) / "tables" / known["file"], "target", shots=12, queries=10)
    batch = tasks.batch(0, 20)
    assert len(tasks.names) == known["classes"] and len(tasks.y) == known["rows"]
    assert batch.support.x.shape == (20, 12, known["features"])
    assert all(len(y.unique()) == known["classes"] for y in batch.support.y)
    assert bool(tasks.x.isnan().any()) == (known.get("missing", 0) > 0)


@real_data
def test_the_two_real_files_hold_the_same_drawings():
    grey, bits = omniglot_files.drawings(28), omniglot_files.drawings(28, grey=False)
    assert grey.names == bits.names and len(grey.names) == 1623
    one, other = (d.images[::40].flatten(1).float() for d in (grey, bits))
    likeness = torch.corrcoef(torch.cat([one, other]))[: len(one), len(one) :]
    assert torch.equal(likeness.argmax(1), torch.arange(len(one)))


# --- indices ----------------------------------------------------------------------------------------------------------


def test_a_source_refuses_what_no_batch_is(unchecked):
    tasks = mt.tasks.Sinusoids()
    with pytest.raises(ValueError, match="split: got 'dev'"):
        tasks.of("dev")
    with pytest.raises(ValueError, match="index: got -1"):
        tasks.batch(-1, 2)
    with pytest.raises(ValueError, match="count: got 0"):
        tasks.batch(0, 0)
    with pytest.raises(MapstoError, match="rule: got 'syn7'"):
        mt.tasks.Planted("syn7")
    with pytest.raises(MapstoError, match="features: got 10"):
        mt.tasks.Planted(features=10)
    with pytest.raises(MapstoError, match="sharpness: got 0"):
        mt.tasks.Planted(sharpness=0)


def test_classes_of_one_task_come_from_one_pool():
    pools = [torch.tensor([0, 1]), torch.tensor([2, 3, 4]), torch.tensor([5, 6, 7])]
    drawn = classes.pick(torch.Generator().manual_seed(0), pools, ways=3, count=300)
    assert {tuple(sorted(task.tolist())) for task in drawn} == {(2, 3, 4), (5, 6, 7)}


def test_the_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.delenv("MAPSTO_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert omniglot_files.folder() == Path("/somewhere/mapsto/omniglot")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert omniglot_files.folder() == Path.home() / ".cache" / "mapsto" / "omniglot"
    monkeypatch.setenv("MAPSTO_DATA", "/data")
    assert omniglot_files.folder() == Path("/data/omniglot")


@pytest.mark.parametrize("curvature", [0.0, 2.0])
def test_the_true_probabilities_of_logistic_tasks_are_the_best_and_calibrated(curvature: float) -> None:
    tasks = mt.tasks.Logistic(features=2, shots=3, queries=400, curvature=curvature)
    x, y, _ = tasks.batch(0, 40).query
    best = tasks.bayes(0, 40)
    generator = tasks.generator(0, 40)
    a, b = 1 + torch.randn(40, 2, generator=generator), 0.5 * torch.randn(40, 1, generator=generator)
    log_odds = (x * a[:, None]).sum(-1) + b
    torch.randn(40, 403, 2, generator=generator)  # x
    if curvature:
        c = curvature * torch.randn(40, 1, 2, generator=generator)
        log_odds += (c * (x.square() - 1) / 2**0.5).sum(-1)

    def log_loss(scale: float) -> float:
        return float(torch.nn.functional.binary_cross_entropy_with_logits(scale * log_odds, y.float()))

    assert log_loss(1.0) == pytest.approx(best, abs=0.01)  # 16,000 labels
    assert 0.3 < best < log_loss(0.7) and best < log_loss(1.4) < 0.7


def test_curved_log_odds_need_a_curvature_from_zero() -> None:
    with pytest.raises(MapstoError, match=r"^curvature: "):
        mt.tasks.Logistic(curvature=-1.0)


@pytest.mark.parametrize("splits", [(0.5, 0.5, 0.5), (1.0, 0.4, 0.3), (0.0, 0.0, 0.0), (0.6, -0.1, 0.5)])
def test_fractions_that_are_not_those_of_a_division_are_refused(splits):
    with pytest.raises(MapstoError, match=r"^splits: "):
        mt.tasks.Table(frame(), "outcome", splits=splits)


def test_a_column_of_many_whole_numbers_holds_classes_and_one_of_decimals_does_not():
    codes = pd.DataFrame({"x": np.arange(60.0), "code": np.arange(60) % 30})
    assert len(mt.tasks.Table(codes, "code", shots=5, queries=5).names) == 30
    with pytest.raises(MapstoError, match=r"^target: got 30 different numbers"):
        mt.tasks.Table(codes.assign(code=codes["code"] / 4), "code", shots=5, queries=5)
