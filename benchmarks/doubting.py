"""Train the network that predicts the errors of the mapping's Shapley values, and calibrate it on other tables.

    OMP_NUM_THREADS=1 python benchmarks/doubting.py runs/head --steps 1000 --run runs/doubt

The mapping of the run `runs/head` stays as it is. Then the exact values of `--tables` generated tables give the
quantiles of the errors, so that intervals hold what they say; each table has the same weight. `ship.py runs/doubt`
makes the file that ships.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mapsto as mt
from mapsto.episodes import Episode
from mapsto.explainers.coalitions import exact
from mapsto.explainers.learned.attribution import PairwiseAttribution
from mapsto.explainers.learned.value_errors import LEVELS, ValueErrors
from mapsto.joint import Doubting, SelfExplaining
from mapsto.joint.doubting import residual
from mapsto.joint.self_explaining import standard
from mapsto.learners import InContext
from mapsto.models import SetTransformer
from mapsto.training.run import WEIGHTS, Run, read_config, read_tensors

TRAINED = {"rows": (12, 256), "columns": (2, 16), "ways": (2, 10), "numeric": 0.25, "queries": 2}
CALIBRATED = {"rows": (12, 256), "columns": (2, 9), "ways": (2, 10), "numeric": 0.25, "queries": 6}


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and calibrate the predicted errors of a mapping's values.")
    parser.add_argument("source", type=Path, help="run whose mapping to use")
    parser.add_argument("--run", type=Path, required=True, help="folder to write to")
    for name, default in {"steps": 1000, "batch": 2, "samples": 64, "tables": 200, "seed": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    config, mapping = read_config(args.source), loaded(args.source)
    learner = Doubting(mapping, args.samples)
    init = config["learner"]["init_args"] | {"doubt": {"init_args": {"width": mapping.learner.body.width}}}
    steps = mt.train(
        learner, mt.tasks.Tables(**TRAINED), steps=args.steps, batch=args.batch, lr=2e-3, seed=args.seed, clip=1.0,
        schedule="cosine", warmup=50, ema=0.995, run=args.run, resume=True, checkpoint_every=200, vectorise=False,
        config={"learner": config["learner"] | {"init_args": init}},
    )  # fmt: skip
    for step in steps:
        if step.step % 100 == 0:
            print(f"{step.step}: {step.metrics['loss']:.3f}, {step.seconds:.0f} s", flush=True)
    calibrate(mapping, args.tables, args.seed)
    _, meta = read_tensors(args.run / WEIGHTS)
    Run(args.run).save(WEIGHTS, {name: tensor.contiguous() for name, tensor in mapping.state_dict().items()}, meta)


def loaded(run: Path) -> SelfExplaining:
    """Return the mapping of a run, with a new network for its errors unless it has one."""
    init = read_config(run)["learner"]["init_args"]
    body = SetTransformer(**init["learner"]["init_args"]["body"]["init_args"])
    explainer = PairwiseAttribution(**init["explainer"]["init_args"])
    mapping = SelfExplaining(InContext(body, ways=10), explainer, doubt=ValueErrors(body.width))
    missing, unknown = mapping.load_state_dict(read_tensors(run / WEIGHTS)[0], strict=False)
    assert not unknown and all(name.startswith("doubt.") for name in missing), (missing, unknown)
    return mapping


def calibrate(mapping: SelfExplaining, tables: int, seed: int) -> None:
    """Set the quantiles of the errors, in units of the predicted ones, to those of tables drawn for validation."""
    assert mapping.doubt is not None
    tasks = mt.tasks.Tables(**CALIBRATED).validation
    ratios = [ratio for i in range(tables) for ratio, _, _ in [checked(mapping, tasks.batch(i, 1, seed))] if len(ratio)]
    each = np.stack([np.quantile(ratio, LEVELS) for ratio in ratios])
    points = np.concatenate(ratios)
    weights = np.concatenate([np.full(len(ratio), 1 / len(ratio)) for ratio in ratios])
    order = np.argsort(points)
    share = np.cumsum(weights[order]) / weights.sum()
    quantiles = np.interp(LEVELS, share, points[order])
    mapping.doubt.ratios.copy_(torch.from_numpy(quantiles))
    print(f"90 % of errors within {quantiles[89]:.2f} expected ones (single tables: {each[:, 89].min():.2f} to "
          f"{each[:, 89].max():.2f}; 1.64 for a normal distribution)")  # fmt: skip


@torch.no_grad()
def checked(mapping: SelfExplaining, task: Episode, members: int = 2) -> tuple[Any, Any, Any]:
    """Return |error| / expected error, |error| and expected error of a task's values; two classes count once."""
    mapping.learner.members = members
    if task.support.y.is_floating_point():
        task = standard(task)
    reading, x = mapping.read(task), task.query.x
    _, doubt = mapping.in_tasks(reading, x)
    assert doubt is not None
    error = torch.cat([residual(mapping, reading, row, exact(x.shape[2])) for row in x.split(1, 1)], 1).abs()
    expected = (doubt / 2).exp()
    known, outcomes = ~doubt.isneginf(), 1 if error.shape[-1] == 2 else error.shape[-1]
    error, expected, known = (part[..., :outcomes] for part in (error, expected, known))
    found, told = (part[known].double().numpy() for part in (error, expected))
    return found / np.maximum(told, 1e-9), found, told


if __name__ == "__main__":
    main()
