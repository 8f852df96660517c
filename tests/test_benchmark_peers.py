"""The command that prints every comparison with peers runs a benchmark that exists, and says where it runs."""

import importlib.util
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def peers():
    spec = importlib.util.spec_from_file_location("peers", FOLDER / "peers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_part_is_a_benchmark(peers):
    assert [script for script, *_ in peers.PARTS.values() if not (FOLDER / script).exists()] == []


def test_versions_and_processor_are_told(peers):
    assert peers.version("torch") == torch.__version__
    assert peers.version("no-such-package") == "missing"
    assert peers.processor()


def test_a_part_that_fails_is_told(peers, monkeypatch, tmp_path, capfd):
    (tmp_path / "well.py").write_text("print('a row')")
    (tmp_path / "ill.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    assert peers.passed(["well.py"]) and not peers.passed(["ill.py"])
    out = capfd.readouterr().out
    assert out.index("well.py (load") < out.index("a row") < out.index("ill.py (load")
