"""One meta-gradient of MAML on sine waves: mapsto beside JAX, a hand-written batched product and a loop over tasks.

    taskset -c 0 python benchmarks/sinusoid_peers.py --steps 1 5 10

25 tasks of 10 + 10 points, an MLP 1-40-40-1, exact second-order gradients, one thread. All methods compute the same
gradient, which is checked. Times are medians of processor time, the methods in turn; a ratio is the peer's time divided
by that of mapsto, so above 1 mapsto is faster. JAX (`pip install jax`) is left out if not installed. The time that
compiling took is printed too.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import torch
from torch import Tensor

import mapsto as mt
from mapsto.models import MLP
from mapsto.training.meta import meta_gradient

TASKS, LR = 25, 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description="Time MAML on sine waves beside peers.")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--repeats", type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for steps in args.steps:
        compared(steps, args.repeats)


def compared(steps: int, repeats: int) -> None:
    torch.manual_seed(0)
    learner = mt.learners.MAML(MLP(1, 40, 40, 1), "mse", lr=LR, steps=steps)
    episodes = mt.tasks.Sinusoids(shots=10, queries=10).batch(0, TASKS)
    params = {name: p.detach() for name, p in learner.named_parameters()}
    eager, compiled = meta_gradient(learner), meta_gradient(learner, compile=True)
    methods = {
        "mapsto": lambda: eager(params, episodes)[0],
        "mapsto, compiled": lambda: compiled(params, episodes)[0],
        "batched product": lambda: by_hand(params, episodes, steps),
        "loop over tasks": lambda: by_loop(params, episodes, steps),
    }
    if (jax := jax_step(params, episodes, steps)) is not None:
        methods["JAX, jit and vmap"] = jax
    start = time.perf_counter()
    methods["mapsto, compiled"]()
    compiling = time.perf_counter() - start
    expected = methods["mapsto"]()
    for name, method in methods.items():
        for key, found in method().items():
            torch.testing.assert_close(found, expected[key], rtol=1e-3, atol=1e-5, msg=f"{name}: {key}")
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, method in methods.items():
            start = time.process_time()
            method()
            times[name].append(time.process_time() - start)
    took = {name: statistics.median(each) for name, each in times.items()}
    print(f"{steps} inner steps; compiling took {compiling:.0f} s")
    for ours in ("mapsto", "mapsto, compiled"):
        for name in methods:
            if not name.startswith("mapsto"):
                print(f"| {ours} beside {name} | {took[name] / took[ours]:.2f} |", flush=True)


def by_hand(params: dict[str, Tensor], episodes, steps: int) -> dict[str, Tensor]:
    """All tasks at once, by batched matrix products."""
    leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
    adapted = [p.expand(TASKS, *p.shape) for p in leaves.values()]
    for _ in range(steps):
        gradients = torch.autograd.grad(batched_loss(adapted, episodes.support), adapted, create_graph=True)
        adapted = [p - LR * g for p, g in zip(adapted, gradients, strict=True)]
    loss = batched_loss(adapted, episodes.query) / TASKS
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def batched_loss(params: list[Tensor], rows) -> Tensor:
    x = rows.x
    for i in range(0, len(params), 2):
        x = torch.baddbmm(params[i + 1][:, None], x, params[i].mT)
        x = x.relu() if i < len(params) - 2 else x
    return ((x - rows.y).square().sum(-1) * rows.w).sum()


def by_loop(params: dict[str, Tensor], episodes, steps: int) -> dict[str, Tensor]:
    """One task after another, as learn2learn and most code for MAML do it."""
    leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
    loss = torch.zeros(())
    for support, query in zip(*(zip(*rows, strict=True) for rows in episodes[:2]), strict=True):
        adapted = list(leaves.values())
        for _ in range(steps):
            gradients = torch.autograd.grad(one_loss(adapted, *support), adapted, create_graph=True)
            adapted = [p - LR * g for p, g in zip(adapted, gradients, strict=True)]
        loss = loss + one_loss(adapted, *query) / TASKS
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def one_loss(params: list[Tensor], x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    for i in range(0, len(params), 2):
        x = torch.nn.functional.linear(x, params[i], params[i + 1])
        x = x.relu() if i < len(params) - 2 else x
    return ((x - y).square().sum(-1) * w).sum()


def jax_step(params: dict[str, Tensor], episodes, steps: int):
    """Return the same step as a compiled JAX function, or None."""
    try:
        import jax
    except ImportError:
        print("JAX is not installed, so it is left out; pip install jax")
        return None
    leaves = [jax.numpy.asarray(p.numpy()) for p in params.values()]
    support, query = ([jax.numpy.asarray(part.numpy()) for part in rows] for rows in episodes[:2])

    def loss(params, x, y, w):
        for i in range(0, len(params), 2):
            x = x @ params[i].T + params[i + 1]
            x = jax.nn.relu(x) if i < len(params) - 2 else x
        return (((x - y) ** 2).sum(-1) * w).sum()

    def task(params, support, query):
        adapted = params
        for _ in range(steps):
            adapted = [p - LR * g for p, g in zip(adapted, jax.grad(loss)(adapted, *support), strict=True)]
        return loss(adapted, *query)

    def mean(params):
        return jax.vmap(task, (None, 0, 0))(params, support, query).mean()

    step = jax.jit(jax.grad(mean))

    def run() -> dict[str, Tensor]:
        return {name: torch.from_dlpack(g) for name, g in zip(params, jax.block_until_ready(step(leaves)), strict=True)}

    return run


if __name__ == "__main__":
    main()
