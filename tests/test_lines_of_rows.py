"""A row of a table knows the line on which it begins in its file, whatever stands above, below and inside it."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_table_files import FRAME, xlsx

from mapsto.tables import tablefile


def lines_by_hand(text: str) -> dict[str, int]:
    """Return the line on which each first cell begins: an oracle that walks over the letters and knows only quotes."""
    found, line, begin, quoted, start, cell = {}, 1, 1, False, True, ""
    for letter in [*text.replace("\r\n", "\n").replace("\r", "\n"), "\n"]:
        if letter == '"':
            quoted = not quoted
        if start and letter in ",;\t\n" and not quoted:
            found[cell.strip('"')] = begin
            start = False
        if start:
            begin = line if not cell else begin
            cell += letter
        if letter == "\n":
            line += 1
            if not quoted:
                start, cell = True, ""
    return found


HARD = [
    'Study 7\n# made on Monday\n\nid,note,age\n,,years\na,"two\nlines",3\n\nb,x,4\n"c",,5\nMean,,4\n',
    'id;note;age\r\na;"three\r\n\r\nlines";3\r\nb;x;4\r\n',
    "sep=;\nid;note;age\na;x;3\n;;\nb;y;4\n",
    'id,note\r"a","x\ry"\rb,z\r',
    "id\tage\n---\t---\na\t1\nb\t2\nid\tage\nc\t3\n",
    "\ufeffid,age\na,1\nb,2\nlast updated in May: see the wiki\n",
]


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("encode", [str.encode, lambda text: gzip.compress(text.encode())])
def test_each_row_is_named_by_the_line_on_which_it_begins(tmp_path, text, encode):
    (tmp_path / "t.csv").write_bytes(encode(text))
    file = tablefile.read(tmp_path / "t.csv")
    by_hand = lines_by_hand(text)
    assert file.lines == [by_hand[cell] for cell in file.table["id"]] and len(file.lines) >= 2
    assert file.place(1) == f"line {file.lines[1]} of the file"


CELLS = st.text("ab\n \",;'\r", max_size=6).map(lambda text: '"' + text.replace('"', '""') + '"')


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, st.integers(0, 2)), min_size=2, max_size=8))
def test_quoted_line_breaks_and_empty_lines_are_counted(tmp_path_factory, rows):
    text = "id,number,note\n" + "".join("\n" * empty + f"row{i},{i},{note}\n" for i, (note, empty) in enumerate(rows))
    path = tmp_path_factory.mktemp("lines") / "t.csv"
    path.write_bytes(text.encode())
    file = tablefile.read(path)
    by_hand = lines_by_hand(text)
    assert file.lines == [by_hand[f"row{i}"] for i in range(len(rows))]


def test_a_row_of_a_spreadsheet_has_the_number_beside_it(tmp_path):
    rows = [["Study", None], [None, None], ["id", "age"], ["a", 1], [None, None], ["b", 2], ["c", 3]]
    file = tablefile.read(xlsx(tmp_path / "t.xlsx", one=rows))
    assert file.lines == [4, 6, 7]
    assert file.place(1) == "row 6 of the sheet"


def test_other_files_have_no_lines(tmp_path):
    FRAME.to_parquet(tmp_path / "t.parquet")
    assert [tablefile.read(tmp_path / "t.parquet").place(i) for i in range(2)] == ["", ""]
    FRAME.reindex([0, 9, 2]).to_parquet(tmp_path / "t.parquet")
    assert tablefile.read(tmp_path / "t.parquet").place(1) == "row 3 of the file"
