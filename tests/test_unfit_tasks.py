"""What every learner makes of a task that is not for it: the right result, or one sentence that says what to do."""

from collections.abc import Callable

import pytest
import torch
from test_learners import LEARNERS, Row
from torch import Tensor, nn
from torch.utils.data import DataLoader

import mapsto as mt
from mapsto.episodes import Episode, Examples, unstack
from mapsto.errors import MapstoError
from mapsto.learners import (
    ANML,
    CNP,
    MAML,
    SNAIL,
    VSML,
    Hypernetwork,
    InContext,
    LearnedOptimizer,
    Learner,
    MatchingNetwork,
    MetaLSTM,
    MetaNetwork,
    MultiTask,
    PrototypicalNetwork,
    Reptile,
    RidgeHead,
    SiameseNetwork,
)
from mapsto.models import MomentNetwork

EACH = pytest.mark.parametrize("row", LEARNERS.values(), ids=list(LEARNERS))


def learner(row: Row) -> Learner:
    torch.manual_seed(0)
    return row.make()


def one(row: Row) -> Episode:
    return unstack(row.batch())[0]


def classifies(task: Episode) -> bool:
    return not task.support.y.is_floating_point()


@EACH
def test_a_task_of_the_other_kind_is_refused(row: Row, unchecked: None) -> None:
    task = one(row)

    def other(rows: Examples) -> Examples:
        y = rows.y.double()[:, None] if classifies(task) else torch.arange(len(rows.y)) % 2
        return rows._replace(y=y)

    expected = "^y: .* this learner classifies" if classifies(task) else "^y: .* this learner regresses"
    with pytest.raises(MapstoError, match=expected):
        learner(row).loss(task._replace(support=other(task.support), query=other(task.query)))


CLASSIFIERS = {name: row for name, row in LEARNERS.items() if classifies(one(row))}


@pytest.mark.parametrize("row", CLASSIFIERS.values(), ids=list(CLASSIFIERS))
def test_a_support_set_of_one_class_is_learned_from(row: Row) -> None:
    task = one(row)
    same = task.support._replace(y=torch.zeros_like(task.support.y))
    of = learner(row)
    p = of.predict(of.adapt(same), task.query.x).softmax(-1)
    assert p.isfinite().all()
    torch.testing.assert_close(p.sum(-1), torch.ones_like(p[:, 0]))


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions_go_through(row: Row, dtype: torch.dtype) -> None:
    def cast(tree: object) -> object:
        return mt.episodes.to(tree, dtype)

    exact = learner(row).loss(one(row))[0].detach()
    loss = learner(row).to(dtype).loss(cast(one(row)))[0].detach()
    assert loss.dtype == dtype
    near = 1e-3 if dtype == torch.float32 else 0.3
    assert float((loss.double() - exact).abs()) < near * (1 + float(exact.abs()))


RUNNING = {
    "MAML": lambda body: MAML(body),
    "multi-task": lambda body: MultiTask(body),
    "Reptile": lambda body: Reptile(body),
    "prototypes": lambda body: PrototypicalNetwork(body, 2),
    "matching": lambda body: MatchingNetwork(body, 2),
    "siamese": lambda body: SiameseNetwork(body, 2),
    "ridge": lambda body: RidgeHead(body, 2),
    "SNAIL": lambda body: SNAIL(body, 3, 2, 4),
    "LSTM meta-learner": lambda body: MetaLSTM(body),
    "learned optimizer": lambda body: LearnedOptimizer(body),
    "VSML": lambda body: VSML(body, 2),
    "meta network": lambda body: MetaNetwork(body, nn.Linear(3, 3)),
    "ANML": lambda body: ANML(body, nn.Linear(3, 3), 3, 2),
    "CNP": lambda body: CNP(body, nn.Linear(4, 2)),
    "hypernetwork": lambda body: Hypernetwork(MomentNetwork(3, hidden=(4,)), body),
}


@pytest.mark.parametrize("name", RUNNING)
def test_running_statistics_are_refused(name: str, unchecked: None) -> None:
    body = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with pytest.raises(MapstoError, match=r"running statistics|batch norm|BatchNorm"):
        RUNNING[name](body)


class Idle(nn.Module):
    """A network with a layer that nothing runs through, and one that is frozen."""

    def __init__(self, outputs: int):
        super().__init__()
        self.used, self.unused, self.frozen = nn.Linear(2, 3), nn.Linear(2, 2), nn.Linear(3, 3)
        self.frozen.requires_grad_(False)
        self.head = nn.Linear(3, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.frozen(self.used(x)).tanh())


IDLE = {name: build for name, build in RUNNING.items() if name not in ("meta network", "CNP", "hypernetwork", "ANML")}


@pytest.mark.parametrize("name", IDLE)
def test_frozen_parameters_stay_and_unused_ones_do_no_harm(name: str) -> None:
    torch.manual_seed(0)
    body = Idle(3 if name == "SNAIL" else 2)
    of = IDLE[name](body)
    before = {key: p.detach().clone() for key, p in body.named_parameters()}
    tasks = mt.tasks.Arrays(torch.randn(80, 2).numpy(), [i % 8 for i in range(80)], ways=2, shots=2, queries=2)
    for step in mt.train(of, tasks, steps=3, batch=2, lr=0.1):
        assert torch.tensor(step.metrics["loss"]).isfinite()
    after = dict(body.named_parameters())
    assert all(torch.equal(after[key], before[key]) for key in before if key.startswith("frozen"))
    learns_its_start = name != "learned optimizer"
    assert torch.equal(after["used.weight"], before["used.weight"]) != learns_its_start
    assert all(p.isfinite().all() for p in after.values())


SOME_READ_ANY = ("in context", "plain network")  # ten classes; no support set
READS_CLASSES = {name: row for name, row in CLASSIFIERS.items() if not name.startswith(SOME_READ_ANY)}


@pytest.mark.parametrize("row", READS_CLASSES.values(), ids=list(READS_CLASSES))
@pytest.mark.parametrize("label", [-1, 99])
def test_a_label_that_is_no_class_is_refused(row: Row, label: int, unchecked: None) -> None:
    task, made = one(row), learner(row)
    y = task.support.y.clone()
    y[0] = label
    with pytest.raises(MapstoError, match=f"y: got class {label}, expected one of 0 to"):
        made.adapt_to(task._replace(support=task.support._replace(y=y)))


def numbered(missing: bool = False) -> mt.tasks.Arrays:
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    x[3::7, 1] = torch.nan if missing else 0.0
    return mt.tasks.Arrays(
        x.numpy(), (torch.arange(60) % 6).numpy(), ways=2, shots=3, queries=3, splits=(0.4, 0.3, 0.3)
    )


def test_missing_cells_are_named_where_they_spoil_a_learner() -> None:
    made = PrototypicalNetwork(mt.models.MLP(2, 4), ways=2)
    with pytest.raises(MapstoError, match=r"missing cells \(NaN in x\), which PrototypicalNetwork cannot read"):
        mt.evaluate(made, numbered(missing=True).test, episodes=4)
    with pytest.raises(MapstoError, match=r"cells \(NaN in x\), which PrototypicalNetwork cannot read"):
        list(mt.train(made, numbered(missing=True), steps=20, batch=4, lr=1e-3))


@pytest.mark.parametrize("make", [InContext, PrototypicalNetwork])
def test_queries_of_classes_that_were_not_taught_are_named_where_no_loss_is_finite(make: type[Learner]) -> None:
    """They get probability 0, which no lower rate would change; a learner with a prior on classes is not told so."""
    torch.manual_seed(0)
    body = mt.models.SetTransformer(8, 1, 2) if make is InContext else mt.models.MLP(2, 4)
    tasks = mt.tasks.Logistic(shots=2, queries=10)  # of which many teach one class only
    with pytest.raises(MapstoError, match=rf"queries \(\d+\) of a class .* {make.__name__} rules out; draw more"):
        list(mt.train(make(body, ways=2), tasks, steps=20, batch=4, lr=1e-3))
    assert len(list(mt.train(MAML(mt.models.MLP(2, 2), lr=0.1), tasks, steps=2, batch=4, lr=1e-3))) == 2


def test_dropout_is_trained_with_and_switched_off_to_evaluate() -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    made = MAML(body, lr=0.1)
    assert len(list(mt.train(made, numbered(), steps=2, batch=3, lr=1e-3))) == 2
    again = [mt.evaluate(made, numbered().test, episodes=6).values.tolist() for _ in range(2)]
    assert again[0] == again[1] and body[1].training


def test_tasks_that_do_not_fit_are_one_sentence_to_evaluate_too() -> None:
    with pytest.raises(MapstoError, match="tasks: MAML cannot learn from these"):
        mt.evaluate(MAML(mt.models.MLP(3, 2)), numbered().test, episodes=2)
    with pytest.raises(MapstoError, match=r"^learner: "):
        list(mt.train(PrototypicalNetwork(nn.Flatten(), ways=2), numbered(), steps=1, batch=1))


def test_ragged_shots_are_weights_that_every_learner_reads() -> None:
    tasks = mt.tasks.Arrays(torch.randn(80, 2).numpy(), [i % 8 for i in range(80)], ways=2, shots=(1, 4), queries=2)
    assert len({int((w > 0).sum()) for w in tasks.batch(0, 30).support.w}) > 1
    for name in ("MAML", "Reptile", "prototypes", "SNAIL", "VSML", "ridge"):
        of = RUNNING[name](nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3 if name == "SNAIL" else 2)))
        assert mt.evaluate(of, tasks, episodes=6).log_loss.mean < 20


@pytest.mark.parametrize("run", [mt.evaluate, lambda *args: next(mt.train(*args, steps=1, batch=1))])
def test_another_network_or_source_is_one_sentence(run: Callable, unchecked: None) -> None:
    learner, loader = MAML(nn.Linear(6, 2)), DataLoader([torch.zeros(6)])  # type: ignore[arg-type]
    with pytest.raises(MapstoError, match=r"^learner: .*mt\.learners\.Fixed"):
        run(nn.Linear(6, 2), loader)
    for source in (loader, [], None):
        with pytest.raises(MapstoError, match=r"^tasks: .*batch\(index, count, seed\)"):
            run(learner, source)
