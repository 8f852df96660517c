"""Three regimes of a learned explainer beside each other: each measure equals the one computed by hand."""

import copy

import pytest
import torch

import mapsto as mt
from mapsto.adaptation.inner import Adam
from mapsto.episodes import Episode, unstack
from mapsto.explainers.learned import AmortisedShapley, Columns, Interpreter
from mapsto.joint import Joint, Tuning
from mapsto.learners import MAML, Fixed
from mapsto.measures.audit.selections import ALIKE
from mapsto.reports.task import regimes as module
from mapsto.reports.task.regimes import ADAPTED, ALONE, AS_IS, regimes, versions
from mapsto.tasks import Logistic

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READING", {"steps": 20, "batch": 1, "lr": 5e-3})
    monkeypatch.setattr(module, "_ALONE", Tuning(steps=5, lr=2e-3, optimizer=Adam()))


def joint(trained: bool = True) -> Joint:
    torch.manual_seed(0)
    explainers = {
        "why": AmortisedShapley(Columns(2), 2, width=8, depth=1, heads=1),
        "concepts": Interpreter({"1": 8}, 2, concepts=4, active=2, width=8),
    }
    of = Joint(MAML(mt.models.MLP(2, 8, 2), lr=0.5, steps=2), explainers, tuning=Tuning(3, 0.05))
    for _ in mt.train(of, TASKS, steps=3, batch=1, lr=1e-2) if trained else ():
        pass
    return of


TASKS = Logistic(shots=6, queries=10)


def task() -> Episode:
    return unstack(TASKS.test.batch(0, 1))[0]


@torch.no_grad()
def agreement(of: Joint, episode: Episode) -> float:
    """Of two players, the only coalitions are each of them alone, so no random numbers are involved."""
    x, state = episode.query.x, of.adapt(episode.support)
    values = of.explain(state, x)["why"].values
    first, second = (of.predict(state, x * torch.eye(2)[j]).softmax(1) for j in (0, 1))
    missed = (first - second - values[:, 0] + values[:, 1]).square().sum()
    return float(1 - missed / (first - second).square().sum())


def test_each_measure_is_that_of_the_queries() -> None:
    of, episode = joint(), task()
    rows = regimes(of, TASKS, episode, seed=0)
    names = [ALONE, AS_IS, ADAPTED]
    assert [(row.explainer, row.regime) for row in rows] == [(e, r) for e in ("why", "concepts") for r in names]
    tuned = of.tuned(episode.support)
    by = {(row.explainer, row.regime): row for row in rows}
    for regime, version in ((AS_IS, of), (ADAPTED, tuned)):
        assert by["why", regime].agreement == pytest.approx(agreement(version, episode), abs=1e-4)
        reasons = version.explain(version.adapt(episode.support), episode.query.x)
        assert by["why", regime].trust == pytest.approx(float(reasons["why"].trust.mean()), abs=1e-5)
        answers = version.predict(version.adapt(episode.support), episode.query.x).argmax(1)
        same = (reasons["concepts"].outcome.argmax(1) == answers).float().mean()
        assert by["concepts", regime].agreement == pytest.approx(float(same), abs=1e-5)
        assert by["concepts", regime].trust == pytest.approx(float(reasons["concepts"].trust.mean()), abs=1e-5)
    assert by["why", ADAPTED].agreement != by["why", AS_IS].agreement
    own, outcome = by["why", AS_IS], of.predict(of.adapt(episode.support), episode.query.x).softmax(1)
    shared = (outcome >= outcome.amax(1, keepdim=True) - ALIKE).sum(1)
    assert own.own == pytest.approx(float((1 / shared).mean()))  # both columns are shown: the model itself
    assert 0 <= own.evaluator <= 1
    assert by["concepts", AS_IS][3:5] == (None, None)


def test_a_new_explainer_starts_as_the_joint_was_built() -> None:
    start = joint(trained=False)
    before, of = copy.deepcopy(start.explainers.state_dict()), joint()
    new = of.untrained()
    assert all(torch.equal(value, before[name]) for name, value in new.explainers.state_dict().items())
    assert all(torch.equal(value, of.learner.state_dict()[name]) for name, value in new.learner.state_dict().items())
    assert not any(name.startswith("_untrained") for name in of.state_dict())
    built_with_trained = Joint(of.learner, dict(of.explainers))
    assert list(versions(built_with_trained, task())) == [AS_IS, ADAPTED]


def test_numbers_and_plain_networks() -> None:
    of = Joint(MAML(mt.models.MLP(1, 8, 1), loss="mse"), {"concepts": Interpreter({"1": 8}, 1, width=8)})
    tasks = mt.tasks.Sinusoids(shots=5, queries=4)
    for _ in mt.train(of, tasks, steps=1, batch=1):
        pass
    rows = regimes(of, tasks, unstack(tasks.test.batch(0, 1))[0], seed=0)
    assert [row[2:5] for row in rows] == [(None,) * 3] * 3 and all(0 <= row.trust <= 1 for row in rows)
    plain = Joint(Fixed(mt.models.MLP(2, 8, 2)), {"concepts": Interpreter({"1": 8}, 2)})
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    source = mt.tasks.Minibatches(x, x[:, 0] > 0)
    assert regimes(plain, source, unstack(source.test.batch(0, 1))[0], seed=0) == []


def test_the_page_shows_them(tmp_path) -> None:
    of = joint()
    answer = mt.reports.task(of, TASKS, path=tmp_path / "report.html", methods=["Occlusion"])
    page = (tmp_path / "report.html").read_text()
    assert "How its explainers learned to explain" in page and page.count(ADAPTED) == 2
    assert f"{100 * answer.regimes[0].agreement:.0f} %" in page
