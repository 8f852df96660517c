"""Training measures whether `vmap` or the loop is faster for small convolutions; the numbers do not depend on it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from mapsto.episodes import Episode, Examples
from mapsto.learners import Learner, PrototypicalNetwork
from mapsto.models import MLP
from mapsto.processes import Processes
from mapsto.tasks import Tasks
from mapsto.training import choosing, train
from mapsto.training.loop import _at_once
from mapsto.training.progress import Progress
from mapsto.training.settings import Settings


class Pictures(Tasks):
    """Noise of 8 × 8 pixels in two classes."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        y = torch.tensor([0, 1, 0, 1]).expand(count, 4)
        shown = (Examples(torch.randn(count, 4, 1, 8, 8, generator=generator), y, torch.full(y.shape, 0.25)),) * 2
        return Episode(*shown)


class Counting(PrototypicalNetwork):
    """Counts the tasks computed one by one, and those under vmap."""

    together: int = 0
    apart: int = 0

    def adapt(self, support: Examples) -> Any:
        if torch._C._functorch.is_batchedtensor(support.x):
            self.together += 1
        else:
            self.apart += 1
        return super().adapt(support)


def never(*ways: object) -> bool:
    raise AssertionError("measured")


def learner(*more: nn.Module) -> Counting:
    torch.manual_seed(0)
    return Counting(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), *more, nn.Linear(72, 3)), ways=2)


class Clock:
    """A clock that work moves on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, *seconds: float) -> Callable[[], None]:
        runs = iter(seconds)

        def run() -> None:
            self.now += next(runs)

        return run


@pytest.mark.parametrize(
    ("vmap", "loop", "expected"),
    [((9, 0.01), (8, 0.02), True), ((0.02, 0.09), (0.01, 0.09), False), ((0.03, 0.01), (0.02, 0.02), True),
     ((), (0.4, 0.3), False)],
)  # fmt: skip
def test_the_least_time_of_several_runs_decides(vmap: tuple, loop: tuple, expected: bool) -> None:
    clock = Clock()
    assert choosing.quicker(clock.work(*vmap), clock.work(*loop), clock) == expected


def stop_after_one(run: Path) -> None:
    for _ in train(learner(), Pictures(), steps=4, batch=2, lr=0.01, optimizer="sgd", run=run):
        break


def weights(net: Counting) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def meta_of(checkpoint: Path) -> dict[str, str]:
    with safe_open(checkpoint, "pt") as file:
        return file.metadata()


def test_training_computes_tasks_as_measured_and_keeps_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for way in (True, False):
        monkeypatch.setattr(choosing, "quicker", lambda *ways, way=way: way)
        net = learner()
        list(train(net, Pictures(), steps=4, batch=2, lr=0.01, optimizer="sgd"))
        together, apart = (1 + 4, 1) if way else (1, 1 + 8)  # before: one task, and two under vmap
        assert (net.together, net.apart) == (together, apart)
        ends.append(weights(net))
        stop_after_one(tmp_path / str(way))
        monkeypatch.setattr(choosing, "quicker", never)
        resumed = learner()
        list(
            train(resumed, Pictures(), steps=4, batch=2, lr=0.01, optimizer="sgd", run=tmp_path / str(way), resume=True)
        )
        assert bool(resumed.together) == way
        assert all(map(torch.equal, weights(resumed), ends[-1]))
    torch.testing.assert_close(*ends)
    assert not all(map(torch.equal, ends[0], weights(learner())))


def test_a_checkpoint_from_before_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "quicker", lambda *ways: True)
    stop_after_one(tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    meta = meta_of(path)
    assert meta.pop("at_once") == "1"
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, meta)
    monkeypatch.setattr(choosing, "quicker", lambda *ways: False)
    list(train(learner(), Pictures(), steps=4, batch=2, lr=0.01, optimizer="sgd", run=tmp_path / "run", resume=True))
    assert meta_of(path)["at_once"] == "0"


@pytest.mark.parametrize(
    ("make", "options"),
    [(learner, {"vectorise": True}), (learner, {"chunk_size": 1}), (learner, {"threads": 2, "chunk_size": 1}),
     (learner, {"batch": 1}), (lambda: learner(nn.Dropout(0.5)), {}), (lambda: PrototypicalNetwork(MLP(64, 3), 2), {})],
    ids=["at once", "chunks", "threads", "one task", "dropout", "no convolution"],
)  # fmt: skip
def test_what_is_known_is_not_measured(
    make: Callable[[], Learner], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "quicker", never)
    assert len(list(train(make(), Pictures(), **{"steps": 1, "batch": 2, **options}))) == 1
    assert not Settings(steps=1, batch=2, compile=True).measures


def test_a_process_measures_its_own_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[int] = []
    monkeypatch.setattr(
        choosing, "at_once", lambda learner, params, episodes, by: tasks.append(len(episodes.support.w))
    )
    progress, settings = Progress(learner(), 0.0, None), Settings(steps=1, batch=5)
    for rank in (0, 1):
        _at_once(progress, Pictures(), settings, Processes(rank, 2))
    assert tasks == [2, 3]


def test_the_choice_is_logged_and_real_times_lead_to_one(caplog: pytest.LogCaptureFixture) -> None:
    net = learner()
    with caplog.at_level(logging.INFO, "mapsto"):
        choice = choosing.at_once(net, dict(net.named_parameters()), Pictures().batch(0, 2), None)
    assert choice is not None
    assert ("are computed at once" in caplog.text) == choice
