"""EVAL-X: true columns score above random ones, and above a selector that encodes the answer in its mask."""

from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from mapsto.errors import MapstoError
from mapsto.measures import EvalX
from mapsto.measures.faithfulness.eval_x import most
from mapsto.models import MLP
from mapsto.tasks import Planted

D = 11


def table() -> tuple[Tensor, Tensor, Tensor]:
    """A planted table of rule syn2, where four columns decide: rows, classes, true columns."""
    tasks = Planted("syn2", shots=2000, queries=300, sharpness=float("inf"))
    batch, truth = tasks.batch(0, 1), tasks.truth(0, 1)
    return (
        torch.cat([batch.support.x[0], batch.query.x[0]]),
        torch.cat([batch.support.y[0], batch.query.y[0]]),
        torch.cat([truth.support[0], truth.query[0]]),
    )


X, Y, TRUTH = table()
TRAIN, TEST = slice(0, 2000), slice(2000, None)


def fresh(inputs: int = 2 * D, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MLP(inputs, 64, 64, 2)


def at_random(m: int) -> Tensor:
    return most(torch.randn(X.shape, generator=torch.Generator().manual_seed(0)), m)


def encoding(code: int = 1) -> Tensor:
    """Show four columns that decide nothing: these for class `code`, those for the other."""
    useless = (~TRUTH[0]).nonzero()[:, 0]
    shown = torch.where(Y[:, None] == code, useless[:4], useless[3:])
    return torch.zeros_like(TRUTH).scatter(1, shown, True)


@pytest.fixture(scope="module")
def evaluator() -> EvalX:
    return EvalX(fresh(), steps=800).fit(X[TRAIN], Y[TRAIN])


def accuracy(evaluator: EvalX, selected: Tensor) -> float:
    return evaluator.judge(X[TEST], Y[TEST], selected[TEST]).right.mean().item()


def is_not_taken_in(evaluator: EvalX) -> None:
    true, random, trap = (accuracy(evaluator, chosen) for chosen in (TRUTH, at_random(4), encoding()))
    assert true > 0.85 and true > random + 0.15
    assert true > trap + 0.15


def test_true_columns_win_and_an_encoded_answer_does_not(evaluator: EvalX) -> None:
    is_not_taken_in(evaluator)
    judged = evaluator.judge(X[TEST], Y[TEST], TRUTH[TEST])
    traps = [evaluator.judge(X[TEST], Y[TEST], encoding(code)[TEST]) for code in (0, 1)]
    trapped = torch.stack([trap.auroc for trap in traps]).mean()  # what one code wins by chance, the other loses
    assert judged.auroc > 0.93 and trapped < 0.65
    assert judged.log_probability.mean() > max(trap.log_probability.mean() for trap in traps) + 0.2


def test_an_evaluator_trained_on_the_selectors_masks_is_taken_in() -> None:
    net, masks = fresh(), encoding().float()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(200):
        loss = nn.functional.cross_entropy(net(torch.cat([X * masks, masks], 1)[TRAIN]), Y[TRAIN])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    mutant = EvalX(net, steps=1).fit(X[TRAIN], Y[TRAIN])
    mutant.network = net
    assert accuracy(mutant, encoding()) > 0.97
    with pytest.raises(AssertionError):
        is_not_taken_in(mutant)


def test_the_judgement_by_hand(evaluator: EvalX) -> None:
    x, y, chosen = X[TEST][:40], Y[TEST][:40], at_random(6)[TEST][:40]
    with torch.no_grad():
        p = evaluator.network(torch.cat([x * chosen, chosen.float()], 1)).softmax(-1)
    found = evaluator.judge(x, y, chosen)
    assert found.right.tolist() == (p.argmax(1) == y).float().tolist() and 0.4 < found.right.mean() < 1
    torch.testing.assert_close(found.log_probability, p[torch.arange(40), y].log())
    assert found.auroc.item() == pytest.approx(roc_auc_score(y, p[:, 1]), abs=1e-6)


def test_fitting_is_seeded_and_leaves_the_network_alone() -> None:
    net, state = fresh(), torch.get_rng_state()
    before = net[1].weight.clone()
    first, again, other = (EvalX(net, steps=3, seed=seed).fit(X[TRAIN], Y[TRAIN]).network for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(net[1].weight, before)
    assert torch.equal(first[1].weight, again[1].weight) and not torch.equal(first[1].weight, other[1].weight)
    twice = EvalX(net, steps=3).fit(X[TEST], Y[TEST]).fit(X[TRAIN], Y[TRAIN]).network
    assert torch.equal(first[1].weight, twice[1].weight)


def test_missing_cells_and_images() -> None:
    x = X[:50].where(TRUTH[:50], torch.nan)
    judged = EvalX(fresh(), steps=1).fit(X[:50], Y[:50]).judge(x, Y[:50], TRUTH[:50])
    assert judged.log_probability.isfinite().all()  # a hidden cell is not read
    images = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    seen = torch.ones(6, 1, 4, 4, dtype=torch.bool)
    assert EvalX(fresh(4 * 16), steps=1).fit(images, Y[:6]).judge(images, Y[:6], seen).right.shape == (6,)


FITTED = EvalX(fresh(), steps=1).fit(X[:50], Y[:50])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: EvalX(fresh(), steps=0), "^steps: got 0"),
        (lambda: most(torch.ones(2, 3), 4), "m: got 4"),
        (lambda: most(torch.full((2, 3), torch.nan), 1), "values: got 6 of 6 that are not finite"),
        (lambda: EvalX(fresh()).fit(X[:0], Y[:0]), "x: got 0 rows"),
        (lambda: EvalX(fresh()).fit(X[:3] * torch.nan, Y[:3]), "x: got 33 cells that are not finite"),
        (lambda: FITTED.judge(X[:3] * torch.nan, Y[:3], TRUTH[:3] | True), "x: got 33 cells that are not"),
        (lambda: FITTED.judge(X[:3], Y[:3], TRUTH[:3, :5]), r"selected: got shape \(3, 5\)"),
        (lambda: FITTED.judge(X[:3], Y[:3], TRUTH[:3].float()), "selected: got torch.float32"),
        (lambda: FITTED.judge(X[:3], Y[:2], TRUTH[:3]), r"y: got torch.int64 of shape \(2,\) .* each of the 3 rows"),
        (lambda: FITTED.judge(X[:3], Y[:3] + 2, TRUTH[:3]), r"from \d to 3, expected .* from 0 to 1"),
        (lambda: FITTED.judge(X[:3, :5], Y[:3], TRUTH[:3, :5]), r"network: it cannot read rows of shape \(10,\)"),
        (lambda: EvalX(fresh()).judge(X[:3], Y[:3], TRUTH[:3]), "network: it has not been trained.* call `fit` first"),
        (lambda: EvalX(fresh()).fit(X[:3], Y[:2]), r"y: got torch.int64 of shape \(2,\) .* each of the 3 rows"),
        (lambda: EvalX(fresh()).fit(X[:3], Y[:3] * 0 - 100), "y: got .* from -100 to -100"),
        (lambda: EvalX(fresh()).fit(X[:3], Y[:3] * 0 + 2), "y: got .* from 2 to 2"),
        (lambda: EvalX(fresh()).fit(X[:3], Y[:3].float()), r"y: got torch.float32 of shape \(3,\)"),
        (lambda: EvalX(fresh(D)).fit(X[:3], Y[:3]), r"network: it cannot read rows of shape \(22,\)"),
        (lambda: EvalX(nn.Flatten(0)).fit(X[:3], Y[:3]), r"network: got shape \(22,\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_refused(call: Callable, told: str) -> None:
    with pytest.raises(MapstoError, match=told):
        call()
