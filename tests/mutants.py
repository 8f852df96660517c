"""Plant random faults in the package, one at a time, and report how many of them the tests notice.

    python tests/mutants.py --count 200 --seed 1 [mapsto/games.py ...]        or: make mutants

A fault changes one operator, number, condition or sign. Strings, annotations, docstrings, error messages and the layout
of pictures are left alone. The tests that run the changed line judge the fault, the quickest first, for at most a
minute. Coverage measures once which tests these are; the result is kept in `.mutants/` until the sources change.
"""

import argparse
import ast
import concurrent.futures
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".mutants"
SECONDS = 60.0
COPIED = ("mapsto", "tests", "configs", "benchmarks", "examples", "docs", "pyproject.toml", "README.md", "README.zh.md",
          "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile")  # fmt: skip
DRAWN = ("mapsto/figures", "mapsto/reports")
LAYOUT = (
    "alpha", "capsize", "columnspacing", "fontsize", "fraction", "frameon", "height", "hspace", "labelpad", "labelsize",
    "length", "linestyle", "linewidth", "linewidths", "lw", "markeredgewidth", "markersize", "ncols", "pad", "rotation",
    "s", "visible", "width", "wspace", "xytext", "zorder",
)  # fmt: skip
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.MatMult: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


class Mutant(NamedTuple):
    """One fault: the part of a line that is replaced."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    old: str
    new: str

    def source(self, text: str) -> str:
        """Return the file's text with the fault in it."""
        lines = text.encode().split(b"\n")
        head, tail = lines[self.line - 1][: self.column], lines[self.end_line - 1][self.end_column :]
        lines[self.line - 1 : self.end_line] = [head + self.new.encode() + tail]
        return b"\n".join(lines).decode()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.old}  →  {self.new}"


def changed(node: ast.AST) -> ast.AST | None:
    """Return the node with a fault in it, or None if there is none to plant."""
    match node:
        case ast.BinOp(left, op, right) if type(op) in SWAPS and not _texts(left, right):
            return ast.BinOp(left, SWAPS[type(op)](), right)  # type: ignore[arg-type]
        case ast.Compare(left, [op], comparators) if type(op) in SWAPS:
            return ast.Compare(left, [SWAPS[type(op)]()], comparators)  # type: ignore[list-item]
        case ast.BoolOp(op, values):
            return ast.BoolOp(SWAPS[type(op)](), values)  # type: ignore[arg-type]
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            return operand
        case ast.Constant(bool() as value):
            return ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            return ast.Constant(value + 1)
        case ast.IfExp(test, body, orelse):
            return ast.IfExp(test, orelse, body)
    return None


def _texts(*nodes: ast.AST) -> bool:
    return any(
        isinstance(n, ast.JoinedStr) or (isinstance(n, ast.Constant) and isinstance(n.value, str)) for n in nodes
    )


def mutants(file: str, text: str) -> Iterator[Mutant]:
    """Yield every fault that can be planted in a file."""
    for node in _nodes(ast.parse(text), file.startswith(DRAWN)):
        if (fault := changed(node)) is not None:
            place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
            old = " ".join((ast.get_source_segment(text, node) or "").split())
            yield Mutant(file, *place, old, f"({ast.unparse(fault)})")


def _nodes(node: ast.AST, picture: bool) -> Iterator[ast.AST]:
    """Yield the nodes that run, but none of a string, annotation or error, nor, in a `picture`, of the layout."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            skipped = isinstance(child, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert)
            if isinstance(child, ast.AST) and not (skipped or _typed(child) or (picture and _lays_out(child))):
                yield from _nodes(child, picture)


def _lays_out(node: ast.AST) -> bool:
    """Whether the node sets a size, a margin or a limit of a picture."""
    match node:
        case ast.keyword(arg):
            return arg in LAYOUT
        case ast.Call(ast.Attribute(attr=name)) | ast.Call(ast.Name(name)):
            return name in ("canvas", "margins", "locator_params", "set_xlim", "set_ylim", "tick_params")
    return False


def _typed(node: ast.AST) -> bool:
    """Whether the node is a type, such as the `Float[Tensor, "n d"]` of an alias."""
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and any(
        isinstance(e, ast.Constant) and isinstance(e.value, str) for e in node.slice.elts
    )  # fmt: skip


def measured() -> tuple[dict[str, dict[str, list[str]]], dict[str, float]]:
    """Return the tests that run each line of each file, and the seconds of each test."""
    sources = sorted((*(ROOT / "mapsto").rglob("*.py"), *(ROOT / "tests").rglob("*.py")))
    sign = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    kept = KEPT / "map.json"
    if kept.exists() and (saved := json.loads(kept.read_text()))["sign"] == sign:
        return saved["lines"], saved["seconds"]
    KEPT.mkdir(exist_ok=True)
    report = KEPT / "junit.xml"
    options = ["--cov=mapsto", "--cov-context=test", "--cov-report=", f"--junitxml={report}", "-q", "-n", "auto"]
    environment = {**os.environ, "COVERAGE_FILE": str(KEPT / "coverage")}
    subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, env=environment, check=False)
    seconds = {_name(case): float(case.get("time", 0)) for case in ElementTree.parse(report).iter("testcase")}
    kept.write_text(json.dumps({"sign": sign, "lines": (lines := _lines()), "seconds": seconds}))
    return lines, seconds


def _lines() -> dict[str, dict[str, list[str]]]:
    from coverage import CoverageData

    data = CoverageData(str(KEPT / "coverage"))
    data.read()
    return {
        str(Path(file).relative_to(ROOT)): {
            str(line): sorted({context.rpartition("|")[0] for context in contexts if context})  # names may hold a |
            for line, contexts in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }


def _name(case: ElementTree.Element) -> str:
    """Return a test's name in pytest's own form, from the report's `tests.test_x.TestY` and `test_z`."""
    parts = str(case.get("classname")).split(".")
    size = next((i for i in range(len(parts), 0, -1) if (ROOT / Path(*parts[:i])).with_suffix(".py").exists()), 0)
    return "::".join([f"{'/'.join(parts[:size])}.py", *parts[size:], str(case.get("name"))])


class Copy:
    """A copy of the package and its tests, in which faults are planted."""

    def __init__(self, place: Path):
        self.place, self.sound = place, dict[str, bool]()
        shutil.rmtree(place, ignore_errors=True)
        for name in COPIED:
            source, target = ROOT / name, place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)

    def notices(self, mutant: Mutant, tests: list[str]) -> bool:
        """Whether a test that passes without the fault fails with it; a run three times as long counts as failing."""
        path = self.place / mutant.file
        text = path.read_text()
        while tests:
            path.write_text(mutant.source(text))
            passed, failing = self._run(tests)
            path.write_text(text)
            if passed:
                return False
            if failing is None:  # the fault made the tests slow, unless they always are
                return self._run(tests)[0]
            if self._passes(failing):
                return True
            tests = [test for test in tests if test != failing]
        return False

    def _passes(self, test: str) -> bool:
        if test not in self.sound:
            self.sound[test] = self._run([test])[0]
        return self.sound[test]

    def _run(self, tests: list[str]) -> tuple[bool, str | None]:
        """Return whether all tests pass, and the name of the first that fails, where there is one."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests]
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.place),
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        try:
            done = subprocess.run(
                command,
                check=False,
                cwd=self.place,
                env=environment,
                capture_output=True,
                text=True,
                timeout=3 * SECONDS,
            )
        except subprocess.TimeoutExpired:
            return False, None
        failing = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
        return done.returncode == 0, failing[1] if failing else None


def chosen(mutant: Mutant, lines: dict[str, dict[str, list[str]]], seconds: dict[str, float]) -> list[str]:
    """Return the tests that run the fault's lines, at most a minute of them: of pinned numbers, then the quickest.

    A line that runs at import (a constant, a default) is judged by the test of defaults and by the tests that run any
    line of the file.
    """
    rows = lines.get(mutant.file, {})
    covering = {test for line in range(mutant.line, mutant.end_line + 1) for test in rows.get(str(line), [])}
    tests, total = [] if covering else [test for test in seconds if "signatures_are_the_same" in test], 0.0
    covering = covering or {test for tests in rows.values() for test in tests}
    for test in sorted(covering, key=lambda test: ("test_same_numbers" not in test, seconds.get(test, 1.0), test)):
        total += seconds.get(test, 1.0)
        if total > SECONDS and tests:
            break
        tests.append(test)
    return tests


def main() -> int:
    """Plant the faults and print those that no test noticed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("files", nargs="*", help="files or folders to plant faults in (default: the whole package)")
    options.add_argument("--count", type=int, default=200, help="how many faults")
    options.add_argument("--seed", type=int, default=1, help="which faults; fix it beforehand")
    options.add_argument("--jobs", type=int, default=2, help="how many at once")
    args = options.parse_args()
    lines, seconds = measured()
    named = [ROOT / name for name in args.files or ["mapsto"]]
    paths = sorted({path for name in named for path in ([name] if name.is_file() else name.rglob("*.py"))})
    every = [m for path in paths for m in mutants(str(path.relative_to(ROOT)), path.read_text())]
    sample = random.Random(args.seed).sample(every, min(args.count, len(every)))
    copies = [Copy(KEPT / f"copy{i}") for i in range(args.jobs)]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        parts = pool.map(lambda i: _survivors(sample[i :: args.jobs], lines, seconds, copies[i]), range(args.jobs))
        alive = [mutant for part in parts for mutant in part]
    share = 100 * (1 - len(alive) / len(sample))
    sys.stdout.write(f"\n{len(sample) - len(alive)} of {len(sample)} faults noticed ({share:.1f} %)\n")
    return 0


def _survivors(
    part: list[Mutant], lines: dict[str, dict[str, list[str]]], seconds: dict[str, float], copy: Copy
) -> list[Mutant]:
    alive = []
    for mutant in part:
        tests = chosen(mutant, lines, seconds)
        noticed = copy.notices(mutant, tests)
        alive += [] if noticed else [mutant]
        sys.stdout.write(f"{'noticed ' if noticed else 'survived'} ({len(tests)} tests): {mutant}\n")
        sys.stdout.flush()
    return alive


if __name__ == "__main__":
    sys.exit(main())
