"""Published few-shot results, reproduced: sine waves, prototypical networks on Omniglot, and the import time.

    python benchmarks/meta.py sinusoid                      three seeds of the paper's 70,000 iterations, compiled
    python benchmarks/meta.py sinusoid --learners MAML Meta-SGD ANIL Reptile multi-task           others the same way
    MAPSTO_DATA=... python benchmarks/meta.py omniglot      training, then 1,000 test episodes 5-way and 20-way
    python benchmarks/meta.py import

Resumable: runs go to `--out` (runs/meta), an interrupted training continues, a finished result is only printed again.
`--tiny` runs everything at a size that shows that it works and nothing else.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module

import mapsto as mt
from mapsto.adaptation.inner import SGD
from mapsto.episodes import over_tasks
from mapsto.measures.evaluation.evaluate import summary
from mapsto.training.loop import Step

TEST_STEPS = (1, 5, 10)  # on 5 points, and one step on 10
WAVES: dict[str, Callable[[Module], mt.learners.MAML | mt.learners.Reptile | mt.learners.MultiTask]] = {
    "MAML": lambda body: mt.learners.MAML(body, loss="mse", lr=0.01, steps=1),
    "Meta-SGD": lambda body: mt.learners.MAML(body, loss="mse", lr=0.01, steps=1, learn_lr=True),
    "ANIL": lambda body: mt.learners.MAML(body, loss="mse", lr=0.01, steps=1, adapt="head"),
    "Reptile": lambda body: mt.learners.Reptile(body, loss="mse", lr=0.01, steps=10, optimizer=SGD()),
    "multi-task": lambda body: mt.learners.MultiTask(body, loss="mse", lr=0.01, steps=1),
}


def main() -> None:
    """Run one part, or print again what it gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--out", type=Path, default=Path("runs/meta"))
    parser.add_argument("--seeds", type=int, default=3, help="of the sine waves")
    parser.add_argument("--learners", nargs="+", choices=WAVES, default=["MAML"], help="of the sine waves")
    parser.add_argument("--seed", type=int, default=0, help="of Omniglot")
    parser.add_argument("--steps", type=int, default=1300, help="of training on Omniglot")
    parser.add_argument("--scheme", choices=("snell", "vinyals"), default="snell", help="characters to train on")
    parser.add_argument("--norm", choices=("layer", "batch"), default="layer", help="of Omniglot's network")
    parser.add_argument("--transductive", action="store_true", help="batch norm of query images by each other")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="default: the sine waves only")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    args.out = args.out / "tiny" if args.tiny else args.out
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    PARTS[args.part](args)


def once(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `path` holds, else what `measure` gives, having written it there."""
    if not path.exists():
        found = measure()
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(found, indent=1))
        temporary.rename(path)
    return json.loads(path.read_text())


def follow(steps: Iterable[Step], every: int) -> float:
    """Train to the end and return the seconds that training took, interruptions not counted."""
    step = None
    for step in steps:
        if step.step % every == 0:
            print(
                f"step {step.step}: loss {step.metrics['loss']:.4f}, {step.seconds:.0f} s", file=sys.stderr, flush=True
            )
    return step.seconds if step else 0.0


# Learners on sine waves: Finn et al. 2017, §5.1


def sinusoid(args: argparse.Namespace) -> None:
    """Print the squared error of each learner and seed after 1, 5 and 10 steps on 5 points of unseen waves."""
    cells = [f"5-shot, {n} steps: mean ± 95 %, median, diverged" for n in TEST_STEPS] + ["10-shot, 1 step"]
    print("| learner | seed | weights of step | minutes | " + " | ".join(cells) + " |")
    print("|---|---|---|---|" + "---|" * len(cells))
    for name in args.learners:
        path = args.out / f"sinusoid-{name}"
        found = [once(Path(f"{path}-{seed}.json"), partial(one_seed, name, seed, args)) for seed in range(args.seeds)]
        for seed, result in enumerate(found):
            cells = [
                f"{e['mse']['mean']:.3f} ± {e['mse']['interval']:.3f}, {e['median']:.3f}, {e['diverged']}"
                for e in result["tests"]
            ]
            minutes = f"{result['seconds'] / 60:.1f}"
            print(f"| {name} | {seed} | {result['chosen']:,} | {minutes} | " + " | ".join(cells) + " |")
        means = [
            sum(e["mse"]["mean"] for e in tests) / len(found)
            for tests in zip(*(r["tests"] for r in found), strict=True)
        ]
        print(f"| {name} | mean | | | " + " | ".join(f"**{mean:.3f}**" for mean in means) + " |", flush=True)


def one_seed(name: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Train with the paper's recipe, choose the weights on validation waves, and test on 2,000 unseen ones.

    Weights are chosen by what 1, 5 and 10 steps lead to; those of Meta-SGD, whose rates are learned for one, by one.
    """
    steps, every, waves = (60, 20, 20) if args.tiny else (70_000, 1_000, 2_000)
    torch.manual_seed(seed)
    learner = WAVES[name](mt.models.MLP(1, 40, 40, 1))
    unseen = mt.tasks.Sinusoids(shots=5, queries=100)
    run, judged = args.out / f"sinusoid-{name}-{seed}", (1,) if name == "Meta-SGD" else TEST_STEPS
    taught = mt.train(
        learner, mt.tasks.Sinusoids(shots=10, queries=10), steps, 25, 1e-3, seed=seed,
        compile=args.compile is not False,
        validation=lambda _: after_steps(learner, unseen.validation.batch(0, waves), judged), validate_every=every,
        run=run, resume=True, checkpoint_every=every, log_every=every,
    )  # fmt: skip
    follow(taught, every * 10)
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    chosen = min(
        (line for line in log if line["validation"] == line["validation"]), key=lambda line: line["validation"]
    )
    tests = []
    for learner.steps, shots in (*((n, 5) for n in TEST_STEPS), (1, 10)):  # type: ignore[misc]
        tasks = mt.tasks.Sinusoids(shots=shots, queries=100).test
        tests.append(summary(mt.evaluate(learner, tasks, episodes=waves, batch=500)))
    return {"seed": seed, "chosen": chosen["step"], "seconds": log[-1]["seconds"], "tests": tests}


def after_steps(learner: Any, episodes: mt.Episode, numbers: tuple[int, ...]) -> float:
    """Return the squared error on 5 points, averaged over numbers of steps: what the weights are chosen by."""
    trained, total = learner.steps, 0.0
    for learner.steps in numbers:
        with torch.no_grad():
            total += float(over_tasks(learner.query_loss)(episodes).mean())
    learner.steps = trained
    return total / len(numbers)


# Prototypical networks on Omniglot: Snell et al. 2017, §3.1


def omniglot(args: argparse.Namespace) -> None:
    """Print the accuracy on unseen characters, 5-way and 20-way, 1-shot."""
    name = f"omniglot-{args.scheme}-{args.steps}-{args.norm}-{args.seed}{'-transductive' if args.transductive else ''}"
    found = once(args.out / f"{name}.json", lambda: characters(args, args.out / name))
    print("| task | accuracy, mean ± 95 % | log loss | calibration error | episodes |")
    print("|---|---|---|---|---|")
    for ways, e in found["tests"].items():
        accuracy = f"{100 * e['accuracy']['mean']:.2f} ± {100 * e['accuracy']['interval']:.2f} %"
        cells = [accuracy, f"{e['log_loss']['mean']:.4f}", f"{e['calibration_error']:.4f}", str(e["tasks"])]
        print(f"| {ways}-way 1-shot | {' | '.join(cells)} |")
    by = {"layer": "layer norm", "batch": f"batch norm by {'query' if args.transductive else 'support'} statistics"}
    print(
        f"\n{found['steps']} steps of one 60-way 1-shot 5-query episode, {found['seconds'] / 60:.1f} minutes; "
        f"{by[args.norm]}."
    )


def characters(args: argparse.Namespace, run: Path) -> dict[str, Any]:
    """Train on 60-way episodes, rotations as classes, and test on the 423 characters that no scheme trains on."""
    steps, episodes = (4, 4) if args.tiny else (args.steps, 1_000)
    torch.manual_seed(args.seed)
    body = mt.models.Conv4(channels=1, hidden=64, norm=args.norm).to(memory_format=torch.channels_last)
    learner = mt.learners.PrototypicalNetwork(body, ways=60, transductive=args.transductive)
    tasks = mt.tasks.Omniglot(ways=60, shots=1, queries=5, scheme=args.scheme)
    taught = mt.train(
        learner, tasks, steps, 1, 4e-3, seed=args.seed, schedule="one-cycle", compile=bool(args.compile),
        run=run, resume=True, checkpoint_every=250,
    )  # fmt: skip
    follow(taught, 100)
    seconds = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["seconds"]
    tests = {}
    for learner.ways in (5, 20):
        tasks = mt.tasks.Omniglot(ways=learner.ways, shots=1, queries=5).test
        tests[learner.ways] = summary(mt.evaluate(learner, tasks, episodes=episodes))
    return {"steps": steps, "seconds": seconds, "tests": tests}


# import mapsto beyond import torch


def import_time(args: argparse.Namespace) -> None:
    """Print the seconds that `import mapsto` takes after `import torch`, the least and median of several processes."""
    code = "import torch, time; start = time.perf_counter(); import mapsto; print(time.perf_counter() - start)"
    runs = sorted(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(2 if args.tiny else 10)
    )
    least, median = (1e3 * seconds for seconds in (runs[0], runs[len(runs) // 2]))
    print(f"import mapsto beyond import torch: {least:.1f} ms at least, {median:.1f} ms median")


PARTS = {"sinusoid": sinusoid, "omniglot": omniglot, "import": import_time}

if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - began:.0f} s in all")
