"""The page of `mapsto play` reads a table as the package does: cell by cell, kind by kind, name by name, line by line.

Tables are read by Python, and by the scripts of the page in one headless Chromium.
"""

import base64
import json
import math
import random
from pathlib import Path
from typing import Any

import browser
import pandas as pd
import pytest
from nasty_tables import NAMED, random_table

from mapsto.errors import MapstoError
from mapsto.play import page
from mapsto.tables import cells, tablefile, target
from mapsto.tables.columns import Columns
from mapsto.tables.pairs import pair_columns, with_pairs_split

pytestmark = [
    pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium or Chrome is installed"),
    pytest.mark.long,  # 10 s of CPU
]
RANDOM, MOST_CLASSES, LEAST_ROWS = 300, 10, 4
ENCODED = {
    "utf-16": "ä",
    "utf-32": "ä",
    "utf-16-le": "ä",
    "cp1252": "Größe – weiß",
    "gb18030": "死亡患者编号",
    "cp1251": "диагноз",
}
REASONS = {  # the phrase of the page for each refusal of the package
    "columns:": "twice", "equally long rows": "uneven", "file:": "unreadable", "an infinite value": "infinite",
    "an infinite outcome": "infinite", "got dates": "dates",
}  # fmt: skip
READ = """
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
async function read(raw) {
  try {
    const text = await mapsto.textOf(new Blob([bytes(raw)])), {names} = mapsto.tableOf(text);
    return mapsto.tableOf(text, names ? names.length - 1 : undefined);
  } catch (error) {
    return {error: error.told};
  }
}
const found = {}, present = cell => (Number.isNaN(cell) ? null : cell);
for (const [name, raw] of Object.entries(FILES)) {
  const {error, names, lines, classes, labels, columns} = await read(raw);
  found[name] = error ? error[0] : {names, lines, classes, labels: labels.map(label => label || null),
    columns: columns.map(({name, kind, levels, cells}) => [name, kind, levels, cells.map(present)])};
}
return found;
"""


def files() -> dict[str, bytes]:
    """Return the named tables, random ones, and some in other encodings, as bytes."""
    named = {name: text.encode() for name, text in NAMED.items()}
    drawn = {f"table {seed}": random_table(seed).encode() for seed in range(RANDOM)}
    encoded = {
        name: f"a,b\n{word},1\n{word} x,2\n{word},2\nb,1\n{word},2\n".encode(name) for name, word in ENCODED.items()
    }
    r = random.Random(0)
    damaged = {f"damaged {i}": bytes(r.choice(raw) for raw in [named["sharp s"]] * 40) for i in range(10)}
    return named | drawn | encoded | damaged


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("play") / "page.html"
    page.write(path)
    given = json.dumps({name: base64.b64encode(raw).decode() for name, raw in files().items()})
    return browser.evaluate(path, f"const FILES = {given};\n{READ}")


def read(path: Path) -> dict[str, Any] | str:
    """Return a table as the package reads it, its last column being the outcome; a text says what is wrong with it."""
    try:
        file = tablefile.read(path)
        name, rows = str(file.table.columns[-1]), len(file.table)
        if file.table.shape[1] < 2 or rows < LEAST_ROWS:
            return "unreadable"
        kind = target.decided(file.table, name, "it")
        if isinstance(kind, target.Numbers):
            return "numbers"
        y = kind.read(file.table, "it").y
        classes = [cells.as_text(name) for name in sorted(y.dropna().unique())]
        if not 1 < len(classes) <= MOST_CLASSES:
            return "one_class" if len(classes) < 2 else "many_classes"
        x, teaching = file.table.drop(columns=name), y.notna()
        x = with_pairs_split(x, pair_columns(x[teaching]))
        columns = Columns().fit(x[teaching])
        numbers, _ = columns.read(x)
    except MapstoError as error:
        return next(phrase for part, phrase in REASONS.items() if part in str(error))
    if not columns.informative.any():
        return "no_columns"
    labels = [None if pd.isna(label) else cells.as_text(label) for label in y]
    read = [
        [
            c.name,
            "category" if c.kind == "ordered" else c.kind,
            c.levels,
            [None if math.isnan(v) else v for v in values],
        ]
        for c, values, used in zip(columns, numbers.T.tolist(), columns.informative, strict=True)
        if used
    ]
    return {
        "names": list(file.table.columns), "lines": file.lines, "classes": classes, "labels": labels, "columns": read
    }  # fmt: skip


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder, told = tmp_path_factory.mktemp("files"), {}
    for i, (name, raw) in enumerate(files().items()):
        path = folder / f"{i}.csv"
        path.write_bytes(raw)
        told[name] = read(path)
    return told


def same(told: Any, expected: Any) -> bool:
    """Return whether two readings are the same, numbers up to rounding."""
    if isinstance(expected, dict) and isinstance(told, dict):
        return told.keys() == expected.keys() and all(same(told[key], expected[key]) for key in expected)
    if isinstance(expected, list) and isinstance(told, list):
        return len(told) == len(expected) and all(map(same, told, expected))
    if isinstance(expected, float) and isinstance(told, float | int):
        return math.isclose(told, expected, rel_tol=1e-9, abs_tol=1e-9)
    return type(told) is type(expected) and told == expected


@pytest.mark.parametrize("name", NAMED)
def test_a_nasty_table_is_read_as_by_the_package(found: dict[str, Any], expected: dict[str, Any], name: str) -> None:
    assert same(found[name], expected[name]), (found[name], expected[name])


def test_random_tables_and_encodings_are_read_as_by_the_package(
    found: dict[str, Any], expected: dict[str, Any]
) -> None:
    others = {name: (found[name], expected[name]) for name in expected if not same(found[name], expected[name])}
    assert others == {}
    read = [told for told in expected.values() if isinstance(told, dict)]
    kinds = [kind for told in read for _, kind, *_ in told["columns"]]
    assert len(read) > 200 and len(expected) - len(read) > 50
    assert min(map(kinds.count, ("number", "date", "category"))) > 40
    assert all(isinstance(expected[name], dict) for name in ENCODED)


def test_rows_have_the_numbers_of_their_lines(found: dict[str, Any]) -> None:
    assert found["a comment above, inside and below"]["lines"] == [3, 5, 6, 7]
    assert found["line breaks in cells"]["lines"] == [2, 4, 6, 9]
    assert found["a separator by name"]["lines"] == [3, 4, 5, 6]
