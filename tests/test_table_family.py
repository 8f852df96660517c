"""A folder of tables as a family of tasks: whose rows, which columns, what is held back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.tasks import TableFamily


@pytest.fixture
def hospitals(tmp_path: Path) -> Path:
    """Write six hospitals, in each of which `site` tells which one it is; the last lacks a column, one is small."""
    random = np.random.default_rng(0)
    for i in range(6):
        rows = 8 if i == 2 else 40
        frame = pd.DataFrame(
            {"site": float(i), "age": random.integers(20, 90, rows), "ward": random.choice(["a", "b"], rows)}
        )
        frame["ill"] = np.where(frame["age"] + 10 * i > 60, "yes", "no")
        frame.loc[0, "ill"] = None
        (frame.drop(columns="ward") if i == 5 else frame).to_csv(
            tmp_path / f"h{i}.csv{'.gz' if i == 1 else ''}", index=False
        )
    (tmp_path / "notes.md").write_text("no table")
    return tmp_path


SPLITS = {"train": ["h0", "h1", "h2", "h3"], "validation": ["h4"], "test": ["h5"]}


def test_a_task_is_of_one_table_and_tables_are_held_back(hospitals: Path) -> None:
    tasks = TableFamily(hospitals, "ill", shots=6, queries=5, splits=SPLITS)
    assert tasks.tables == [f"h{i}" for i in range(6)] and tasks.left_out == ["h2"]
    site = tasks.columns.index("site")
    seen = {}
    for split in ("train", "validation", "test"):
        drawn = tasks.of(split).batch(0, 60)
        sites = torch.cat([drawn.support.x, drawn.query.x], 1)[..., site]
        assert (sites == sites[:, :1]).all()
        seen[split] = sorted(set(sites[:, 0].tolist()))
        both = torch.cat([drawn.support.x, drawn.query.x], 1)
        assert all(len({tuple(row.nan_to_num().tolist()) for row in task}) >= 8 for task in both)
    assert seen == {"train": [0.0, 1.0, 3.0], "validation": [4.0], "test": [5.0]}


def test_columns_are_matched_by_name_and_what_a_table_lacks_is_missing(hospitals: Path) -> None:
    tasks = TableFamily(hospitals, "ill", shots=6, queries=5, splits=SPLITS)
    ward = tasks.columns.index("ward")
    assert tasks.of("test").batch(0, 5).query.x[..., ward].isnan().all()
    assert not tasks.batch(0, 5).query.x.isnan().any()


def test_every_class_of_the_table_teaches_and_labels_are_the_tables(hospitals: Path) -> None:
    tasks = TableFamily(hospitals, "ill", shots=2, queries=5, splits=SPLITS)
    drawn, age, site = tasks.batch(0, 50), tasks.columns.index("age"), tasks.columns.index("site")
    assert tasks.names == ["no", "yes"]
    assert (drawn.support.y.sort(1).values == torch.tensor([0, 1])).all()
    x, y = drawn.query.x, drawn.query.y
    assert torch.equal(y, (x[..., age] + 10 * x[..., site] > 60).long())


def test_numbers_can_be_the_target_and_draws_are_functions_of_the_index(hospitals: Path) -> None:
    tasks = TableFamily(hospitals, "age", shots=(2, 6), queries=5, regression=True, seed=1)
    first, again, other = tasks.batch(3, 4), tasks.batch(3, 4), tasks.batch(4, 4)
    assert torch.equal(first.query.y, again.query.y) and not torch.equal(first.query.y, other.query.y)
    assert first.query.y.shape == (4, 5, 1) and not tasks.names


@pytest.mark.parametrize(
    ("outcomes", "names"),
    [
        (([1, 2] * 5, ["1", "2"] * 4 + ["other"] * 2), ["1", "2", "other"]),
        (([1, 10] * 5, [1, 10, 2, 2.5] * 3), ["1", "2", "2.5", "10"]),
        (([0, 1] * 5, [0, 1, None] * 4), ["0", "1"]),
        ((["b", "a"] * 5, ["a", "c"] * 5), ["a", "b", "c"]),
    ],
)
def test_a_class_is_the_same_in_every_table(tmp_path: Path, outcomes: tuple[list, list], names: list[str]) -> None:
    for name, y in zip(("first", "second"), outcomes, strict=True):
        pd.DataFrame({"a": range(len(y)), "y": y}).to_csv(tmp_path / f"{name}.csv", index=False)
    tasks = TableFamily(tmp_path, "y", 2, 2, splits={"train": ["first", "second"]})
    assert tasks.names == names
    written = [str(y) for part in outcomes for y in part if y is not None]
    assert [tasks.names[i] for i in tasks.y.tolist()] == written


def test_tables_of_one_name_are_refused(tmp_path: Path) -> None:
    for ending in (".csv", ".txt"):
        pd.DataFrame({"a": range(9), "y": [0, 1, 2] * 3}).to_csv(tmp_path / f"rome{ending}", index=False)
    with pytest.raises(MapstoError, match=r"^folder: got rome.csv"):
        TableFamily(tmp_path, "y", 2, 2)


def test_what_is_learned_from_some_hospitals_is_asked_in_others(hospitals: Path) -> None:
    tasks = TableFamily(hospitals, "ill", shots=8, queries=8, splits=SPLITS)
    found = mt.evaluate(mt.learners.RidgeHead(torch.nn.Identity(), 2), tasks.validation, episodes=20)
    assert found.accuracy.mean > 0.5


def test_what_cannot_be_is_refused_in_one_sentence(hospitals: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (hospitals / "h0.csv").rename(alone / "h0.csv")
    for arguments, message in (
        ({"folder": tmp_path / "nowhere"}, "^folder: got .*nowhere"),
        ({"folder": alone}, r"^folder: got 1 table"),
        ({"target": "outcome"}, "^target: got 'outcome', expected a column of h1.csv.gz"),
        ({"shots": 60}, "^folder: got no such training table"),
        ({"splits": {"train": ["h9"]}}, "splits: got 'h9'"),
    ):
        with pytest.raises(MapstoError, match=message):
            TableFamily(**{"folder": hospitals, "target": "ill", "shots": 6, "queries": 5} | arguments)
    with pytest.raises(MapstoError, match=r"^splits: got no table for test"):
        TableFamily(hospitals, "ill", 6, 5, splits={"train": ["h1", "h3"]}).test.batch(0, 1)


def test_measured_numbers_are_no_classes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        rows = "\n".join(f"{i},{i / 7:.3f}" for i in range(40))
        (tmp_path / f"{name}.csv").write_text(f"x,y\n{rows}\n")
    with pytest.raises(MapstoError, match=r"^target: got .*different numbers"):
        TableFamily(tmp_path, "y", shots=4, queries=4, splits=(0.5, 0.0, 0.5))
    TableFamily(tmp_path, "y", shots=4, queries=4, splits=(0.5, 0.0, 0.5), regression=True)
