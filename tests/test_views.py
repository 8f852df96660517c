"""Views and games on a learner whose every answer is known: weighted ridge regression.

    θ = A⁻¹ Xᵀ diag(w) Y,  A = Xᵀ diag(w) X + λI        ŷ(x) = xᵀθ

so the change of a prediction with a teaching example's features, target, weight or absence has a closed form.
"""

from collections.abc import Callable

import captum.attr
import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

import mapsto as mt
from mapsto import explainers, views
from mapsto.adaptation.learner import Learner
from mapsto.episodes import Examples, State, examples
from mapsto.errors import MapstoError
from mapsto.explainers import Gradient, IntegratedGradients, Occlusion, Shapley, ShapleyInteractions

F64 = torch.float64
RIDGE = 0.1


class Ridge(Learner):
    """support ↦ linear map with weights `coefficients` [d, k], and `scale`, an integer that no view may move."""

    loss_name = "mse"

    def __init__(self, transductive: bool = False):
        super().__init__()
        self.ridge, self.transductive = torch.nn.Parameter(torch.tensor(RIDGE, dtype=F64)), transductive

    def adapt(self, support: Examples) -> State:
        weighted = support.w[:, None] * support.x
        gram = weighted.T @ support.x + self.ridge * torch.eye(support.x.shape[1], dtype=support.x.dtype)
        return {"coefficients": torch.linalg.solve(gram, weighted.T @ support.y), "scale": torch.tensor([2])}

    def predict(self, state: State, x: Tensor) -> Tensor:
        return state["scale"] / 2 * (x @ state["coefficients"])


def table(n: int = 8, d: int = 3, k: int = 2) -> Examples:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, d, dtype=F64, generator=generator), torch.randn(n, k, dtype=F64, generator=generator)
    return examples(x, y, torch.rand(n, dtype=F64, generator=generator) / n + 0.05)


LEARNER, SUPPORT = Ridge(), table()
X = torch.tensor([0.7, -1.2, 0.4], dtype=F64)
THETA = LEARNER.adapt(SUPPORT)["coefficients"].detach()  # [d, k]
INVERSE = torch.linalg.inv(SUPPORT.x.T * SUPPORT.w @ SUPPORT.x + RIDGE * torch.eye(3, dtype=F64))  # A⁻¹
RESIDUAL = SUPPORT.y - SUPPORT.x @ THETA  # [n, k]


def close(got: Tensor, expected: Tensor) -> None:
    assert expected.abs().max() > 1e-3  # worth agreeing with
    torch.testing.assert_close(got.detach(), expected)


# ---- views: what they return, and their slopes in closed form


def test_a_query_view_moves_the_row() -> None:
    f = views.query(LEARNER, SUPPORT)
    close(f(X), X @ THETA)
    close(Gradient()(f, X), THETA)
    close(views.query(LEARNER, SUPPORT, target=1)(X), X @ THETA[:, 1])


def test_a_support_view_moves_the_teaching_features() -> None:
    # dθ_k/dx_ij = w_i A⁻¹ (e_j r_ik − x_i θ_jk)
    lever, fit = X @ INVERSE, SUPPORT.x @ INVERSE @ X  # [d], [n]
    slope = torch.einsum("i,j,ik->ijk", SUPPORT.w, lever, RESIDUAL)
    slope = slope - torch.einsum("i,i,jk->ijk", SUPPORT.w, fit, THETA)
    close(Gradient()(views.support(LEARNER, SUPPORT, X), SUPPORT.x), slope)
    close(Gradient()(views.support(LEARNER, SUPPORT, X, target=0), SUPPORT.x), slope[..., 0])


def test_a_weight_view_moves_the_teaching_weights() -> None:
    # dθ/dw_i = A⁻¹ x_i r_i
    slope = (SUPPORT.x @ INVERSE @ X)[:, None] * RESIDUAL
    close(Gradient()(views.weights(LEARNER, SUPPORT, X), SUPPORT.w), slope)


def test_a_detached_adaptation_is_found() -> None:
    class Detached(Ridge):
        def adapt(self, support: Examples) -> State:
            return super().adapt(Examples(*(part.detach() for part in support)))

    for make, at in ((views.support, SUPPORT.x), (views.weights, SUPPORT.w)):
        assert Gradient()(make(LEARNER, SUPPORT, X), at).abs().max() > 0.01
        with pytest.raises(MapstoError, match="has no gradient by the point"):
            Gradient()(make(Detached(), SUPPORT, X), at)


def test_a_state_view_moves_the_floating_part_of_the_state() -> None:
    f, theta = views.state(LEARNER, LEARNER.adapt(SUPPORT), X, target=1)
    close(theta, THETA.flatten())
    close(f(theta), X @ THETA[:, 1])
    close(Gradient()(f, theta), torch.stack([torch.zeros_like(X), X], 1).flatten())


def test_a_link_maps_the_scores_before_the_target_is_taken() -> None:
    def link(scores: Tensor) -> Tensor:
        return torch.softmax(scores, -1)

    expected, state = torch.softmax(X @ THETA, -1), LEARNER.adapt(SUPPORT)
    flat, theta = views.state(LEARNER, state, X, link=link)
    for got in (
        views.query(LEARNER, SUPPORT, link=link)(X),
        views.support(LEARNER, SUPPORT, X, link=link)(SUPPORT.x),
        views.weights(LEARNER, SUPPORT, X, link=link)(SUPPORT.w),
        flat(theta),
    ):
        close(got, expected)
    close(views.query(LEARNER, SUPPORT, target=0, link=link)(X), expected[0])


def test_views_work_under_vmap_and_reach_the_parameters() -> None:
    xs = torch.stack([X, 2 * X, -X])
    close(vmap(views.query(LEARNER, SUPPORT))(xs), xs @ THETA)

    def score(ridge: Tensor) -> Tensor:
        f = views.query(_with(ridge), SUPPORT, target=0)
        return f(X)

    # dθ/dλ = −A⁻¹θ
    close(grad(score)(torch.tensor(RIDGE, dtype=F64)), -X @ INVERSE @ THETA[:, 0])


def _with(ridge: Tensor) -> Learner:
    learner = Ridge()
    del learner.ridge
    learner.ridge = ridge
    return learner


# ---- games: what is hidden, and how


def pairs(x: Tensor) -> Tensor:
    return x[0] * x[1] + 10 * x[2]


POINT, ABSENT = torch.tensor([2.0, 3.0, 5.0]), torch.tensor([0.5, 0.25, -1.0])


def test_a_baseline_takes_the_place_of_what_is_absent() -> None:
    mask = torch.tensor([1.0, 0.0, 1.0])
    assert views.game(pairs, POINT)(mask) == 50.0
    assert views.game(pairs, POINT, baseline=0.5)(mask) == 51.0
    assert views.game(pairs, POINT, baseline=ABSENT)(mask) == 50.5
    assert views.game(pairs, POINT, baseline=ABSENT)(torch.zeros(3)) == pairs(ABSENT)
    assert views.game(pairs, POINT, baseline=ABSENT)(torch.ones(3)) == pairs(POINT)


def test_background_rows_are_averaged_over() -> None:
    background = torch.tensor([[0.5, 0.25, -1.0], [4.0, 8.0, 2.0]])
    played = views.game(pairs, POINT, background=background)
    assert played(torch.tensor([1.0, 0.0, 0.0])) == ((2 * 0.25 - 10) + (2 * 8 + 20)) / 2
    assert played(torch.ones(3)) == pairs(POINT)
    assert played(torch.zeros(3)) == (pairs(background[0]) + pairs(background[1])) / 2


def test_a_mask_token_may_be_missing() -> None:
    def counts_missing(x: Tensor) -> Tensor:
        return x.isnan().sum() + x.nan_to_num().sum()

    played = views.game(counts_missing, POINT, baseline=float("nan"))
    assert played(torch.tensor([1.0, 0.0, 0.0])) == 2 + 2
    close(Occlusion()(played), POINT - 1)


def test_groups_appear_and_vanish_together() -> None:
    image, groups = torch.arange(1.0, 9.0).reshape(2, 4), torch.tensor([[0, 0, 1, 1], [0, 0, 2, 2]])
    played = views.game(lambda x: x.square().sum(), image, groups=groups)
    assert played.players == 3
    assert played(torch.tensor([0.0, 1.0, 0.0])) == 9 + 16
    close(Shapley()(played), torch.tensor([1.0 + 4 + 25 + 36, 9 + 16, 49 + 64]))
    over = views.game(lambda x: x.square().sum(), image, groups=groups, background=torch.zeros(3, 2, 4))
    assert over(torch.tensor([0.0, 1.0, 0.0])) == 9 + 16


def test_a_whole_image_plays_pixel_by_pixel() -> None:
    image = torch.arange(1.0, 7.0).reshape(2, 3)
    played = views.game(lambda x: x.sum(), image)
    assert played.players == 6
    close(Shapley()(played), image.flatten())


def test_games_have_k_scores_and_work_under_vmap() -> None:
    masks = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1]])
    f = views.query(LEARNER, SUPPORT)
    close(vmap(views.game(f, X))(masks), masks.to(F64) * X @ THETA)
    close(vmap(views.game(f, X), in_dims=1)(masks.T), masks.to(F64) * X @ THETA)  # masks need not be contiguous


def test_the_shapley_values_of_a_linear_learner() -> None:
    background = table(5).x
    values = Shapley()(views.game(views.query(LEARNER, SUPPORT), X, background=background))
    close(values, (X - background.mean(0))[:, None] * THETA)


def without(i: int) -> Examples:
    keep = torch.arange(len(SUPPORT.w)) != i
    return Examples(*(part[keep] for part in SUPPORT))


def test_an_absent_teaching_example_was_deleted() -> None:
    played = views.support_game(LEARNER, SUPPORT, X)
    for i in range(8):
        close(played(1 - torch.eye(8)[i]), X @ LEARNER.adapt(without(i))["coefficients"].detach())
    torch.testing.assert_close(played(torch.zeros(8)), torch.zeros(2, dtype=F64))


def test_leave_one_out_has_its_closed_form() -> None:
    # Sherman–Morrison: θ − θ_{−i} = w_i A⁻¹ x_i r_i / (1 − w_i x_iᵀ A⁻¹ x_i)
    leverage = SUPPORT.w * (SUPPORT.x @ INVERSE * SUPPORT.x).sum(1)
    expected = (SUPPORT.w / (1 - leverage) * (SUPPORT.x @ INVERSE @ X))[:, None] * RESIDUAL
    close(Occlusion()(views.support_game(LEARNER, SUPPORT, X)), expected)
    first_order = SUPPORT.w[:, None] * (SUPPORT.x @ INVERSE @ X)[:, None] * RESIDUAL
    with pytest.raises(AssertionError):  # the slope with respect to the weight is not the deletion
        torch.testing.assert_close(first_order, expected)


def test_renormalised_weights_are_found() -> None:
    class Renormalised(Ridge):
        def adapt(self, support: Examples) -> State:
            return super().adapt(support._replace(w=support.w / support.w.sum()))

    expected = Renormalised().adapt(SUPPORT)["coefficients"] - Renormalised().adapt(without(0))["coefficients"]
    unchanged = LEARNER.adapt(SUPPORT)["coefficients"] - LEARNER.adapt(without(0))["coefficients"]
    got = Occlusion()(views.support_game(LEARNER, SUPPORT, X))[0]
    close(got, (X @ unchanged).detach())
    with pytest.raises(AssertionError):
        close(got, (X @ expected).detach())


def test_support_shapley_values_are_those_of_all_subsets() -> None:
    values = Shapley()(views.support_game(LEARNER, SUPPORT, X, target=0))
    close(values.sum(), X @ THETA[:, 0])
    total = torch.zeros((), dtype=F64)  # of the first example, by the definition, subset by subset
    for code in range(2**7):
        mask = torch.tensor([0.0, *(float(code >> j & 1) for j in range(7))])
        share = 1 / (8 * torch.exp(_log_choose(7, int(mask.sum()))))
        joined, game = mask + torch.eye(8)[0], views.support_game(LEARNER, SUPPORT, X, target=0)
        total = total + share * (game(joined) - game(mask)).detach()
    close(values[0], total)


def _log_choose(n: int, k: int) -> Tensor:
    n_, k_ = torch.tensor(float(n), dtype=F64), torch.tensor(float(k), dtype=F64)
    return torch.lgamma(n_ + 1) - torch.lgamma(k_ + 1) - torch.lgamma(n_ - k_ + 1)


def test_a_double_precision_mask_leaves_the_weights_their_precision() -> None:
    single = Examples(*(part.float() for part in SUPPORT))
    learner = Ridge().float()
    assert views.support_game(learner, single, X.float())(torch.ones(8, dtype=F64)).dtype == torch.float32


# ---- as_module: a plain module for other tools


def test_as_module_is_the_adapted_model() -> None:
    module = mt.as_module(LEARNER, SUPPORT)
    rows = torch.stack([X, -X, 3 * X])
    close(module(rows), rows @ THETA)
    assert not any(buffer.requires_grad for buffer in module.buffers())


def test_as_module_is_saved_and_loaded_with_its_state() -> None:
    other = Examples(SUPPORT.x + 1, SUPPORT.y, SUPPORT.w)
    module = mt.as_module(LEARNER, other)
    assert (module(X[None])[0] - X @ THETA).abs().max() > 1e-3
    module.load_state_dict(mt.as_module(LEARNER, SUPPORT).state_dict())
    close(module(X[None])[0], X @ THETA)


def test_captum_explains_as_module_as_we_explain_the_view() -> None:
    rows = torch.stack([X, -X, 3 * X])
    theirs = captum.attr.IntegratedGradients(mt.as_module(LEARNER, SUPPORT)).attribute(rows, target=1, n_steps=8)
    assert theirs.std(0).min() > 0.01
    close(IntegratedGradients(8).over(views.query(LEARNER, SUPPORT, target=1), rows), theirs.detach())


def test_captum_explains_a_view_of_the_support() -> None:
    f = views.support(LEARNER, SUPPORT, X, target=0)
    theirs = captum.attr.IntegratedGradients(vmap(f)).attribute(SUPPORT.x[None], n_steps=20)[0].detach()
    assert theirs.std() > 0.01
    close(IntegratedGradients(20)(f, SUPPORT.x), theirs)


def test_as_module_can_be_exported() -> None:
    program = torch.export.export(mt.as_module(LEARNER, SUPPORT), (X[None],))
    close(program.module()(X[None])[0], X @ THETA)


def test_views_and_games_are_defined_once() -> None:
    assert views.Game is explainers.Game
    assert views.View is explainers.View


# ---- what is refused


@pytest.mark.parametrize(
    "make",
    [
        lambda learner: views.query(learner, SUPPORT),
        lambda learner: views.support(learner, SUPPORT, X),
        lambda learner: views.weights(learner, SUPPORT, X),
        lambda learner: views.state(learner, LEARNER.adapt(SUPPORT), X),
        lambda learner: views.support_game(learner, SUPPORT, X),
        lambda learner: views.as_module(learner, SUPPORT),
    ],
    ids=["query", "support", "weights", "state", "support_game", "as_module"],
)
def test_a_transductive_learner_is_refused(make: Callable[[Learner], object]) -> None:
    make(Ridge())
    with pytest.raises(ValueError, match=r"Ridge\(transductive=True\).*transductive=False"):
        make(Ridge(transductive=True))


@pytest.mark.parametrize("shape", [(2,), (4,), (1, 3), ()])
def test_a_mask_of_the_wrong_shape_is_refused(shape: tuple[int, ...], unchecked: None) -> None:
    with pytest.raises(ValueError, match=r"^mask: got shape .*, expected \[3\]"):
        views.game(pairs, POINT)(torch.ones(shape))


def test_a_background_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^background: got shape \(4, 2\), expected \[b, 3\]"):
        views.game(pairs, POINT, background=torch.zeros(4, 2))


def test_a_baseline_of_the_wrong_shape_is_refused() -> None:
    for wrong in (torch.zeros(2), torch.zeros(1, 3)):
        with pytest.raises(ValueError, match=r"baseline: got shape .*, expected one that broadcasts to \(3,\)"):
            views.game(pairs, POINT, baseline=wrong)


def test_groups_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^groups: got shape \(2,\), expected \[3\]"):
        views.game(pairs, POINT, groups=torch.tensor([0, 1]))


def test_groups_that_name_no_players_are_refused(unchecked: None) -> None:
    for wrong in (torch.tensor([-1, 0, 1]), torch.tensor([0.0, 1.0, 2.0])):
        with pytest.raises(MapstoError, match=r"groups: got torch.* expected integers from 0"):
            views.game(pairs, POINT, groups=wrong)


def test_a_background_is_one_of_rows_and_takes_the_precision_of_the_point() -> None:
    with pytest.raises(MapstoError, match="background: got no rows"):
        views.game(pairs, POINT, background=torch.zeros(0, 3))
    with pytest.raises(MapstoError, match=r"^baseline: got a baseline and a background"):
        views.game(pairs, POINT, baseline=1.0, background=torch.zeros(2, 3))
    played = views.game(lambda x: x @ torch.ones(3), POINT, background=torch.zeros(2, 3, dtype=F64))
    assert played(torch.ones(3)) == POINT.sum()


@pytest.mark.parametrize("target", [2, -1])
def test_a_score_that_is_not_there_is_refused(target: int) -> None:
    for view, point in (
        (views.query(LEARNER, SUPPORT, target), X),
        (views.weights(LEARNER, SUPPORT, X, target), SUPPORT.w),
    ):
        with pytest.raises(MapstoError, match=f"target: got {target}, expected None or one of the 2 scores"):
            view(point)
    with pytest.raises(MapstoError, match="target: got 0, expected None, because link returns one number"):
        views.query(LEARNER, SUPPORT, 0, link=lambda scores: scores.mean(-1))(X)


def test_points_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(MapstoError, match=r"^x: got shape \(2, 3\), expected \[3\]"):
        views.query(LEARNER, SUPPORT)(torch.stack([X, X]))
    with pytest.raises(MapstoError, match=r"^x: got shape \(4,\), expected \[3\]"):
        views.weights(LEARNER, SUPPORT, torch.ones(4, dtype=F64))
    with pytest.raises(MapstoError, match=r"^w: got shape \(3,\), expected \[8\]"):
        views.weights(LEARNER, SUPPORT, X)(X)
    with pytest.raises(MapstoError, match=r"^x: got shape \(2, 3\), expected \[8, 3\]"):
        views.support(LEARNER, SUPPORT, X)(SUPPORT.x[:2])


def test_a_learner_that_draws_at_random_is_refused() -> None:
    class Dropped(Ridge):
        def __init__(self, p: float = 0.5) -> None:
            super().__init__()
            self.drop = torch.nn.Dropout(p)

    views.query(Dropped(0.0), SUPPORT)  # draws nothing
    for make in (views.query, lambda learner, support: views.weights(learner, support, X)):
        make(Dropped().eval(), SUPPORT)
        with pytest.raises(MapstoError, match=r"^learner: .*'drop'.*learner.eval\(\)"):
            make(Dropped(), SUPPORT)


@pytest.mark.parametrize("background", [None, torch.zeros(2, 3)])
def test_counts_and_answers_of_yes_or_no_are_played_in_fractions(background: Tensor | None) -> None:
    """Three are needed for a yes: each gets a third of it, not a third cut down to 0."""
    for view in (lambda x: (x > 0).all(), lambda x: (x > 0).sum() // 3):
        played = views.game(view, torch.ones(3), background=background)
        torch.testing.assert_close(Shapley()(played), torch.full((3,), 1 / 3))
        torch.testing.assert_close(ShapleyInteractions()(played).sum(1), torch.full((3,), 1 / 3))
