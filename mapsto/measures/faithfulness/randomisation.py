"""Sanity checks: an explanation that stays the same when the model forgets what it learned does not explain the model.

    signed   = ρ(a(model), a(randomised model))          absolute = ρ(|a(model)|, |a(randomised model)|)

a are the attributions of one row, and ρ is their rank correlation. Either the model is randomised, layer by layer from
the outputs down (`cascading`) or one layer at a time (`independent`), or it learns from a support set with shuffled
labels.

These are the model parameter and data randomisation tests of Adebayo et al. 2018, "Sanity Checks for Saliency Maps". A
layer is replaced by normal numbers of the same mean square. Unlike the paper's repeated initialisation, this needs no
knowledge of the initialisation, and keeps the scale of the layer's output. A buffer without negative entries stays so,
as a running variance must. In a meta-learner, the layers are those of the *meta*-weights, which then adapt to the same
support set. In an adapted model (`views.as_module`), the tensors of its state are layers too, the last ones: name only
those (`layers`) to randomise the result of adaptation.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeVar, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import vmap
from torch.utils import _pytree as pytree

from ... import checks
from ...episodes import Examples
from ...explainers.explainer import Explain, refuse_games
from ...views import View
from .ranking import rank_correlation

Model = TypeVar("Model", bound=nn.Module)
Plan = Literal["cascading", "independent"]


class SanityCheck(NamedTuple):
    """The rank correlation of each row's explanations before and after each randomisation: near 0 is good."""

    steps: list[str]  # the layer randomised in this step ("cascading": and in all later ones), or the shuffling
    signed: Float[Tensor, "s n"]  # of the attributions; NaN if those before or after are all equal
    absolute: Float[Tensor, "s n"]  # the same of |attributions|


def _cascading(layers: Sequence[str]) -> list[list[str]]:
    """Return the layers to randomise in each step: the last one, then the last two, and so on.

    >>> _cascading(["first", "head"])
    [['head'], ['head', 'first']]
    """
    return [list(layers[: -i - 1 : -1]) for i in range(1, len(layers) + 1)]


def _independent(layers: Sequence[str]) -> list[list[str]]:
    """Return the layers to randomise in each step: each one alone, the last one first.

    >>> _independent(["first", "head"])
    [['head'], ['first']]
    """
    return [[name] for name in reversed(layers)]


def randomised_model(
    explain: Explain,
    model: Model,
    view: Callable[[Model], View],
    points: Float[Tensor, "n ..."],
    plan: Plan = "cascading",
    layers: Sequence[str] | None = None,
    seed: int = 0,
    chunk_size: int | None = None,
) -> SanityCheck:
    """Compare a model's explanations with the explanations of copies of the model whose weights are random.

    The explanations should differ clearly. Explanations that stay similar do not depend on what the model has learned.
    The result holds the rank correlations between the model's explanations and those of each copy: `signed` for the
    attributions, `absolute` for their magnitudes.

    Args:
        explain: a function (view, point) ↦ attribution, such as a `ViewExplainer`.
        model: a network or a learner. If it is a learner, the meta-weights of each copy are randomised, and the copy
            then adapts as usual.
        view: a function from a model to the view to explain, such as
            `lambda learner: views.query(learner, support, target)`.
        points: the rows to explain.
        plan: which layers are random in each step. "cascading" randomises the last layer, then the last two, and so on.
            "independent" randomises one layer at a time, the last one first.
        layers: the names of the layers to randomise. A layer is a submodule with parameters or buffers of its own. If
            None, all layers are randomised.
        seed: the random seed of the weights.
        chunk_size: the number of points to explain at a time, to limit memory; None explains all at once.

    Raises:
        MapstoError: if the model has no layers, or lacks one of `layers`, or if attributions are not finite.

    >>> net, x = nn.Sequential(nn.Linear(3, 1)), torch.randn(2, 3)
    >>> randomised_model(lambda view, x: x, net, lambda net: net, x)  # "explains" by the input alone
    SanityCheck(steps=['0'], signed=tensor([[1., 1.]]), absolute=tensor([[1., 1.]]))
    """
    every = list(layers_of(model))
    chosen = every if layers is None else list(layers)
    checks.expect(bool(chosen) and set(chosen) <= set(every), "layers", chosen, f"some of {every}, the model's layers")
    checks.one_of(get_args(Plan), plan=plan)
    steps = (_cascading if plan == "cascading" else _independent)(chosen)
    before = _explained(explain, view(model), points, chunk_size)
    after = [_explained(explain, view(_redrawn(model, step, seed)), points, chunk_size) for step in steps]
    return _compared([step[-1] for step in steps], before, after)


def shuffled_labels(
    explain: Explain,
    support: Examples,
    view: Callable[[Examples], View],
    points: Float[Tensor, "n ..."],
    times: int = 5,
    seed: int = 0,
    chunk_size: int | None = None,
) -> SanityCheck:
    """Compare the explanations before and after the labels of the support set are shuffled.

    The explanations should differ clearly. Explanations that stay similar do not depend on the labels from which the
    learner learns. The result holds the rank correlations between the explanations before and after each shuffling:
    `signed` for the attributions, `absolute` for their magnitudes.

    Args:
        explain: a function (view, point) ↦ attribution, such as a `ViewExplainer`.
        support: the support set. Examples of weight 0 keep their label.
        view: a function from a support set to the view to explain, such as
            `lambda support: views.query(learner, support, target)`.
        points: the rows to explain.
        times: the number of shufflings to compare with.
        seed: the random seed of the shufflings.
        chunk_size: the number of points to explain at a time, to limit memory; None explains all at once.

    Raises:
        MapstoError: if all examples have the same label, or attributions are not finite.
    """
    real = (support.w > 0).nonzero()[:, 0]
    varied = not (support.y[real] == support.y[real][:1]).all()
    checks.expect(varied, "support", "examples of one label", "at least two labels to shuffle")
    generator = torch.Generator().manual_seed(seed)
    supports = [support, *(_shuffled(support, real, generator) for _ in range(times))]
    before, *after = [_explained(explain, view(examples), points, chunk_size) for examples in supports]
    return _compared([f"labels shuffled, {i + 1}" for i in range(times)], before, after)


def layers_of(model: nn.Module) -> dict[str, list[str]]:
    """Return the names of a model's layers, in order of registration, with the names of each layer's tensors.

    A layer is a submodule with parameters or buffers of its own. If the model itself has such tensors, each of them
    counts as a layer, after the submodules.

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


def _explained(explain: Explain, view: View, points: Tensor, chunk_size: int | None) -> Tensor:
    refuse_games(explain)
    with torch.no_grad():
        return vmap(lambda point: explain(view, point), chunk_size=chunk_size)(points)


def _redrawn(model: Model, layers: Sequence[str], seed: int) -> Model:
    """Return a copy of the model whose named layers are randomised; a layer gets the same numbers in every step."""
    specs = [part for module in model.modules() for part in vars(module).values() if isinstance(part, pytree.TreeSpec)]
    # Tree specs never change, and torch warns when they are copied.
    redrawn, names = copy.deepcopy(model, {id(spec): spec for spec in specs}), layers_of(model)
    tensors, order = dict(_tensors(redrawn)), list(names)
    with torch.no_grad():
        for layer in layers:
            generator = torch.Generator().manual_seed(seed * len(order) + order.index(layer))
            for name in names[layer]:
                tensors[name].copy_(_as_large(tensors[name], generator))
    return redrawn


def _as_large(old: Tensor, generator: torch.Generator) -> Tensor:
    """Return random numbers of the same mean square; they are not negative if a buffer has no negative entry."""
    new = torch.randn(old.shape, generator=generator, dtype=torch.float64).to(old)
    new = new * old.square().mean().sqrt()
    return new if isinstance(old, nn.Parameter) or (old < 0).any() else new.abs()


def _shuffled(support: Examples, real: Tensor, generator: torch.Generator) -> Examples:
    """Return the support set with the labels of its `real` examples shuffled until they differ from the old ones."""
    y = support.y
    while torch.equal(y, support.y):
        order = torch.randperm(len(real), generator=generator).to(real.device)
        y = support.y.index_copy(0, real, support.y[real[order]])
    return support._replace(y=y)


def _compared(steps: list[str], before: Tensor, after: Sequence[Tensor]) -> SanityCheck:
    first, others = before.flatten(1), torch.stack([values.flatten(1) for values in after])
    first = first.expand(others.shape)
    return SanityCheck(steps, rank_correlation(first, others), rank_correlation(first.abs(), others.abs()))
