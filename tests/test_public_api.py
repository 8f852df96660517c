"""The names that outside users rely on, and what it costs to import them."""

import json
import subprocess
import sys

import pytest

import mapsto as mt

NAMES = {
    *(
        "TableClassifier",
        "TableRegressor",
        "Explanation",
        "train",
        "evaluate",
        "as_module",
        "Examples",
        "Episode",
        "examples",
        "MapstoError",
    ),
    *(
        "episodes",
        "explainers",
        "figures",
        "learners",
        "measures",
        "models",
        "reports",
        "seeing",
        "tasks",
        "training",
        "views",
    ),
    "weights",
}
ROOMS = {
    "learners": {
        *("Learner", "MAML", "PrototypicalNetwork", "InContext"),
        *("MatchingNetwork", "RidgeHead", "SiameseNetwork"),
    },
    "models": {"MLP"},
    "tasks": {"Sinusoids", "Linear", "Tables", "Planted", "Omniglot"},
    "views": {"query", "support", "weights", "state", "game", "support_game", "as_module"},
    "explainers": {
        *("Gradient", "InputXGradient", "IntegratedGradients", "Occlusion", "Shapley"),
        *("LIME", "PermutationShapley", "ShapleyInteractions", "patches", "superpixels"),
        *("Anchors", "SurrogateTree", "Counterfactual"),
    },
    "weights": {"load"},
    "reports": {"table", "task", "write_film", "write_run_report"},
    "seeing": {
        *("changes", "cka", "embedding", "film", "gradient_histograms", "maximise", "probes", "rsa", "unit", "units"),
        "variance_explained",
    },
}
SLOW = ("shap", "captum", "lightning_fabric", "lightning", "matplotlib", "pandas", "sklearn", "tensorboard", "rich")


def test_the_public_names_are_these() -> None:
    assert set(mt.__all__) == NAMES
    assert mt.__all__ == sorted(NAMES)
    assert set(dir(mt)) == NAMES | {"__version__"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_public_name_can_be_had(name: str) -> None:
    assert getattr(mt, name).__doc__


@pytest.mark.parametrize(("room", "name"), [(room, name) for room in ROOMS for name in sorted(ROOMS[room])])
def test_each_room_has_its_names(room: str, name: str) -> None:
    assert getattr(getattr(mt, room), name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Magic'"):
        mt.Magic  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert version("mapsto") == mt.__version__


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_costs_little_beside_torch() -> None:
    """Processor time, of which other work on the machine takes nothing: 1 ms at most beside a second."""
    clock = "import time; start = time.process_time(); import torch; middle = time.process_time(); import mapsto; "
    torch, mapsto = map(float, _run(clock + "print(middle - start, time.process_time() - middle)").split())
    assert 0 < mapsto < 0.3 * torch


def test_the_core_needs_no_slow_package() -> None:
    core = "mapsto.learners, mapsto.views, mapsto.explainers, mapsto.models"
    loaded = json.loads(_run(f"import sys, json, mapsto; {core}; print(json.dumps(list(sys.modules)))"))
    assert "mapsto.learners" in loaded and "torch" in loaded
    assert not {name.partition(".")[0] for name in loaded} & set(SLOW)
