"""Influence of meta-training tasks: equal to a dense solve, and what really happens when a task is left out."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from mapsto import views
from mapsto.adaptation import losses
from mapsto.episodes import Episode, Examples, stack, unstack
from mapsto.errors import MapstoError
from mapsto.explainers import task_influence
from mapsto.explainers.across_tasks import task_influence as influence
from mapsto.learners import MAML, Learner, PrototypicalNetwork, RidgeHead
from mapsto.models import MLP

F64 = torch.float64


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def regressions(count: int, n: int = 6, m: int = 8, seed: int = 0) -> Episode:
    """Lines whose slopes lie in one direction of three, so that a shared embedding helps; noisy, some tasks more."""
    x, c = numbers(count, n + m, 3, seed=seed), numbers(count, 1, 1, seed=seed + 1)
    noise = 0.3 * numbers(count, n + m, 1, seed=seed + 2)
    y = c * (x @ torch.tensor([[1.0], [-0.5], [0.3]], dtype=F64)) + noise
    w = torch.full((count, n + m), 1.0, dtype=F64)
    return Episode(
        Examples(x[:, :n], y[:, :n], w[:, :n] / n),
        Examples(x[:, n:], y[:, n:], w[:, n:] / m),
    )


def clusters(count: int, seed: int = 5) -> Episode:
    y = torch.arange(9).expand(count, 9) % 3
    x = numbers(count, 3, 3, seed=seed).gather(1, y[..., None].expand(-1, -1, 3)) + numbers(count, 9, 3, seed=seed + 1)
    w = torch.full((count, 9), 1 / 9, dtype=F64)
    return Episode(Examples(x, y, w), Examples(x + 0.5 * numbers(count, 9, 3, seed=seed + 2), y, w))


def linear(outputs: int) -> nn.Linear:
    body = nn.Linear(3, outputs, bias=False).to(F64)
    body.weight.data = 0.7 * numbers(outputs, 3, seed=11)
    return body


def network(outputs: int) -> MLP:
    net = MLP(3, 4, outputs, activation="softplus").to(F64)
    for i, parameter in enumerate(net.parameters()):
        parameter.data = 0.5 * numbers(*parameter.shape, seed=30 + i)
    return net


CASES: dict[str, tuple[Callable[[], Learner], Callable[[int], Episode]]] = {
    "ridge": (lambda: RidgeHead(linear(2), 1, loss="mse").to(F64), regressions),
    "prototypes": (lambda: PrototypicalNetwork(linear(2), 3), clusters),
    "maml": (lambda: MAML(network(3), lr=0.2, steps=2).to(F64), clusters),
    "maml, mse": (lambda: MAML(network(1), loss="mse", lr=0.1, steps=2).to(F64), regressions),
}


def asked(tasks: Callable[[int], Episode]) -> Callable[[Learner], Tensor]:
    new = unstack(tasks(3))[2]
    return lambda learner: views.query(learner, new.support, target=0)(new.query.x[0])


def _loss(learner: Learner, episode: Episode, scores: Tensor) -> Tensor:
    query = episode.query
    return losses.LOSSES[learner.loss_name](scores.view(len(query.w), -1), query.y, query.w)


def dense(learner: Learner, tasks: Episode, score: Callable[[Learner], Tensor], damping: float) -> Tensor:
    """Build the matrix from whole Jacobians and Hessians, and solve."""
    params = {name: p.detach() for name, p in learner.named_parameters()}

    class Asked(nn.Module):
        def __init__(self, question: Callable[[], Tensor]):
            super().__init__()
            self.learner, self.question = learner, question

        def forward(self) -> Tensor:
            return self.question()

    def at(question: Callable[[], Tensor]) -> Callable[[dict], Tensor]:
        return lambda p: functional_call(Asked(question), {f"learner.{name}": t for name, t in p.items()}, ())

    def flat(tree: dict[str, Tensor], rows: int) -> Tensor:
        return torch.cat([tree[name].reshape(rows, -1) for name in params], 1)

    gram, slopes = 0, []
    for ep in unstack(tasks):

        def scores(ep: Episode = ep) -> Tensor:
            return learner.predict(learner.adapt(ep.support), ep.query.x).flatten()

        out = scores().detach()
        J = flat(jacrev(at(scores))(params), len(out))
        H = torch.autograd.functional.hessian(partial(_loss, learner, ep), out)
        gram = gram + J.T @ H @ J / len(tasks.support.w)
        slopes.append(flat(jacrev(at(lambda ep=ep: learner.loss(ep)[0]))(params), 1)[0])
    ask = flat(jacrev(at(lambda: score(learner)))(params), 1)[0]
    solved = torch.linalg.solve(gram + damping * torch.eye(len(ask), dtype=F64), ask)
    return torch.stack(slopes) @ solved / len(tasks.support.w)


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_dense_solve(name: str) -> None:
    make, source = CASES[name]
    learner, tasks, score = make(), source(5), asked(source)
    expected = dense(learner, tasks, score, 0.01)
    assert expected.std() > 1e-4  # worth agreeing with
    got = task_influence(learner, tasks, score, damping=0.01, tolerance=1e-13)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-9)


def test_a_matrix_without_the_loss_curvature_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    make, source = CASES["prototypes"]
    learner, tasks, score = make(), source(5), asked(source)
    expected = dense(learner, tasks, score, 0.01)
    monkeypatch.setattr(influence, "gauss_newton", lambda learner, tasks, params, v, damping: v)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(task_influence(learner, tasks, score, 0.01), expected, rtol=1e-6, atol=1e-9)


def trained(learner: Learner, tasks: Episode, damping: float, without: int | None = None) -> None:
    """Minimise the mean loss over the tasks (less one, divided by the same number) and damping/2·‖θ‖² exactly."""
    kept = stack([ep for t, ep in enumerate(unstack(tasks)) if t != without])
    share = len(kept.support.w) / len(tasks.support.w)
    parameters = list(learner.parameters())
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=100, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (
            share * learner.batch_loss(kept)[0]
            + damping / 2 * torch.stack([p.square().sum() for p in parameters]).sum()
        )
        loss.backward()
        return loss

    optimizer.step(closure)
    assert max(p.grad.abs().max() for p in parameters) < 1e-5  # it has converged


def changes(count: int = 12, damping: float = 0.01) -> tuple[Tensor, Tensor]:
    """Return the predicted and the true changes of a prediction, task by task."""
    tasks, score = regressions(count), asked(lambda n: regressions(n, seed=50))
    learner = RidgeHead(linear(1), 1, loss="mse", penalty=0.2).to(F64)
    trained(learner, tasks, damping)
    start = {name: p.detach().clone() for name, p in learner.state_dict().items()}
    predicted, before, true = task_influence(learner, tasks, score, damping), score(learner).detach(), []
    for t in range(count):
        learner.load_state_dict(start)
        trained(learner, tasks, damping, without=t)
        true.append(score(learner).detach() - before)
    return predicted, torch.stack(true)


def test_it_predicts_retraining_without_each_task() -> None:
    predicted, true = changes()
    assert true.abs().max() > 1e-3 and true.std() > 1e-3  # something happens
    assert torch.corrcoef(torch.stack([predicted, true]))[0, 1] >= 0.9
    assert ((predicted * true).sum() / true.square().sum()).item() == pytest.approx(1, abs=0.35)  # its size and sign


def test_parameters_that_are_not_trained_have_no_part() -> None:
    make, source = CASES["ridge"]
    learner, tasks, score = make(), source(4), asked(source)
    free = task_influence(learner, tasks, score)
    learner.body.weight.requires_grad_(False)
    assert not torch.allclose(task_influence(learner, tasks, score), free)
    assert learner.body.weight.grad is None


def test_bad_input_is_refused() -> None:
    make, source = CASES["ridge"]
    learner, tasks, score = make(), source(4), asked(source)
    with pytest.raises(MapstoError, match="damping: got 0"):
        task_influence(learner, tasks, score, damping=0)
    with pytest.raises(MapstoError, match=r"score: got shape \(8, 1\)"):
        task_influence(
            learner, tasks, lambda learner: learner.predict(learner.adapt(unstack(tasks)[0].support), tasks.query.x[0])
        )

    class Other(RidgeHead):
        def loss(self, episode: Episode):  # type: ignore[no-untyped-def]
            return super().loss(episode)

    with pytest.raises(MapstoError, match="learner: got Other with a loss of its own"):
        task_influence(Other(linear(2), 1, loss="mse").to(F64), tasks, score)


@pytest.mark.usefixtures("unchecked")
def test_what_has_no_influence_to_speak_of_is_refused() -> None:
    make, source = CASES["ridge"]
    learner, tasks, score = make(), source(4), asked(source)
    with pytest.raises(MapstoError, match=r"^tasks: got shape \(6,\)"):
        task_influence(learner, unstack(tasks)[0], score)
    with pytest.raises(MapstoError, match="score: got a float"):
        task_influence(learner, tasks, lambda learner: 1.0)
    with pytest.raises(MapstoError, match="learner: got PrototypicalNetwork without a trainable parameter"):
        task_influence(PrototypicalNetwork(nn.Identity(), 3), clusters(4), asked(clusters))


def test_numbers_that_are_lost_are_refused() -> None:
    make, source = CASES["ridge"]
    learner, tasks, score = make(), source(4), asked(source)
    with pytest.raises(MapstoError, match="score: got NaN"):
        task_influence(learner, tasks, lambda learner: score(learner) * torch.nan)
    x = tasks.query.x.clone()
    x[2, 0, 0] = torch.nan
    with pytest.raises(MapstoError, match=r"tasks: got a loss that is not finite on tasks \[2\]"):
        task_influence(learner, tasks._replace(query=tasks.query._replace(x=x)), score)
    with pytest.raises(MapstoError, match="tasks: got NaN or an infinite"):
        task_influence(learner, tasks, lambda learner: (score(learner) * 0).abs().sqrt())


def test_a_learner_that_draws_at_random_is_refused_whatever_asks_for_the_score() -> None:
    learner, tasks = RidgeHead(nn.Sequential(linear(2), nn.Dropout(0.5)), 1, loss="mse").to(F64), regressions(4)
    new = unstack(tasks)[0]

    def score(learner: Learner) -> Tensor:
        return learner.predict(learner.adapt(new.support), new.query.x)[0, 0]

    with pytest.raises(MapstoError, match=r"its Dropout 'body.1' draws at random in training.*learner.eval\(\)"):
        task_influence(learner, tasks, score)
    assert task_influence(learner.eval(), tasks, score).isfinite().all()
