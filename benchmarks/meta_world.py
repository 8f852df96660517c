"""A simulated arm that learns from five demonstrations where to go: the share of unseen goals that it reaches.

    python benchmarks/meta_world.py reach-v3            # about three minutes a seed on one core
    python benchmarks/meta_world.py reach-v3 --quick    # a few steps, to try it

Each learner is trained on the demonstrations of 40 goals of Meta-World's ML1 and judged on its 50 test goals, before
and after it adapts to five demonstrations of the scripted policy, in one episode each. Of a share of 50 episodes, the
95 % interval is exact; the mean over seeds has Student's.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import torch

import mapsto as mt
from mapsto.estimate import Estimate, estimate
from mapsto.learners import MAML, Learner, RidgeHead
from mapsto.measures.evaluation.intervals import ends_of_share
from mapsto.models import MLP
from mapsto.tasks import Demonstrations, MetaWorld

GOALS, HIDDEN = 50, (100, 100)
NAMES = ("MAML", "RidgeHead", "one policy for all")


def learners(environment: MetaWorld) -> dict[str, tuple[Learner, int, float]]:
    """Return each learner with its number of steps and its learning rate."""
    o, a = environment.observations, environment.actions
    return {
        "MAML": (MAML(MLP(o, *HIDDEN, a), loss="mse", lr=0.1, steps=5), 1000, 1e-3),
        "RidgeHead": (RidgeHead(MLP(o, *HIDDEN), ways=a, loss="mse", penalty=0.01), 1000, 1e-3),
        "one policy for all": (MAML(MLP(o, *HIDDEN, a), loss="mse", lr=0.0, steps=1), 1000, 1e-3),
    }


def trained(learner: Learner, tasks: Demonstrations, steps: int, lr: float, seed: int) -> float:
    """Train a learner; return the seconds it took."""
    start = time.monotonic()
    for _ in mt.train(learner, tasks, steps=steps, batch=4, lr=lr, schedule="cosine", seed=seed):
        pass
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("skill", nargs="?", default="reach-v3")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--learners", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--horizon", type=int, default=150)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore", module="metaworld|gymnasium")  # of constants that are clipped, and of types
    environment = MetaWorld(chosen.skill, horizon=chosen.horizon, workers=chosen.workers)
    start = time.monotonic()
    tasks = Demonstrations(environment, shots=5, queries=5, pool=GOALS)
    tasks.batch(0, 1)
    print(f"{chosen.skill}: demonstrations recorded in {time.monotonic() - start:.0f} s")
    shares: dict[str, list[list[float]]] = {}
    for seed in chosen.seeds:
        torch.manual_seed(seed)
        every = learners(environment)
        for name in chosen.learners:
            learner, steps, lr = every[name]
            seconds = trained(learner, tasks, 5 if chosen.quick else steps, lr, seed)
            solved = tasks.of(chosen.split).experience(learner, 0, GOALS).solved()
            assert solved is not None
            each = [f"{100 * s:.0f} % [{_ends(s)}]" for s in solved.mean(0).tolist()]
            shares.setdefault(name, []).append(solved.mean(0).tolist())
            print(f"  seed {seed} {name:18} before {each[0]}, after {each[1]}; trained {seconds:.0f} s", flush=True)
    for name, values in shares.items():
        before, after = (estimate(np.array(column)) for column in zip(*values, strict=True))
        print(f"{name:18} before {_percent(before)}, after {_percent(after)}")


def _percent(share: Estimate) -> str:
    return f"{100 * share.mean:.1f} %" + ("" if np.isnan(share.interval) else f" ± {100 * share.interval:.1f}")


def _ends(share: float) -> str:
    low, high = ends_of_share(np.array([share]), np.array([GOALS]))
    return f"{100 * low[0]:.0f}, {100 * high[0]:.0f}"


if __name__ == "__main__":
    main()
