"""Meta-train MAML on sine waves and watch it learn a new one from ten points.

Run: python examples/maml.py       (about a minute; MAPSTO_TINY=1 makes it small, as the tests do)

The paper's recipe (Finn et al. 2017, §5.1) takes 70,000 steps; the full run is in benchmarks/meta.py.
"""

import os

import torch

import mapsto as mt
from mapsto.episodes import over_tasks

TINY = bool(os.environ.get("MAPSTO_TINY"))
STEPS, TASKS = (100, 20) if TINY else (5_000, 600)

torch.manual_seed(0)
waves = mt.tasks.Sinusoids(shots=10, queries=10)
learner = mt.learners.MAML(mt.models.MLP(1, 40, 40, 1), loss="mse", lr=0.01, steps=1)

# Training is a generator: the loop is yours to print in, plot in, or leave.
for step in mt.train(learner, waves, steps=STEPS, batch=25, lr=1e-3):
    if step.step % (STEPS // 5) == 0:
        print(f"step {step.step:5d}   query loss {step.metrics['loss']:.3f}   {step.seconds:.1f} s")


# One task is one `Episode`; a batch of tasks is the same with one more axis, and `over_tasks` maps over it.
def error(episode: mt.Episode) -> torch.Tensor:
    """Mean squared error on the query points of one wave."""
    prediction = learner.predict(learner.adapt(episode.support), episode.query.x)
    return (prediction - episode.query.y).square().mean()


unseen = waves.test.batch(0, count=TASKS)
for learner.steps in (0, 1, 5, 10):  # how far to adapt is a choice that may differ from training
    with torch.no_grad():
        errors = over_tasks(error)(unseen)
    print(
        f"{learner.steps:2d} steps of adaptation: mean squared error {errors.mean():.3f}, median {errors.median():.3f}"
    )
