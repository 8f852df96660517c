"""Random files of tables as people export them, one a seed: dialects, kinds of columns, and what goes wrong."""

# ruff: noqa: E501 - lists of odd cells

import csv
import gzip
import io
import random
from collections.abc import Callable

Cells = Callable[[random.Random], str]

SEPARATORS = [",", ",", ";", "\t", "|", " "]
ENCODINGS = ["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "gb18030", "cp1251", "shift_jis"]
ENDS = ["\n", "\n", "\r\n", "\r\n", "\r", "\n\n"]
MISSING = [
    "",
    "",
    "NA",
    "-",
    "?",
    "n/a",
    ".",
    "k.A.",
    "#DIV/0!",
    "999",
    "unbekannt",
    "NaT",
    "inf",
    "nan",
    "-inf",
    "None",
]
ODD = ["\x00", "\x1a", "\x0c", "\u200b", "\ufeff", "\u2028", "\xa0", "\ud7ff", "🙂", "é", "e\u0301", "死", "ß", "٣", "²", "½",
       "𝟙", "'", '"', "=1+1", "=\"007\"", "#", "<", ">", "<>", "≤", "--", "1e", "e5", "0x1F", "1_000", "+", "%", "/", ":",
       "1:", ":1", "1/", "/1", "<<5", "> ", "~3", "±2", "1±2", "(5)", "[1,2)", "5-", "1,2,3", "1.2.3", "1e999", "-1e999",
       "9" * 25, "9" * 400, "0." + "0" * 330 + "1", "1e-400", "1e308", "-1.8e308", "true", "True", "x" * 3000, "0/0",
       "31.02.2021", "2021-13-45", "00.00.0000", "0000-00-00", "9999-12-31", "24:00", "25:61", "12/31/9999", "1.1.1",
       "{\"ImportId\":\"Q1\"}", "sep=;", "¼", "Ⅳ", "一", "\\N", "NULL", "1" + "\u0660", "१२", "1\u202f000", "1'000"]  # fmt: skip
NAMES = ["age", "crp (mg/l)", "dead", "id", "Größe", "死亡", "x y", "2019", "1.5", "", " ", "a", "Total", "mean", "date",
         "unit", "%", "a;b", "a,b", 'say "x"', "line\nbreak", "nan", "None", "#", "=sum", "🙂", "n" * 300]  # fmt: skip


def _number(r: random.Random) -> str:
    return f"{r.gauss(0, 10 ** r.randint(-3, 6)):.{r.randint(0, 5)}f}"


def _date(r: random.Random) -> str:
    form = r.choice(["{y}-{m:02}-{d:02}", "{d}.{m}.{y}", "{m}/{d}/{y}", "{d}-May-{y}", "{y}{m:02}{d:02}", "{y}/{m}",
                     "{y}-{m:02}-{d:02}T12:3{d}:00Z", "{d}. März {y}", "{y}年{m}月{d}日"])  # fmt: skip
    return form.format(y=r.randint(1900, 2100), m=r.randint(1, 12), d=r.randint(1, 31))


def _unit(r: random.Random) -> str:
    return (
        f"{r.choice(['', '<', '>', '≥', '~', '€ ', '$'])}{_number(r)}{r.choice([' mg/l', 'kg', ' %', '', ' J.', '€'])}"
    )


def _thousands(r: random.Random) -> str:
    return f"{r.randint(0, 10**9):,}".replace(",", r.choice([".", ",", " ", "'", "\u202f"])) + r.choice(
        ["", ",5", ".25"]
    )


def _time(r: random.Random) -> str:
    return r.choice(
        [f"{r.randint(0, 30)}:{r.randint(0, 70):02}", f"{r.randint(1, 40)}+{r.randint(0, 7)}", "2d 3h", "1 h"]
    )


def _words(*words: str) -> Cells:
    return lambda r: r.choice(words)


def _text(r: random.Random) -> str:
    return " ".join(
        r.choice(["pain", "no", "Schmerz,", "in;", "the\nleg", "ärm", *ODD]) for _ in range(r.randint(1, 8))
    )


COLUMNS: list[Cells] = [
    _number, _number, _date, _unit, _thousands, _time, _text, lambda r: str(r.randint(0, 5)),
    lambda r: f"{r.randint(60, 200)}/{r.randint(30, 120)}", lambda r: f"P{r.randint(0, 9999):05}", lambda r: "",
    lambda r: "7", lambda r: r.choice(ODD), lambda r: chr(r.randint(1, 0x3000)), lambda r: str(r.randint(-(2**70), 2**70)),
    _words("ja", "nein", "Ja ", "NEIN"), _words("I", "II", "IIIa"), _words("mild", "moderate", "severe"),
    _words("<18", "18-30", "80+"), _words("+", "++", "-"), _words("1 - no", "2 - yes"), _words("true", "FALSE"),
]  # fmt: skip


def table(r: random.Random) -> list[list[str]]:
    """Return the cells of a random table below their names, with holes, odd cells, junk rows and ragged rows."""
    width, height = r.choice([1, 2, 2, 3, 5, 8, 12]), r.choice([0, 2, 5, 8, 12, 25, 40])
    names = [r.choice(NAMES) if r.random() < 0.3 else f"{r.choice(NAMES)}{j}" for j in range(width)]
    makers = [r.choice(COLUMNS) for _ in names]
    holes, odd = r.choice([0, 0.1, 0.9]), r.choice([0, 0, 0.05, 0.5])
    rows = [[_cell(r, make, holes, odd) for make in makers] for _ in range(height)]
    rows = [[r.choice(["Study X", "# a comment", ""])] for _ in range(r.choice([0, 0, 0, 1, 3]))] + [names, *rows]
    for _ in range(r.choice([0, 0, 0, 1, 2])):
        junk = r.choice(
            [["Mean", *["1.5"] * (width - 1)], ["mg/l"] * width, names, [""] * width, ["Total"], [], ["---"] * width]
        )
        rows.insert(r.randint(0, len(rows)), list(junk))
    if r.random() < 0.04:
        ragged = r.choice(rows)
        ragged[:] = ragged[:-1] if r.random() < 0.5 else [*ragged, "extra"]
    return rows


def _cell(r: random.Random, make: Cells, holes: float, odd: float) -> str:
    chance = r.random()
    return r.choice(MISSING) if chance < holes else r.choice(ODD) if chance > 1 - odd else make(r)


def content(seed: int) -> bytes:
    """Return the bytes of a random file."""
    r = random.Random(seed)
    text = io.StringIO(newline="")
    quoting = r.choice([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    separator = r.choice(SEPARATORS)
    csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=r.choice(ENDS)).writerows(table(r))
    letters = text.getvalue().replace('"', r.choice(['"'] * 12 + ["'", ""]))
    data = letters.encode(r.choice(ENCODINGS), errors="replace")
    if r.random() < 0.05:
        damaged = bytearray(data)
        for _ in range(min(len(damaged), r.randint(1, 5))):
            damaged[r.randrange(len(damaged))] = r.randrange(256)
        data = bytes(damaged)[: r.randint(1, len(data))] if data else data
    return gzip.compress(data) if r.random() < 0.03 else data
