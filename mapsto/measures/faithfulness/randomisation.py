"""Sanity checks: an explanation that stays the same when the model forgets what it learned does not explain the model.

    signed   = ρ(a(model), a(randomised model))          absolute = ρ(|a(model)|, |a(randomised model)|)

with ρ the rank correlation of one row's attributions. The model is randomised layer by layer from the outputs down
(`cascading`) or one layer at a time (`independent`); or it learns from a support set whose labels are shuffled.

Adebayo et al. 2018, "Sanity Checks for Saliency Maps": their model parameter and data randomisation tests. A layer is
re-drawn as normal numbers of the same mean square, where the paper draws its initialisation anew: that needs no
knowledge of how a layer was initialised, and keeps the scale of what it passes on. A buffer that is nowhere negative
stays so, as a running variance must. Of a meta-learner these are the *meta*-weights, which then adapt to the same
support set; of an adapted model (`views.as_module`) also the tensors of its state, each a layer, last: name those alone
(`layers`) to randomise what was adapted.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ...episodes import Examples
from ...errors import MapstoError
from .ranking import rank_correlation

Model = TypeVar("Model", bound=nn.Module)
Plan = Callable[[Sequence[str]], list[list[str]]]


class SanityCheck(NamedTuple):
    """How alike the explanations of `n` rows are before and after each step: near 0 is good, nan where one is constant.

    `steps` names the layer that was randomised (by `cascading`: together with all before), or the shuffling.
    """

    steps: list[str]
    signed: Float[Tensor, "s n"]
    absolute: Float[Tensor, "s n"]


def cascading(layers: Sequence[str]) -> list[list[str]]:
    """Randomise the last layer, then the last two, and so on, at last all of them.

    >>> cascading(["first", "head"])
    [['head'], ['head', 'first']]
    """
    return [list(layers[: -i - 1 : -1]) for i in range(1, len(layers) + 1)]


def independent(layers: Sequence[str]) -> list[list[str]]:
    """Randomise each layer alone, the last one first.

    >>> independent(["first", "head"])
    [['head'], ['first']]
    """
    return [[name] for name in reversed(layers)]


def randomised_model(
    explain: Callable[[Model], Tensor],
    model: Model,
    plan: Plan = cascading,
    layers: Sequence[str] | None = None,
    seed: int = 0,
) -> SanityCheck:
    """Compare `explain(model)`, attributions `[n, ...]`, with those of copies of `model` that `plan` randomises.

    `model` is any module: a learner, whose meta-weights are re-drawn (let `explain` adapt it to the support set), or a
    network. `layers` are names as `layers_of` gives them (None: all).

    >>> net, x = nn.Sequential(nn.Linear(3, 1)), torch.randn(2, 3)
    >>> randomised_model(lambda net: x, net)  # "explains" by the input alone
    SanityCheck(steps=['0'], signed=tensor([[1., 1.]]), absolute=tensor([[1., 1.]]))

    Raises:
        MapstoError: a model without a layer, layers it does not have, or attributions that are not finite.
    """
    known = layers_of(model)
    chosen = list(known) if layers is None else list(layers)
    if not chosen or not set(chosen) <= set(known):
        raise MapstoError(f"layers: got {chosen}, expected some of {list(known)}, the layers of the model.")
    before, steps = explain(model), plan(chosen)
    after = [explain(_redrawn(model, step, seed)) for step in steps]
    return _compared([step[-1] for step in steps], before, after)


def shuffled_labels(
    explain: Callable[[Examples], Tensor], support: Examples, times: int = 5, seed: int = 0
) -> SanityCheck:
    """Compare `explain(support)` with what it says when the labels of the support set are shuffled, `times` times.

    `explain` adapts to the support set and returns attributions `[n, ...]`. Examples of weight 0 keep their label.

    Raises:
        MapstoError: examples that all have the same label, or attributions that are not finite.
    """
    real = (support.w > 0).nonzero()[:, 0]
    if (support.y[real] == support.y[real][:1]).all():
        raise MapstoError("support: its examples all have the same label, expected at least two to shuffle.")
    generator = torch.Generator().manual_seed(seed)
    after = [explain(_shuffled(support, real, generator)) for _ in range(times)]
    return _compared([f"labels shuffled, {i + 1}" for i in range(times)], explain(support), after)


def layers_of(model: nn.Module) -> dict[str, list[str]]:
    """Return the names of a model's layers, in order of registration, and of the tensors that each holds.

    A layer is a submodule with parameters or buffers of its own; after them comes each tensor that belongs to the
    model itself.

    >>> list(layers_of(nn.Sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 1))))
    ['0', '2']
    """
    layers: dict[str, list[str]] = {}
    for name, tensor in _tensors(model):
        if tensor.is_floating_point():
            layers.setdefault(name.rpartition(".")[0] or name, []).append(name)
    own = [name for name in layers if layers[name] == [name]]
    return {name: layers[name] for name in [*(name for name in layers if name not in own), *own]}  # own ones last


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _redrawn(model: Model, layers: Sequence[str], seed: int) -> Model:
    """Return a copy with the tensors of some layers re-drawn; a layer gets the same numbers in every step."""
    specs = [part for module in model.modules() for part in vars(module).values() if isinstance(part, pytree.TreeSpec)]
    # Tree specs never change, and torch warns when they are copied.
    drawn, known = copy.deepcopy(model, {id(spec): spec for spec in specs}), layers_of(model)
    tensors, order = dict(_tensors(drawn)), list(known)
    with torch.no_grad():
        for layer in layers:
            generator = torch.Generator().manual_seed(seed * len(order) + order.index(layer))
            for name in known[layer]:
                tensors[name].copy_(_as_large(tensors[name], generator))
    return drawn


def _as_large(old: Tensor, generator: torch.Generator) -> Tensor:
    """Draw numbers of the mean square of others; of a buffer that is nowhere negative their sizes."""
    new = torch.randn(old.shape, generator=generator, dtype=torch.float64).to(old)
    new = new * old.square().mean().sqrt()
    return new if isinstance(old, nn.Parameter) or (old < 0).any() else new.abs()


def _shuffled(support: Examples, real: Tensor, generator: torch.Generator) -> Examples:
    """Return the support set with the labels of its `real` examples in another order, and not the old labels."""
    y = support.y
    while torch.equal(y, support.y):
        drawn = torch.randperm(len(real), generator=generator).to(real.device)
        y = support.y.index_copy(0, real, support.y[real[drawn]])
    return support._replace(y=y)


def _compared(steps: list[str], before: Tensor, after: Sequence[Tensor]) -> SanityCheck:
    first, others = before.detach().flatten(1), torch.stack([values.detach().flatten(1) for values in after])
    first = first.expand(others.shape)
    return SanityCheck(steps, rank_correlation(first, others), rank_correlation(first.abs(), others.abs()))
