"""A resumed run is the run that was stopped, with the same random layers, and no other learner resumes it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.explainers.learned import AmortisedShapley, Columns, Interpreter
from mapsto.learners import MAML, Fixed, Learner, Reptile
from mapsto.models import MLP
from mapsto.training.identity import choices
from mapsto.training.validation import ValidationLoss

WAVES = mt.tasks.Sinusoids()


def dropping(seed: int = 0, **arguments: Any) -> MAML:
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 1))
    return MAML(body, loss="mse", **arguments)


def _same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def _stopped_and_resumed(folder: Path, make: Callable[[int], Learner], **options: Any) -> Learner:
    """Return the learner of a run of four steps that stopped after two, and was resumed by another process."""
    steps = mt.train(make(0), WAVES, steps=4, batch=3, run=folder, **options)
    next(steps), next(steps)
    steps.close()
    resumed = make(1)
    list(mt.train(resumed, WAVES, steps=4, batch=3, run=folder, resume=True, **options))
    return resumed


@pytest.mark.parametrize("vectorise", [True, False])
def test_dropout_is_the_same_after_resuming(tmp_path: Path, vectorise: bool) -> None:
    whole = dropping()
    list(mt.train(whole, WAVES, steps=4, batch=3, vectorise=vectorise))
    assert _same(whole, _stopped_and_resumed(tmp_path, dropping, vectorise=vectorise))
    other = dropping()
    list(mt.train(other, WAVES, steps=4, batch=3, vectorise=vectorise, seed=1))
    assert not _same(whole, other)


def test_dropout_differs_from_step_to_step_and_leaves_the_generator_of_the_user_alone() -> None:
    learner, same = dropping(lr=0.0), mt.tasks.Sinusoids()
    same.batch = lambda index, count, seed=0: WAVES.batch(0, count)  # type: ignore[method-assign]
    torch.manual_seed(7)
    losses = [step.metrics["loss"] for step in mt.train(learner, same, steps=3, batch=2, lr=0.0)]
    assert len(set(losses)) == 3
    after = torch.rand(1)
    assert torch.equal(after, torch.rand(1, generator=torch.Generator().manual_seed(7)))


def test_validation_switches_dropout_off() -> None:
    learner, seen = dropping(), []
    judge = ValidationLoss(WAVES, episodes=4)
    assert judge(learner) == judge(learner) and learner.training

    def validation(learner: Learner) -> float:
        seen.append(learner.training)
        return 0.0

    list(mt.train(learner, WAVES, steps=1, batch=1, validation=validation))
    assert seen == [False] and learner.training


def test_threads_are_refused_for_random_numbers_only() -> None:
    """All threads draw from one generator, so equal runs would differ."""
    with pytest.raises(MapstoError, match=r"^threads: "):
        next(mt.train(dropping(), WAVES, steps=1, batch=4, chunk_size=1, threads=2))
    for learner in (dropping().eval(), MAML(MLP(1, 4, 1), loss="mse")):
        next(mt.train(learner, WAVES, steps=1, batch=4, chunk_size=1, threads=2))


@pytest.mark.parametrize("option", [{"chunk_size": 1}, {"vectorise": False}])
def test_random_numbers_and_what_they_depend_on_are_the_same_after_resuming(tmp_path: Path, option: dict) -> None:
    """How many tasks are computed at a time changes the numbers of dropout, but not those of other learners."""
    losses = [next(mt.train(dropping(), WAVES, steps=1, batch=4, **o)).metrics["loss"] for o in ({}, option)]
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)
    config = {"learner": {"class_path": "MAML"}, "chunk_size": None, "vectorise": None}  # as the command line records
    for folder, given in (("python", None), ("command line", config)):
        list(mt.train(dropping(), WAVES, steps=1, batch=4, run=tmp_path / folder, config=given))
        given = given and given | option
        with pytest.raises(MapstoError, match=f"^run: .*{next(iter(option))}=None"):
            next(mt.train(dropping(), WAVES, 2, 4, run=tmp_path / folder, resume=True, config=given, **option))
    still = MAML(MLP(1, 4, 1), loss="mse")
    list(mt.train(still, WAVES, steps=1, batch=4, run=tmp_path / "still"))
    list(mt.train(still, WAVES, steps=2, batch=4, run=tmp_path / "still", resume=True, **option))


OTHERS: dict[str, tuple[dict, str]] = {
    "inner rate": ({"lr": 5.0}, "learner.lr=0.01"),
    "inner steps": ({"steps": 7}, "learner.steps=1"),
    "route": ({"first_order": True}, "learner.differentiation="),
    "loss": ({"loss": lambda scores, y, w: (w * (scores - y)[:, 0].abs()).sum()}, "learner.loss_name='mse'"),
    "adapted": ({"adapt": "head"}, "learner.adapted="),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_learner_does_not_resume_a_run(tmp_path: Path, name: str) -> None:
    def make(**arguments: Any) -> MAML:
        return MAML(MLP(1, 4, 1), **{"loss": "mse", "lr": 0.01, "steps": 1, **arguments})

    list(mt.train(make(), WAVES, steps=1, batch=1, run=tmp_path))
    list(mt.train(make(), WAVES, steps=1, batch=1, run=tmp_path, resume=True))
    with pytest.raises(MapstoError, match=r"^run: ") as refused:
        next(mt.train(make(**OTHERS[name][0]), WAVES, steps=2, batch=1, run=tmp_path, resume=True))
    assert OTHERS[name][1] in str(refused.value)


def test_a_wrapped_learner_and_a_body_are_recorded_too(tmp_path: Path) -> None:
    list(mt.train(Reptile(MLP(1, 4, 1), "mse", steps=1), WAVES, steps=1, batch=1, run=tmp_path))
    for other in (
        Reptile(MLP(1, 4, 1), "mse", steps=2),
        Reptile(nn.Sequential(*MLP(1, 4, 1), nn.Tanh()), "mse", steps=1),
    ):
        with pytest.raises(MapstoError, match=r"^run: .*learner\.maml\.(steps|body)="):
            next(mt.train(other, WAVES, steps=1, batch=1, run=tmp_path, resume=True))


def test_choices_are_plain_values_whatever_their_type(unchecked: None) -> None:
    learner = dropping(lr=np.float64(0.5), steps=np.int64(2))
    plain = yaml.safe_load(yaml.safe_dump(choices(learner)))
    assert plain == choices(learner) and (plain["learner.lr"], plain["learner.steps"]) == (0.5, 2)
    assert plain["learner.differentiation"] == "Reverse()" and "Dropout(p=0.5" in plain["learner.body"]


def _explained(trains: str = "both", baseline: float = 0.0, **arguments: Any) -> mt.Joint:
    body = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    shares = AmortisedShapley(Columns(3, baseline), 2, width=4, heads=1, depth=0, coalitions=arguments.pop("draws", 8))
    concepts = Interpreter({"1": 4}, 2, concepts=4, active=2, width=4, **arguments)
    return mt.Joint(Fixed(body), {"shares": shares, "concepts": concepts}, trains=trains)


def _normed(**arguments: Any) -> Fixed:
    return Fixed(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, **arguments), nn.Linear(4, 2)))


def _partly_frozen(layers: int) -> Fixed:
    learner = Fixed(MLP(3, 4, 2))
    for parameter in list(learner.parameters())[: 2 * layers]:
        parameter.requires_grad_(False)
    return learner


INSIDE: dict[str, tuple[Callable[[], Learner], Callable[[], Learner], str]] = {
    "target": (_explained, partial(_explained, target="label"), "learner.explainers.concepts.target='model'"),
    "diversity": (_explained, partial(_explained, diversity=5.0), "learner.explainers.concepts.diversity=0.1"),
    "coalitions": (_explained, partial(_explained, draws=6), "learner.explainers.shares.coalitions=8"),
    "baseline": (_explained, partial(_explained, baseline=7.0), "learner.explainers.shares.players.baseline='0.0'"),
    "trained part": (_explained, partial(_explained, "explainers"), "learner.trains='both'"),
    "momentum": (_normed, partial(_normed, momentum=0.9), "learner.body.1.momentum=0.1"),
    "eps": (_normed, partial(_normed, eps=0.1), "learner.body.1.eps=1e-05"),
    "frozen layer": (partial(_partly_frozen, 0), partial(_partly_frozen, 1), "frozen=''"),
}


@pytest.mark.parametrize("name", INSIDE)
def test_other_options_inside_a_learner_do_not_resume_a_run(tmp_path: Path, name: str) -> None:
    make, other, difference = INSIDE[name]
    data = mt.tasks.Minibatches(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2, size=8)
    train = partial(mt.train, tasks=data, batch=1, run=tmp_path)
    list(train(make(), steps=1))
    list(train(make(), steps=2, resume=True))
    with pytest.raises(MapstoError, match=r"^run: ") as refused:
        next(train(other(), steps=3, resume=True))
    assert difference in str(refused.value) and str(refused.value).count(". ") == 0
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    earlier = {key: value for key, value in config.items() if key != "frozen" and not key.startswith("learner.")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(earlier))
    list(train(make(), steps=3, resume=True))


FACTORIES: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "RMSprop": torch.optim.RMSprop,
    "groups": lambda params: torch.optim.Adam([{"params": params[1:]}, {"params": params[:1]}]),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_any_optimizer_of_torch_trains_and_resumes(tmp_path: Path, name: str) -> None:
    def make(seed: int = 0) -> MAML:
        torch.manual_seed(seed)
        return MAML(MLP(1, 4, 1), loss="mse")

    whole, by_hand = make(), make()
    list(mt.train(whole, WAVES, steps=4, batch=3, lr=0.02, optimizer=FACTORIES[name]))
    assert _same(whole, _stopped_and_resumed(tmp_path, make, lr=0.02, optimizer=FACTORIES[name]))
    optimizer = FACTORIES[name](list(by_hand.parameters()))
    for group in optimizer.param_groups:
        group["lr"] = 0.02
    for index in range(4):
        gradient, _ = mt.training.meta_gradient(by_hand)(dict(by_hand.named_parameters()), WAVES.batch(index, 3))
        for key, parameter in by_hand.named_parameters():
            parameter.grad = gradient[key]
        optimizer.step()
    assert _same(whole, by_hand)


@pytest.mark.parametrize("wrong", [lambda params: 3, lambda params: torch.optim.SGD(params[:1]), "adamm"])
def test_what_is_no_optimizer_is_refused(wrong: Any, unchecked: None) -> None:
    with pytest.raises(MapstoError, match=r"^optimizer: "):
        next(mt.train(dropping(), WAVES, steps=1, batch=1, optimizer=wrong))


def test_sgd_takes_the_published_step_of_reptile() -> None:
    """θ ← θ + ε·mean(φ − θ), Nichol et al. 2018, Algorithm 2; a second step shows that there is no momentum."""
    torch.manual_seed(0)
    learner = Reptile(MLP(1, 4, 1), "mse", steps=3)
    start = {name: p.detach().clone() for name, p in learner.maml.body.named_parameters()}
    for step, _ in enumerate(mt.train(learner, WAVES, steps=2, batch=2, lr=0.5, optimizer="sgd")):
        tasks = mt.episodes.unstack(WAVES.batch(step, 2))
        with torch.no_grad():
            now = {name: p.clone() for name, p in learner.maml.body.named_parameters()}
            for name, p in learner.maml.body.named_parameters():
                p.copy_(start[name])
        ends = [learner.adapt(task.support).params for task in tasks]
        for name in start:
            expected = start[name] + 0.5 * sum(end[name].detach() - start[name] for end in ends) / 2
            torch.testing.assert_close(now[name], expected, rtol=1e-4, atol=1e-6)
        with torch.no_grad():
            for name, p in learner.maml.body.named_parameters():
                p.copy_(now[name])
        start = now


def test_a_huge_inner_rate_is_not_blamed_on_the_outer_one() -> None:
    with pytest.raises(MapstoError, match=r"inner learning rate") as refused:
        list(mt.train(MAML(MLP(1, 4, 1), loss="mse", lr=1e20, steps=3), WAVES, steps=3, batch=2))
    assert "lower lr" not in str(refused.value)


@pytest.mark.parametrize("episodes", [30, 7])
def test_an_evaluation_does_not_depend_on_how_many_tasks_are_computed_at_a_time(episodes: int) -> None:
    torch.manual_seed(0)
    learner = MAML(MLP(1, 4, 1), loss="mse")
    values = [mt.evaluate(learner, WAVES, episodes, batch=b).values for b in (25, 1, 4, 100)]
    judged = [ValidationLoss(WAVES, episodes, batch=b)(learner) for b in (25, 1, 4, 100)]
    assert all(len(v) == episodes for v in values)
    for other, judgement in zip(values, judged, strict=True):
        assert other == pytest.approx(values[0], rel=1e-5) and judgement == pytest.approx(judged[0], rel=1e-5)


def test_other_tasks_do_not_resume_a_run(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    others = {"y": (x, 1 - y, 8), "x": (x + 1, y, 8), "size": (x, y, 9)}

    def run(data: tuple, steps: int) -> None:
        learner = Fixed(nn.Linear(2, 2))
        list(mt.train(learner, mt.tasks.Minibatches(*data), steps=steps, batch=1, run=tmp_path, resume=True))

    run((x, y, 8), 2)
    for name, data in others.items():
        with pytest.raises(MapstoError, match=rf"^run: .*tasks\.{name}="):
            run(data, 4)
    run((x, y, 8), 4)
