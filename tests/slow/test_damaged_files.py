"""A damaged file of weights, of a run or of an estimator is refused in one sentence, and changes nothing.

`make slow` tries 1,000 damages of each kind of file; `make test` a share of them. A file whose damage lies in its
numbers alone cannot be told from a whole one, so it may be read; if it is, it works.
"""

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import mapsto as mt
from mapsto import weights
from mapsto.cli import main
from mapsto.commands.configuration import load_run
from mapsto.errors import MapstoError
from mapsto.estimators import TableClassifier, TableRegressor
from mapsto.learners import MAML
from mapsto.models import MLP
from mapsto.training import load_weights

pytestmark = pytest.mark.usefixtures("unchecked")  # errors are those that a user gets
FILES = int(os.environ.get("MAPSTO_DAMAGED_FILES", "5"))
VALUES = [
    "null", "-1", "0", "1e999", "[]", "{}", "''", '"x"', "2021-99-99", "!!python/object:os.system {}", "&a [*a]",
    "nan", "true", "[1, [2]]", "1" * 40, "MAML", "mapsto.learners.MAML", "\x00", "? {}", "*b", "<<: 1",
]  # fmt: skip


def _damaged(content: bytes, r: random.Random) -> bytes:
    """Return a safetensors file that was cut, overwritten, or given another header."""
    size = struct.unpack("<Q", content[:8])[0]
    header, numbers = content[8 : 8 + size], content[8 + size :]
    kind = r.randrange(5)
    if kind == 0:
        return content[: r.randrange(len(content))]
    if kind == 1:
        place = r.randrange(len(header))
        return content[: 8 + place] + bytes([r.randrange(256)]) + content[9 + place :]
    if kind == 2:
        return bytes(b ^ (r.random() < 0.2) * r.randrange(256) for b in content[:8]) + content[8:]
    entries = json.loads(header)
    name = r.choice(list(entries))
    _change(entries, name, r)
    other = json.dumps(entries).encode()
    return struct.pack("<Q", len(other)) + other + numbers


def _change(entries: dict, name: str, r: random.Random) -> None:
    """Change one entry of a header: its name, its metadata, or its type and shape."""
    if name == "__metadata__":
        key = r.choice(list(entries[name]))
        others = ["", "x", "{}", "[]", "null", "-1", "nan", '{"class": 3}', entries[name][key][:-9]]
        entries[name][key] = r.choice(others)
    elif r.random() < 0.3:
        entries[r.choice(["other", name + "x", ""])] = entries.pop(name)
    elif r.random() < 0.5:
        entries[name]["shape"] = r.choice([entries[name]["shape"][::-1], [*entries[name]["shape"], 1], [1], [-1]])
    else:
        entries[name]["dtype"] = r.choice(["I32", "BOOL", "F64", "U8", "I64", "X"])


def _edited(text: str, r: random.Random) -> bytes:
    """Return a configuration with one random edit of its lines."""
    lines = text.splitlines()
    place, kind = r.randrange(len(lines)), r.randrange(5)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines[place] = lines[place].partition(":")[0] + ": " + r.choice(VALUES)
    elif kind == 2:
        lines.insert(place, r.choice(["  ", "\t", ""]) + r.choice(VALUES))
    elif kind == 3:
        lines[place] = r.choice([" ", "   ", "- "]) + lines[place]
    else:
        letters = bytearray("\n".join(lines).encode())
        letters[r.randrange(len(letters))] = r.randrange(256)
        return bytes(letters)
    return "\n".join(lines).encode()


def _tried(path: Path, damage: Callable[[random.Random], bytes], use: Callable[[], object]) -> int:
    """Write damaged files to `path` and use each; return how many were refused."""
    refused = 0
    for seed in range(FILES):
        path.write_bytes(damage(random.Random(seed)))
        try:
            use()
        except MapstoError as error:
            refused += 1
            assert "\n" not in str(error), seed
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    return refused


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    learner = MAML(MLP(1, 4, 1), loss="mse")
    list(mt.train(learner, mt.tasks.Sinusoids(), steps=1, batch=1, run=tmp_path / "run"))
    content, path = (tmp_path / "run" / "weights.safetensors").read_bytes(), tmp_path / "w.safetensors"
    other = MAML(MLP(1, 4, 1), loss="mse")
    before = [p.clone() for p in other.parameters()]

    def use() -> None:
        try:
            load_weights(other, path)
        except MapstoError:
            assert all(torch.equal(p, q) for p, q in zip(before, other.parameters(), strict=True)), "half-loaded"
            raise
        for p, q in zip(before, other.parameters(), strict=True):
            p.copy_(q.detach())

    with torch.no_grad():
        refused = _tried(path, lambda r: _damaged(content, r), use)
    assert refused > FILES / 2


def test_damaged_runs_are_refused(tmp_path: Path) -> None:
    learner = ["--learner", "MAML", "--learner.body", "MLP", "--learner.body.widths", "[1, 4, 1]"]
    rest = ["--learner.loss", "mse", "--tasks", "Sinusoids", "--steps", "1", "--batch", "1"]
    assert main(["train", *learner, *rest, "--run", str(tmp_path / "run")]) == 0
    path = tmp_path / "run" / "config.yaml"
    text = path.read_text()
    refused = _tried(path, lambda r: _edited(text, r), lambda: load_run(tmp_path / "run"))
    assert refused > FILES / 5


@pytest.mark.parametrize("kind", [TableClassifier, TableRegressor])
def test_damaged_estimators_are_refused(tmp_path: Path, kind: type) -> None:
    r = np.random.default_rng(0)
    X, path = r.normal(size=(8, 2)), tmp_path / "fitted.safetensors"
    y = (X[:, 0] > 0).astype(int) if kind is TableClassifier else X[:, 0]
    kind().fit(X, y).save(path)
    content = path.read_bytes()
    refused = _tried(path, lambda r: _damaged(content, r), lambda: kind.load(path).predict(X[:1]))
    assert refused > FILES / 2


def test_damaged_pretrained_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    content = weights.TABLES.read_bytes()
    assert _tried(path, lambda r: _damaged(content, r), lambda: weights.load(path=path)) > FILES / 2


def test_damaged_configurations_of_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights.IMAGES.read_bytes())
    text = weights.IMAGES.with_suffix(".yaml").read_text()

    def use() -> None:
        weights._built.cache_clear()
        weights._configuration.cache_clear()
        weights.load_images(path=path)

    assert _tried(path.with_suffix(".yaml"), lambda r: _edited(text, r), use) > FILES / 5
