"""Which teaching example, and which of its features, caused a prediction: through adaptation, against closed forms."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.utils.flop_counter import FlopCounterMode

from mapsto import views
from mapsto.adaptation.differentiation import Adjoint, Truncated
from mapsto.episodes import Episode, Examples, examples
from mapsto.explainers import Gradient, Occlusion, Shapley
from mapsto.learners import MAML, Learner, PrototypicalNetwork, RidgeHead
from mapsto.models import MLP, Conv4

F64 = torch.float64
WAYS = 3


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def episode(n: int = 9, seed: int = 0) -> Episode:
    y = torch.arange(n) % WAYS
    centres = 1.5 * numbers(WAYS, 4, seed=seed)
    w = torch.rand(n, dtype=F64, generator=torch.Generator().manual_seed(seed)) / n + 0.05
    rows = torch.tensor([0, 1, 2, 1])
    query = examples(centres[rows] + numbers(4, 4, seed=seed + 2), rows)
    return Episode(Examples(centres[y] + numbers(n, 4, seed=seed + 1), y, w), query)


EPISODE = episode()
SUPPORT, X = EPISODE.support, EPISODE.query.x[0]
MAP = numbers(5, 4, seed=7)  # B: the body of the closed forms, f = B·x


def linear() -> nn.Linear:
    body = nn.Linear(4, 5, bias=False).to(F64)
    body.weight.data = MAP.clone()
    return body


def network(outputs: int) -> MLP:
    net = MLP(4, 6, outputs, activation="softplus").to(F64)
    for i, parameter in enumerate(net.parameters()):
        parameter.data = 0.5 * numbers(*parameter.shape, seed=20 + i)
    return net


def close(got: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    assert expected.abs().max() > 1e-3 and expected.std() > 1e-3  # worth agreeing with
    torch.testing.assert_close(got.detach(), expected.detach(), rtol=tolerance, atol=tolerance)


def central(view: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-5) -> Tensor:
    """Return the slopes of a scalar view by central differences, entry by entry."""
    moves = step * torch.eye(at.numel(), dtype=at.dtype).view(-1, *at.shape)
    slopes = [(view(at + move) - view(at - move)).detach() / (2 * step) for move in moves]
    return torch.stack(slopes).view(at.shape)


# ---- features of the teaching examples, through adaptation


def test_prototypes_have_their_closed_form() -> None:
    # score_k = −‖Bx − c_k‖²,  ∂/∂x_i = 2·w_i/W_k·Bᵀ(Bx − c_k) where y_i = k, else 0
    learner = PrototypicalNetwork(linear(), WAYS)
    state = learner.adapt(SUPPORT)
    for k in range(WAYS):
        share = SUPPORT.w * (SUPPORT.y == k) / state.mass[k]  # [n]
        expected = 2 * share[:, None] * ((X @ MAP.T - state.means[k]) @ MAP)
        close(Gradient()(views.support(learner, SUPPORT, X, target=k), SUPPORT.x), expected, 1e-6)


def test_a_ridge_head_has_its_closed_form() -> None:
    # with f_i = B·x_i, A = FᵀWF + λI and V = A⁻¹FᵀWY:  ∂(fᵀV_k)/∂f_i = w_i·(r_ik·A⁻¹f − (f_iᵀA⁻¹f)·V_k)
    learner = RidgeHead(linear(), WAYS, penalty=0.3, scale=2.0).to(F64)
    f, F = X @ MAP.T, SUPPORT.x @ MAP.T
    targets = torch.eye(WAYS, dtype=F64)[SUPPORT.y]
    A = F.T @ (SUPPORT.w[:, None] * F) + 0.3 * torch.eye(5, dtype=F64)
    V = torch.linalg.solve(A, F.T @ (SUPPORT.w[:, None] * targets))
    lever, residual = torch.linalg.solve(A, f), targets - F @ V
    for k in range(WAYS):
        slope = SUPPORT.w[:, None] * (residual[:, k, None] * lever - (F @ lever)[:, None] * V[:, k])
        got = Gradient()(views.support(learner, SUPPORT, X, target=k), SUPPORT.x)
        close(got, 2 * slope @ MAP, 1e-6)  # the penalty is a single-precision number


def agrees_with_differences(**route: object) -> None:
    learner = MAML(network(WAYS), lr=0.3, steps=3, **route).to(F64)  # type: ignore[arg-type]
    by_features = views.support(learner, SUPPORT, X, target=1)
    by_weights = views.weights(learner, SUPPORT, X, target=1)
    close(Gradient()(by_features, SUPPORT.x), central(by_features, SUPPORT.x), 1e-7)
    close(Gradient()(by_weights, SUPPORT.w), central(by_weights, SUPPORT.w), 1e-7)


@pytest.mark.parametrize(
    "route", [{}, {"first_order": True}, {"differentiation": Adjoint()}], ids=["reverse", "first order", "adjoint"]
)
def test_maml_agrees_with_finite_differences(route: dict[str, object]) -> None:
    agrees_with_differences(**route)


def test_the_last_step_alone_is_found() -> None:
    with pytest.raises(AssertionError):
        agrees_with_differences(differentiation=Truncated(last=1))


# ---- weights of the teaching examples


def deleted(learner: Learner, ep: Episode) -> tuple[Tensor, Tensor]:
    """Return leave-one-out by weight 0, and by leaving the row out of the tensors."""
    game = views.game(views.taught(learner, ep), ep.support.w)
    n = len(ep.support.w)
    rows = [[j for j in range(n) if j != i] for i in range(n)]
    without = [Examples(*(part[kept] for part in ep.support)) for kept in rows]
    worths = [views.taught(learner, ep._replace(support=s))(s.w) for s in without]
    return Occlusion()(game).detach(), (game(torch.ones(n)) - torch.stack(worths)).detach()


LEARNERS: dict[str, Callable[[], Learner]] = {
    "prototypes": lambda: PrototypicalNetwork(linear(), WAYS),
    "ridge": lambda: RidgeHead(linear(), WAYS, penalty=0.3, scale=2.0).to(F64),
    "maml": lambda: MAML(network(WAYS), lr=0.5, steps=3).to(F64),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_leave_one_out_leaves_one_out(name: str) -> None:
    got, expected = deleted(LEARNERS[name](), EPISODE)
    close(got, expected)


def test_the_slope_is_leave_one_out_where_adaptation_is_nearly_linear() -> None:
    """One short step moves the outputs in proportion to the weights, so that the slope says what deletion does."""

    def correlation(lr: float, steps: int) -> float:
        learner = MAML(network(WAYS), lr=lr, steps=steps).to(F64)
        view = views.taught(learner, EPISODE)
        slope = Gradient()(view, SUPPORT.w).detach() * SUPPORT.w
        truth = Occlusion()(views.game(view, SUPPORT.w)).detach()
        return ((slope - truth).norm() / truth.norm()).item()

    assert 0 < correlation(0.01, 2) < 0.02
    assert correlation(2.0, 5) > 0.1  # far from linear it does not


def test_what_was_taught_is_the_mean_probability_of_the_truth() -> None:
    learner = LEARNERS["ridge"]()
    scores = learner.predict(learner.adapt(SUPPORT), EPISODE.query.x).softmax(-1)
    expected = sum(scores[i, y] for i, y in enumerate([0, 1, 2, 1])) / 4
    torch.testing.assert_close(views.taught(learner, EPISODE)(SUPPORT.w), expected)
    padded = EPISODE.query._replace(w=torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=F64))
    half = views.taught(learner, EPISODE._replace(query=padded))(SUPPORT.w)
    torch.testing.assert_close(half, (scores[0, 0] + scores[1, 1]) / 2)


def test_the_worth_may_be_another_one_and_is_minus_the_error_of_numbers() -> None:
    learner = RidgeHead(linear(), 2, loss="mse").to(F64)
    taught = Episode(SUPPORT._replace(y=numbers(9, 2, seed=3)), examples(EPISODE.query.x, numbers(4, 2, seed=4)))
    error = (learner.predict(learner.adapt(taught.support), taught.query.x) - taught.query.y).square().mean()
    torch.testing.assert_close(views.taught(learner, taught)(SUPPORT.w), -error)
    doubled = views.taught(learner, taught, lambda scores, y: -2 * (scores - y).square().mean(-1))
    torch.testing.assert_close(doubled(SUPPORT.w), -2 * error)


@pytest.mark.parametrize("name", LEARNERS)
def test_nobody_and_single_classes_have_a_worth(name: str) -> None:
    values = Shapley()(views.game(views.taught(LEARNERS[name](), EPISODE), SUPPORT.w))
    assert values.isfinite().all() and values.std() > 1e-4


def test_whole_classes_play() -> None:
    learner = LEARNERS["prototypes"]()
    view = views.taught(learner, EPISODE)
    game = views.game(view, SUPPORT.w, groups=SUPPORT.y)
    assert game.players == WAYS
    kept = SUPPORT.w * (SUPPORT.y != 1)
    torch.testing.assert_close(game(torch.tensor([1.0, 0.0, 1.0])), view(kept))
    torch.testing.assert_close(Shapley()(game).sum(), view(SUPPORT.w) - view(torch.zeros(9, dtype=F64)))


def test_a_transductive_learner_is_refused() -> None:
    learner = LEARNERS["prototypes"]()
    learner.transductive = True
    with pytest.raises(ValueError, match="transductive=False"):
        views.taught(learner, EPISODE)
    with pytest.raises(ValueError, match="transductive=False"):
        views.taught(learner, EPISODE, lambda scores, y: scores[:, 0])


# ---- what re-adapting costs


def images(n: int) -> Episode:
    x = torch.rand(n + 4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    y = torch.arange(n + 4) % 2
    return Episode(examples(x[:n], y[:n]), examples(x[n:], y[n:]))


def convolved(norm: str, chunk_size: int | None = None) -> float:
    """Return the convolutions of exact Shapley values of 6 examples, in those of embedding the episode once."""
    learner, ep = PrototypicalNetwork(Conv4(hidden=2, size=16, norm=norm), 2), images(6)  # type: ignore[arg-type]
    view = views.taught(learner, ep)
    with FlopCounterMode(display=False) as once, torch.no_grad():
        learner.body(torch.cat([ep.support.x, ep.query.x]))
    with FlopCounterMode(display=False) as all_of_them, torch.no_grad():
        values = Shapley(chunk_size=chunk_size)(views.game(view, ep.support.w))
    assert values.shape == (6,)

    def spent(counter: FlopCounterMode) -> int:
        return sum(n for op, n in counter.get_flop_counts()["Global"].items() if "conv" in str(op))

    return spent(all_of_them) / spent(once)


def test_embeddings_that_do_not_depend_on_the_weights_are_computed_once() -> None:
    assert convolved("layer") == 1.0
    assert convolved("layer", chunk_size=16) == 4.0  # once a chunk
    assert convolved("batch") > 10  # statistics of the support set: all but the first convolution, every time


def test_it_is_the_loop_over_subsets() -> None:
    learner, ep = PrototypicalNetwork(Conv4(hidden=2, size=16, norm="layer"), 2), images(6)
    game = views.game(views.taught(learner, ep), ep.support.w)
    masks = (torch.arange(64)[:, None] >> torch.arange(6) & 1).float()
    loop = torch.stack([game(mask) for mask in masks])
    assert loop.std() > 1e-4
    torch.testing.assert_close(vmap(game)(masks), loop)
