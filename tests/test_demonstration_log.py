"""A person's recorded demonstrations become tasks: whole demonstrations of one task, some to teach, others to judge."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import mapsto as mt
from mapsto.episodes import Examples
from mapsto.errors import MapstoError
from mapsto.learners import RidgeHead
from mapsto.tasks import DemonstrationLog

TASKS, DEMONSTRATIONS = 10, 4


def log() -> pd.DataFrame:
    """Return a log of a force that pulls an angle to the goal of the task; `step` numbers the rows of the log."""
    generator = np.random.default_rng(0)
    rows = []
    for task in range(TASKS):
        goal = generator.normal()
        for episode in range(DEMONSTRATIONS):
            for _ in range(3 + (task + episode) % 4):
                angle = generator.normal()
                rows.append((f"task {task}", episode, len(rows), angle, 2 * (goal - angle), goal))
    return pd.DataFrame(rows, columns=["task", "episode", "step", "angle", "force", "goal"])


def tasks(table: object = None, **arguments: object) -> DemonstrationLog:
    chosen = {"actions": ["force", "goal"], "observations": ["step", "angle"], "shots": 2} | arguments
    return DemonstrationLog(log() if table is None else table, **chosen)  # type: ignore[arg-type]


def shown(part: Examples, task: int, count: int) -> list[tuple[int, ...]]:
    """Return the numbers of the rows of each demonstration of a task of a batch."""
    x, w = part.x[task, :, 0].unflatten(0, (count, -1)), part.w[task].unflatten(0, (count, -1))
    return [tuple(steps[alive].long().tolist()) for steps, alive in zip(x, w > 0, strict=True)]


def test_an_episode_holds_whole_demonstrations_of_one_task_and_judges_by_others() -> None:
    known = {tuple(of["step"]): str(name[0]) for name, of in log().groupby(["task", "episode"])}
    of, taught, asked = tasks(), set(), set()
    for index in range(25):
        batch = of.batch(index, 6)
        for task in range(6):
            support, query = shown(batch.support, task, 2), shown(batch.query, task, 1)
            assert len({known[steps] for steps in [*support, *query]}) == 1 and len({*support, *query}) == 3
            taught |= {*support}
            asked |= {*query}
    assert taught == asked and len(taught) == 6 * DEMONSTRATIONS  # every demonstration of the six training tasks


def test_a_row_is_the_observation_and_the_action_of_one_step_and_padding_is_zero() -> None:
    table, batch = log(), tasks(shots=3).batch(0, 6)
    for part in batch[:2]:
        real = part.w > 0
        rows = table.iloc[part.x[real][:, 0].long().numpy()]
        np.testing.assert_allclose(part.x[real].numpy(), rows[["step", "angle"]], rtol=1e-6)
        np.testing.assert_allclose(part.y[real].numpy(), rows[["force", "goal"]], rtol=1e-6)
        assert (~real).any() and not part.x[~real].any() and not part.y[~real].any()
    torch.testing.assert_close(batch.support.w.unflatten(1, (3, -1)).sum(-1), torch.full((6, 3), 1 / 3))


def test_the_splits_have_different_tasks_and_may_be_named() -> None:
    divided = tasks()
    assert [len(divided.pools[split]) for split in ("train", "validation", "test")] == [6, 2, 2]
    assert sorted(torch.cat([*divided.pools.values()]).tolist()) == list(range(TASKS))
    chosen = tasks(splits={"train": ["task 1", "task 2"], "test": ["task 7"]})
    goal = log().set_index("task")["goal"]
    got = chosen.test.batch(0, 3).query
    torch.testing.assert_close(got.y[..., 1][got.w > 0].mean(), torch.tensor(goal["task 7"].iloc[0]).float())
    with pytest.raises(MapstoError, match=r"^splits: got no task for validation"):
        chosen.validation.batch(0, 1)


def test_a_file_is_read_like_its_table_and_demonstrations_may_be_interleaved(tmp_path: Path) -> None:
    table, file = log(), tmp_path / "log.csv"
    moment = table.groupby(["task", "episode"]).cumcount()
    table.loc[moment.sort_values(kind="stable").index].to_csv(file, index=False)  # the first step of all, the second, …
    for a, b in zip(tasks(file).batch(0, 3).support, tasks(table).batch(0, 3).support, strict=True):
        torch.testing.assert_close(a, b)
    assert tasks(file, observations=None).columns == ["step", "angle"]


def test_a_learner_that_saw_two_demonstrations_acts_as_the_others_show() -> None:
    class Angle(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, torch.ones_like(x)], 1)

    learner = RidgeHead(Angle(), ways=1, loss="mse", penalty=1e-6)
    of = tasks(actions=["force"], observations=["angle"])
    for part in (of, of.test):
        batch = part.batch(0, 4)
        state = [learner.adapt(Examples(*(leaf[i] for leaf in batch.support))) for i in range(4)]
        for i in range(4):
            real = batch.query.w[i] > 0
            got = learner.predict(state[i], batch.query.x[i][real])
            torch.testing.assert_close(got, batch.query.y[i][real], atol=1e-2, rtol=1e-2)
    assert mt.evaluate(learner, of.test, episodes=4).tasks == 4


def mended(column: str, row: int, value: object) -> pd.DataFrame:
    table = log().astype({column: object})
    table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"table": 3}, "log: got int, expected a DataFrame or the path of a table"),
        ({"actions": ["push"]}, "actions: got 'push', expected a column of the log; it has 'task', 'episode'"),
        ({"actions": []}, "actions: got [], expected a list with the name of at least one column"),
        ({"actions": "force"}, "actions: got 'force', expected a list"),
        ({"actions": 3}, "actions: got 3, expected a list"),
        ({"observations": "angle"}, "observations: got 'angle', expected a list"),
        ({"observations": []}, "observations: got [], expected a list"),
        ({"actions": ["angle"]}, "actions: got 'angle' twice, expected each column once"),
        ({"task": "robot"}, "task: got 'robot', expected a column of the log"),
        ({"table": mended("angle", 4, "left")}, "observations: got 'left' in row 5 of 'angle', expected a finite num"),
        ({"table": mended("force", 0, None)}, "actions: got None in row 1 of 'force', expected a finite number"),
        ({"table": mended("force", 2, 1e300)}, "actions: got 1e+300 in row 3 of 'force', expected a finite number"),
        ({"table": log().replace({"angle": {log().angle[1]: np.nan}})}, "observations: got nan in row 2 of 'angle'"),
        ({"table": log().assign(angle=pd.Timestamp(2024, 1, 1))}, "observations: got Timestamp('2024-01-01 00:00:00')"),
        ({"table": log().assign(angle=pd.Timedelta(1, "s"))}, "observations: got Timedelta('0 days 00:00:01')"),
        ({"table": log().assign(angle=1 + 2j)}, "observations: got (1+2j) in row 1"),
        ({"table": mended("task", 1, None)}, "task: got an empty cell in row 2, expected a name in every row"),
        ({"table": mended("episode", 1, " ")}, "episode: got an empty cell in row 2, expected a name in every row"),
        ({"table": log().query("task != 'task 3' or episode > 1")}, "log: got 2 demonstration(s) of task 'task 3'"),
        ({"shots": 4}, "log: got 4 demonstration(s) of task 'task 0', expected at least shots + queries = 5"),
        ({"shots": 0}, "shots: got 0"),
        ({"queries": 0}, "queries: got 0"),
        ({"splits": (0, 0.5, 0.5)}, "splits: got no training task"),
        (
            {"splits": (["task 1"], ["task 2"], [])},
            "splits: got (['task 1'], ['task 2'], []), expected three fractions",
        ),
        ({"splits": {"train": ["task 99"]}}, "splits: got 'task 99' in 'train'"),
        ({"table": log().rename(columns={"goal": "angle"})}, "columns: got 'angle' more than once"),
        ({"table": log()[:0]}, "log: got no row, expected one for each step"),
    ],
)
def test_a_bad_log_is_refused_in_one_sentence(arguments: dict[str, object], message: str, unchecked: None) -> None:
    with pytest.raises(MapstoError, match="^" + re.escape(message)) as error:
        tasks(**arguments)
    assert "\n" not in str(error.value)
