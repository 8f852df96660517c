"""How a table was read: in `--json`, on the page, on the terminal, and from Python alike."""

import io
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest

import mapsto as mt
from mapsto.cli import main
from mapsto.estimators import table as estimators
from mapsto.reports.table.reading import readings

N = 30
EXPECTED = {  # kind, unit, dropped, missing, a part of the reason
    "pid": ("unused", "", True, 0, "It names the rows (--id)."),
    "age": ("number", "", False, 3, None),
    "crp": ("number", "mg/l", False, 1, None),
    "bp": ("pair", "", False, 1, "It holds pairs of numbers, read as two columns: 'bp (1)', 'bp (2)'."),
    "bp (1)": ("number", "", False, 1, None),
    "bp (2)": ("number", "", False, 1, None),
    "pain": ("ordered", "", False, 0, None),
    "seen": ("date", "", False, 0, None),
    "ward": ("category", "", False, 0, None),
    "same": ("number", "", True, 0, "The same value in every training row."),
    "empty": ("absent", "", True, N, "Every training cell is empty."),
    "code": ("absent", "", True, 0, "Left out, as --type or types says."),
    "doctor": ("unused", "", True, 4, "Left out by --drop."),
}


def patients():
    g = np.random.default_rng(0)
    table = pd.DataFrame({"pid": [f"P{i}" for i in range(N)], "age": g.permutation(N) + 40})
    table["crp"] = [f"{c:.1f} mg/l" for c in g.exponential(20, N)]
    table["bp"] = [f"{a}/{a - 50}" for a in g.integers(110, 180, N)]
    table["pain"] = g.choice(["none", "mild", "severe"], N)
    table["seen"] = (np.datetime64("2024-01-01") + np.arange(N)).astype(str)
    table["ward"] = g.choice(["[north]", "south"], N)
    table = table.astype(object).assign(same=1, empty=None, code=g.choice(["x", "y"], N), doctor="Dr. A")
    table["died"] = np.where(table["age"] > 55, "ja", "nein")
    table.loc[20:, "died"] = None
    table.loc[[2, 5, 22], "age"] = [None, "unknown", "?"]  # no number: missing too
    table.loc[[3, 25], "crp"] = [None, "haemolysed"]
    table.loc[4, "bp"] = None
    table.loc[[0, 1, 28, 29], "doctor"] = None
    return table


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """Explain a table for a person and for a program: (folder, what the terminal shows, the JSON)."""
    folder, patch = tmp_path_factory.mktemp("reading"), pytest.MonkeyPatch()
    patients().to_csv(folder / "t.csv", index=False)
    printed = []
    with patch.context() as patched:
        patched.chdir(folder)
        patched.setenv("COLUMNS", "80")
        for more in ([], ["--json"]):
            patched.setattr(sys, "stdout", io.StringIO())
            options = ["--id", "pid", "--drop", "doctor", "--type", "code=absent", "--no-quality"]
            assert main(["explain", "t.csv", "--target", "died", *options, *more]) == 0
            printed.append(sys.stdout.getvalue())
    return folder, printed[0], json.loads(printed[1])


def test_json_says_of_each_column_how_it_was_read(explained):
    columns = explained[2]["columns"]
    found = {c["name"]: (c["kind"], c["unit"], c["dropped"], c["missing"], c["why"]) for c in columns}
    assert found == EXPECTED
    assert list(found) == list(EXPECTED)  # in the order of the table
    assert {c["rows"] for c in columns} == {N}
    values = {c["name"]: c["values"] for c in columns}
    assert values["pain"] == "none < mild < severe" and values["seen"] == "2024-01-01 to 2024-01-20"
    assert values["ward"] in ("[north], south", "south, [north]")
    assert all(isinstance(note, str) for note in explained[2]["notes"])


def test_the_page_and_the_terminal_say_the_same(explained):
    folder, shown, _ = explained
    page = (folder / "t-explained" / "report.html").read_text()
    section = re.search(r'<section id="reading">(.*?)</section>', page, re.DOTALL)[1]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", section)[1:]]
    assert [row[0] for row in cells] == list(EXPECTED)
    assert [row[1] for row in cells] == [kind for kind, *_ in EXPECTED.values()]
    said = {
        name: f"{missing} ({100 * missing / N:.0f} %)" if missing else "–"
        for name, (*_, missing, _) in EXPECTED.items()
    }
    said["crp"] += ", 1 not read"  # haemolysed
    assert [row[4] for row in cells] == list(said.values())
    for option in ("--type", "--missing", "--order", "--drop", "--id"):
        assert option in section and option in shown
    assert "8 columns of 13" not in section and "7 columns of 13 are used" in section
    for line in shown[shown.index("How your table was read") :].splitlines():
        assert line.startswith(("note:", "wrote")) or len(line) <= 80
    table = shown[shown.index("How your table was read") : shown.index("note:")]
    for name, (kind, *_, missing, _) in EXPECTED.items():
        assert re.search(rf"│ {re.escape(name)} +│ {kind} .*│ {f'{missing} [(]' if missing else '–'}", table), name


def test_rows_are_named_with_their_line(explained):
    folder, shown, _ = explained
    page = (folder / "t-explained" / "report.html").read_text()
    lines = (folder / "t.csv").read_text().split("\n")
    for name, line in re.findall(r"<h3>(P\d+) \(line (\d+) of the file\): ", page):
        assert lines[int(line) - 1].startswith(f"{name},")
    assert len(re.findall(r"<h3>P\d+ \(line", page)) >= 2
    listed = re.findall(r"│ (P\d+) \(line (\d+)\)", shown)
    assert len(listed) >= 10 and all(lines[int(line) - 1].startswith(f"{name},") for name, line in listed)
    training = re.findall(r'<tr><td>(P\d+)</td><td class="n">(\d+)</td><td>(?:ja|nein)</td><td class="n"><span', page)
    assert len(training) > 8 and all(lines[int(line) - 1].startswith(f"{name},") for name, line in training)
    assert {name for name, _ in training}.isdisjoint(name for name, _ in listed)


def test_from_python_the_page_says_it_and_fit_prints_nothing(tmp_path, capsys):
    table = patients().drop(columns=["pid", "bp", "doctor", "code"])
    taught, new = table.iloc[:20], table.iloc[20:]
    clf = mt.TableClassifier().fit(taught.drop(columns="died"), taught["died"])
    with pytest.warns(UserWarning, match="haemolysed") as warned:
        clf.predict_proba(new.drop(columns="died"))
    assert len(warned) == 1
    answer = mt.reports.table(clf, new.drop(columns="died"), path=tmp_path / "r.html", quality=False)
    assert capsys.readouterr() == ("", "")
    found = {c.name: (c.kind, c.unit, c.dropped) for c in readings(answer)}
    assert found == {name: EXPECTED[name][:3] for name in ("age", "crp", "pain", "seen", "ward", "same", "empty")}
    page = (tmp_path / "r.html").read_text()
    section = page[page.index('id="reading"') :].split("</section>")[0]
    assert "missing=[...]" in section and "--drop" not in section
    for name, (kind, unit, _) in found.items():
        assert re.search(rf"(?m)^{name} +{kind} +{unit}", str(clf.columns_))
    assert any("'same': the same value" in note for note in clf.notes_)


def test_columns_beyond_the_limit_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(estimators, "MAX_COLUMNS", 1)
    X = pd.DataFrame({"noise": [1.0, 2, 1, 2] * 5, "signal": np.arange(20.0)})
    clf = mt.TableClassifier().fit(X, np.arange(20) > 9)
    noise, signal = readings(mt.reports.table(clf, X.iloc[:4], path=tmp_path / "r.html", quality=False))
    assert not signal.dropped and noise.dropped and noise.why.startswith("Not read: there are more columns")


def test_one_sentence_names_every_cell_that_cannot_be_read(tmp_path):
    n = 40
    X = pd.DataFrame({"lab": [str(i % 7) for i in range(n)], "age": np.arange(n)})
    X.loc[3, "lab"] = "clotted"
    words = [f"word {i}" for i in range(9)]
    new = X.iloc[:12].copy()
    new.loc[list(range(9)), "lab"] = words
    clf = mt.TableClassifier().fit(X, np.arange(n) % 2)
    taught = (X, np.arange(n) % 2)
    notes = mt.reports.table(clf, new, path=tmp_path / "r.html", train=taught, quality=False).notes
    (said,) = [note for note in notes if "'lab'" in note and "read as missing" in note]
    assert all(repr(word) in said for word in ["clotted", *words]) and said.endswith("not a number; read as missing.")


def test_a_column_of_groups_says_so(tmp_path, capsys):
    table = patients().drop(columns=["bp", "doctor", "code"])
    table["ward_visit"] = [f"g{i // 2}" for i in range(len(table))]
    table.to_csv(tmp_path / "t.csv", index=False)
    out = ["--out", str(tmp_path / "out"), "--json", "--no-quality"]
    assert main(["explain", str(tmp_path / "t.csv"), "--target", "died", "--group", "ward_visit", *out]) == 0
    columns = {c["name"]: c for c in json.loads(capsys.readouterr().out)["columns"]}
    assert columns["ward_visit"]["why"] == "Its groups of rows stay together (--group)."
    assert columns["ward_visit"]["dropped"]
