"""How fast a robot learns a new task: the return before and after each update, on tasks that training never saw.

    python benchmarks/robots.py navigation --seeds 0 1 2

- navigation: trains `configs/maml-navigation.yaml` with each seed, then plays tasks whose goals are new. An episode
  ends within 0.01 of the goal, or after 100 steps. Published (Finn et al. 2017, figure 5): −40.41, −11.68, −3.33 and
  −3.23 after 0, 1, 2 and 3 updates. `known` is the best possible return, that of a robot which knows the goals and
  takes the shortest way.

Every line is a JSON object; intervals are 95 %.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import mapsto as mt
from mapsto.commands import train
from mapsto.commands.configuration import load_run
from mapsto.estimate import Estimate, estimate
from mapsto.tasks import Navigation
from mapsto.tasks.robots.paths import play

CONFIG = Path(__file__).parents[1] / "configs" / "maml-navigation.yaml"


def navigation(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the returns of each seed, and the seconds of the processor that its training took."""
    for seed in args.seeds:
        folder, processor = Path(args.runs) / f"navigation-{seed}", time.process_time()
        config = ["--config", str(CONFIG), "--run", str(folder), "--resume", "--json"]
        train.main(train.parser().parse_args([*config, "--seed", str(seed)]))
        processor = time.process_time() - processor
        run = load_run(folder)
        score = mt.evaluate(run.learner, run.tasks.of(args.split), episodes=args.tasks, seed=args.judge)
        returns = {f"after {i}": _rounded(value) for i, value in enumerate(score.returns)}
        yield {
            "seed": seed, args.split: args.tasks, **returns, "known": _known(args.tasks, args.judge),
            "processor seconds": round(processor),
        }  # fmt: skip


def _known(count: int, seed: int) -> list[float]:
    """Return the mean return of a robot that walks at full speed to as many goals of the same distribution."""
    environment, generator = Navigation(), torch.Generator().manual_seed(seed)
    goals = environment.draw(generator, count, "test")
    walk = lambda place, noise: (goals[:, None] - place) / environment.speed  # noqa: E731
    return _rounded(estimate(play(environment, goals, 1, walk, generator).returns()[:, 0].double().numpy()))


def _rounded(value: Estimate) -> list[float]:
    return [round(part, 2) for part in value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["navigation"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", type=int, default=400, help="tasks to measure on")
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--judge", type=int, default=0, help="seed of the tasks to measure on")
    parser.add_argument("--runs", default="runs", help="folder of the runs; a run that is there is not trained again")
    args = parser.parse_args()
    for line in {"navigation": navigation}[args.what](args):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
