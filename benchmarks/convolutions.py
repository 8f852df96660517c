"""Image learners beside learn2learn, higher, JAX and plain loops: the same work in one run, as ratios.

    python benchmarks/convolutions.py                                       every kind of work
    python benchmarks/convolutions.py Conv4 --steps 1 --norms layer --repeats 15

"Conv4" and "ResNet-12" are a meta-gradient of second order: 5 ways, 1 shot, 15 queries a class, of Conv4-64 (8 tasks)
and of ResNet-12 (2 tasks). "ANIL" is that of Conv4-64 if only its head adapts, which a plain loop can do by running the
other layers in every step, or once ("features once", as in learn2learn's example). Prototypes have a step of 60 ways,
and 8 tasks of 5 ways evaluated. Peers have the usual network of plain layers (convolution, norm, ReLU, pooling), whose
batch norm uses the statistics of each batch; ours does the same (`batch`), or uses the support set's (`support`), which
takes one more pass and has other values.

Times are processor seconds of one thread and medians, each method in a process of its own, in turn, so that other work
on the machine counts little. Ours keeps freed memory as `mt.train` does; `--kept` lets the peers do so too. A ratio is
a peer's time over ours: above 1, ours is faster. Beside it stands the largest difference of the gradients (or scores),
over the largest entry. JAX has the channels last and is compiled. Peers that are not installed are left out; `--tiny`
only shows that everything runs.
"""

import argparse
import importlib.util
import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, linear

import mapsto as mt
from mapsto.adaptation.batching import each_task
from mapsto.episodes import Episode, Examples, unstack
from mapsto.learners import MAML, PrototypicalNetwork
from mapsto.models import Conv4, ResNet12
from mapsto.models.norms import Norm
from mapsto.training import memory
from mapsto.training.meta import meta_gradient

Work = Callable[[], list[Tensor]]
LR = 0.01


def main() -> None:
    """Measure each case, and print its lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 5], help="inner steps of MAML")
    parser.add_argument("--norms", nargs="+", choices=NORMS, default=NORMS)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--kept", action="store_true", help="keep the freed memory of peers")
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    print(f"torch {torch.__version__}, one thread, medians of {args.repeats} runs\n")
    print("| work | norm | steps | ours, ms | peer | times as long | difference |")
    print("|---|---|---|---|---|---|---|")
    for part in args.parts or PARTS:
        norms = [norm for norm in args.norms if norm != "support" or PARTS[part] is meta]
        for norm, steps in itertools.product(norms, args.steps if PARTS[part] is meta else [0]):
            report(Case(part, norm, steps, args.tiny), args.repeats, args.kept)


class Case(NamedTuple):
    """What is computed: the part, the norm of the network, the inner steps, and whether only to show that it runs."""

    part: str
    norm: str
    steps: int
    tiny: bool


def report(case: Case, repeats: int, kept: bool) -> None:
    """Print one line a peer: how much longer it takes than ours, and how far its values are from ours."""
    context = multiprocessing.get_context("spawn")
    names, pipes = ["ours", *PEERS[case.part]], {}
    for name in names:
        pipes[name], end = context.Pipe()
        context.Process(target=serve, args=(end, case, name, kept or name == "ours"), daemon=True).start()
    values = {name: pipes[name].recv() for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            seconds[name].append(ask(pipes[name]))
    for pipe in pipes.values():
        pipe.send(False)
    own, (part, norm, steps, _) = statistics.median(seconds["ours"]), case
    for name in names[1:]:
        ratio = statistics.median(seconds[name]) / own
        gap = "other values" if norm == "support" else f"{difference(values['ours'], values[name]):.0e}"
        print(f"| {part} | {norm} | {steps or ''} | {1e3 * own:.1f} | {name} | {ratio:.2f} | {gap} |", flush=True)


def serve(pipe: Connection, case: Case, name: str, kept: bool) -> None:
    """Send the values of a method, and then the processor seconds of a run whenever asked."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    work = PARTS[case.part](case)[name]
    with memory.kept() if kept else nullcontext():
        pipe.send([value.detach().numpy() for value in work()])
        while pipe.recv():
            began = time.process_time()
            work()
            pipe.send(time.process_time() - began)


def ask(pipe: Connection) -> float:
    """Return the processor seconds of one run."""
    pipe.send(True)
    return pipe.recv()


def difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Return the largest difference of corresponding tensors, over the largest entry of all."""
    pairs = list(zip(ours, theirs, strict=True))
    return float(max(abs(a - b).max() for a, b in pairs) / max(abs(b).max() for _, b in pairs))


# MAML


def meta(case: Case) -> dict[str, Work]:
    """Return the meta-gradient by each method."""
    kind: Norm = "layer" if case.norm == "layer" else "batch"
    if case.part != "ResNet-12":
        hidden, tasks = (4, 2) if case.tiny else (64, 8)
        make: Callable[[], nn.Module] = partial(Conv4, hidden=hidden, outputs=5, norm=kind)
    else:
        widths, tasks = (4, 4, 4, 4) if case.tiny else (64, 160, 320, 640), 2
        make = partial(ResNet12, widths=widths, outputs=5, norm=kind)
    body, usual = make(), plain(make())
    usual.load_state_dict(body.state_dict())
    adapt: Literal["all", "head"] = "head" if case.part == "ANIL" else "all"
    learner = MAML(body, lr=LR, steps=case.steps, transductive=case.norm == "batch", adapt=adapt)
    episodes = noise(tasks, 5, 15)
    theirs = {name: partial(LOOPS[name], usual, unstack(episodes), case.steps) for name in PEERS[case.part]}
    return {"ours": ours(learner, episodes), **theirs}


def ours(learner: mt.learners.Learner, episodes: Episode) -> Work:
    """Return the meta-gradient as training computes it."""
    gradient, params = meta_gradient(learner), dict(learner.named_parameters())
    return lambda: list(gradient(params, episodes)[0].values())


def plain_loop(body: nn.Module, tasks: list[Episode], steps: int) -> list[Tensor]:
    """Return the meta-gradient by `torch.autograd.grad` and `functional_call`."""
    learned = dict(body.named_parameters())
    total = [torch.zeros_like(p) for p in learned.values()]
    for task in tasks:
        params: dict[str, Tensor] = dict(learned)
        for _ in range(steps):
            loss = cross_entropy(functional_call(body, params, (task.support.x,)), task.support.y)
            gradients = torch.autograd.grad(loss, list(params.values()), create_graph=True)
            params = {name: p - LR * g for (name, p), g in zip(params.items(), gradients, strict=True)}
        loss = cross_entropy(functional_call(body, params, (task.query.x,)), task.query.y) / len(tasks)
        total = [a + g for a, g in zip(total, torch.autograd.grad(loss, list(learned.values())), strict=True)]
    return total


def head_loop(body: nn.Module, tasks: list[Episode], steps: int) -> list[Tensor]:
    """Return ANIL's meta-gradient by running all layers in every step."""
    learned = dict(body.named_parameters())
    head = [name for name in learned if name.startswith("head.")]
    total = [torch.zeros_like(p) for p in learned.values()]
    for task in tasks:
        params: dict[str, Tensor] = dict(learned)
        for _ in range(steps):
            loss = cross_entropy(functional_call(body, params, (task.support.x,)), task.support.y)
            gradients = torch.autograd.grad(loss, [params[name] for name in head], create_graph=True)
            params |= {name: params[name] - LR * g for name, g in zip(head, gradients, strict=True)}
        loss = cross_entropy(functional_call(body, params, (task.query.x,)), task.query.y) / len(tasks)
        total = [a + g for a, g in zip(total, torch.autograd.grad(loss, list(learned.values())), strict=True)]
    return total


def features_loop(body: Any, tasks: list[Episode], steps: int) -> list[Tensor]:
    """Return ANIL's meta-gradient by running the layers below the head once for all steps."""
    learned = list(body.parameters())
    total = [torch.zeros_like(p) for p in learned]
    for task in tasks:
        weight, bias = body.head.weight, body.head.bias
        support, query = (body.readout(body.blocks(x)) for x in (task.support.x, task.query.x))
        for _ in range(steps):
            loss = cross_entropy(linear(support, weight, bias), task.support.y)
            by_weight, by_bias = torch.autograd.grad(loss, [weight, bias], create_graph=True)
            weight, bias = weight - LR * by_weight, bias - LR * by_bias
        loss = cross_entropy(linear(query, weight, bias), task.query.y) / len(tasks)
        total = [a + g for a, g in zip(total, torch.autograd.grad(loss, learned), strict=True)]
    return total


def learn2learn_loop(body: nn.Module, tasks: list[Episode], steps: int) -> list[Tensor]:
    """Return the meta-gradient by learn2learn's `MAML`, as in its examples."""
    from learn2learn.algorithms.maml import MAML as Theirs

    learner = Theirs(body, lr=LR, first_order=False)
    learner.zero_grad()
    for task in tasks:
        clone = learner.clone()
        for _ in range(steps):
            clone.adapt(cross_entropy(clone(task.support.x), task.support.y))
        (cross_entropy(clone(task.query.x), task.query.y) / len(tasks)).backward()
    return [p.grad.clone() for p in body.parameters() if p.grad is not None]


def higher_loop(body: nn.Module, tasks: list[Episode], steps: int) -> list[Tensor]:
    """Return the meta-gradient by higher's inner loop, as in its examples."""
    import higher

    body.zero_grad()
    optimizer = torch.optim.SGD(body.parameters(), lr=LR)
    for task in tasks:
        with higher.innerloop_ctx(body, optimizer, copy_initial_weights=False) as (copy, inner):
            for _ in range(steps):
                inner.step(cross_entropy(copy(task.support.x), task.support.y))
            (cross_entropy(copy(task.query.x), task.query.y) / len(tasks)).backward()
    return [p.grad.clone() for p in body.parameters() if p.grad is not None]


# Prototypical networks


def prototypes(case: Case) -> dict[str, Work]:
    """Return the gradient of a step of 60 ways, 1 shot, 5 queries; or the scores of 8 tasks of 5 ways, 15 queries."""
    hidden, training = 4 if case.tiny else 64, case.part == "prototypes, a step"
    ways = (6 if case.tiny else 60) if training else 5
    kind: Norm = "layer" if case.norm == "layer" else "batch"
    body, usual = Conv4(hidden=hidden, norm=kind), plain(Conv4(hidden=hidden, norm=kind))
    usual.load_state_dict(body.state_dict())
    usual = usual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = PrototypicalNetwork(body, ways, transductive=case.norm == "batch")
    episodes = noise(1, ways, 5) if training else noise(8, ways, 15)
    tasks, learned = unstack(episodes), list(usual.parameters())

    def step() -> list[Tensor]:
        return list(torch.autograd.grad(cross_entropy(distances(usual, tasks[0]), tasks[0].query.y), learned))

    def scores() -> list[Tensor]:
        with torch.no_grad():
            return [distances(usual, task) for task in tasks]

    def own() -> list[Tensor]:
        with torch.no_grad():
            return list(each_task(learner, lambda e: learner.predict(learner.adapt(e.support), e.query.x), episodes))

    theirs = {LAST: step if training else scores}
    if JAX in PEERS[case.part]:
        theirs[JAX] = jax_prototypes(usual, tasks, case.norm, training)
    return {"ours": ours(learner, episodes) if training else own, **theirs}


def distances(body: nn.Module, task: Episode) -> Tensor:
    """Return minus the squared distances of query images to the support images, one of each class in order."""
    means, queries = (body(x.contiguous(memory_format=torch.channels_last)) for x in (task.support.x, task.query.x))
    return -torch.cdist(queries, means).square()


def jax_prototypes(body: nn.Module, tasks: list[Episode], norm: str, training: bool) -> Work:
    """Return the gradient of a step or the scores of all tasks by JAX, with the parameters of `body`."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    def layout(value: Any) -> Any:
        return jnp.asarray(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)  # height, width, inputs, outputs

    def block(x: Any, weight: Any, bias: Any, scale: Any, shift: Any) -> Any:
        x = lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + bias
        axes = (1, 2, 3) if norm == "layer" else (0, 1, 2)
        mean = x.mean(axes, keepdims=True)
        var = jnp.square(x - mean).mean(axes, keepdims=True)
        x = jax.nn.relu((x - mean) * lax.rsqrt(var + 1e-5) * scale + shift)
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def scores(params: Any, support: Any, query: Any) -> Any:
        for i in range(0, len(params), 4):
            support, query = (block(x, *params[i : i + 4]) for x in (support, query))
        means, queries = (x.reshape(len(x), -1) for x in (support, query))
        squares = jnp.square(queries).sum(1, keepdims=True) + jnp.square(means).sum(1)
        return 2 * queries @ means.T - squares

    def loss(params: Any, support: Any, query: Any, y: Any) -> Any:
        surprise = -jax.nn.log_softmax(scores(params, support, query))
        return jnp.take_along_axis(surprise, y[:, None], 1).mean()

    params = [layout(p.detach().numpy()) for p in body.parameters()]
    rows = [[jnp.asarray(part.x.numpy().transpose(0, 2, 3, 1)) for part in task[:2]] for task in tasks]
    y = jnp.asarray(tasks[0].query.y.numpy())
    gradient, answer = jax.jit(jax.grad(loss)), jax.jit(scores)

    def run() -> list[Tensor]:
        values = gradient(params, *rows[0], y) if training else [answer(params, *each) for each in rows]
        tensors = [torch.from_dlpack(value) for value in jax.block_until_ready(values)]
        return [value.permute(3, 2, 0, 1) if value.dim() == 4 else value for value in tensors]

    return run


# What they work on


def plain(body: nn.Module) -> nn.Module:
    """Replace the convolutions by those of torch, and put pooling last in each block, as is usual."""
    for module in list(body.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.Conv2d):
                size, padding, biased = layer.kernel_size[0], layer.padding[0], layer.bias is not None
                usual = nn.Conv2d(layer.in_channels, layer.out_channels, size, padding=int(padding), bias=biased)
                module.add_module(name, usual)
            elif name == "pool":
                delattr(module, name)
                module.add_module(name, layer)
    return body


def noise(tasks: int, ways: int, queries: int) -> Episode:
    """Return tasks of noise images `[1, 28, 28]` with one support image a class."""
    generator = torch.Generator().manual_seed(0)

    def images(each: int) -> Examples:
        y = torch.arange(ways).repeat(tasks, each)
        x = torch.rand(tasks, ways * each, 1, 28, 28, generator=generator)
        return Examples(x, y, torch.full(y.shape, 1 / y.shape[1]))

    return Episode(images(1), images(queries))


LAST, JAX = "plain loop, channels last", "JAX"
LOOPS: dict[str, Callable[..., list[Tensor]]] = {
    "plain loop": plain_loop,
    "learn2learn": learn2learn_loop,
    "higher": higher_loop,
    "plain loop of the head": head_loop,
    "features once": features_loop,
}
INSTALLED = ["plain loop", *(name for name in ("learn2learn", "higher") if importlib.util.find_spec(name))]
PARTS: dict[str, Callable[[Case], dict[str, Work]]] = {
    "Conv4": meta,
    "ResNet-12": meta,
    "ANIL": meta,
    "prototypes, a step": prototypes,
    "prototypes, evaluated": prototypes,
}
OTHERS = [LAST, JAX] if importlib.util.find_spec("jax") else [LAST]
PEERS = {part: INSTALLED if work is meta else OTHERS for part, work in PARTS.items()}
PEERS["ANIL"] = ["plain loop of the head", "features once"]
NORMS = ["layer", "batch", "support"]

if __name__ == "__main__":
    main()
