"""MAML's meta-gradient beside central finite differences in float64, on smooth networks of the published sizes.

    error = ‖g − d‖ / ‖d‖,      d_i = (loss(θ + h·e_i) − loss(θ − h·e_i)) / 2h

over all parameters of the perceptron, and over a random sample of entries of each of Conv4's parameters. The last
column is the mutant: the first-order gradient passed off as the full one. The second table sets the other routes
through the inner loop beside the unrolled one: the same error over all parameters, in float64 too.

Run: python benchmarks/hypergradients.py      (a minute or two)
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call, grad, jvp

from mapsto.adaptation.differentiation import (
    Adjoint,
    Blocked,
    Checkpointed,
    Differentiation,
    FiniteDifference,
    FirstOrder,
    Truncated,
)
from mapsto.episodes import Episode, examples, to
from mapsto.learners import MAML
from mapsto.models import MLP, Conv4
from mapsto.tasks import Sinusoids

LIMIT = 1e-5
Params = dict[str, Tensor]
Entry = tuple[str, int]  # a parameter's name, and an index into it, flattened


class Case(NamedTuple):
    """One line of the table: a learner builder (the mutant is the same, first order), a task, entries a parameter."""

    name: str
    build: Callable[[bool], MAML]
    episode: Episode
    entries: int | None  # None: all of them


def main() -> None:
    """Print the table; exit with 1 where an error exceeds the limit or the mutant is not caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=8, help="entries checked of each parameter of Conv4")
    parser.add_argument("--step", type=float, default=1e-5, help="h of the finite differences")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| network | inner steps | entries checked | relative error | first-order mutant |")
    print("|---|---|---|---|---|")
    held = [line(case, options.step, options.seed) for case in cases(options.entries, options.seed)]
    print("\n| network | inner steps | " + " | ".join([*ROUTES, "forward, along 8 directions"]) + " |")
    print("|---|---|" + "---|" * (len(ROUTES) + 1))
    held += [routes(case) for case in cases(options.entries, options.seed)]
    raise SystemExit(0 if all(held) else 1)


ROUTES: dict[str, tuple[float, Callable[[int], Differentiation]]] = {  # the error that is allowed
    "adjoint": (1e-9, lambda steps: Adjoint()),
    "checkpointed": (1e-9, lambda steps: Checkpointed()),
    "blocked": (1e-9, lambda steps: Blocked(2)),
    "truncated to all steps": (1e-9, Truncated),
    "finite differences": (1e-5, lambda steps: FiniteDifference()),
    "first order (mutant)": (float("inf"), lambda steps: FirstOrder()),
}


def routes(case: Case) -> bool:
    """Print one line: each route beside the unrolled loop; return whether all errors are within their limits."""
    learner = case.build(False)
    params = {name: p.detach() for name, p in learner.named_parameters()}

    def flat(learner: MAML) -> Tensor:
        grads = grad(lambda params: functional_call(learner, params, (case.episode,))[0])(params)
        return torch.cat([grads[name].flatten() for name in params])

    expected, errors = flat(learner), []
    for limit, make in ROUTES.values():
        routed = case.build(False)
        routed.differentiation = make(routed.steps)
        errors.append((error(flat(routed), expected), limit))
    errors.append((along(learner, params, case.episode, expected), 1e-9))
    print(f"| {case.name} | " + " | ".join(f"{found:.1e}" for found, _ in errors) + " |", flush=True)
    return all(found <= limit for found, limit in errors)


def along(learner: MAML, params: Params, episode: Episode, gradient: Tensor, count: int = 8) -> float:
    """Return the error of forward-mode derivatives along random directions."""
    generator, slopes, expected = torch.Generator().manual_seed(1), [], []
    for _ in range(count):
        direction = {name: torch.randn(p.shape, generator=generator, dtype=p.dtype) for name, p in params.items()}
        slopes.append(jvp(lambda p: functional_call(learner, p, (episode,))[0], (params,), (direction,))[1])
        expected.append(torch.cat([d.flatten() for d in direction.values()]) @ gradient)
    return error(torch.stack(slopes), torch.stack(expected))


def cases(entries: int, seed: int) -> list[Case]:
    """Return both networks, with one and with five inner steps."""
    waves = to(Sinusoids(shots=10, queries=10).batch(0, 1, seed), torch.float64)
    wave = Episode(*(type(part)(*(leaf[0] for leaf in part)) for part in waves[:2]))
    generator = torch.Generator().manual_seed(seed)
    shots, queries = (torch.randn(5 * n, 1, 28, 28, generator=generator).double() for n in (1, 5))
    images = Episode(examples(shots, torch.arange(5)), examples(queries, torch.arange(5).repeat(5)))
    return [
        Case(f"{name} | {steps}", build(steps, seed), episode, checked)
        for name, build, episode, checked in (
            ("MLP 1-40-40-1, tanh", perceptron, wave, None),
            ("Conv4-64, 28×28, softplus, average pooling", convolutions, images, entries),
        )
        for steps in (1, 5)
    ]


def perceptron(steps: int, seed: int) -> Callable[[bool], MAML]:
    """Return a builder of the sinusoid learner."""

    def build(first_order: bool) -> MAML:
        torch.manual_seed(seed)
        body = MLP(1, 40, 40, 1, activation="tanh").double()
        return MAML(body, loss="mse", lr=0.01, steps=steps, first_order=first_order)

    return build


def convolutions(steps: int, seed: int) -> Callable[[bool], MAML]:
    """Return a builder of the 5-way image learner, batch norm by the support set included."""

    def build(first_order: bool) -> MAML:
        torch.manual_seed(seed)
        body = Conv4(outputs=5, activation="softplus", pooling="average").double()
        return MAML(body, loss="cross_entropy", lr=0.1, steps=steps, first_order=first_order)

    return build


def line(case: Case, step: float, seed: int) -> bool:
    """Print one line of the table; return whether the error is within the limit and the mutant beyond it."""
    learner = case.build(False)
    params = {name: p.detach() for name, p in learner.named_parameters()}
    where = sample(params, case.entries, seed)
    expected = differences(learner, params, case.episode, where, step)
    right, wrong = (
        error(gradient(case.build(first), params, case.episode, where), expected) for first in (False, True)
    )
    print(f"| {case.name} | {len(where)} of {sum(p.numel() for p in params.values())} | {right:.1e} | {wrong:.1e} |")
    return right <= LIMIT < wrong


def sample(params: Params, entries: int | None, seed: int) -> list[Entry]:
    """Draw entries of each parameter without replacement."""
    generator = torch.Generator().manual_seed(seed)
    orders = {name: torch.randperm(p.numel(), generator=generator)[:entries] for name, p in params.items()}
    return [(name, int(i)) for name, order in orders.items() for i in order]


def gradient(learner: MAML, params: Params, episode: Episode, where: list[Entry]) -> Tensor:
    """Return the learner's meta-gradient at the entries."""
    grads = grad(lambda params: functional_call(learner, params, (episode,))[0])(params)
    return torch.stack([grads[name].flatten()[i] for name, i in where])


@torch.no_grad()
def differences(learner: MAML, params: Params, episode: Episode, where: list[Entry], step: float) -> Tensor:
    """Return central finite differences of the learner's loss at the entries."""

    def loss(name: str, i: int, by: float) -> Tensor:
        move = torch.zeros_like(params[name]).flatten()
        move[i] = by
        moved = params | {name: params[name] + move.view_as(params[name])}
        return functional_call(learner, moved, (episode,))[0]

    return torch.stack([(loss(name, i, step) - loss(name, i, -step)) / (2 * step) for name, i in where])


def error(got: Tensor, expected: Tensor) -> float:
    """Return the relative error in the Euclidean norm."""
    return float((got - expected).norm() / expected.norm())


if __name__ == "__main__":
    main()
