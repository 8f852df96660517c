"""Imports point one way: every layer of the package names the layers it may know, and knows no other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mapsto"

# layer ↦ the layers it may import. OPEN may be known to all; EVERYTHING stands above and is imported by none below.
LAYERS: dict[str, set[str]] = {
    "checks": set(),
    "errors": set(),
    "files": set(),
    "memory": set(),
    "threads": set(),
    "processes": set(),
    "products": set(),
    "estimate": set(),
    "attention": {"products"},
    "episodes": set(),
    "explanation": set(),
    "tables": set(),
    "texts": set(),
    "games": set(),
    "asking": set(),
    "models": {"attention"},
    "adaptation": {"episodes", "penalties", "processes"},
    "penalties": {"asking"},
    "learners": {"episodes", "adaptation", "penalties"},
    "tasks": {"episodes", "adaptation", "tables", "texts"},
    "explainers": {"games", "estimate"},
    "explainers.rules": {"games", "tables"},
    "explainers.learned": {"attention", "explainers"},
    "views": {"episodes", "adaptation", "games", "asking"},
    "explainers.across_tasks": {
        *("episodes", "adaptation", "views", "estimate", "explanation", "explainers", "processes"),
    },
    "joint": {"attention", "episodes", "adaptation", "learners", "explainers", "explainers.learned"},
    "measures": {
        *(
            "episodes",
            "adaptation",
            "learners",
            "tasks",
            "views",
            "explainers",
            "explainers.rules",
            "explainers.learned",
        ),
        *("joint", "training", "estimate", "processes"),
    },
    "seeing": {"episodes", "adaptation", "learners", "views", "explainers", "measures"},
    "training": {"episodes", "adaptation", "learners", "joint", "processes", "threads"},
    "figures": {"explanation", "explainers", "explainers.across_tasks", "measures", "seeing", "estimate"},
    "reports": {
        *(
            "adaptation",
            "episodes",
            "explanation",
            "tables",
            "tasks",
            "texts",
            "learners",
            "views",
            "explainers",
            "explainers.learned",
        ),
        *("joint", "measures", "seeing", "estimate", "figures", "estimators"),
    },
    "weights": {"learners", "models", "explainers.learned", "joint"},
    "play": {
        *("episodes", "tables", "models", "adaptation", "learners", "tasks", "explainers", "explainers.learned"),
        *("joint", "training", "weights"),
    },
}
OPEN = {"checks", "errors", "files", "__version__"}
EVERYTHING = {"", "estimators", "commands", "cli", "__main__"}


def layer(module: str) -> str:
    """Return the layer of a dotted module name below the package ('' is the package itself)."""
    for inner in ("explainers.rules", "explainers.learned", "explainers.across_tasks"):
        if module == inner or module.startswith(f"{inner}."):
            return inner
    return module.partition(".")[0]


def imports(tree: ast.Module, package: str, inside: set[str]) -> Iterator[tuple[int, str]]:
    """Yield (line, module below `mapsto`) for every import of the package by itself, nested ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parent, *filter(None, [node.module])])
            found = [f"{base}.{alias.name}" for alias in node.names]
            found = [name if layer(name.removeprefix("mapsto.")) in inside else base for name in found]
        else:
            continue
        for name in found:
            if name == "mapsto" or name.startswith("mapsto."):
                yield node.lineno, name.removeprefix("mapsto").removeprefix(".")


def arrows(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (place, layer, imported module) for every import under `root` from another layer."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        here, package = layer(module), ".".join(["mapsto", *parts[:-1]])
        for line, name in imports(ast.parse(path.read_text()), package, set(LAYERS) | OPEN | EVERYTHING):
            handed_on = parts[-1] == "__init__" and layer(name).startswith(f"{here}.")  # a room names its inner rooms
            if layer(name) not in OPEN | {here} and not handed_on:
                yield f"{'/'.join(parts)}.py:{line}", here, name


def violations(root: Path) -> list[str]:
    """Return one line for every layer without a row, and for every import that its layer may not make."""
    files = (path.relative_to(root).with_suffix("") for path in root.rglob("*.py"))
    here = {layer(".".join(file.parts[:-1] if file.name == "__init__" else file.parts)) for file in files}
    wrong = [f"layer {name!r} has no row in LAYERS" for name in sorted(here - set(LAYERS) - EVERYTHING)]
    return wrong + [
        f"{place}: {here} may not import {name or 'the package itself'}"
        for place, here, name in arrows(root)
        if here in LAYERS and layer(name) not in LAYERS[here]
    ]


def test_imports_point_one_way() -> None:
    assert len(list(PACKAGE.rglob("*.py"))) > 10  # else the law below would hold of nothing
    assert violations(PACKAGE) == []


def test_no_arrow_is_allowed_in_vain() -> None:
    used: dict[str, set[str]] = {name: set() for name in LAYERS}
    for _, here, name in arrows(PACKAGE):
        used.setdefault(here, set()).add(layer(name))
    assert {name: used[name] for name in LAYERS} == LAYERS


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("learners/maml.py", "from ..explainers import Shapley", "learners may not import explainers"),
        ("learners/maml.py", "from mapsto.models import MLP", "learners may not import models"),
        ("learners/maml.py", "from mapsto import models", "learners may not import models"),
        ("learners/maml.py", "def f():\n    import mapsto.tasks.tables", "learners may not import tasks"),
        ("learners/maml.py", "import mapsto as mt", "learners may not import the package itself"),
        ("explainers/shapley.py", "from ..learners.learner import Learner", "explainers may not import learners"),
        ("explainers/shapley.py", "from .. import episodes", "explainers may not import episodes"),
        ("explainers/shapley.py", "from .learned import head", "explainers may not import explainers.learned"),
        ("explainers/learned/head.py", "from ...learners import learner", "explainers.learned may not import learners"),
        ("training/loop.py", "from ..tasks.source import Tasks", "training may not import tasks"),
        ("training/loop.py", "from .. import cli", "training may not import cli"),
        ("training/loop.py", "from ..figures import style", "training may not import figures"),
        ("seeing/film.py", "from ..figures import style", "seeing may not import figures"),
        ("seeing/film.py", "from ..tasks.source import Tasks", "seeing may not import tasks"),
        ("figures/film.py", "from ..reports import page", "figures may not import reports"),
        ("reports/run.py", "from ..commands import report", "reports may not import commands"),
        ("reports/task/build.py", "from ...models import MLP", "reports may not import models"),
        ("explainers/lime.py", "from ..seeing import film", "explainers may not import seeing"),
        ("episodes.py", "from .views import query", "episodes may not import views"),
        (
            "tasks/images.py",
            "from .source import Tasks\nfrom ..learners import losses",
            "tasks may not import learners",
        ),
        ("novel/idea.py", "import torch", "layer 'novel' has no row"),
    ],
)
def test_mutants_are_found(tmp_path: Path, file: str, source: str, expected: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    assert len(lines := violations(tmp_path)) == 1
    assert expected in lines[0]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("learners/maml.py", "from ..episodes import Examples\nfrom .learner import Learner\nfrom . import losses"),
        ("explainers/rules/anchors.py", "from ...tables.columns import Columns\nfrom . import bandit"),
        ("views.py", "from .adaptation.learner import Learner\nfrom . import episodes"),
        ("commands/demo.py", "from ..reports import table\nfrom .. import models"),
        ("training/run.py", "from .. import __version__"),
        ("seeing/film.py", "from .. import views\nfrom ..explainers.explainer import ViewExplainer"),
        ("figures/film.py", "from ..seeing.film import Film"),
        ("tasks/tables.py", "from ..errors import MapstoError\nimport numpy"),
    ],
)
def test_allowed_imports_are_not_reported(tmp_path: Path, file: str, source: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    assert violations(tmp_path) == []


def test_views_and_games_are_defined_once() -> None:
    from mapsto import explainers, games, views

    assert games.Game is views.Game is explainers.Game
    assert games.View is views.View is explainers.View
