"""Train the network that predicts the errors of the mapping's Shapley values, and calibrate it on other tables.

    OMP_NUM_THREADS=1 python benchmarks/doubting.py runs/head --steps 1000 --run runs/doubt

The mapping of the run `runs/head` stays as it is. Then exact values give the quantiles of the errors, so that intervals
hold what they say: those of `--tables` generated tables and those of as many parts of scikit-learn's tables, because
real tables are less regular than generated ones. Each table has the same weight. `ship.py runs/doubt` makes the file
that ships.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from sklearn import datasets
from torch.utils import _pytree as pytree

import mapsto as mt
from mapsto.episodes import Episode, examples
from mapsto.explainers.coalitions import exact
from mapsto.explainers.learned.attribution import PairwiseAttribution
from mapsto.explainers.learned.value_errors import LEVELS, ValueErrors
from mapsto.joint import Doubting, SelfExplaining
from mapsto.joint.looks import residual
from mapsto.joint.self_explaining import standard
from mapsto.learners import InContext
from mapsto.models import SetTransformer
from mapsto.training.run import WEIGHTS, Run, read_config, read_tensors

TRAINED = {"rows": (12, 256), "columns": (2, 16), "ways": (2, 10), "numeric": 0.25, "queries": 2}
OWN = ("breast_cancer", "wine", "iris", "digits", "diabetes")
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
    """Set the quantiles of the errors, in units of the predicted ones, to those of tables that were not trained on."""
    assert mapping.doubt is not None
    tasks, by_source = mt.tasks.Tables(**CALIBRATED).validation, {}
    by_source["generated"] = [checked(mapping, tasks.batch(i, 1, seed)) for i in range(tables)]
    by_source["scikit-learn's"] = [checked(mapping, task) for task in parts(tables, seed)]
    by_source["all"] = by_source["generated"] + by_source["scikit-learn's"]
    for name, ratios in by_source.items():
        quantiles = _quantiles([ratio for ratio in ratios if len(ratio)])
        print(f"{name}: 90 % of errors within {quantiles[89]:.2f} expected ones (1.64 for a normal distribution)")
    mapping.doubt.ratios.copy_(torch.from_numpy(quantiles))


def _quantiles(ratios: list[np.ndarray]) -> np.ndarray:
    """Return the quantiles `LEVELS` of all ratios, in which each table has the same weight."""
    points = np.concatenate(ratios)
    weights = np.concatenate([np.full(len(ratio), 1 / len(ratio)) for ratio in ratios])
    order = np.argsort(points)
    return np.interp(LEVELS, np.cumsum(weights[order]) / weights.sum(), points[order])


def parts(count: int, seed: int) -> Iterator[Episode]:
    """Yield tasks from scikit-learn's tables: eight random columns, 32 to 128 training rows, six queries."""
    generator = np.random.default_rng(seed)
    for i in range(count):
        table = getattr(datasets, f"load_{OWN[i % len(OWN)]}")()
        rows = generator.permutation(len(table.data))[: (32, 64, 128)[i % 3] + 6]
        x = table.data[rows][:, generator.permutation(table.data.shape[1])[:8]]
        spread = x[:-6].std(0)
        x = torch.as_tensor((x / np.where(spread > 0, spread, 1.0))[:, spread > 0], dtype=torch.float32)
        y = table.target[rows]
        if OWN[i % len(OWN)] == "diabetes":
            target = torch.as_tensor(y[:, None], dtype=torch.float32)
        else:
            target = torch.as_tensor(np.unique(y[:-6], return_inverse=True)[1])
            target = torch.cat([target, target[:6]])  # the outcomes of the queries do not matter
        whole = Episode(examples(x[:-6], target[:-6]), examples(x[-6:], target[-6:]), torch.rand(6, x.shape[1] + 1))
        yield pytree.tree_map_only(torch.Tensor, lambda leaf: leaf[None], whole)


@torch.no_grad()
def checked(mapping: SelfExplaining, task: Episode, members: int = 2) -> np.ndarray:
    """Return |error| / expected error of each value of a task; two classes count once."""
    mapping.learner.members = members
    if task.support.y.is_floating_point():
        task = standard(task)
    reading, x = mapping.read(task), task.query.x
    _, doubt, game = mapping.in_tasks(reading, x)
    assert doubt is not None
    error = residual(mapping, reading, x, game, exact(x.shape[2])).abs()
    expected = (doubt / 2).exp()
    known, outcomes = ~doubt.isneginf(), 1 if error.shape[-1] == 2 else error.shape[-1]
    error, expected, known = (part[..., :outcomes] for part in (error, expected, known))
    error, expected = error[known], expected[known]
    return (error / expected.clamp(min=1e-9)).double().numpy()


if __name__ == "__main__":
    main()
