"""The notebooks: each holds its outputs, which are small, and runs from top to bottom to outputs of the same kinds."""

import base64
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
FAST = ("pytorch",)


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def kinds(notebook: nbformat.NotebookNode) -> list[set[str]]:
    """Return what each cell of code shows: text, pictures, tables or errors."""
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return [{kind for output in cell for kind in output.get("data", {output.get("name", "error")})} for cell in outputs]


def test_there_are_five_and_the_index_names_them() -> None:
    assert NOTEBOOKS == ["learning_to_explain", "meta_learner", "patients", "pytorch", "scikit_learn"]
    index = (FOLDER.parents[1] / "docs" / "index.md").read_text()
    assert [name for name in NOTEBOOKS if f"\nnotebooks/{name}\n" not in index] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_stored_without_errors_and_are_small(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    shown = kinds(notebook)
    assert set().union(*shown) <= {"stdout", "text/plain", "text/html", "image/png"}  # no error, no warning
    assert sum(bool(cell) for cell in shown) >= len(shown) - 2 and sum("image/png" in cell for cell in shown) >= 1
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert max(len(base64.b64decode(picture)) for picture in pictures) <= 60_000
    assert (FOLDER / f"{name}.ipynb").stat().st_size <= 400_000
    assert "/tmp/" not in str(outputs) and "/work/" not in str(outputs)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in FAST else pytest.mark.long) for n in NOTEBOOKS])
@pytest.mark.filterwarnings("ignore")
def test_a_notebook_runs_from_top_to_bottom(name: str, tmp_path: Path) -> None:
    notebook = read(name)
    stored = kinds(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert kinds(notebook) == stored
