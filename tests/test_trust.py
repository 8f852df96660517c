"""All measures of an explainer at once, beside random attributions and the input's magnitude."""

import math

import pytest
import torch
from torch import Tensor

from mapsto import views
from mapsto.episodes import examples
from mapsto.errors import MapstoError
from mapsto.explainers import Gradient, InputXGradient, Occlusion, Shapley, ViewExplainer
from mapsto.learners import PrototypicalNetwork
from mapsto.measures import estimate, insertion_deletion, trust
from mapsto.measures.faithfulness.trust import HIGHER, LOWER, Trust, over_rows, pooled
from mapsto.views import Game, game

SLOPE = torch.tensor([0.0, 5.0, 0.0, 3.0, 0.0, 2.0])
POINTS = torch.rand(12, 6, generator=torch.Generator().manual_seed(0)) + 0.5
TRUTH = (SLOPE > 0).expand(12, -1)


def view(x: Tensor) -> Tensor:
    return x @ SLOPE


def games(x: Tensor) -> Game:
    return game(view, x)


def beats_the_baselines(found: dict[str, Trust]) -> None:
    for name, row in found.items():
        sign = 1 if name in HIGHER else -1 if name in LOWER else 0
        for baseline in (row.random, row.magnitude):
            if sign and baseline is not None:
                assert sign * (row.explainer.mean - baseline.mean) > 0.05, name


@pytest.mark.parametrize("explainer", [InputXGradient(), Shapley(), Occlusion()])
def test_a_true_explanation_beats_the_baselines_in_every_measure(explainer: object) -> None:
    found = trust(explainer, lambda x: view, games, POINTS, TRUTH)
    assert set(found) == HIGHER | LOWER | {"gini", "entropy"}
    beats_the_baselines(found)
    assert found["auroc"].explainer == (1, 0) and found["infidelity"].explainer.mean < 1e-8


def test_an_explanation_that_ignores_the_model_does_not() -> None:
    with pytest.raises(AssertionError):
        beats_the_baselines(trust(InputXGradient(), lambda x: torch.sum, games, POINTS, TRUTH))


def test_the_numbers_are_those_of_the_measures() -> None:
    found = trust(Gradient(), lambda x: view, games, POINTS, chunk_size=5)
    curves = insertion_deletion(games, POINTS, SLOPE.expand(12, -1))
    assert found["gap"].explainer == pytest.approx(estimate(curves.gap.double().numpy()))
    curves = insertion_deletion(games, POINTS, POINTS)
    assert found["gap"].magnitude == pytest.approx(estimate(curves.gap.double().numpy()))
    assert found["max-sensitivity"] == (estimate(torch.zeros(12).numpy()), None, None) and "auroc" not in found


def test_groups_pool_the_attributions_of_their_entries() -> None:
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    assert pooled(POINTS, groups)[:, 1].tolist() == (POINTS[:, 2] + POINTS[:, 3]).tolist()
    played = {"games": lambda x: game(view, x, groups=groups), "groups": groups}
    ours = trust(InputXGradient(), lambda x: view, points=POINTS, **played)
    theirs = trust(Occlusion(), lambda x: view, points=POINTS, **played)
    assert ours["gap"].explainer == pytest.approx(theirs["gap"].explainer)
    assert ours["gap"].magnitude is not None
    with pytest.raises(MapstoError, match=r"groups: got shape \(5,\)"):
        trust(InputXGradient(), lambda x: view, played["games"], POINTS, groups=groups[:5])


def test_teaching_examples_have_no_magnitude() -> None:
    learner = PrototypicalNetwork(torch.nn.Identity(), ways=2)
    support = examples(POINTS[:4], torch.tensor([0, 0, 1, 1]))
    teaching = lambda x: views.support_game(learner, support, x, 0, lambda s: s.softmax(-1))  # noqa: E731
    found = trust(Occlusion(), lambda x: torch.sum, teaching, POINTS[4:])
    assert found["gap"].magnitude is None and math.isfinite(found["gap"].explainer.mean)


def test_values_that_are_there_are_not_explained_again() -> None:
    asked = []

    class Counting(ViewExplainer):
        def attribute(self, view, point):
            asked.append(1)
            return InputXGradient()(view, point)

    alone = trust(InputXGradient(), lambda x: view, games, POINTS)
    given = trust(Counting(), lambda x: view, games, POINTS, values=POINTS * SLOPE)
    assert given == alone and len(asked) == 10  # the neighbours of max-sensitivity, all points at once
    asked.clear()
    trust(Counting(), lambda x: view, games, POINTS)
    assert len(asked) == 11
    wrong = trust(InputXGradient(), lambda x: view, games, POINTS, values=-POINTS * SLOPE)
    assert wrong["gap"].explainer.mean < alone["gap"].explainer.mean - 0.1


def test_a_model_that_answers_by_chance_is_refused() -> None:
    with pytest.raises(MapstoError, match=r"views: got .* at one point"):
        trust(Gradient(), lambda x: lambda x: view(x) + torch.rand(()), games, POINTS)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(MapstoError, match=r"values: got shape \(12, 6\)"):
        trust(Gradient(), lambda x: view, lambda x: game(view, x, groups=torch.tensor([0, 0, 1, 1, 2, 2])), POINTS)
    with pytest.raises(MapstoError, match=r"values: got .* that are not finite"):
        trust(Gradient(), lambda x: lambda x: (x - POINTS.max()).sqrt().sum(), games, POINTS)


def test_the_mean_is_over_rows_or_over_tasks() -> None:
    values = torch.arange(12.0)
    assert over_rows(values) == pytest.approx(estimate(values.numpy()))
    assert over_rows(values.view(3, 4)) == pytest.approx(estimate(values.view(3, 4).mean(1).numpy()))
