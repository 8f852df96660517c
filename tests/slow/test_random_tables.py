"""Any file is a table or is refused in one sentence, and what is read can be taught, predicted and explained.

`make slow` reads 10,000 random files; `make test` a share of them.
"""

import os
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from random_tables import content

from mapsto.errors import MapstoError
from mapsto.estimators import MAX_ROWS, TableClassifier, TableRegressor
from mapsto.reports.table.question import Question, of_table
from mapsto.tables.columns import Columns
from mapsto.tables.tablefile import TableFile, read

pytestmark = pytest.mark.filterwarnings("ignore::mapsto.tables.columns.UnreadCells")  # `transform` names them
FILES = int(os.environ.get("MAPSTO_RANDOM_FILES", "60"))
PARTS, FITTED = 20, 25  # one file of FITTED teaches an estimator


@pytest.mark.parametrize("part", range(PARTS))
def test_any_file_is_read_or_refused_in_one_sentence(tmp_path: Path, part: int) -> None:
    path, read_files = tmp_path / "table.csv", 0
    for seed in range(part, FILES, PARTS):
        path.write_bytes(content(seed))
        try:
            read_files += _is_read(path, seed)
        except MapstoError as refused:
            assert "\n" not in str(refused), seed
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    assert read_files or FILES < 10 * PARTS


def _is_read(path: Path, seed: int) -> bool:
    """Read a file, and hold it to the laws of a table; return whether its rows can be taught from."""
    file = read(path)
    _holds_a_table(file)
    r = random.Random(seed)
    question = of_table(file.table, r.choice(list(file.table.columns)), None, MAX_ROWS, seed)
    columns = Columns().fit(question.train)
    cells, said = columns.read(question.rows)
    assert cells.shape == question.rows.shape and not np.isinf(cells).any()
    lines = [sentence for sentence in [*columns.notes, *said] if "\n" in sentence]
    assert not lines, lines
    assert np.array_equal(Columns.restored(columns.state(), columns.informative).read(question.rows)[0], cells, True)
    assert columns.transform(question.train).shape == question.train.shape
    repr(columns)
    if seed % FITTED == 0:
        _is_explained(question)
    return True


def _holds_a_table(file: TableFile) -> None:
    assert len(file.table) == len(file.lines) > 0 and file.table.columns.is_unique
    assert file.lines == sorted(set(file.lines)) and all(isinstance(name, str) for name in file.table.columns)
    assert not file.table.isna().all(axis=1).any()
    assert [file.place(i) for i in range(len(file.table))]


def _is_explained(question: Question) -> None:
    labels, rows = pd.Series(question.labels), question.rows
    if labels.nunique() > 10:
        if not pd.api.types.is_numeric_dtype(labels):
            return
        regressor = TableRegressor().fit(question.train, labels)
        reasons, answers = regressor.explain(rows), regressor.predict(rows)
    else:
        classifier = TableClassifier().fit(question.train, labels)
        reasons, answers = classifier.explain(rows), classifier.predict_proba(rows)
        assert np.allclose(answers.sum(1), 1)
    assert np.isfinite(answers).all() and np.allclose(reasons.predictions, answers, rtol=1e-4, atol=1e-4)
