"""Meta-training: the meta-gradient against plain autograd, the loop against plain torch, runs against interruption."""

import copy
import json
import logging
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from torch import Tensor, nn

from mapsto import checks
from mapsto.adaptation import batching, losses
from mapsto.adaptation.differentiation import FirstOrder
from mapsto.cli import main
from mapsto.episodes import Episode, Examples, stack, to, unstack
from mapsto.errors import MapstoError
from mapsto.learners import MAML, Learner, MultiTask, PrototypicalNetwork, Reptile
from mapsto.models import MLP, Conv4
from mapsto.tasks import Sinusoids, Tasks
from mapsto.training import load_weights, memory, meta, meta_gradient, train
from mapsto.training.estimators import Exact
from mapsto.training.meta import MetaGradient
from mapsto.training.run import read_config, read_tensors
from mapsto.training.schedule import factor
from mapsto.training.validation import ValidationLoss

WAVES = Sinusoids(shots=4, queries=3)


def maml(seed: int = 0, dtype: torch.dtype = torch.float32) -> MAML:
    torch.manual_seed(seed)
    return MAML(MLP(1, 8, 1, activation="tanh"), loss="mse", lr=0.1, steps=2).to(dtype)


def double(episodes: Episode) -> Episode:
    return to(episodes, torch.float64)


def params_of(learner: nn.Module) -> dict[str, Tensor]:
    return dict(learner.named_parameters())


# the meta-gradient


def plain_gradient(learner: MAML, episodes: Episode, second_order: bool = True) -> dict[str, Tensor]:
    """Differentiate through two steps of descent with `torch.autograd.grad` alone, task after task."""
    names, start = zip(*learner.body.named_parameters(), strict=True)
    total = [torch.zeros_like(p) for p in start]
    tasks = unstack(episodes)
    for task in tasks:
        moved = list(start)
        for _ in range(2):
            inner = _error(learner, names, moved, task.support)
            slopes = torch.autograd.grad(inner, moved, create_graph=second_order)
            moved = [p - 0.1 * slope for p, slope in zip(moved, slopes, strict=True)]
        outer = torch.autograd.grad(_error(learner, names, moved, task.query), start)
        total = [t + g / len(tasks) for t, g in zip(total, outer, strict=True)]
    return {f"body.{name}": t for name, t in zip(names, total, strict=True)}


def _error(learner: MAML, names: tuple[str, ...], params: list[Tensor], on: Examples) -> Tensor:
    prediction = torch.func.functional_call(learner.body, dict(zip(names, params, strict=True)), (on.x,))
    return (on.w * (prediction - on.y).square().mean(-1)).sum()


def law_of_the_meta_gradient(gradient: Callable[[MAML], MetaGradient]) -> None:
    learner, episodes = maml(dtype=torch.float64), double(WAVES.batch(0, 5))
    grads, metrics = gradient(learner)(params_of(learner), episodes)
    expected = plain_gradient(learner, episodes)
    assert set(grads) == set(expected)
    for name in expected:
        assert expected[name].abs().max() > 1e-3
        torch.testing.assert_close(grads[name], expected[name], rtol=1e-9, atol=1e-12)
    losses = [learner.loss(task)[0] for task in unstack(episodes)]
    torch.testing.assert_close(metrics["loss"], torch.stack(losses).mean(), rtol=1e-9, atol=0)


WAYS = {
    "at once": {},
    "one by one": {"vectorise": False},
    "in chunks": {"chunk_size": 2},
    "in one chunk": {"chunk_size": 50},
    "in threads": {"chunk_size": 2, "threads": 2},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_meta_gradient_is_that_of_plain_autograd(way: str) -> None:
    law_of_the_meta_gradient(lambda learner: meta_gradient(learner, **WAYS[way]))


def _summed(learner: MAML) -> MetaGradient:
    def gradient(params: dict[str, Tensor], episodes: Episode) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        grads, metrics = meta_gradient(learner)(params, episodes)
        return {name: 5 * grad for name, grad in grads.items()}, metrics

    return gradient


def _first_order(learner: MAML) -> MetaGradient:
    learner.differentiation = FirstOrder()
    return meta_gradient(learner)


def _unequal_chunks(learner: MAML) -> MetaGradient:
    def gradient(params: dict[str, Tensor], episodes: Episode) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        chunks = [stack(unstack(episodes)[:4]), stack(unstack(episodes)[4:])]
        parts = [meta_gradient(learner)(params, chunk) for chunk in chunks]  # the last task counts four times
        return {name: (parts[0][0][name] + parts[1][0][name]) / 2 for name in params}, parts[0][1]

    return gradient


@pytest.mark.parametrize("mutant", [_summed, _first_order, _unequal_chunks])
def test_the_law_of_the_meta_gradient_finds_mutants(mutant: Callable[[MAML], MetaGradient]) -> None:
    with pytest.raises(AssertionError):
        law_of_the_meta_gradient(mutant)


_TOGETHER = threading.Barrier(2)


class Meeting(MAML):
    """Lets a loss go on only when another thread is in the midst of one too."""

    def batch_loss(self, episodes: Episode) -> tuple[Tensor, dict[str, Tensor]]:
        try:
            _TOGETHER.wait(20)
            found = super().batch_loss(episodes)
            _TOGETHER.wait(20)
        except BaseException:
            _TOGETHER.abort()  # otherwise the other thread waits for this one
            raise
        return found


ALONE: dict[str, Callable[[], nn.Module]] = {
    "dropout": lambda: nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1)),
    "batch norm": lambda: nn.Sequential(
        nn.Linear(1, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.ReLU(), nn.Linear(8, 1)
    ),
}


class Mapped(MAML):
    """Notes whether `vmap` computes its loss."""

    def loss(self, episode: Episode) -> tuple[Tensor, dict[str, Tensor]]:
        self.mapped = checks.tracing()
        return super().loss(episode)


@pytest.mark.parametrize("name", ALONE)
def test_one_task_is_computed_without_vmap_to_the_same_numbers(name: str) -> None:
    torch.manual_seed(0)
    learner = Mapped(ALONE[name]().double(), loss="mse", lr=0.1)
    by_default, at_once = meta_gradient(learner), meta_gradient(learner, vectorise=True)
    for batch in (double(WAVES.batch(0, tasks)) for tasks in (1, 3, 1)):
        numbers = []
        for gradient in (at_once, by_default):
            torch.manual_seed(1)
            numbers.append(gradient(params_of(learner), batch))
        torch.testing.assert_close(*numbers, rtol=1e-9, atol=1e-12)
        several = len(batch.support.w) > 1
        assert learner.mapped == several
        for vectorise in (True, None):
            torch.manual_seed(1)
            numbers.append(batching.each_task(learner, learner.query_loss, batch, vectorise))
        torch.testing.assert_close(*numbers[2:], rtol=1e-9, atol=1e-12)
        assert learner.mapped == several


def law_of_threads(threaded: Callable[[Learner], MetaGradient]) -> None:
    learner = maml(dtype=torch.float64)
    meeting = Meeting(learner.body, loss="mse", lr=0.1, steps=2)
    before, episodes = params_of(meeting), double(WAVES.batch(0, 2))
    _TOGETHER.reset()
    expected, _ = meta_gradient(learner)(params_of(learner), episodes)
    grads, _ = threaded(meeting)(before, episodes)
    for name, grad in expected.items():
        torch.testing.assert_close(grads[name], grad, rtol=1e-9, atol=1e-12)
    assert all(parameter is before[name] for name, parameter in meeting.named_parameters())


def test_threads_do_not_meddle_with_one_another() -> None:
    law_of_threads(lambda learner: meta_gradient(learner, chunk_size=1, threads=2))


def _one_module_for_all(learner: Learner) -> MetaGradient:
    shared = partial(meta._gradient, meta._Chunk(learner, True), Exact())
    return partial(meta._in_chunks, [shared, shared], 1, directions={})


def test_the_law_of_threads_finds_a_shared_module() -> None:
    with pytest.raises((AssertionError, RuntimeError)):
        law_of_threads(_one_module_for_all)


def test_the_meta_gradient_touches_nothing() -> None:
    learner = maml()
    before = copy.deepcopy(learner.state_dict())
    meta_gradient(learner)(params_of(learner), WAVES.batch(0, 3))
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.state_dict().items())
    assert all(p.grad is None for p in learner.parameters())


def test_the_meta_gradient_keeps_no_graph() -> None:
    learner = maml()
    grads, metrics = meta_gradient(learner)(dict(learner.named_parameters()), WAVES.batch(0, 3))
    assert not any(tensor.requires_grad for tensor in (*grads.values(), *metrics.values()))


def faults(allocations: int = 5) -> int:
    """Return the pages that the kernel had to bring for a large block, allocated and freed a few times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(allocations):
        torch.ones(1 << 24)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(memory._glibc() is None, reason="the C library is not glibc")
def test_training_keeps_the_memory_it_frees_and_then_returns_it() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    outside = faults()
    taught = train(maml(), WAVES, steps=3, batch=2)
    next(taught)
    faults(2)
    assert min(faults() for _ in range(3)) < outside / 10  # what else goes on brings pages too
    kept = resident()
    taught.close()
    assert resident() < kept - (1 << 25)


class Images(Tasks):
    def draw(self, generator: torch.Generator, count: int) -> Episode:
        x, y = torch.rand(count, 8, 1, 16, 16, generator=generator), torch.arange(2).repeat(count, 4)
        w = torch.full((count, 4), 0.25)
        return Episode(Examples(x[:, :4], y[:, :4], w), Examples(x[:, 4:], y[:, 4:], w))


def test_convolutions_on_the_cpu_go_one_task_at_a_time_to_the_same_numbers() -> None:
    learner = PrototypicalNetwork(Conv4(hidden=4, size=16), ways=2).double()
    seen: list[int] = []
    plain = learner.loss
    learner.loss = lambda episode: (seen.append(episode.support.x.dim()), plain(episode))[1]  # type: ignore[method-assign]
    episodes = double(Images().batch(0, 3))
    grads, _ = meta_gradient(learner)(params_of(learner), episodes)
    assert len(seen) == 3
    at_once, _ = meta_gradient(learner, vectorise=True)(params_of(learner), episodes)
    assert len(seen) == 4
    for name, grad in grads.items():
        torch.testing.assert_close(at_once[name], grad, rtol=1e-6, atol=1e-9)


def test_a_learner_may_bring_its_own_batch_loss() -> None:
    class Halved(MAML):
        def batch_loss(self, episodes: Episode) -> tuple[Tensor, dict[str, Tensor]]:
            loss, metrics = super().batch_loss(episodes)
            return loss / 2, metrics | {"own": torch.ones(())}

    learner, episodes = maml(), WAVES.batch(0, 4)
    own = Halved(learner.body, loss="mse", lr=0.1, steps=2)
    expected, _ = meta_gradient(learner)(params_of(learner), episodes)
    grads, metrics = meta_gradient(own)(params_of(own), episodes)
    assert metrics["own"] == 1
    for name, grad in expected.items():
        torch.testing.assert_close(grads[name], grad / 2)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU: none found (g++)"
)
def test_compiled_is_eager() -> None:
    """In a process of its own: `torch.compile` cannot trace annotations that are checked."""
    code = "import test_training; test_training.compiled_is_eager()"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


SCALE = 1.0


def scaled_mse(scores: Tensor, y: Tensor, w: Tensor) -> Tensor:
    return SCALE * losses.mse(scores, y, w)


def compiled_is_eager() -> None:
    global SCALE
    learner = maml(dtype=torch.float64)
    learner.criterion = scaled_mse
    compiled = meta_gradient(learner, compile=True)
    for index in (0, 1):
        learner.steps, SCALE = 1 + index, 1.0 + index  # which the compiled graph must notice
        episodes = double(WAVES.batch(index, 5 + index))
        grads, metrics = compiled(params_of(learner), episodes)
        expected, told = meta_gradient(learner)(params_of(learner), episodes)
        assert set(metrics) == set(told)
        for name in expected:
            torch.testing.assert_close(grads[name], expected[name], rtol=1e-9, atol=1e-12)


def test_without_a_compiler_it_stays_eager_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    with caplog.at_level(logging.WARNING):
        law_of_the_meta_gradient(lambda learner: meta_gradient(learner, compile=True))
    assert "found no C++ compiler (/nowhere/c++)" in caplog.text


# schedules


def test_one_cycle_is_that_of_torch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=50, cycle_momentum=False)
    for step in range(50):
        assert math.isclose(factor("one-cycle", step, 50), optimizer.param_groups[0]["lr"], rel_tol=1e-9)
        if step < 49:
            optimizer.step()
            theirs.step()


def test_cosine_is_that_of_torch_and_constant_is_constant() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    for step in range(20):
        assert math.isclose(factor("cosine", step, 20), optimizer.param_groups[0]["lr"], rel_tol=1e-9)
        assert factor("constant", step, 20) == 1
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_warm_up_rises_to_the_peak(schedule: str) -> None:
    factors = [factor(schedule, step, 100, warmup=10) for step in range(100)]  # type: ignore[arg-type]
    assert factors[:10] == sorted(factors[:10])
    assert 0 < factors[0] < 0.1
    assert max(factors) == pytest.approx(1)
    assert abs(factors.index(max(factors)) - 9.5) <= 0.5


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_have_rates_too(steps: int) -> None:
    for schedule in ("constant", "cosine", "one-cycle"):
        assert all(0 < factor(schedule, step, steps) <= 1 for step in range(steps))


# the loop


def plain_training(learner: MAML, steps: int, clip: float | None, decay: float) -> tuple[dict, dict]:
    """Train with a `for` loop of plain torch; return the parameters and their moving average."""
    params = params_of(learner)
    optimizer = torch.optim.AdamW(params.values(), lr=0.01, weight_decay=0.1, foreach=False)
    average = copy.deepcopy({name: p.detach() for name, p in params.items()})
    for index in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * (1 + math.cos(math.pi * index / steps)) / 2
        optimizer.zero_grad()
        for name, grad in plain_gradient(learner, double(WAVES.batch(index, 5, seed=7))).items():
            params[name].grad = grad
        if clip:
            nn.utils.clip_grad_norm_(params.values(), clip)
        optimizer.step()
        average = {name: decay * average[name] + (1 - decay) * p.detach() for name, p in params.items()}
    return {name: p.detach() for name, p in params.items()}, average


class Doubled(Sinusoids):
    def draw(self, generator: torch.Generator, count: int) -> Episode:
        return double(super().draw(generator, count))


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_training_is_a_plain_loop_of_adamw(clip: float | None, ema: float | None) -> None:
    learner, tasks = maml(dtype=torch.float64), Doubled(shots=4, queries=3)
    said = list(train(learner, tasks, 6, 5, 0.01, seed=7, weight_decay=0.1, clip=clip, schedule="cosine", ema=ema))
    last, average = plain_training(maml(dtype=torch.float64), 6, clip, 0.9)
    for name, tensor in params_of(learner).items():
        torch.testing.assert_close(tensor, (average if ema else last)[name], rtol=1e-7, atol=1e-9)
        assert (average[name] - last[name]).abs().max() > 1e-6
    assert [step.step for step in said] == [1, 2, 3, 4, 5, 6]
    assert all({"loss", "grad_norm", "lr"} <= set(step.metrics) for step in said)
    assert [step.seconds for step in said] == sorted(step.seconds for step in said)


def test_frozen_parameters_stay() -> None:
    learner = MAML(MLP(1, 4, 1), loss="mse")
    learner.body[1].weight.requires_grad_(False)
    before = copy.deepcopy(learner.state_dict())
    list(train(learner, WAVES, steps=2, batch=2, weight_decay=0.1))
    same = {name for name, tensor in learner.state_dict().items() if torch.equal(tensor, before[name])}
    assert same == {"body.1.weight"}


def test_precision_and_device_go_through_fabric() -> None:
    learner, exact = maml(), maml()
    (mixed,) = train(learner, WAVES, steps=1, batch=4, device="cpu", precision="bf16-mixed")
    (full,) = train(exact, WAVES, steps=1, batch=4)
    assert mixed.metrics["loss"] == pytest.approx(full.metrics["loss"], rel=0.05)
    assert mixed.metrics["loss"] != full.metrics["loss"]
    assert all(p.dtype == torch.float32 for p in learner.parameters())


# validation


def test_validation_loss_is_the_mean_over_its_tasks() -> None:
    learner = maml()
    expected = [learner.loss(task)[0] for task in unstack(WAVES.validation.batch(0, 6, 3))]
    found = ValidationLoss(WAVES.validation, episodes=6, batch=4, seed=3)(learner)
    assert found == pytest.approx(float(torch.stack(expected).detach().mean()), rel=1e-5)


@pytest.mark.parametrize("kind", [Reptile, MultiTask])
def test_validation_judges_what_adaptation_leads_to_where_training_does_not(kind: type[Learner]) -> None:
    tasks = Sinusoids(shots=5, queries=5)
    torch.manual_seed(0)
    learner = kind(MLP(1, 8, 1), loss="mse", lr=0.05, steps=3)
    episodes = unstack(tasks.validation.batch(0, 4))
    expected = [
        (learner.predict(learner.adapt(e.support), e.query.x) - e.query.y).square().mean().item() for e in episodes
    ]
    judged = ValidationLoss(tasks.validation, episodes=4)(learner)
    assert judged == pytest.approx(sum(expected) / 4, rel=1e-5)
    assert judged != pytest.approx(learner.loss(episodes[0])[0].item(), rel=1e-2)


@pytest.mark.parametrize("ema", [None, 0.5])
def test_the_best_weights_on_validation_are_kept(tmp_path: Path, ema: float | None) -> None:
    scores, seen = iter([3.0, 1.0, math.nan, 2.0]), []

    def validation(learner: Learner) -> float:
        seen.append(copy.deepcopy(learner.state_dict()))
        return next(scores)

    learner = maml()
    said = list(train(learner, WAVES, 7, 2, ema=ema, validation=validation, validate_every=2, run=tmp_path / "run"))
    assert [step.step for step in said if "validation" in step.metrics] == [2, 4, 6, 7]
    files = read_tensors(tmp_path / "run" / "weights.safetensors")[0]
    for name, tensor in learner.state_dict().items():
        assert torch.equal(tensor, seen[1][name]) and torch.equal(tensor, files[name])
        assert not torch.equal(seen[0][name], seen[1][name])


# runs


def lines(run: Path) -> list[dict]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


def weights(run: Path) -> dict[str, Tensor]:
    return read_tensors(run / "weights.safetensors")[0]


ARGUMENTS = dict(
    steps=12, batch=3, lr=0.02, seed=5, ema=0.8, clip=1.0, schedule="one-cycle", checkpoint_every=3, log_every=1
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    list(train(maml(), WAVES, run=run, **ARGUMENTS))
    return run


def scores_of(learner: Learner) -> float:
    return float(sum(p.detach().square().sum() for p in learner.parameters()))


@pytest.mark.parametrize("stop", [1, 3, 7, 11])
def test_a_resumed_run_has_the_numbers_of_one_that_was_never_stopped(tmp_path: Path, stop: int) -> None:
    arguments = ARGUMENTS | {"validation": scores_of, "validate_every": 4}
    whole = list(train(maml(), WAVES, run=tmp_path / "whole", **arguments))
    steps = train(maml(), WAVES, run=tmp_path / "cut", **arguments)
    for _ in range(stop):
        next(steps)
    killed = tmp_path / "killed"  # what `kill -9` would have left
    killed.mkdir()
    for file in (tmp_path / "cut").iterdir():
        (killed / file.name).write_bytes(file.read_bytes())
    steps.close()
    for run, first in ((tmp_path / "cut", stop + 1), (killed, stop // 3 * 3 + 1)):
        learner = maml(seed=1)  # its weights are to come from the checkpoint
        if first == 1:
            learner = maml()
        rest = list(train(learner, WAVES, run=run, resume=True, **arguments))
        assert [step.step for step in rest] == list(range(first, 13))
        assert [step.metrics for step in rest] == [step.metrics for step in whole[first - 1 :]]
        assert lines(run) == lines(tmp_path / "whole")
        for name, tensor in weights(tmp_path / "whole").items():
            assert torch.equal(weights(run)[name], tensor)
            assert torch.equal(learner.state_dict()[name], tensor)


def test_a_finished_run_resumes_to_its_weights_and_may_go_on(tmp_path: Path) -> None:
    arguments = ARGUMENTS | {"schedule": "constant", "run": tmp_path / "run"}
    list(train(maml(), WAVES, **arguments))
    learner = maml(seed=1)
    assert list(train(learner, WAVES, resume=True, **arguments)) == []
    assert all(torch.equal(tensor, weights(tmp_path / "run")[name]) for name, tensor in learner.state_dict().items())
    longer = list(train(maml(), WAVES, resume=True, **arguments | {"steps": 14}))
    assert [step.step for step in longer] == [13, 14]


def test_init_starts_from_the_weights_of_another_run(trained: Path) -> None:
    learner = maml(seed=1)
    step = next(train(learner, WAVES, steps=1, batch=3, lr=0.0, init=trained))
    assert step.step == 1
    for name, tensor in weights(trained).items():
        assert torch.equal(learner.state_dict()[name], tensor)
    with pytest.raises(MapstoError, match="do not fit this MAML"):
        next(train(MAML(MLP(1, 9, 1), loss="mse"), WAVES, steps=1, batch=3, init=trained))


def test_nothing_half_written_stays(trained: Path) -> None:
    names = {path.name for path in trained.iterdir() if "tfevents" not in path.name}
    assert names == {"config.yaml", "metrics.jsonl", "checkpoint.safetensors", "weights.safetensors"}


def test_tensorboard_reads_the_metrics(trained: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (pip install mapsto[track])")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained))
    events.Reload()
    assert [scalar.step for scalar in events.Scalars("loss")] == list(range(1, 13))
    assert events.Scalars("loss")[-1].value == pytest.approx(lines(trained)[-1]["loss"])


class Broken(Sinusoids):
    """Task 2 of batch 7 has a point that is not finite."""

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        found = super().batch(index, count, seed)
        x = found.query.x.clone()
        if index == 7:
            x[2, 0] = math.inf
        return found._replace(query=found.query._replace(x=x))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    torch.manual_seed(0)
    learner = MAML(MLP(1, 8, 1), loss="mse", lr=0.1)
    with pytest.raises(
        MapstoError,
        match=r"step 8 \(task 2 of its batch.*last good checkpoint is step 6 in .*run; start a new run with a lower lr",
    ):
        list(train(learner, Broken(shots=4, queries=3), run=tmp_path / "run", **ARGUMENTS))
    assert all(tensor.isfinite().all() for tensor in learner.state_dict().values())
    assert read_tensors(tmp_path / "run" / "checkpoint.safetensors")[1]["step"] == "6"


def test_a_run_is_not_overwritten_nor_resumed_otherwise(trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    with pytest.raises(MapstoError, match="already holds a checkpoint"):
        next(train(maml(), WAVES, run=run, **ARGUMENTS))
    with pytest.raises(MapstoError, match=r"has lr=0.02 \(got 0.5\)"):
        next(train(maml(), WAVES, run=run, resume=True, **ARGUMENTS | {"lr": 0.5}))
    with pytest.raises(MapstoError, match=r"has steps=12 \(got 20\)"):  # would change the schedule of the steps done
        next(train(maml(), WAVES, run=run, resume=True, **ARGUMENTS | {"steps": 20}))
    with pytest.raises(MapstoError, match=r"has learner.lr=0.1 \(got 0.01\)"):
        next(train(MAML(MLP(1, 9, 1), loss="mse"), WAVES, run=run, resume=True, **ARGUMENTS))
    earlier = {name: value for name, value in read_config(run).items() if not name.startswith("learner.")}
    (run / "config.yaml").write_text(yaml.safe_dump(earlier))
    with pytest.raises(MapstoError, match="does not fit this MAML"):
        next(train(MAML(MLP(1, 9, 1), loss="mse"), WAVES, run=run, resume=True, **ARGUMENTS))


def _truncate(run: Path) -> None:
    path = run / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _scramble(run: Path) -> None:
    (run / "checkpoint.safetensors").write_bytes(b"\x93NUMPY not a checkpoint at all")


def _other_version(run: Path) -> None:
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("format: 1", "format: 99"))


def _other_checkpoint(run: Path) -> None:
    path = run / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"format":"1"', b'"format":"9"'))


def _not_yaml(run: Path) -> None:
    (run / "config.yaml").write_bytes(b"\xff\xfe{{{: :")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_truncate, "checkpoint.safetensors is corrupt or truncated"),
        (_scramble, "checkpoint.safetensors is corrupt or truncated"),
        (_other_version, "^run: got format 99 in .*config.yaml"),
        (_other_checkpoint, "^run: got format 9 in .*checkpoint.safetensors"),
        (_not_yaml, "config.yaml is not readable as YAML"),
    ],
)
def test_a_damaged_run_is_one_sentence(
    trained: Path, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    damage(run)
    with pytest.raises(MapstoError, match=said) as error:
        next(train(maml(), WAVES, run=run, resume=True, **ARGUMENTS))
    assert "\n" not in str(error.value)


def test_an_unwritable_folder_and_a_missing_run_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MapstoError, match=r"cannot write to .*file/run"):
        next(train(maml(), WAVES, run=tmp_path / "file" / "run", **ARGUMENTS))
    with pytest.raises(MapstoError, match=r"holds no weights.safetensors"):
        load_weights(maml(), tmp_path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"steps": 0}, "^steps: "),
        ({"steps": 2.5}, "^steps: "),
        ({"batch": 0}, "^batch: "),
        ({"checkpoint_every": 0}, "^checkpoint_every: "),
        ({"warmup": 12}, "^warmup: "),
        ({"warmup": -1}, "^warmup: "),
        ({"schedule": "linear"}, "^schedule: "),
        ({"optimizer": "adam"}, "^optimizer: "),
    ],
)
def test_wrong_arguments_are_one_sentence(wrong: dict, said: str, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=said):
        next(train(maml(), WAVES, **ARGUMENTS | wrong))


def test_a_run_records_each_setting_that_changes_its_numbers(trained: Path) -> None:
    """Old runs resume because these names and values are compared with theirs."""
    config = read_config(trained)
    assert [name for name in config if not name.startswith(("learner.", "tasks."))] == [
        *("mapsto", "learner", "tasks", "frozen", "steps", "batch", "lr", "seed", "estimator", "optimizer"),
        *("weight_decay", "clip", "schedule", "warmup", "ema", "validate_every", "init", "precision", "format"),
    ]
    assert config["learner"] == "MAML" and config["tasks"] == "Sinusoids" and config["schedule"] == "one-cycle"
    assert config["estimator"] is config["init"] is None


def test_unknown_options_are_refused() -> None:
    with pytest.raises(TypeError, match="momentum"):
        next(train(maml(), WAVES, **ARGUMENTS, momentum=0.9))


# interruption, from outside


def command(run: Path) -> list[str]:
    text = (
        f"train --learner MAML --learner.body MLP --learner.body.widths [1,8,1] --learner.loss mse --tasks Sinusoids "
        f"--steps 300 --batch 3 --checkpoint_every 40 --log_every 1 --ema 0.9 --schedule cosine --run {run}"
    )
    return [sys.executable, "-m", "mapsto.cli", *text.split()]


def interrupted(run: Path, number: signal.Signals) -> subprocess.CompletedProcess:
    """Start the command, send it a signal in the midst of training, and return how it ended."""
    process = subprocess.Popen(command(run), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "metrics.jsonl").exists() and len((run / "metrics.jsonl").read_text().splitlines()) > 90:
            os.kill(process.pid, number)
            break
        time.sleep(0.005)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.slow
def test_after_kill_9_and_after_ctrl_c_resume_continues_to_the_same_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture, unchecked: None
) -> None:
    """Only those that are interrupted have a process of their own."""
    assert main(command(tmp_path / "whole")[3:]) == 0
    killed = interrupted(tmp_path / "killed", signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    stopped = interrupted(tmp_path / "stopped", signal.SIGINT)
    assert stopped.returncode == 130 and "Traceback" not in stopped.stderr
    assert "interrupted after step" in stopped.stderr and "--resume" in stopped.stderr
    for run in (tmp_path / "killed", tmp_path / "stopped"):
        assert int(read_tensors(run / "checkpoint.safetensors")[1]["step"]) < 300
        capsys.readouterr()
        assert main(["train", "--run", str(run), "--resume", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["step"] == 300
        assert lines(run) == lines(tmp_path / "whole")
        assert all(torch.equal(tensor, weights(run)[name]) for name, tensor in weights(tmp_path / "whole").items())


def test_a_source_may_give_fewer_tasks_than_asked_for() -> None:
    class Few(Sinusoids):
        def draw(self, generator: torch.Generator, count: int) -> Episode:
            return super().draw(generator, min(count, 2))

    learner = MAML(MLP(1, 4, 1), loss="mse")
    losses = [learner.loss(e)[0].detach() for i in range(2) for e in unstack(Few().batch(i, 25))]
    assert ValidationLoss(Few(), episodes=50)(learner) == pytest.approx(sum(losses).item() / 4, rel=1e-5)


def test_init_is_not_needed_to_resume(tmp_path: Path) -> None:
    learner, waves = MAML(MLP(1, 4, 1), loss="mse"), Sinusoids(shots=3, queries=3)
    list(train(learner, waves, 1, 2, run=tmp_path / "first"))
    arguments = {"run": tmp_path / "second", "init": tmp_path / "first", "checkpoint_every": 1}
    next(iter(train(learner, waves, 2, 2, **arguments)))
    shutil.rmtree(tmp_path / "first")
    assert [step.step for step in train(learner, waves, 2, 2, resume=True, **arguments)] == [2]


def test_lower_precision_and_threads_are_refused_together() -> None:
    with pytest.raises(MapstoError, match=r"^threads: "):
        next(train(MAML(MLP(1, 4, 1), loss="mse"), Sinusoids(), 1, 2, threads=2, precision="bf16-mixed"))


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_what_is_not_one_graph_is_said_in_one_sentence() -> None:
    class Branches(MAML):
        def loss(self, episode: Episode) -> tuple:
            loss, metrics = super().loss(episode)
            return (loss if float(loss.detach()) > 0 else -loss), metrics

    with pytest.raises(MapstoError, match="compile: the learner is not one graph"):
        next(train(Branches(MLP(1, 4, 1), loss="mse"), Sinusoids(), 1, 2, compile=True, vectorise=False))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lr": -1.0}, "^lr: "),
        ({"lr": math.nan}, "^lr: "),
        ({"clip": -1.0}, "^clip: "),
        ({"ema": 2.0}, "^ema: "),
        ({"weight_decay": -1.0}, "^weight_decay: "),
        ({"threads": -3}, "^threads: "),
        ({"chunk_size": 0}, "^chunk_size: "),
        ({"run": ""}, "^run: "),
        ({"init": "nowhere"}, "nowhere"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_written(wrong: dict, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(MapstoError, match=said):
        next(train(maml(), WAVES, **{"steps": 2, "batch": 2, "run": folder} | wrong))
    assert not folder.exists()


@pytest.mark.parametrize(
    "learner",
    [
        lambda: MAML(MLP(3, 8, 1), loss="mse"),
        lambda: MAML(MLP(1, 8, 3), loss="mse"),
        lambda: MAML(MLP(1, 8, 3)),
        lambda: PrototypicalNetwork(MLP(1, 8, 3), ways=2),
        lambda: MAML(Conv4(outputs=1), loss="mse"),
    ],
)
def test_tasks_that_do_not_fit_are_one_sentence_and_leave_nothing(
    learner: Callable[[], Learner], tmp_path: Path, unchecked: None
) -> None:
    with pytest.raises(MapstoError, match=r"^(tasks: \w+ cannot learn from these|y: got )[^\n]*$"):
        next(train(learner(), WAVES, steps=2, batch=2, run=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_more_classes_than_ways_are_refused(tmp_path: Path, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=r"y: got class [0-9]+, expected one of 0 to 0"):
        next(train(PrototypicalNetwork(nn.Flatten(), ways=1), Images(), steps=1, batch=1, run=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


class Threads(MAML):
    """A learner that notes on how many threads it is computed."""

    seen = 0

    def loss(self, episode: Episode) -> tuple[Tensor, dict[str, Tensor]]:
        self.seen = torch.get_num_threads()
        return super().loss(episode)


@pytest.mark.parametrize(("width", "threads"), [(8, 1), (120_000, 2)])
def test_a_small_learner_is_computed_on_one_thread(width: int, threads: int) -> None:
    learner, before = Threads(MLP(1, width, 1), "mse"), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        next(train(learner, Sinusoids(), 2, 1))
        assert learner.seen == threads and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "checked"),
    [
        ("G['__import_torch_dot_nn_dot_functional'].relu", False),
        ("G['__import_mapsto'].learners", False),
        ("G['partial']", False),
        ("G['__import___main__'].BETA", True),
        ("G['__import_mapsto_extras'].BETA", True),
        ("L['chunk'].learner.steps", True),
    ],
)
def test_a_compiled_step_checks_names_of_modules_of_the_user(name: str, checked: bool) -> None:
    entry = SimpleNamespace(name=name, is_global=name.startswith("G"))
    assert meta._guards([entry]) == [checked]
