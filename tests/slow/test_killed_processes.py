"""Either of two processes that train together is killed at a random moment: the other ends, and nothing is lost.

`make slow` kills 50 times; `make test` once.
"""

import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
import ranks
import torch

import mapsto as mt

KILLS = int(os.environ.get("MAPSTO_KILLS", "1"))
STEPS = 200


def trained(run: Path) -> dict[str, np.ndarray]:
    """Train with dropout, a moving average and validation; return the weights."""
    torch.manual_seed(ranks.rank())
    body = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1))
    learner, tasks = mt.learners.MAML(body, "mse"), mt.tasks.Sinusoids(shots=4, queries=3)
    every = {"validate_every": 70, "checkpoint_every": 20, "log_every": 1}
    judge = mt.training.validation.ValidationLoss(tasks.validation, 5)
    for _ in mt.train(learner, tasks, STEPS, 4, devices=2, run=run, resume=True, ema=0.9, validation=judge, **every):
        pass
    return {name: tensor.numpy() for name, tensor in learner.state_dict().items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    first, second = ranks.together(trained, tmp_path_factory.mktemp("whole"))
    assert all(np.array_equal(tensor, second[name]) for name, tensor in first.items())
    return first


def killed(run: Path, who: int, share: float) -> None:
    """Kill a process when a share of the steps is done, or at any moment soon after."""
    pair = ranks.begun(trained, run)
    metrics = run / "metrics.jsonl"
    while pair.processes[who].is_alive():
        if metrics.exists() and metrics.read_bytes().count(b"\n") > share * STEPS:
            time.sleep(random.random() * 0.01)  # half-way through a step, a message or a checkpoint
            break
    pair.kill(who)
    ends = pair.ends()
    assert not isinstance(ends[who], str)
    other = ends[1 - who]
    assert not isinstance(other, str) or "MapstoError: processes: lost one of 2 (" in other


@pytest.mark.parametrize("index", range(KILLS))
def test_a_killed_process_loses_nothing(tmp_path: Path, whole: dict[str, np.ndarray], index: int) -> None:
    killed(tmp_path, index % 2, (index + 0.5) / KILLS)
    for resumed in ranks.together(trained, tmp_path):
        assert all(np.array_equal(tensor, whole[name]) for name, tensor in resumed.items())
