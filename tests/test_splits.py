"""Which rows of a table teach, are explained and measure quality: against brute force over all ways to share."""

import itertools

import numpy as np
import pandas as pd
import pytest

from mapsto.errors import MapstoError
from mapsto.tables.splits import split, stratified, training_rows, whole_groups


def best_gap(counts: list[int], rows: int) -> float:
    """Return the smallest squared distance from proportional shares if every class is there."""
    share = np.array(counts) * rows / sum(counts)
    quotas = itertools.product(*(range(1, count + 1) for count in counts))
    return min(float(np.square(np.array(quota) - share).sum()) for quota in quotas if sum(quota) == rows)


@pytest.mark.parametrize("counts", [[5], [1, 6], [2, 3, 4], [1, 1, 7], [1, 2, 2, 5]])
def test_a_sample_is_as_proportional_as_whole_rows_allow(counts: list[int]) -> None:
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    for rows in range(1, len(y) + 1):
        chosen = stratified(y, rows, seed=0)
        assert len(set(chosen.tolist())) == len(chosen) == rows
        quota = np.bincount(y[chosen], minlength=len(counts))
        if rows < len(counts):
            assert quota.max() == 1
        else:
            gap = np.square(quota - np.array(counts) * rows / len(y)).sum()
            assert quota.min() >= 1 and gap == pytest.approx(best_gap(counts, rows))


def test_a_sample_is_random_and_its_seed_decides() -> None:
    y = np.arange(60) % 2
    first, again, other = (stratified(y, 20, seed).tolist() for seed in (0, 0, 1))
    assert first == again and set(first) != set(other)


def outcome(unknown: int = 0, known: int = 30) -> pd.Series:
    return pd.Series([None] * unknown + ["yes", "no", "no"] * (known // 3), dtype=object)


@pytest.mark.parametrize(
    ("y", "rows", "limit", "sizes"),  # rows to learn from, to explain, to measure quality with
    [
        (outcome(), None, 100, (20, 10, 10)),  # two thirds
        (outcome(), None, 12, (12, 18, 18)),
        (outcome(known=3), None, 100, (2, 1, 1)),
        (outcome(), 7, 100, (7, 23, 23)),
        (outcome(unknown=4), None, 100, (30, 4, 0)),
        (outcome(unknown=4), None, 30, (30, 4, 0)),
        (outcome(unknown=4), None, 29, (29, 4, 1)),
        (outcome(unknown=4), 9, 100, (9, 4, 21)),
    ],
)
def test_rows_without_an_outcome_are_explained_and_quality_is_measured_on_rows_not_learned(
    y: pd.Series, rows: int | None, limit: int, sizes: tuple[int, int, int]
) -> None:
    parts = split(y, rows, limit, seed=0)
    assert tuple(map(len, (parts.train, parts.explain, parts.test))) == sizes
    assert y[parts.train].notna().all() and y[parts.test].notna().all()
    assert not set(parts.train) & (set(parts.explain) | set(parts.test))
    assert len({*parts.train, *parts.explain, *parts.test}) == len(y)
    assert parts.train.tolist() == training_rows(y, len(parts.train), limit, seed=0).tolist()


# --- groups -----------------------------------------------------------------------------------------------------------


def visits(seed: int, patients: int, most: int, constant: bool) -> tuple[pd.Series, np.ndarray]:
    """Return outcomes and patients of visits; the outcome is one of the patient, or changes."""
    r = np.random.default_rng(seed)
    group = np.repeat([f"P{i}" for i in range(patients)], r.integers(1, most + 1, patients))
    _, code = np.unique(group, return_inverse=True)
    sick = r.uniform(size=patients)[code] if constant else r.uniform(size=len(group))
    order = r.permutation(len(group))
    return pd.Series(np.where(sick < 0.35, "ill", "well")[order]), group[order]


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_no_group_is_learned_and_tested_and_classes_keep_their_shares(seed: int, constant: bool) -> None:
    most = 2 + seed % 5
    y, groups = visits(seed, 30 + 5 * seed, most, constant)
    parts = split(y, None, 1000, seed, groups)
    assert not set(groups[parts.train]) & set(groups[parts.test])
    assert sorted([*parts.train, *parts.test]) == list(range(len(y)))
    for name, count in y.value_counts().items():  # within the rows of one group
        assert abs((y[parts.train] == name).sum() - 2 * count / 3) <= most


def test_the_seed_decides_which_groups_are_learned() -> None:
    y, groups = visits(0, 40, 4, True)
    first, again, other = (split(y, None, 1000, seed, groups).train.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_single_rows_as_groups_are_a_stratified_sample() -> None:
    y = outcome(known=60)
    parts = split(y, 30, 100, 0, np.arange(60))
    assert len(parts.train) == 30 and (y[parts.train] == "yes").sum() == 10


def test_groups_never_pass_the_limit_and_one_group_is_refused() -> None:
    y, groups = visits(3, 40, 5, False)
    assert len(split(y, None, 25, 0, groups).train) <= 25
    halves = np.array(["a", "b"]).repeat(15)
    assert len(split(outcome(known=30), 28, 100, 0, halves).test) == 15
    with pytest.raises(MapstoError, match=r"^group: got one group only"):
        split(outcome(), None, 100, 0, np.zeros(30))
    with pytest.raises(MapstoError, match=r"^group: got groups of 15 rows"):
        split(outcome(), None, 10, 0, halves)


def test_groups_of_rows_without_an_outcome_change_nothing() -> None:
    parts = split(outcome(unknown=4), None, 100, 0, np.zeros(34))
    assert len(parts.train) == 30 and len(parts.explain) == 4


def test_other_names_of_classes_and_groups_draw_the_same_rows() -> None:
    generator = np.random.default_rng(0)
    y, groups = generator.choice(["well", "ill", "dead"], 60), generator.integers(0, 20, 60).astype(str)
    renamed = np.array([{"well": "a", "ill": "b", "dead": "c"}[label] for label in y])
    swapped = np.array([str(99 - int(group)) for group in groups])
    for seed in range(5):
        rows = stratified(y, 20, seed)
        assert rows.tolist() == stratified(renamed, 20, seed).tolist()
        assert whole_groups(y, groups, 30, 60, seed).tolist() == whole_groups(renamed, swapped, 30, 60, seed).tolist()
