"""The wheel works in an empty environment of each Python, without the repository and without a network.

`make slow` builds the source distribution and, from it, the wheel, and installs the wheel with torch and all other
dependencies for each Python on PATH. MAPSTO_WHEELS names a folder of wheels to install from in place of the index.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13")
OTHERS = shutil.ignore_patterns(".*", "build", "dist", "runs", "*.egg-info", "__pycache__")

pytestmark = pytest.mark.long


def run(*command: str | Path, folder: Path) -> str:
    """Run a command that must succeed without a word on stderr, and return what it prints."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), (command, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, made from the source distribution, which therefore holds all that a wheel needs."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, folder / "tree", ignore=OTHERS)
    build = "import contextlib, sys, setuptools.build_meta as to\nwith contextlib.redirect_stdout(sys.stderr): "
    for made, tree in (("sdist", folder / "tree"), ("wheel", folder / "unpacked")):
        command = [sys.executable, "-W", "ignore", "-c", f"{build}to.build_{made}({str(folder)!r})"]
        subprocess.run(command, cwd=tree, check=True, capture_output=True)
        if made == "sdist":
            with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
                archive.extractall(folder, filter="data")
            next(folder.glob("mapsto-*[0-9]")).rename(folder / "unpacked")
    return next(folder.glob("*.whl"))


@pytest.fixture(params=VERSIONS)
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path: Path) -> Path:
    """Return the folder of the programs of an environment that holds the wheel and its dependencies alone."""
    python = shutil.which(f"python{request.param}")
    if python is None:
        pytest.skip(f"Python {request.param} is not on PATH")
    run(python, "-m", "venv", tmp_path / "alone", folder=tmp_path)
    programs, wheels = tmp_path / "alone" / "bin", os.environ.get("MAPSTO_WHEELS")
    source = ["--no-index", "--find-links", wheels] if wheels else []
    run(programs / "python", "-m", "pip", "install", "--quiet", *source, wheel, folder=tmp_path)
    return programs


def without_network() -> list[str]:
    """Return the command that runs another one without a network; nothing where that is not allowed."""
    command = ["unshare", "--map-root-user", "--net"]
    allowed = shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if allowed else []


def test_the_wheel_works_alone(installed: Path, tmp_path: Path) -> None:
    mapsto = [*without_network(), installed / "mapsto"]
    rows = [[i % 7, i % 5, "yes" if i % 7 > 3 else "no"] for i in range(40)] + [[6, 1, ""]]
    with open(tmp_path / "patients.csv", "w", newline="") as file:
        csv.writer(file).writerows([["age", "pulse", "died"], *rows])
    assert "Finn et al. 2017" in run(*mapsto, "list", "MAML", folder=tmp_path)
    assert json.loads(run(*mapsto, "demo", "--json", folder=tmp_path))["auc"] > 0.95
    found = json.loads(run(*mapsto, "explain", "patients.csv", "--target", "died", "--json", folder=tmp_path))
    with open(tmp_path / found["predictions"]) as file:
        assert [row["prediction"] for row in csv.DictReader(file)] == ["yes"]
    assert (tmp_path / "patients-explained" / "report.html").exists()
    assert "play.html" in run(*mapsto, "play", "--out", "play.html", folder=tmp_path)
    names = "import mapsto, mapsto.explainers as e; print(all(hasattr(m, n) for m in (mapsto, e) for n in m.__all__))"
    assert run(installed / "python", "-c", names, folder=tmp_path) == "True\n"
