"""The page of a robot that imitates tells what it was shown, what it did before and after, and what helped."""

import numpy as np
import pytest
import torch

import mapsto as mt
from mapsto.episodes import unstack
from mapsto.learners import MAML
from mapsto.models import MLP
from mapsto.reports.robots.answer import RobotAnswer
from mapsto.tasks import Demonstrations, Navigation

SHOTS = 3


@pytest.fixture(scope="module")
def tasks() -> Demonstrations:
    return Demonstrations(Navigation(20, reach=0.3), shots=SHOTS, queries=2, pool=25, rollouts=2, noise=0.3)


@pytest.fixture(scope="module")
def learner() -> MAML:
    torch.manual_seed(0)
    return MAML(MLP(2, 8, 2), loss="mse", lr=0.3, steps=3)


@pytest.fixture(scope="module")
def page(tasks: Demonstrations, learner: MAML, tmp_path_factory: pytest.TempPathFactory) -> tuple[RobotAnswer, str]:
    path = tmp_path_factory.mktemp("robot") / "report.html"
    answer = mt.reports.task(learner, tasks, index=2, path=path)
    assert isinstance(answer, RobotAnswer)
    return answer, path.read_text()


def test_the_answer_is_what_was_shown_and_played(
    tasks: Demonstrations, learner: MAML, page: tuple[RobotAnswer, str]
) -> None:
    answer, played = page[0], tasks.test.experience(learner, 2, 1)
    assert [len(block) for block in answer.blocks] == [2, 2] and len(answer.lessons[0]) == SHOTS
    np.testing.assert_allclose(answer.returns, played.returns()[0])
    many = tasks.test.experience(learner, 0, 20)
    np.testing.assert_allclose([share.mean for share in answer.solved], many.solved().double().mean(0))
    support = played.episodes.support
    for path, x, w in zip(
        answer.lessons[0], support.x[0].unflatten(0, (SHOTS, -1)), support.w.view(SHOTS, -1), strict=True
    ):
        np.testing.assert_array_equal(path, x[w > 0])
    assert answer.reasons["IntegratedGradients"].shape == (2, len(answer.blocks[-1][0]), 2)


def test_a_push_is_by_how_much_the_error_falls_if_a_demonstration_counts_more(
    tasks: Demonstrations, learner: MAML, page: tuple[RobotAnswer, str]
) -> None:
    episode = unstack(tasks.test.batch(2, 1))[0]

    def error(scale: torch.Tensor) -> float:
        w = episode.support.w.view(SHOTS, -1) * scale[:, None]
        state = learner.adapt(episode.support._replace(w=w.flatten()))
        scores = learner.predict(state, episode.query.x).detach()
        return float((episode.query.w * (scores - episode.query.y).square().mean(-1)).sum())

    step = 1e-2
    slopes = []
    for i in range(SHOTS):
        bump = torch.zeros(SHOTS)
        bump[i] = step
        slopes.append((error(1 - bump) - error(1 + bump)) / (2 * step))
    shares = np.array(slopes) / np.abs(slopes).sum()
    np.testing.assert_allclose(page[0].pushes[0], shares, atol=0.02)


def test_the_page_says_so_in_the_words_of_imitation(page: tuple[RobotAnswer, str]) -> None:
    answer, text = page
    assert "In test task 2, MAML adapted to 3 demonstrations in Navigation. Its return was" in text
    assert "before any demonstration" in text and "after the demonstrations" in text
    assert "reached the aim, all tasks" in text and "which demonstrations taught it" in text
    assert "rollouts that taught" not in text and "after 1 update" not in text and text.count("<img") == 4
    assert answer.summary()["solved"][1]["mean"] == answer.solved[1].mean
