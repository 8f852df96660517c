"""MAML's meta-gradient beside central finite differences in float64, on smooth networks of the published sizes.

    error = ‖g − d‖ / ‖d‖,      d_i = (loss(θ + h·e_i) − loss(θ − h·e_i)) / 2h

over all parameters of the perceptron, and over a random sample of entries of each of Conv4's parameters. The last
column is the mutant: the first-order gradient passed off as the full one.

Run: python benchmarks/hypergradients.py      (a minute or two)
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call, grad

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
    raise SystemExit(0 if all(held) else 1)


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
