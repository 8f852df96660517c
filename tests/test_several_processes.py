"""Several processes train, validate and evaluate as one does; one that dies ends the others, and nothing is lost."""

import contextlib
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ranks
import torch
import torch.distributed as dist
from test_training import command
from torch import Tensor, nn

import mapsto as mt
from mapsto import processes
from mapsto.cli import main
from mapsto.episodes import Episode, Examples, to
from mapsto.errors import MapstoError
from mapsto.explainers.learned import AmortisedShapley, Columns
from mapsto.learners import MAML, Fixed, Learner, PrototypicalNetwork
from mapsto.models import MLP
from mapsto.training.estimators import EvolutionStrategies, ForwardMode
from mapsto.training.run import read_tensors
from mapsto.training.validation import ValidationLoss

DTYPES = {"float64": (torch.float64, 1e-8), "float32": (torch.float32, 1e-4)}


class Wide:
    """A source of tasks in a dtype."""

    def __init__(self, tasks: mt.tasks.Tasks, dtype: torch.dtype = torch.float64):
        self.tasks, self.dtype = tasks, dtype

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        return to(self.tasks.batch(index, count, seed), self.dtype)

    @property
    def validation(self) -> "Wide":
        return Wide(self.tasks.validation, self.dtype)


WAVES = mt.tasks.Sinusoids(shots=4, queries=3)


class Clusters(mt.tasks.Tasks):
    """Three classes a task; one support row in four is padding, and tasks differ in the number of their query rows."""

    def draw(self, generator: torch.Generator, count: int) -> Episode:
        y = torch.arange(12).expand(count, 12) % 3
        centres = torch.randn(count, 3, 4, generator=generator)
        x = centres.gather(1, y[..., None].expand(-1, -1, 4)) + torch.randn(count, 12, 4, generator=generator)
        counts = torch.arange(12) < torch.randint(3, 13, (count, 1), generator=generator)
        w = counts / counts.sum(1, keepdim=True)
        support, query = Examples(x, y, torch.where(torch.arange(12) % 4 == 3, 0.0, 1 / 9).expand(count, -1)), (x, y, w)
        return Episode(support, Examples(*query))


def maml(**arguments: Any) -> tuple[Learner, mt.tasks.Tasks]:
    return MAML(MLP(1, 8, 1, activation="tanh"), "mse", lr=0.1, **arguments), WAVES


def prototypes() -> tuple[Learner, mt.tasks.Tasks]:
    body = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 5, bias=False))  # distances do not depend on a bias
    return PrototypicalNetwork(body, 3), Clusters()


def normed() -> tuple[Learner, mt.tasks.Tasks]:
    x = np.random.default_rng(0).normal(size=(60, 3))
    body = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    return Fixed(body), mt.tasks.Minibatches(x, (x[:, 0] > 0).astype(int), size=10)


def dropping() -> tuple[Learner, mt.tasks.Tasks]:
    body = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 1))
    return MAML(body, "mse"), WAVES


Make = Callable[[], tuple[Learner, mt.tasks.Tasks]]


def made(make: Make, dtype: str = "float64") -> tuple[Learner, Wide]:
    """Return a learner and its tasks in a dtype; each process starts from other weights, which must not matter."""
    torch.manual_seed(ranks.rank())
    learner, tasks = make()
    return learner.to(DTYPES[dtype][0]), Wide(tasks, DTYPES[dtype][0])


def weights(learner: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in learner.state_dict().items()}


def trained(make: Make, dtype: str = "float64", devices: int = 2, **options: Any) -> tuple[dict, list[dict]]:
    """Return the weights and the metrics of a training."""
    learner, tasks = made(make, dtype)
    if "validate_every" in options:
        options["validation"] = ValidationLoss(tasks.validation, 7, 4)
    said = mt.train(learner, tasks, **{"steps": 50, "batch": 5, "lr": 0.01, "devices": devices, **options})
    metrics = [step.metrics for step in said]
    return weights(learner), metrics


def law(one: tuple[dict, list[dict]], several: list[tuple[dict, list[dict]]], tolerance: float) -> None:
    """Each process has the same weights to the last bit, and those of one process to rounding."""
    for tensors, metrics in several:
        assert metrics == several[0][1]
        for name, tensor in one[0].items():
            assert np.array_equal(tensors[name], several[0][0][name])
            np.testing.assert_allclose(tensors[name], tensor, rtol=tolerance, atol=tolerance)
        for mine, theirs in zip(metrics, one[1], strict=True):
            assert mine == pytest.approx(theirs, rel=100 * tolerance, abs=tolerance)


OPTIONS = {"clip": 0.5, "ema": 0.9, "schedule": "cosine", "weight_decay": 0.1, "validate_every": 20}


@pytest.mark.parametrize("make", [maml, prototypes])
@pytest.mark.parametrize("dtype", DTYPES)
def test_two_processes_train_as_one_does(make: Make, dtype: str) -> None:
    one = trained(make, dtype, devices=1, **OPTIONS)
    law(one, ranks.together(partial(trained, make, dtype, **OPTIONS)), DTYPES[dtype][1])


def one_bucket(make: Make) -> list[int]:
    """Return how many numbers each message of three steps holds, beginning with the state at the start."""
    sizes, plain = [], dist.all_reduce

    def counted(tensor: Tensor, *arguments: Any) -> Any:
        sizes.append(tensor.numel())
        return plain(tensor, *arguments)

    dist.all_reduce = counted
    learner, tasks = made(make)
    list(mt.train(learner, tasks, 3, 5, devices=2))
    return sizes


def test_a_step_sends_one_message() -> None:
    numbers = sum(p.numel() for p in maml()[0].parameters())
    for sizes in ranks.together(partial(one_bucket, maml)):
        assert len(sizes) == 3 and all(numbers < size < numbers + 5 for size in sizes)


def test_buffers_are_those_of_one_process() -> None:
    how = {"steps": 10, "batch": 3}
    one = trained(normed, devices=1, **how)
    assert any(np.abs(one[0][name] - weights(normed()[0])[name]).max() > 0.1 for name in one[0] if "running" in name)
    law(one, ranks.together(partial(trained, normed, **how)), 1e-8)


@pytest.mark.parametrize("estimator", [ForwardMode(5, seed=1), EvolutionStrategies(5, 0.1, seed=1)])
def test_estimators_share_their_directions(estimator: Any) -> None:
    how = {"estimator": estimator, "steps": 10, "batch": 1}
    law(trained(maml, devices=1, **how), ranks.together(partial(trained, maml, **how)), 1e-8)


@pytest.mark.parametrize("how", [{"chunk_size": 2}, {"vectorise": False}, {"chunk_size": 1, "threads": 2}])
def test_chunks_are_shared_too(how: dict) -> None:
    how |= {"steps": 5, "batch": 7}
    law(trained(maml, devices=1, **how), ranks.together(partial(trained, maml, **how), size=2), 1e-8)


def test_a_lower_precision_is_that_of_one_process() -> None:
    how = {"steps": 10, "precision": "bf16-mixed"}
    law(trained(maml, "float32", devices=1, **how), ranks.together(partial(trained, maml, "float32", **how)), 2e-3)


def explained() -> tuple[dict, list[dict]]:
    """Train a network, then its explainer, then both; the explainer draws coalitions at random."""
    torch.manual_seed(ranks.rank())
    learner, tasks = normed()
    joint = mt.Joint(learner, {"why": AmortisedShapley(Columns(3), 2, width=8)})
    steps = {"learner": 2, "explainers": 2, "both": 2}
    said = mt.training.phases(joint, tasks, steps, 3, devices=2)  # type: ignore[arg-type]
    metrics = [step.metrics for step in said]
    return weights(joint), metrics


def test_phases_of_a_joint_end_with_equal_weights_in_each_process() -> None:
    first, second = ranks.together(explained)
    assert len(first[1]) == 6 and "why_loss" in first[1][-1]
    law(first, [first, second], 0)


def test_three_processes_of_which_one_has_more_tasks() -> None:
    how = {"devices": 3, "steps": 5, "batch": 4}
    law(trained(maml, **how | {"devices": 1}), ranks.together(partial(trained, maml, **how), size=3), 1e-8)


class Shrinking(Clusters):
    """Returns fewer tasks than asked for, as `Tables` does of large tables."""

    def batch(self, index: int, count: int, seed: int = 0) -> Episode:
        return super().batch(index, 1 + index % 2, seed)


def shrinking() -> tuple[Learner, mt.tasks.Tasks]:
    return prototypes()[0], Shrinking()


def test_batches_with_fewer_tasks_than_processes_count_as_any_other() -> None:
    how = {"steps": 4, "batch": 5}
    law(trained(shrinking, devices=1, **how), ranks.together(partial(trained, shrinking, **how)), 1e-8)


class Counting(MAML):
    """Counts the tasks of which it computes the training and the validation loss."""

    tasks = judged = 0

    def batch_loss(self, episodes: Episode) -> tuple[Tensor, dict[str, Tensor]]:
        self.tasks += len(episodes.support.w)
        return super().batch_loss(episodes)

    def query_loss(self, episode: Episode) -> Tensor:
        self.judged += 1
        return super().query_loss(episode)


class Noting(EvolutionStrategies):
    """Counts its directions."""

    given = 0

    def __call__(self, loss: Any, params: Any, directions: Any) -> Any:
        self.given += len(next(iter(directions.values())))
        return super().__call__(loss, params, directions)


def counted() -> tuple[int, int, int]:
    """Return how many tasks this process has trained on and judged, and how many directions it has tried."""
    learner, estimator = Counting(MLP(1, 4, 1), "mse"), Noting(5)
    list(mt.train(learner, WAVES, 2, 7, devices=2, validation=ValidationLoss(WAVES, 9)))
    list(mt.train(MAML(MLP(1, 4, 1), "mse"), WAVES, 2, 7, devices=2, estimator=estimator))
    return learner.tasks, learner.judged, estimator.given


def test_each_task_and_each_direction_is_computed_once() -> None:
    first, second = sorted(ranks.together(counted))
    assert first == (6, 4, 4) and second == (8, 5, 6)  # of 7 tasks and 5 directions in each of two steps; 9 once


def dropped(run: Path, steps: int, devices: int = 2) -> tuple[dict, list[float]]:
    learner, tasks = made(dropping)
    said = mt.train(learner, tasks, steps, 4, devices=devices, run=run, resume=True, lr=0.01)
    losses = [step.metrics["loss"] for step in said]
    return weights(learner), losses


def masks(seed: int) -> list[float]:
    """Return random numbers as dropout would draw them in the first step."""
    from mapsto.training.loop import _seeded

    with _seeded(seed, 0, processes.start(2)):
        return torch.rand(3).tolist()


def test_dropout_differs_between_processes_and_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    first, second = ranks.together(masks, 0)
    assert first != second
    whole = ranks.together(dropped, tmp_path / "whole", 6)
    ranks.together(dropped, tmp_path / "parts", 3)
    resumed = ranks.together(dropped, tmp_path / "parts", 6)
    for (tensors, losses), (others, later) in zip(whole, resumed, strict=True):
        assert later == losses[3:]
        assert all(np.array_equal(tensor, others[name]) for name, tensor in tensors.items())
    with pytest.raises(MapstoError, match=r"^run: .*devices=2 \(got 1\)"):
        dropped(tmp_path / "parts", 8, devices=1)


def apart(folder: Path, steps: int) -> tuple[dict, list[dict]]:
    """Train on machines that do not share a disk."""
    run = folder / str(ranks.rank())
    return trained(maml, steps=steps, ema=0.9, validate_every=2, run=run, resume=True)


def test_only_the_first_process_needs_the_run_and_writes_it(tmp_path: Path) -> None:
    one = trained(maml, devices=1, steps=8, ema=0.9, validate_every=2)
    ranks.together(apart, tmp_path, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    several = ranks.together(apart, tmp_path, 8)
    law((one[0], one[1][5:]), several, 1e-8)
    assert several[0][1] and several[0][1] == several[1][1]
    lines = (tmp_path / "0" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4, 5, 6, 8]  # validations, and the last steps of both
    again = ranks.together(apart, tmp_path, 8)  # it was finished
    assert all(metrics == [] for _, metrics in again)
    law((several[0][0], []), again, 0)


# a process that dies


def victim(run: Path, who: int, at: int) -> tuple[dict, list[dict]]:
    """Train, and kill process `who` after step `at`."""
    learner, tasks = made(maml)
    metrics = []
    for step in mt.train(
        learner, tasks, 12, 5, 0.01, devices=2, run=run, resume=True, ema=0.9, checkpoint_every=3, log_every=1
    ):
        metrics.append(step.metrics)
        if (ranks.rank(), step.step) == (who, at):
            os.kill(os.getpid(), signal.SIGKILL)
    return weights(learner), metrics


@pytest.mark.parametrize("who", [0, 1])
def test_a_process_that_dies_ends_the_other_and_both_resume_to_the_same_numbers(tmp_path: Path, who: int) -> None:
    whole = trained(maml, devices=1, steps=12, ema=0.9)
    ends = ranks.begun(victim, tmp_path, who, 7).ends()
    assert ends[who] is None
    assert "MapstoError: processes: lost one of 2 (" in ends[1 - who]
    assert "--resume" in ends[1 - who].splitlines()[-1]
    assert read_tensors(tmp_path / "checkpoint.safetensors")[1]["step"] == "6"
    resumed = ranks.together(victim, tmp_path, who, 0)
    law((whole[0], whole[1][6:]), resumed, 1e-8)
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 13))


@pytest.mark.long
def test_a_signal_to_one_process_stops_both_after_the_same_step_and_one_continues(tmp_path: Path) -> None:
    """The command starts the second process itself."""
    run, steps = tmp_path / "run", ["--steps", "400"]
    arguments = [*command(run), *steps, "--devices", "2"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + ranks.SECONDS
    while not ((run / "metrics.jsonl").exists() and (run / "metrics.jsonl").read_text().count("\n") > 20):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)  # a terminal would send it to both, maybe between different steps
    out, err = process.communicate(timeout=ranks.SECONDS)
    assert process.returncode == 130 and "Traceback" not in err and out == ""
    assert err.count("interrupted after step") == 1 and "lost one" not in err
    assert 20 < int(read_tensors(run / "checkpoint.safetensors")[1]["step"]) < 400
    assert main(["train", "--run", str(run), "--resume", "--devices", "1", "--json"]) == 0
    assert main([*command(tmp_path / "whole")[3:], *steps]) == 0
    one, several = (read_tensors(folder / "weights.safetensors")[0] for folder in (tmp_path / "whole", run))
    for name, tensor in one.items():
        torch.testing.assert_close(several[name], tensor, rtol=1e-4, atol=1e-4)


# refusals


def resumed_otherwise(run: Path) -> tuple[int, str]:
    """Return the exit code and the words of `mapsto train --resume` with another learning rate."""
    with contextlib.redirect_stderr(io.StringIO()) as words:
        code = main([*command(run)[3:], "--resume", "--lr", "0.5", "--steps", "2", "--devices", "2"])
    return code, words.getvalue()


def test_only_the_first_process_says_why_a_run_is_not_resumed(tmp_path: Path) -> None:
    assert main([*command(tmp_path)[3:], "--steps", "2"]) == 0
    (code, words), other = ranks.together(resumed_otherwise, tmp_path)
    assert code == 1 and words.startswith("mapsto: run: got ") and "lr=" in words and words.count("\n") == 1
    assert other == (1, "")


@pytest.mark.parametrize("few", [{"batch": 1}, {"batch": 9, "estimator": ForwardMode(1)}])
def test_more_processes_than_can_share_a_step_are_refused(few: dict) -> None:
    with pytest.raises(MapstoError, match=r"^devices: got 2 processes for 1 (task|direction)s a step"):
        next(mt.train(*maml(), steps=1, devices=2, **few))


def test_more_processes_than_cores_are_refused_before_any_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("lightning_fabric.Fabric", lambda *_, **__: pytest.fail("a process starts"))
    with pytest.raises(
        MapstoError, match=r"^devices: got 99, expected at most 4, a process for each core .*; pass fewer"
    ):
        mt.evaluate(maml()[0], WAVES, episodes=200, devices=99)
    with pytest.raises(MapstoError, match=r"^devices: got 5"):
        next(mt.train(*maml(), steps=1, batch=10, devices=5))


def test_processes_that_nobody_told_of_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(MapstoError, match=r"^devices: got 1 on 1 machine, but 2 processes .* pass devices=2"):
        next(mt.train(*maml(), steps=1, batch=2, run=tmp_path / "run"))
    with pytest.raises(MapstoError, match=r"^devices: got 3 on 2 machines"):
        next(mt.train(*maml(), steps=1, batch=6, devices=3, num_nodes=2))
    assert main(["train", *command(tmp_path / "run")[4:]]) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", [{"devices": 0}, {"num_nodes": 1.5}])
def test_wrong_numbers_of_processes_are_refused(wrong: dict, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=f"^{next(iter(wrong))}: "):
        next(mt.train(*maml(), steps=1, batch=2, **wrong))
    with pytest.raises(MapstoError, match=f"^{next(iter(wrong))}: "):
        mt.evaluate(*maml(), **wrong)


def lonely() -> str:
    with pytest.raises(MapstoError) as refused:
        next(mt.train(*maml(), steps=1, batch=2, devices=2))
    return str(refused.value)


def test_fewer_processes_than_asked_for_are_refused() -> None:
    (reason,) = ranks.begun(lonely, size=1).ends()
    assert reason.startswith("devices: got None in 2 processes") and reason.endswith("docs/scaling.md.")


# evaluation


def scored(learner: Learner, support: Examples) -> Tensor:
    return mt.views.query(learner, support, target=0)(torch.zeros(1, dtype=torch.float64))


def measured(devices: int) -> dict[str, Any]:
    torch.manual_seed(0)
    learner = MAML(MLP(1, 8, 1, activation="tanh"), "mse", lr=0.1).double()
    classes = PrototypicalNetwork(nn.Linear(4, 3, dtype=torch.float64), 3)
    policy = MAML(mt.models.GaussianPolicy(2, 2, hidden=(4,)), loss="policy_gradient", lr=0.2)
    played = mt.tasks.Rollouts(mt.tasks.Navigation(horizon=5), policy, rollouts=2)
    waves, how = Wide(WAVES), {"devices": devices}
    score = partial(scored, support=mt.episodes.unstack(waves.batch(9, 1))[0].support)
    return {
        "mse": mt.evaluate(learner, waves, 26, **how).values,  # 25 and 1, which is not shared
        "accuracy": mt.evaluate(classes, Wide(Clusters()), 11, batch=4, **how).values,
        "returns": mt.evaluate(policy, played, 55, **how).values,  # 25 by one process, 30 by the other
        "influence": mt.explainers.task_influence(learner, waves.batch(0, 5), score, damping=0.1, **how).numpy(),
        "validation": np.array(ValidationLoss(waves.validation, 9, 4)(learner, processes.start(devices))),
    }


def test_evaluation_and_influence_of_two_processes_are_those_of_one() -> None:
    one = measured(1)
    assert all(np.ptp(one[name]) > 1e-6 for name in ("mse", "accuracy", "returns", "influence"))
    for several in ranks.together(measured, 2):
        for name, values in one.items():
            # policies are of single precision; the system of influence is solved to a residual of 1e-6
            rtol = {"returns": 1e-5, "influence": 1e-6}.get(name, 1e-8)
            np.testing.assert_allclose(several[name], values, rtol=rtol, atol=1e-10)


def test_a_folder_that_is_no_run_starts_no_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("mapsto.processes.start", lambda *_: pytest.fail("a process starts"))
    assert main(["eval", str(tmp_path), "--devices", "2"]) == 1
    assert "holds no config.yaml" in capsys.readouterr().err
