"""Rows of sums and means are left out, also of a table of two columns, where the word alone does not tell."""

import pytest

from mapsto.tables import sums, tablefile
from mapsto.tables.grid import Row


def rows_of(folder, text):
    (folder / "t.csv").write_text(text)
    file = tablefile.read(folder / "t.csv")
    return [tuple(row) for row in file.table.itertuples(index=False)], file.notes


NUMBERS = "Aachen,3\nBonn,5\nKöln,13\nUlm,1\n"
LEFT_OUT = {
    "sum": ("city,n\n" + NUMBERS + "Summe,22\n", 6),
    "total with a colon": ("city,n\n" + NUMBERS + "TOTAL:,22\n", 6),
    "mean": ("city,n\n" + NUMBERS + "Mean,5.5\n", 6),
    "rounded mean": ("city,n\n" + NUMBERS.replace("1\n", "2\n") + "Mittelwert,5.8\n", 6),
    "standard deviation": ("city,n\n" + NUMBERS + "SD,5.26\n", 6),
    "count": ("city,n\n" + NUMBERS + "Anzahl,4\n", 6),
    "decimal comma": ("city;n\nAachen;1,5\nBonn;2,25\nSumme;3,75\n", 4),
    "numbered rows": ("id,n\n1,3\n2,5\n3,9\nTotal,99\n", 5),
    "count of words": ("id,died\nA,ja\nB,nein\nC,ja\nTotal,3\n", 5),
    "three columns": ("id,n,m\nA,1,2\nB,3,4\nMean,7,8\n", 4),
}
KEPT = {
    "a name": "part,grams\nleft,3\nright,5\ntotal,99\n",
    "a name whose number is the largest": "part,grams\nleft,3\nright,5\ntotal,5\n",
    "a number beside the sum": "part,grams\nleft,3.25\nright,5.25\ntotal,8.9\n",
    "a category that happens to add up": "kind,n\nsum,1\nmean,2\nsum,1\nmean,2\nsum,6\n",
    "a word of the outcome": "id,died\nA,ja\nB,nein\nC,ja\nmax,nein\n",
    "a category": "stat,n\nmean,3\nsum,5\nmean,4\nsum,2\nmean,3\nsum,5\n",
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_summary_is_left_out_and_said(tmp_path, name):
    text, line = LEFT_OUT[name]
    rows, notes = rows_of(tmp_path, text)
    assert len(rows) == line - 2
    assert any(note.startswith(f"line {line} is no row of the table but a summary") for note in notes)


@pytest.mark.parametrize("name", KEPT)
def test_a_row_that_sums_up_nothing_stays(tmp_path, name):
    rows, notes = rows_of(tmp_path, KEPT[name])
    assert len(rows) == KEPT[name].count("\n") - 1
    assert notes == []


def test_a_long_table_of_texts_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    number = sums._number
    monkeypatch.setattr(sums, "_number", lambda cell: (calls.append(1), number(cell))[1])
    rows = [Row(i, [f"text {i}", "label"]) for i in range(500)]
    kept, found = sums.without_sums(rows)
    assert len(kept) == 500 and not found and len(calls) <= 5 * 500
