"""Trust in an explainer: every measure beside the values for random attributions and for input magnitudes.

A number says little by itself: an insertion area depends on the model more than on the explainer. So each measure comes
three times: for the attributions, for random attributions, and for |x|, which knows nothing of the model. Only an
explainer that beats both has shown that it explains. `randomisation` tests whether it depends on the learned model,
`eval_x` whether its selections are honest.
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
    """A measure of an explainer, of random attributions and of |x| (None if it does not apply), over rows or tasks."""

    explainer: Estimate
    random: Estimate | None
    magnitude: Estimate | None


class Baselines(NamedTuple):
    """The measures of attributions that know nothing of the model: random ones, and |x| (may be empty)."""

    random: dict[str, Estimate]
    magnitude: dict[str, Estimate]


def trust(
    explainer: ViewExplainer | GameExplainer,
    views: Callable[[Tensor], View],
    games: Games,
    points: Float[Tensor, "n ..."],
    truth: Bool[Tensor, "n p"] | None = None,
    groups: Int[Tensor, "..."] | None = None,
    radius: float = 0.02,
    seed: int = 0,
    chunk_size: int | None = None,
    values: Float[Tensor, "n ..."] | None = None,
    against: Baselines | None = None,
) -> dict[str, Trust]:
    """Return all measures that apply to `explainer`, at `n` points.

    Args:
        explainer: the explainer.
        views: point ↦ the view that a `ViewExplainer` explains there, with one score, such as the probability of the
            class predicted for the point.
        games: point ↦ the game that measures play, and that a `GameExplainer` explains: `lambda x: game(views(x), x)`.
        points: the points.
        truth: the players that are known to decide.
        groups: the group of each entry, if the players of the games are groups; the attributions of a `ViewExplainer`
            are added up over them.
        radius: of max-sensitivity, in units of the points.
        seed: of random attributions, coalitions and neighbours.
        chunk_size: how many points to explain at a time.
        values: the result of `explained` for these points, if it is known already.
        against: the `baselines` of the same games and points, if several explainers share them.

    Infidelity hides players, and scales the attributions by their best multiple.

    Raises:
        MapstoError: if attributions do not fit the games' players, or are not finite, or the model is random.

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
    """Return the measures of random attributions and of |x|, to compare every explainer of these games with."""
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
    """Return the attributions of `n` points, each by its own view, or to the players of its own game."""
    if isinstance(explainer, GameExplainer):
        return explainer.over(games, points, chunk_size).detach()
    return vmap(lambda point: explainer(views(point), point), chunk_size=chunk_size)(points).detach()


def judged(
    games: Games,
    points: Float[Tensor, "n ..."],
    values: Float[Tensor, "n p"],
    truth: Bool[Tensor, "n p"] | None = None,
    seed: int = 0,
    chunk_size: int | None = None,
) -> dict[str, Estimate]:
    """Return the measures of known attributions; see `HIGHER` and `LOWER` for the good direction.

    Raises:
        MapstoError: as `trust` does.
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
    """Return the mean over the first axis with its interval; each row or task counts by its own mean.

    >>> print(over_rows(torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.5, 1.5], [2.0, 0.0]])))
    0.7500 ± 0.4900
    """
    return estimate(values.detach().double().reshape(len(values), -1).mean(1).cpu().numpy())


def pooled(values: Float[Tensor, "n ..."], groups: Int[Tensor, "..."] | None) -> Float[Tensor, "n p"]:
    """Return attributions of entries as attributions of players: added up over `groups`, or of each entry alone.

    Raises:
        MapstoError: if `groups` has another shape.
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
