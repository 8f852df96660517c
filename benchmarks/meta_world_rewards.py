"""A simulated arm that learns from rewards where to go: its returns, and the share of unseen goals that it reaches.

    python benchmarks/meta_world_rewards.py reach-v3    # about fifteen minutes of a busy core

MAML with policy gradients is trained on 40 goals of Meta-World's ML1 and judged on 50 draws of its test goals, before
and after each update. Nothing is shown to it: the reward, which grows as the hand comes nearer, is all it learns from.
Every line is a JSON object; intervals are 95 %, over goals.
"""

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch

import mapsto as mt
from mapsto.estimate import Estimate
from mapsto.tasks import MetaWorld, Rollouts

GOALS, UPDATES = {"validation": 10, "test": 50}, 2


def source(environment: MetaWorld, rollouts: int) -> Rollouts:
    """Return the tasks with the learner, in the recipe of `configs/maml-navigation.yaml`."""
    policy = mt.models.GaussianPolicy(
        environment.observations, environment.actions, hidden=(32, 32), activation="relu", log_std=0.4, pace=5.0
    )
    learner = mt.learners.MAML(
        policy, loss="policy_gradient", steps=UPDATES, lr=0.1, learn_lr="layer-step", learn=["net.*"],
        minibatch=rollouts * environment.horizon,
    )  # fmt: skip
    return Rollouts(environment, learner, (1, UPDATES), rollouts, discount=0.95)


def course(tasks: Rollouts, steps: int, batch: int, seed: int, split: str) -> Iterator[dict[str, Any]]:
    """Train the learner of the tasks; yield its return every ten steps, and at last what it does on a split."""
    start = time.monotonic()
    for step in mt.train(
        tasks.learner, tasks, steps=steps, batch=batch, lr=0.008, schedule="cosine", clip=1.0, seed=seed
    ):
        if step.step % 10 == 0:
            yield {"seed": seed, "step": step.step, "return": round(step.metrics["return"], 1)}
    seconds = round(time.monotonic() - start)
    score = mt.evaluate(tasks.learner, tasks.of(split), episodes=GOALS[split], batch=batch)
    returns = {f"return after {i}": _rounded(value) for i, value in enumerate(score.returns)}
    reached = {f"reached after {i}, %": _rounded(value, 100) for i, value in enumerate(score.solved or ())}
    yield {"seed": seed, "seconds": seconds, split: GOALS[split], **returns, **reached}


def _rounded(value: Estimate, unit: int = 1) -> list[float]:
    return [round(unit * part, 1) for part in value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("skill", nargs="?", default="reach-v3")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--rollouts", type=int, default=10)
    parser.add_argument("--horizon", type=int, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--split", choices=list(GOALS), default="test")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", module="metaworld|gymnasium")  # of constants that are clipped, and of types
    environment = MetaWorld(args.skill, horizon=args.horizon, workers=args.workers)
    for seed in args.seeds:
        torch.manual_seed(seed)
        for line in course(source(environment, args.rollouts), args.steps, args.batch, seed, args.split):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
