"""Trust in an explainer: its measures beside those of random attributions and of the input's magnitudes.

A number says little by itself: an insertion area depends more on the model than on the explainer. So each measure comes
three times: for the attributions, for random attributions, and for |x|, which does not depend on the model. Only an
explainer that beats both baselines has shown that it explains. `randomisation` tests whether attributions depend on
the learned model, and `eval_x` whether selections of columns are honest.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import vmap

from ... import checks
from ...estimate import Estimate, estimate
from ...explainers import GameExplainer, ViewExplainer
from ...views import View
from ..robustness.sensitivity import around, max_sensitivity
from .complexity import complexity
from .infidelity import hiding_infidelity
from .known_truth import recovery
from .perturbation_curves import Games, insertion_deletion
from .sufficiency import rationale

HIGHER = {"insertion area", "gap", "comprehensiveness", "auroc", "tpr", "pointing", "mass"}
LOWER = {"deletion area", "sufficiency", "infidelity", "fdr", "max-sensitivity"}


class Trust(NamedTuple):
    """One measure of an explainer's attributions and of two baselines, each as a mean over rows or tasks."""

    explainer: Estimate  # of the explainer's attributions
    random: Estimate | None  # of random attributions; None if the measure does not apply to them
    magnitude: Estimate | None  # of |x|; None if the measure does not apply to it


class Baselines(NamedTuple):
    """The measures of two kinds of attributions that do not depend on the model: random ones, and |x|."""

    random: dict[str, Estimate]  # of random attributions
    magnitude: dict[str, Estimate]  # of |x|; empty if |x| does not have one value for each player


def trust(
    explainer: ViewExplainer | GameExplainer,
    views: Callable[[Tensor], View],
    games: Games,
    points: Float[Tensor, "n ..."],
    truth: Bool[Tensor, "n p"] | None = None,
    groups: Int[Tensor, "..."] | None = None,
    radius: float | Tensor = 0.02,
    seed: int = 0,
    chunk_size: int | None = None,
    values: Float[Tensor, "n ..."] | None = None,
    against: Baselines | None = None,
) -> dict[str, Trust]:
    """Return all applicable measures of an explainer's attributions, and the same measures of two baselines.

    The baselines are random attributions and |x|, the magnitude of the input. The result maps the name of each measure
    to its mean for the explainer and for each baseline. The measures come from `insertion_deletion` (such as "gap"),
    `rationale`, `complexity`, `recovery`, `hiding_infidelity` (its field `scaled` is called "infidelity") and
    `max_sensitivity` (its field `relative` is called "max-sensitivity"). The docstrings of these functions explain
    them. The baselines have no max-sensitivity.

    Args:
        explainer: the explainer to judge.
        views: a function from a point to its view. The view is a function from an input to one score, such as the
            probability of the class predicted for the point. A `ViewExplainer` explains this view.
        games: a function from a point to its game, such as `lambda x: game(views(x), x)`. A `GameExplainer` explains
            this game. The measures hide its players.
        points: the points to explain, `[n, ...]`.
        truth: True for the players that are known to decide the outcome. If None, the measures of `recovery` are left
            out.
        groups: for each entry of a point, the index of its player. The attributions of a `ViewExplainer` are added up
            over the entries of each player. If None, each entry is a player.
        radius: the largest change of an entry of a point for the measure "max-sensitivity", in the unit of the points:
            a number, or a tensor that broadcasts to a point, such as one number for each column.
        seed: the random seed for the random attributions, coalitions and neighbours.
        chunk_size: the number of points to explain at a time, to limit memory; None explains all at once.
        values: the attributions of the points, as the function `explained` of this module returns them. If None, they
            are computed.
        against: the measures of the baselines, as the function `baselines` of this module returns them. They can be
            reused for several explainers of the same games and points. If None, they are computed.

    Raises:
        MapstoError: if attributions do not have one number for each player or are not finite, or if the model is
            stochastic.

    >>> from mapsto.explainers import InputXGradient
    >>> from mapsto.views import game
    >>> view = lambda x: x @ torch.tensor([3.0, 1.0, 0.0])
    >>> table = trust(InputXGradient(), lambda x: view, lambda x: game(view, x), torch.eye(3) + 1)
    >>> table["gap"].explainer.mean > table["gap"].random.mean
    True
    """

    def attribute(view: View, point: Tensor) -> Tensor:
        values = explainer(games(point)) if isinstance(explainer, GameExplainer) else explainer(view, point)
        return values if isinstance(explainer, GameExplainer) else pooled(values[None], groups)[0]

    _refuse_chance(views(points[0]), points[0])
    values = explained(explainer, views, games, points, chunk_size) if values is None else values
    values = values if isinstance(explainer, GameExplainer) else pooled(values, groups)
    measured = judged(games, points, values, truth, seed, chunk_size)
    chance, plain = against or baselines(games, points, truth, groups, seed, chunk_size)
    near = around(points, radius, seed=seed)
    moved = max_sensitivity(attribute, views, points, near, values, chunk_size).relative
    table = {name: Trust(rows, chance[name], plain.get(name)) for name, rows in measured.items()}
    return table | {"max-sensitivity": Trust(over_rows(moved), None, None)}


def baselines(
    games: Games,
    points: Float[Tensor, "n ..."],
    truth: Bool[Tensor, "n p"] | None = None,
    groups: Int[Tensor, "..."] | None = None,
    seed: int = 0,
    chunk_size: int | None = None,
) -> Baselines:
    """Return the measures of random attributions and of |x|, with which to compare every explainer of these games."""
    shape, size = (len(points), games(points[0]).players), pooled(points.nan_to_num().abs(), groups)
    random = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(points)
    chance = judged(games, points, random, truth, seed, chunk_size)
    return Baselines(chance, judged(games, points, size, truth, seed, chunk_size) if size.shape == shape else {})


def explained(
    explainer: ViewExplainer | GameExplainer,
    views: Callable[[Tensor], View],
    games: Games,
    points: Float[Tensor, "n ..."],
    chunk_size: int | None = None,
) -> Float[Tensor, "n ..."]:
    """Return the attributions of `n` points, each explained by its own view or, for a `GameExplainer`, its own game."""
    if isinstance(explainer, GameExplainer):
        return explainer.over(games, points, chunk_size).detach()
    with torch.no_grad():
        return vmap(lambda point: explainer(views(point), point), chunk_size=chunk_size)(points)


def judged(
    games: Games,
    points: Float[Tensor, "n ..."],
    values: Float[Tensor, "n p"],
    truth: Bool[Tensor, "n p"] | None = None,
    seed: int = 0,
    chunk_size: int | None = None,
) -> dict[str, Estimate]:
    """Return a dictionary from names to measures of attributions; large is good for `HIGHER`, small for `LOWER`.

    Raises:
        MapstoError: if values do not fit the points or the players, or values or outcomes are not finite.
    """
    curves = insertion_deletion(games, points, values, None, seed, chunk_size)
    reasons = rationale(games, points, values, seed=seed, chunk_size=chunk_size)
    rows = {
        "insertion area": curves.insertion_area,
        "deletion area": curves.deletion_area,
        "gap": curves.gap,
        "comprehensiveness": reasons.aopc_comprehensiveness,
        "sufficiency": reasons.aopc_sufficiency,
        "infidelity": hiding_infidelity(games, points, values, seed=seed, chunk_size=chunk_size).scaled,
        **complexity(values)._asdict(),
        **({} if truth is None else recovery(values, truth)._asdict()),
    }
    return {name: over_rows(values) for name, values in rows.items()}


def over_rows(values: Float[Tensor, "t ..."]) -> Estimate:
    """Return the mean over the first axis with its 95 % interval; each row or task counts by its own mean.

    >>> print(over_rows(torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.5, 1.5], [2.0, 0.0]])))
    0.7500 ± 0.7956
    """
    return estimate(values.detach().double().reshape(len(values), -1).mean(1).cpu().numpy())


def pooled(values: Float[Tensor, "n ..."], groups: Int[Tensor, "..."] | None) -> Float[Tensor, "n p"]:
    """Return the attributions of players: those of their entries, added up over `groups`, or each entry's own.

    Raises:
        MapstoError: if `groups` does not have the shape of a row.
    """
    if groups is None:
        return values.flatten(1)
    checks.shape(tuple(values.shape[1:]), "the shape of a row", groups=groups)
    players = values.new_zeros(len(values), int(groups.max()) + 1)
    return players.index_add(1, groups.flatten(), values.flatten(1))


def _refuse_chance(view: View, point: Tensor) -> None:
    with torch.no_grad():
        once, again = view(point), view(point)
    same = torch.allclose(once, again, rtol=0, atol=0, equal_nan=True)
    remedy = "call its eval(), or fix its noise"
    checks.expect(same, "views", f"{once} and then {again} at one point", "a deterministic model", remedy)
