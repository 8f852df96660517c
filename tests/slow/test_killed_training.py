"""A training in one process is killed at a random moment, for five kinds of learner; resumed, it loses nothing.

`make slow` kills 100 times; `make test` once.
"""

import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
import ranks
import torch
from torch import nn

import mapsto as mt
from mapsto.learners import MAML, NP, SNAIL, PrototypicalNetwork, Reptile

KILLS = max(1, int(os.environ.get("MAPSTO_KILLS", "1")) * 2 // 5)  # of each learner
STEPS = 120


def network(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, outputs))


LEARNERS = {
    "MAML": lambda: MAML(network(1, 1), "mse"),
    "Reptile": lambda: Reptile(network(1, 1), "mse"),
    "SNAIL": lambda: SNAIL(nn.Identity(), features=1, outputs=1, length=4, loss="mse", filters=8),
    "NP": lambda: NP(nn.Linear(2, 6), nn.Linear(4, 2)),  # draws its latent variable
    "PrototypicalNetwork": lambda: PrototypicalNetwork(network(3, 4), ways=2),
}
WAVES, ROWS = mt.tasks.Sinusoids(shots=4, queries=3), np.random.default_rng(0).normal(size=(120, 3))
TASKS = {
    "NP": mt.tasks.WithNoise(WAVES, (1, 3)),
    "PrototypicalNetwork": mt.tasks.Arrays(ROWS, np.arange(120) % 12, ways=2, shots=3, queries=3),
}


def trained(run: Path, name: str) -> dict[str, np.ndarray]:
    """Train with a moving average and validation; return the weights."""
    torch.manual_seed(0)
    tasks = TASKS.get(name, WAVES)
    learner: mt.learners.Learner = LEARNERS[name]()
    every = {"validate_every": 40, "checkpoint_every": 10, "log_every": 1}
    judge = mt.training.validation.ValidationLoss(tasks.validation, 5)
    for _ in mt.train(learner, tasks, STEPS, 4, run=run, resume=True, ema=0.9, validation=judge, **every):
        pass
    return {key: tensor.numpy() for key, tensor in learner.state_dict().items()}


def killed(run: Path, name: str, share: float) -> None:
    """Kill the process when a share of the steps is done, or at any moment soon after."""
    alone = ranks.begun(trained, run, name, size=1)
    metrics = run / "metrics.jsonl"
    while alone.processes[0].is_alive():
        if metrics.exists() and metrics.read_bytes().count(b"\n") > share * STEPS:
            time.sleep(random.random() * 0.01)  # half-way through a step or a checkpoint
            break
    alone.kill(0)
    assert alone.ends() == [None]  # it did not return


@pytest.mark.parametrize("name", LEARNERS if "MAPSTO_KILLS" in os.environ else ["MAML"])
def test_a_killed_training_loses_nothing(tmp_path: Path, name: str) -> None:
    whole = ranks.together(trained, tmp_path / "whole", name, size=1)[0]
    for index in range(KILLS):
        run = tmp_path / str(index)
        killed(run, name, (index + 0.5) / KILLS * 0.9)
        resumed = ranks.together(trained, run, name, size=1)[0]
        assert all(np.array_equal(tensor, resumed[key]) for key, tensor in whole.items()), index
