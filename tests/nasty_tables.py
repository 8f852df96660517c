"""Small tables as people write them at their worst, named ones and random ones, for readers that must agree."""

# ruff: noqa: E501 - lists of odd tables

import random
from collections.abc import Callable

Cells = Callable[[random.Random], str]


def _of(outcomes: str, *columns: str, sign: str = ",", names: str = "a b c d", end: str = "\n") -> str:
    """Return a table whose columns are given as cells between bars; the outcome is the last one."""
    lists = [column.split("|") for column in (*columns, outcomes)]
    rows = [[*names.split()[: len(columns)], "y"], *zip(*lists, strict=True)]
    return end.join(sign.join(row) for row in rows) + end


_YES = "yes|no|yes|no|yes|no"
_UP = "1|2|3|4|5|6"

NAMED = {
    "a comment above, inside and below": "# made in May\na,b,y\n1,2,yes\n# checked\n2,1,no\n3,4,yes\n4,3,no\n# the end\n",
    "a header behind a #": "# a,b,y\n1,2,yes\n2,1,no\n3,4,yes\n4,3,no\n",
    "rows that begin with # and hold more": "name,b,y\nx,2,yes\n#2,1,no\n#3,4,yes\nx,3,no\nz,4,no\n",
    "more comments than rows": "#1,1,yes\n#2,2,no\n#1,3,yes\n#2,4,no\na,5,yes\n#3,6,no\n",
    "line breaks in cells": 'a,note,y\n1,"two\nlines",yes\n2,x,no\n\n3,"three\r\n\r\nlines",yes\n4,x,no\n',
    "months by name": _of(_YES, "3 May 2021|4. März 2020|Jun 7 2019|8-Dez-2018|Monday, 9th août 2017|10 okt. 16", sign=";"),
    "time zones": _of(_YES, "|".join(f"2021-05-0{i}T23:30{z}" for i, z in enumerate(("Z", "+02:00", "-0530", "+14", "", " UTC"), 1))),
    "half days": _of(_YES, "|".join(f"1/{i}/2021 {h}" for i, h in enumerate(("12:00 AM", "12:30 pm", "1:05 p.m.", "23:59", "9:00 Uhr", "0:00"), 11))),
    "months and quarters": _of(_YES, "2021-05|06/2020|May 2019|2018-07|Aug. 2017|2016-09", "2021 Q1|2021Q2|Q3 2020|Q4/2019|2018-Q1|2017 Q2"),
    "dates in Chinese": _of(_YES, "2021年5月7日|2021年12月1日|2020 年 1 月 2 日|2019年3月4日|2018年3月4日|2017年3月4日"),
    "days of a spreadsheet": _of(_YES, "2021-05-03|44320|44321.5|2021-05-06|2021-05-07|44330"),
    "a number far from all dates": _of("|".join(_YES.split("|") * 2), "|".join(f"2021-05-{i:02}" for i in range(1, 11)) + "|44330|90000"),
    "years of two digits": _of(_YES, "01.02.30|01.02.29|05.06.25|7.8.99|9.10.00|1.1.31"),
    "no such time": _of(_YES, "2021-05-03 24:00|2021-05-04 23:59|2021-05-05 25:10|2021-05-06|2021-05-07|2021-05-08"),
    "eight digits": _of(_YES, "20210503|20210504|20200229|20190101|20180101|19991231"),
    "no such day": _of(_YES, "2021-02-29|2021-03-01|2021-03-02|2021-03-03|2021-03-04|0000-00-00"),
    "full-width digits": _of(_YES, "１２|３,５|7|8|9|10", "２０２１-05-03|2021-05-04|2021-05-05|2021-05-06|2021-05-07|2021-05-08", sign=";"),
    "Arabic digits": _of(_YES, "٣|٤|٥|٦|٧|١٢٫٥"),
    "sharp s": _of(_YES, "STRASSE|straße|Straße|weg|WEG|Weg", "ﬁne|FINE|fine|İ|i̇|x"),
    "final sigma": _of(_YES, "ΟΔΟΣ|οδος|οδοσ|x|x|X", "é|É|e\u0301|a|a|A"),
    "infinite cells": _of(_YES, "1|2|inf|4|5|6"),
    "minus infinity": _of(_YES, "1|2|-Infinity|4|5|6"),
    "an infinite cell to predict": _of("yes|no|yes|no|yes|", "1|2|3|4|5|∞"),
    "spellings of equal frequency": _of(_YES, "North|north|south|South|NORTH|SOUTH", "b|B|a|A|c|C"),
    "outcomes of equal frequency": _of("Yes|yes|NO|no|Yes|no", _UP),
    "an outcome in many styles": _of("ill|ILL|Well|well|ILL|WELL", _UP),
    "blanks of all kinds": _of("yes|\u00a0no|yes\u2003|no|\u202fyes|no", "1\u202f000|2\u00a0500|3'000|4\u2009000|500|1 250"),
    "decimal commas": _of(_YES, "1,5|2,25|3|4,125|5|6", "1.250,5|2.000,0|3|4|5|6", sign=";"),
    "thousands or decimals": _of(_YES, "1.200|950|12.400|1.100|870|2.000", "1.234|5|2.345|6|3.456|7", sign=";"),
    "bounds beyond all numbers and among them": _of(_YES, "<5|1|3|9|7|2", "<100|1|3|9|7|2", ">90|30|110|60|50|40", ">5|30|110|60|50|40", "<-5|-4|6|1|2|3", sign=";"),
    "percent, units and bounds": _of(_YES, "5 %|10%|7.5 %|<1 %|>90%|3", "5 mg/l|6MG/L|7 mg/l|8 mg/l.|<2 mg/l|9 mg/l", "$5|$1,200|€7|$8|$9|$10", sign=";"),
    "a comma between semicolons": _of(_YES, "1,234|2,345|3,456|4,567|5,678|6,789", sign=";"),
    "two units": _of("|".join(["yes", "no"] * 8), "|".join([*(f"{i} mg/l" for i in range(11)), *(f"{i} g/l" for i in range(5))])),
    "flags of a laboratory": _of(_YES, "5 H|6|7|8 L|9|10", "(5)|6-|-7|−8|+9|1e3", "5+|6|7|≥8|≤2|~3"),
    "units below the names": "age,weight,y\nyears,(kg),-\n5,20,yes\n6,21,no\n7,22,yes\n8,23,no\n",
    "a rule below the names": "a | y\n--- | ---\n1 | yes\n2 | no\n3 | yes\n4 | no\n",
    "a title and a heading": "Study 7,,\nbefore,,after\na,b,well\n1,2,yes\n3,4,no\n5,6,yes\n7,8,no\n",
    "sums and footers": "id,b,y\n1,2,yes\n2,3,no\n3,4,yes\n4,5,no\nMean,3.5,\nTotal,14,\nn = 4,,\nUpdated in May: see the wiki,,\n",
    "the names again": "a,b,y\n1,2,yes\n3,4,no\na,b,y\n5,6,yes\n7,8,no\n",
    "empty rows and columns": "a,,b,,y\n1,,2,,yes\n,,,,\n3,,4,,no\n\n5,,6,,yes\n7,,8,x,no\n",
    "a column that counts rows": "index,b,y\n0,5,yes\n1,6,no\n2,4,yes\n3,7,no\n",
    "row names of R": "b\ty\nr1\t5\tyes\nr2\t6\tno\nr3\t4\tyes\nr4\t7\tno\n",
    "columns between blanks": "a   b  y\n1   2  yes\n 3   4  no\n5   6  yes\n7   8  no\n",
    "a separator by name": "sep=;\na;b;y\n1,5;2;yes\n2;3;no\n3;4;yes\n4;5;no\n",
    "single quotation marks": "a,b,y\n'1,5','x','yes'\n'2','x, y','no'\n'3','z','yes'\n'4','x','no'\n",
    "blanks before a quotation mark": 'a, b, y\n1, "x, z", yes\n2, "x", no\n3, "x, z", yes\n4, "x", no\n',
    "formulas": 'a,b,y\n="007",1,yes\n="008",2,no\n="010",3,yes\n="007",4,no\n',
    "a quotation mark in a cell": 'a,b,y\n5" pipe,1,yes\n6" pipe,2,no\n"7"" pipe",3,yes\n5" pipe,4,no\n',
    "a quotation mark that is not closed": 'a,b,y\n"1,2,yes\n2,3,no\n3,4,yes\n4,5,no\n',
    "letters after a quotation mark": 'a,b,y\n"1"x,2,yes\n2,3,no\n3,4,yes\n4,5,no\n',
    "words for missing": _of(_YES, "5|n/a|7|k.A.|#DIV/0!|9", "mild|none|severe|unknown|mild|none", "none|unknown|none|x|x|none"),
    "missing elsewhere": _of(_YES, "5|n.d.|7|8|9|6", "north|n.d.|south|north|n.d.|south"),
    "booleans": _of(_YES, "True|False|TRUE|false|1|0", "1|0|True|False|1|0", "true|FALSE|True|false|?|true"),
    "pairs of numbers": _of(_YES, "120/80|130/85|110/70 mmHg|?|140/90|125/82", "1/2|1/3|x|2/3|1/2|3/4"),
    "times and weeks": _of(_YES, "8:30|9:15 pm|23:59|0:00|-30:15|7:00:30", "38+2|40+0|39+6|41+1|37+3|38+0", "1 days 02:00:00|2 days|3 days 04:05:06.5|0 days|1 day|-1 days +23:00:00"),
    "steps and grades": _of(_YES, "mild|severe|Moderate|mild|none|severe", "II|IIIa|I|IV|II|I", "1 - low|2 - mid|3 - top|1 - low|2 - mid|3 - top"),
    "ranges": _of(_YES, "18-30|31-50|>50|18-30|31-50|<18", "1:10|1:20|1:40|1:10|1:80|1:20"),
    "genotypes": _of(_YES, "AA|Aa|aa|AA|Aa|aa"),
    "codes": _of(_YES, "01|02|A1|01|02|A1", "007|012|3|004|5|6"),
    "integers beyond floats": _of(_YES, "|".join(str(2**60 + i) for i in (1, 7, 3, 9, 2, 5))),
    "names that do not repeat": _of("|".join(_YES.split("|") * 2), "|".join(f"P{i}x" for i in range(12)), "|".join(_UP.split("|") * 2)),
    "names that JavaScript knows": _of(_YES, "constructor|__proto__|toString|constructor|valueOf|toString", names="constructor"),
    "numbers as classes": _of("1|2|1|2|1|2", _UP),
    "numbers out of the alphabet": _of("9|10|9|10|9|10", _UP),
    "grades as classes": _of("|".join(f"{i % 3 + 1}.0" for i in range(12)), "|".join(map(str, range(12)))),
    "codes as classes": _of("01|02|01|02|01|02", _UP),
    "an amount to predict": _of("1.5|2.5|3.5|4.5|5.5|6.5", _UP),
    "a few numbers and a word": _of("1|2|unknown|2|1|2", _UP),
    "plus and minus": _of("+|-|+|-|++|-", _UP),
    "dates to predict": _of("3 May 2021|4 May 2021|5 May 2021|6 May 2021|7 May 2021|8 May 2021", _UP),
    "one class": _of("yes|Yes|YES|yes|na|yes", _UP),
    "a name twice": "a,a,y\n1,2,yes\n2,3,no\n3,4,yes\n4,5,no\n",
    "a row too long": "a,b,y\n1,2,yes\n2,3,no,5\n3,4,yes\n4,5,no\n",
    "a row too short": "a,b,y\n1,2,yes\n2\n3,4,yes\n4,5,no\n",
    "nothing that varies": _of(_YES, "x|X|x|X|x|x"),
    "a byte order mark": "\ufeff" + _of(_YES, _UP, end="\r\n"),
    "old line ends": _of(_YES, _UP, end="\r"),
    "no table": "Dear all,\nplease find the table attached.\n",
}  # fmt: skip

_DATES = ("{y}-{m:02}-{d:02}", "{d}.{m}.{y}", "{m}/{d}/{y}", "{d}/{m}/{y}", "{d}-{b}-{y}", "{b} {d}, {y}", "{y}{m:02}{d:02}",
          "{y}-{m:02}-{d:02} 1{m:02}:30", "{y}-{m:02}-{d:02}T07:0{m}:00+0{z}:30", "{d}th {b} {y}", "{y}年{m}月{d}日")  # fmt: skip
_MONTHS = ("Jan", "february", "März", "APR", "mai", "June", "juli", "Aug.", "sept", "Okt", "novembre", "Dic")
_MISSING = ("", "", "", "NA", "-", "?", "n/a", "k.A.", "unknown", "#N/A", "None", ".")
_WORDS = (
    ("north", "South", "NORTH", "south"), ("ja", "nein", "Ja ", "NEIN"), ("mild", "severe", "Moderate", "none"),
    ("I", "II", "IIIa", "iv"), ("18-30", "31-50", ">50"), ("1 - low", "2 - mid", "3 - top"), ("AA", "Aa", "aa"),
    ("STRASSE", "straße", "weg"), ("true", "FALSE", "True"), ("+", "++", "-"), ("01", "02", "A1"), ("T1", "T2", "T3a"),
    ("yes", "no", "Yes", "unknown"), ("x y", "x  y", "X Y", "z"), ("男", "女"), ("never", "often", "always"), ("1:10", "1:20"),
)  # fmt: skip
_OUTCOMES = (("yes", "no"), ("yes", "no", "Yes", "NO "), ("0", "1"), ("1", "2", "3"), ("gut", "schlecht", "mittel"),
             ("TRUE", "FALSE"), ("+", "-"), ("ill", "Ill", "well", "WELL"), ("1,5", "2,5"), ("01", "02"), ("阳性", "阴性"))  # fmt: skip


def _date(r: random.Random, form: str) -> str:
    m = r.randint(1, 12)
    return form.format(y=r.randint(1990, 2025), m=m, d=r.randint(1, 28), b=_MONTHS[m - 1], z=r.randint(0, 9))


def _number(r: random.Random, form: str, comma: bool) -> str:
    number = form.format(r.choice([r.gauss(5, 3), r.gauss(900, 600), r.randint(0, 40)]))
    return number.translate(str.maketrans(",.", ".,")) if comma else number


def _column(r: random.Random) -> Cells:
    """Return a column: numbers, dates, times or words, in one spelling and now and then in another."""
    kind, comma = r.random(), r.random() < 0.3
    if kind < 0.45:
        form = r.choice(
            ["{:.1f}", "{:.0f}", "{:,.2f}", "{:.3f}", "{:.1f} mg/l", "{:.0f} %", "${:,.0f}", "{:.2e}", "{:.0f} H"]
        )
        odd = r.choice(["<5", ">100", "5", "1.200", "haemolysed", "１２", "(7)", "1e3", "3,5", "True", form.format(3)])
        return lambda r: odd if r.random() < 0.06 else _number(r, form, comma)
    if kind < 0.65:
        form, other = r.choice(_DATES), r.choice(_DATES)
        return lambda r: _date(r, other if r.random() < 0.05 else form)
    if kind < 0.72:
        form = r.choice(["{}:{:02}", "{}+{}", "1{}0/{}0", "{} days 0{}:00:00"])
        return lambda r: form.format(r.randint(1, 12), r.randint(0, 6))
    words = r.choice(_WORDS)
    return lambda r: r.choice(words)


def _junk(r: random.Random, width: int) -> list[str]:
    full = [
        ["mg/l", *["kg"] * (width - 1)],
        ["Mean", *["5"] * (width - 1)],
        [""] * width,
        ["#note", *["x"] * (width - 1)],
    ]
    alone = [["# a comment"], ["Study of May"], [], ["Total"], ["Note: see below", *[""] * (width - 1)]]
    return r.choice(full + alone)


def random_table(seed: int) -> str:
    """Return a random table as text, whose last column is the outcome."""
    r = random.Random(seed)
    makers, outcomes, holes = (
        [_column(r) for _ in range(r.randint(1, 4))],
        r.choice(_OUTCOMES),
        r.choice([0, 0, 0.1, 0.3]),
    )
    names = [
        r.choice(["age", "CRP (mg/l)", "when", "", "x y", "constructor", "Größe"]) + r.choice(["", str(j), str(j)])
        for j in range(len(makers))
    ]
    rows = [[*("" if r.random() < holes / 2 else r.choice(_MISSING) if r.random() < holes else make(r) for make in makers),
             r.choice([*outcomes, *outcomes, ""])] for _ in range(r.choice([4, 8, 12, 20, 30]))]  # fmt: skip
    rows = [[*names, "y"], *rows]
    for _ in range(r.choice([0, 0, 0, 1, 2])):
        rows.insert(r.choice([0, 1, len(rows), r.randint(0, len(rows))]), _junk(r, len(names) + 1))
    sign, end = r.choice([",", ",", ";", ";", "\t", "|"]), r.choice(["\n", "\n", "\r\n", "\r"])
    always, blank = r.random() < 0.2, r.choice(["", "", " ", "\u00a0"])
    lines = [sign.join(_quoted(cell, sign, always) + blank for cell in row) for row in rows]
    return r.choice(["", "", "", "\ufeff", f"sep={sign}{end}"]) + end.join(lines) + r.choice(["", end, 2 * end])


def _quoted(cell: str, sign: str, always: bool) -> str:
    return f'"{cell}"' if always or sign in cell else cell
