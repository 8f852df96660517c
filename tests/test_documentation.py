"""Every block of code on every page runs, in the order of its page, and every command is one that mapsto understands.

What a reader has already (a table of patients, say) is made by a comment `<!-- setup ... -->`, which no page shows.
Trainings are cut to a few steps. Blocks that need what no test has (eight GPUs, a download) say so in a comment
`<!-- not run: ... -->` before them, of which there may be few.
"""

import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch

from mapsto.commands import demo, eval, explain, report, train
from mapsto.commands import list as listing

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]
PART = re.compile(
    r"^<!-- setup\n(?P<setup>.*?)^-->|"
    r"^(?P<skip><!-- not run: .+ -->\n)?[ ]*```(?P<kind>[^\n]*)\n(?P<code>.*?)^[ ]*```$",
    re.S | re.M,
)
LONG = re.compile(r"\b(steps|episodes|batch|repeats|coalitions)=(\d[\d_]{2,})|(--steps )(\d[\d_]*)")
NOT_RUN = 3  # at most


def parts(page: str) -> list[dict[str, str]]:
    return [found.groupdict(default="") for found in PART.finditer((ROOT / page).read_text())]


def short(code: str) -> str:
    """Cut trainings and evaluations to three steps, and leave out compilation."""
    code = LONG.sub(lambda found: f"{found[1]}=3" if found[1] else f"{found[3]}3", code)
    return textwrap.dedent(code).replace(", compile=True", "").replace('"both": 2000', '"both": 3')


WITH_CODE = [page for page in PAGES if any(part["kind"] == "python" for part in parts(page))]


@pytest.mark.parametrize("page", WITH_CODE)
@pytest.mark.filterwarnings("ignore")
def test_the_code_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unchecked: None) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    names: dict[str, Any] = {"__name__": "__page__"}
    torch.manual_seed(0)
    for part in parts(page):
        code = part["setup"] or (part["code"] if part["kind"] == "python" and not part["skip"] else "")
        exec(compile(short(code), page, "exec"), names)


def commands() -> list[tuple[str, str]]:
    blocks = [(page, part["code"]) for page in PAGES for part in parts(page) if part["kind"] in ("", "bash", "console")]
    joined = [(page, line) for page, code in blocks for line in code.replace("\\\n", " ").splitlines()]
    return [
        (page, line.strip().removeprefix(".venv/bin/"))
        for page, line in joined
        if re.match(r"(\.venv/bin/)?mapsto ", line)
    ]


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_is_understood(page: str, line: str) -> None:
    name, *words = shlex.split(line, comments=True)[1:]
    parser = {"explain": explain, "list": listing, "report": report, "demo": demo}.get(name)
    if parser:
        parser.parser().parse_args(words)
    else:  # the options of `train` and `eval` depend on files that a page may not have
        known = {"train": train, "eval": eval}[name].parser().format_help()
        assert all(option in known for option in words if option.startswith("--") and "." not in option)


def test_few_blocks_are_not_run() -> None:
    assert sum(bool(part["skip"]) for page in PAGES for part in parts(page)) <= NOT_RUN
