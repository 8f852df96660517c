"""Widen the head that reads the reasons, and train it alone: the model stays as it is.

    OMP_NUM_THREADS=1 python benchmarks/head.py runs/tables --steps 3000 --run runs/head

The head of `runs/tables` becomes a part of a wider one: new hidden units begin with no effect, new factors of the
pairwise terms with little. `ship.py runs/head` makes the file that ships.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

import mapsto as mt
from mapsto.explainers.learned.attribution import PairwiseAttribution
from mapsto.joint import SelfExplaining
from mapsto.learners import InContext
from mapsto.models import SetTransformer
from mapsto.training.run import WEIGHTS, read_config, read_tensors


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a wider head of reasons on a frozen model.")
    parser.add_argument("source", type=Path, help="run whose weights to start from")
    parser.add_argument("--run", required=True, help="folder to write to")
    for name, default in {"steps": 3000, "batch": 16, "hidden": 256, "rank": 16, "seed": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=0.003)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    config = read_config(args.source)
    mapping = widened(args.source, config["learner"]["init_args"], args.hidden, args.rank)
    mapping.learner.requires_grad_(False)
    tasks = mt.tasks.Tables(**config["tasks"]["init_args"])
    explainer = config["learner"]["init_args"]["explainer"]["init_args"] | {"hidden": args.hidden, "rank": args.rank}
    config["learner"]["init_args"]["explainer"]["init_args"] = explainer
    untrue: list[float] = []
    for step in mt.train(
        mapping, tasks, steps=args.steps, batch=args.batch, lr=args.lr, seed=args.seed, optimizer="muon", clip=1.0,
        schedule="cosine", warmup=50, ema=0.995, run=args.run, resume=True, checkpoint_every=200,
        config={"learner": config["learner"], "tasks": config["tasks"]},
    ):  # fmt: skip
        untrue.append(step.metrics["untrue_share"])
        if step.step % 100 == 0:
            print(
                f"{step.step}: share of the game that is not told {torch.tensor(untrue[-100:]).median():.4f}",
                flush=True,
            )


def widened(source: Path, init: dict, hidden: int, rank: int) -> SelfExplaining:
    """Return the mapping of a run with a wider head that says nearly the same."""
    width = init["explainer"]["init_args"]["width"]
    body = SetTransformer(**init["learner"]["init_args"]["body"]["init_args"])
    mapping = SelfExplaining(InContext(body, ways=10), PairwiseAttribution(width, hidden=hidden, rank=rank))
    tensors, _ = read_tensors(source / WEIGHTS)
    old = {name.removeprefix("explainer."): part for name, part in tensors.items() if name.startswith("explainer.")}
    mapping.learner.load_state_dict(
        {k.removeprefix("learner."): v for k, v in tensors.items() if k.startswith("learner.")}
    )
    with torch.no_grad():
        widen(mapping.explainer, old)
    return mapping


def widen(explainer: PairwiseAttribution, old: dict[str, Tensor]) -> None:
    first, _, last = explainer.head
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    units, outputs = len(old["head.0.bias"]), explainer.outputs
    first.weight[:units], first.bias[:units] = old["head.0.weight"], old["head.0.bias"]
    terms = len(old["head.2.bias"]) // outputs  # 1 + the old rank
    last.weight[:, units:] = 0
    weight, bias = (part.unflatten(0, (outputs, -1)) for part in (last.weight, last.bias))
    weight[:, terms:] *= 0.5
    weight[:, :terms, :units], bias[:, :terms] = (
        old[f"head.2.{name}"].unflatten(0, (outputs, -1)) for name in ("weight", "bias")
    )


if __name__ == "__main__":
    main()
