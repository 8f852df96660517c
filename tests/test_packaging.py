"""What a person gets before the first command: the distribution, its metadata, the README, the terminal."""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml

import mapsto
from mapsto.cli import main

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "PYTHONPATH": paths, **environment}
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=120, cwd=folder, env=variables
    )


def test_python_m_mapsto_is_the_command(tmp_path: Path) -> None:
    done = run("-m", "mapsto", "--version", folder=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("mapsto 0")
    assert run("-m", "mapsto", "nonsense", folder=tmp_path).returncode == 1


def test_the_source_distribution_holds_tests_docs_examples_and_configurations(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in (
        "pyproject.toml",
        "MANIFEST.in",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "Makefile",
    ):
        shutil.copy(ROOT / name, source)
    for name in ("tests", "docs", "examples", "configs", "benchmarks", "mapsto/weights", "mapsto/reports/templates"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for package in ("mapsto", "mapsto/weights", "mapsto/reports"):
        (source / package / "__init__.py").touch()
    (source / "mapsto" / "py.typed").touch()
    build = "import setuptools.build_meta as backend; print(backend.build_sdist('made'))"
    done = run("-c", build, folder=source)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next((source / "made").iterdir())) as archive:
        members = {name.partition("/")[2] for name in archive.getnames()}
        metadata = archive.extractfile(f"mapsto-{PROJECT['version']}/PKG-INFO")
        assert metadata is not None
        text = metadata.read().decode()
    for kept in (
        *("tests/conftest.py", "tests/test_same_numbers.json", "docs/explaining.md", "docs/pictures/report.png"),
        *("examples/table.py", "configs/tables.yaml", "benchmarks/RESULTS.md", "Makefile", "CHANGELOG.md", "LICENSE"),
        *("CITATION.cff", "mapsto/weights/tables.safetensors", "mapsto/py.typed"),
    ):
        assert kept in members, kept
    assert not [name for name in members if "__pycache__" in name]
    assert (
        "Author:" in text and "Classifier: Typing :: Typed" in text and 'Requires-Dist: shap; extra == "plots"' in text
    )


def test_the_version_is_the_same_wherever_it_stands() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == PROJECT["version"] == mapsto.__version__
    assert cited["license"] == PROJECT["license"] and f"## [{cited['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_error_about_plots_names_the_extra() -> None:
    assert "shap" in PROJECT["optional-dependencies"]["plots"]
    assert "mapsto[plots]" in (ROOT / "mapsto" / "explanation" / "explanation.py").read_text()


def test_the_readme_says_what_torch_costs_before_it_is_fetched() -> None:
    readme = (ROOT / "README.md").read_text()
    first = readme.splitlines()[:25]
    assert any("5 GB" in line for line in first) and any('TORCH="' in line and "CPU builds" in line for line in first)
    assert "installs a CPU build" not in readme
    make = subprocess.run(["make", "-n", "demo", "VENV=nowhere"], capture_output=True, text=True, cwd=ROOT)
    assert make.returncode == 0, make.stderr
    said, fetched = make.stdout.index("5 GB"), make.stdout.index("install torch==")
    assert said < fetched and "the CPU builds" in make.stdout[:fetched]


@pytest.mark.parametrize(
    "page", ["README.md", "README.zh.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_every_link_leads_to_a_file(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if not target.startswith("http"):
            assert (ROOT / page).parent.joinpath(target).exists(), link
            if anchor:
                heads = re.findall(r"^#+ (.*)", (ROOT / page).parent.joinpath(target).read_text(), re.M)
                assert anchor in {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}, link


TABLE = "größe,Dead\n" + "".join(f"{i},{'yes' if i % 3 else 'no'}\n" for i in range(12)) + "3,\n"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["list", "permutation"], ["Castro, Gomez & Tejada 2009"]),
        (["explain", "t.csv", "--target", "Dead"], ["predicted and explained", "gro?e = 3", "wrote"]),
    ],
)
def test_a_terminal_of_ascii_gets_what_it_can_show(
    command: list[str], shown: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.csv").write_text(TABLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(command) == 0
    terminal.flush()
    text = terminal.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert all(words in text for words in shown)


@pytest.mark.parametrize("target", ["dead", " DEAD", "Daed"])
def test_a_target_that_is_nearly_a_column_is_suggested(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "t.csv").write_text(TABLE, encoding="utf-8")
    assert main(["explain", str(tmp_path / "t.csv"), "--target", target, "--out", str(tmp_path / "out")]) == 1
    assert "such as 'Dead'; pass --target Dead." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
