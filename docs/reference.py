"""A Sphinx extension: a page of reference for each public room of mapsto, and a list of all public names.

The pages are written into docs/reference before the others are read. What they say comes from the docstrings.
"""

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import mapsto

INNER = ("explainers.learned", "measures.audit", "tasks.robots", "adaptation.differentiation")


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension to Sphinx."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "reference"))
    app.connect("autodoc-skip-member", of_another_library)
    app.connect("autodoc-process-docstring", without_substitutions)
    return {"parallel_read_safe": True}


def without_substitutions(app: Any, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Escape the bars of absolute values, which reStructuredText would take for substitutions."""
    lines[:] = [line if line.startswith("    ") else line.replace("|", "\\|") for line in lines]


def of_another_library(app: Any, kind: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Return True for a member that a class inherits from another library, such as `score` of scikit-learn."""
    function = getattr(thing, "fget", None) or thing
    home = getattr(function, "__module__", None) or "mapsto"
    return None if home.startswith("mapsto") else True


def write(folder: Path) -> None:
    """Write a page for each room, and their index."""
    folder.mkdir(exist_ok=True)
    pages = {f"mapsto.{name}": names(room) for name, room in rooms().items()}
    pages = {"mapsto": top()} | {page: found for page, found in sorted(pages.items()) if found}
    shown: dict[int, str] = {}  # a name of two rooms is described once
    for page, found in pages.items():
        _keep(folder / f"{page}.rst", room_page(page, found, shown))
    _keep(folder / "index.rst", index(list(pages)))


def rooms() -> dict[str, ModuleType]:
    """Return the public rooms by name."""
    public = {name: getattr(mapsto, name) for name in mapsto.__all__}
    found = {name: room for name, room in public.items() if inspect.ismodule(room)}
    return found | {name: importlib.import_module(f"mapsto.{name}") for name in INNER}


def top() -> list[str]:
    """Return the names that `mapsto` itself offers, without its rooms."""
    return [name for name in mapsto.__all__ if not inspect.ismodule(getattr(mapsto, name))]


def names(room: ModuleType) -> list[str]:
    """Return the public names of a room that are not rooms themselves."""
    return [name for name in getattr(room, "__all__", ()) if not inspect.ismodule(getattr(room, name))]


def room_page(page: str, found: list[str], shown: dict[int, str]) -> str:
    """Return the page of a room: what it is for, and the docstring of each name that has not been `shown` before."""
    room = importlib.import_module(page)
    lines = [page, "=" * len(page), "", (inspect.getdoc(room) or "").partition("\n\n")[0].replace("`", "``"), ""]
    for name in found:
        thing = getattr(room, name)
        lines += [name, "-" * len(name), "", f".. currentmodule:: {page}", ""]
        if id(thing) in shown:
            lines += [f"The same as :any:`{shown[id(thing)]}`.", ""]
        elif inspect.isclass(thing):
            lines += [f".. autoclass:: {name}", "   :members:"]
            lines += ["   :inherited-members: Module, tuple, object, Exception", ""]
        else:
            lines += [f".. {'autofunction' if callable(thing) else 'autodata'}:: {name}", ""]
        shown.setdefault(id(thing), f"{page}.{name}")
    return "\n".join(lines)


def index(pages: list[str]) -> str:
    """Return the index of the reference."""
    head = [
        "Reference",
        "=========",
        "",
        "Every public name, by room. ``import mapsto as mt``.",
        "",
        ".. toctree::",
        "",
    ]
    return "\n".join([*head, *(f"   {page}" for page in pages), ""])


def _keep(path: Path, text: str) -> None:
    """Write a file unless it says the same already, so that Sphinx does not read it again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
