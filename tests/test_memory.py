"""The bound on memory: what the machine or its container has, and that a table's fit, predict and explain keep it."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mapsto as mt
from mapsto import memory
from mapsto.errors import MapstoError
from mapsto.estimators import chunks

R = np.random.default_rng(0)
X, Y, NEW = R.normal(size=(250, 20)), R.integers(2, size=250), R.normal(size=(64, 20))


def peak(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result, and by how many gigabytes the most memory this process held rose above what it had before."""
    ctypes.CDLL(None).malloc_trim(0)  # what was freed earlier must not hide what is taken now
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    result = work()
    return result, (status("VmHWM") - before) / 1e6


def status(field: str) -> int:
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index(f"{field}:") + 1])


def groups(tmp_path: Path, own: str, **limits: str) -> list[int]:
    """Return the limits of control groups whose files are `limits`, by their path with __ for a slash."""
    for path, text in limits.items():
        file = tmp_path / path.replace("__", "/").replace("_max", ".max").replace("_limit", ".limit_in_bytes")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "own").write_text(own)
    return sorted(memory._limits(tmp_path, tmp_path / "own"))


def test_the_limit_of_each_container_around_the_process_counts(tmp_path: Path) -> None:
    limits = {"memory_max": "9000\n", "a__memory_max": "max\n", "a__b__memory_max": "7000\n"}
    assert groups(tmp_path, "0::/a/b\n", **limits) == [7000, 9000]


def test_the_first_version_of_control_groups_counts_too(tmp_path: Path) -> None:
    own = "5:cpu:/x\n4:memory:/docker/c\n"
    assert groups(tmp_path, own, memory__memory_limit="8000", memory__docker__c__memory_limit="50") == [50, 8000]


def test_without_control_groups_the_machine_is_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_OWN", tmp_path / "none")
    assert memory.of_machine() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory.bound() == memory.of_machine() // 4


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan")])
def test_a_bound_is_a_number_above_0(wrong: float) -> None:
    with pytest.raises(MapstoError, match=r"^max_memory: got"):
        mt.TableClassifier(max_memory=wrong).fit(X[:9], Y[:9])


@pytest.mark.slow
def test_a_bounded_estimator_keeps_its_bound_and_returns_the_same(unchecked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores read 48 rows each without a bound, and 8 rows on one or two with it."""
    mt.TableClassifier().fit(X[:9, :2], Y[:9]).explain(NEW[:9, :2])  # loads the mapping
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        free = mt.TableClassifier(max_memory=50).fit(X, Y)
        wanted = free.explain(NEW)
        # the least of three, because the allocator may grow once by pieces that are nobody's
        fits = [peak(lambda: mt.TableClassifier(max_memory=0.15).fit(X, Y)) for _ in range(3)]
        clf, of_fit = fits[-1][0], min(of for _, of in fits)
        clf.max_memory = 0.06
        with pytest.warns(UserWarning, match=r"^max_memory: 8 rows are read at a time on 1 core"):
            found, of_explain = peak(lambda: clf.explain(NEW))
        with pytest.warns(UserWarning, match=r"^max_memory"):
            p, of_predict = peak(lambda: clf.predict_proba(NEW))
        monkeypatch.setattr(chunks, "_BYTES", 1)  # a mutant that thinks a row takes next to nothing
        _, of_mutant = peak(lambda: clf.explain(np.tile(NEW, (3, 1))))
    finally:
        torch.set_num_threads(threads)
    assert of_fit < 0.15 and of_explain < 0.06 and of_predict < 0.06 < of_mutant
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-6)
    np.testing.assert_allclose(p, wanted.predictions, atol=1e-6)


def test_what_cannot_be_bounded_is_refused_with_the_need() -> None:
    with pytest.raises(MapstoError, match=r"^max_memory: got 0\.1 GB, expected 0\.14 GB to read 250 training rows"):
        mt.TableClassifier(max_memory=0.1).fit(X, Y)
    clf = mt.TableClassifier(max_memory=0.02).fit(X[:20, :3], Y[:20])
    with pytest.raises(MapstoError, match=r"for the results of 90,000 rows; call explain_batches, or raise it\.$"):
        clf.explain(np.zeros((90_000, 3)))
    clf.max_memory = 0.0005
    with pytest.raises(MapstoError, match=r"^max_memory: got room for .* to read 8 rows at a time"):
        clf.predict(X[:2, :3])


def test_the_need_of_reading_is_above_the_state() -> None:
    """The sizes of the shipped mapping, written down in `chunks`, are those of its state."""
    clf = mt.TableRegressor(members=3).fit(X[:20, :4], X[:20, 0])
    kept = sum(part.numel() * part.element_size() for layer in clf.state_.memories for part in layer)
    assert kept == 2 * chunks.LAYERS * chunks.TOKEN * 3 * 21 * 5
    assert kept < chunks.of_reading(20, 4, 3) < 4 * kept
