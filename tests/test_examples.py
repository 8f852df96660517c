"""Each example runs top to bottom as a reader would run it, only smaller, and says what it promises to say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str) -> str:
    """Run an example at its tiny size in a process of its own, warnings being errors, and return what it prints."""
    environment = os.environ | {"MAPSTO_TINY": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name], capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def number(pattern: str, text: str) -> float:
    """Return the number that follows `pattern` in `text`."""
    found = re.search(pattern + r"\s*([+-]?\d+\.\d+)", text)
    assert found, f"{pattern!r} is not in:\n{text}"
    return float(found[1])


def test_every_example_is_tested_here() -> None:
    source = Path(__file__).read_text()
    names = [path.name for path in EXAMPLES.glob("*.py")]
    assert names
    assert [name for name in names if f'run("{name}")' not in source] == []


@pytest.mark.slow
def test_the_table_example_predicts_and_its_reasons_are_near_the_exact_ones() -> None:
    said = run("table.py")
    assert number("accuracy on 8 new patients:", said) > 0.6
    assert 0 <= number("from the exact ones:", said) < 0.03
    base, *values = (float(line.split()[0]) for line in re.findall(r"^[+-]\d\.\d{3} .*", said, re.MULTILINE))
    assert len(values) == 4
    assert base + sum(values) == pytest.approx(number(r"P\(malignant\) of the first patient:", said), abs=3e-3)


@pytest.mark.slow
def test_the_maml_example_learns_to_learn() -> None:
    said = run("maml.py")
    before, after = (number(f"{steps} steps of adaptation: mean squared error", said) for steps in (0, 10))
    assert after < 0.9 * before


@pytest.mark.slow
def test_the_reasons_example_adds_up() -> None:
    said = run("why.py")
    rows = {line[:14]: [float(n) for n in line[20:].split()] for line in said.splitlines() if line.count(".") >= 5}
    shapley, gradients, whole = rows["Shapley, exact"], rows["Integrated Gra"], number("score − baseline", said)
    assert sum(shapley[:4]) == pytest.approx(shapley[4], abs=3e-3)
    assert shapley[4] == pytest.approx(whole, abs=1e-3)
    assert gradients[4] == pytest.approx(whole, abs=0.1)
    assert abs(whole) > 0.5  # else there is nothing to add up


def test_the_logistic_example_is_checked_by_hand() -> None:
    said = run("logistic.py")
    assert float(re.search(r"they differ by (\S+)", said)[1]) < 1e-12
    assert number("first order is off by", said) > 0.1
    first, last = (number(rf"step +{step}: log loss after one step on ten examples", said) for step in (1, 300))
    assert number("someone told the true slopes:", said) < last < first - 0.02


@pytest.mark.slow
def test_the_joint_example_explains_and_its_reasons_add_up() -> None:
    said = run("joint.py")
    assert number("accuracy", said) > 50
    base, *patches = (float(line.split()[0]) for line in re.findall(r"^[+-]\d\.\d{3} .*", said, re.MULTILINE))
    assert len(patches) == 16 and any(patches)
    assert base + sum(patches) == pytest.approx(number(r"P\(\d\) of the first image:", said), abs=0.01)


@pytest.mark.long
def test_the_dask_example_has_the_values_of_one_process() -> None:
    pytest.importorskip("distributed")
    said = run("dask_rows.py")
    assert "10,000 rows on 2 workers" in said
    assert float(re.search(r"they differ by (\S+)", said)[1]) < 1e-6
