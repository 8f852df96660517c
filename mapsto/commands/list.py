"""`mapsto list`: every learner, explainer, measure, way to look inside, task source, model, route, and named preset."""

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..adaptation.differentiation import Differentiation, Implicit
from ..learners import Learner
from .options import Parser, write_json


class Entry(NamedTuple):
    """What can be named, in words taken from its own docstring."""

    kind: str
    name: str
    family: str  # of learners the literature's, else the base class, or what it is a preset of
    about: str
    paper: str
    arguments: str


class _Preset(NamedTuple):
    name: str
    of: str
    about: str
    paper: str
    arguments: dict[str, Any]


PRESETS = (
    _Preset(
        "FOMAML",
        "MAML",
        "MAML that treats inner gradients as constants.",
        "Finn et al. 2017, §5.2",
        {"first_order": True},
    ),
    _Preset("ANIL", "MAML", "MAML that adapts the head only.", "Raghu et al. 2020", {"adapt": "head"}),
    _Preset(
        "iMAML",
        "MAML",
        "MAML whose gradient depends on where adaptation ends, not on the way there.",
        "Rajeswaran et al. 2019",
        {"differentiation": Implicit(), "proximal": 1.0},
    ),
    _Preset(
        "MAML++ rates",
        "MAML",
        "MAML that learns a rate for each layer and step.",
        "Antoniou et al. 2019, §4",
        {"learn_lr": "layer-step"},
    ),
    _Preset("OML", "ANML", "ANML without its gate.", "Javed & White 2019", {"gate": None}),
    _Preset("Meta-SGD", "MAML", "MAML that learns a rate for each parameter.", "Li et al. 2017", {"learn_lr": True}),
)
_ROOMS = {
    "learner": "learners",
    "explainer": "explainers",
    "tasks": "tasks",
    "model": "models",
    "differentiation": "adaptation.differentiation",
    "optimizer": "adaptation.inner",
    "estimator": "training.estimators",
}
_ASKED = {  # what no base class tells apart, by room and by what it answers
    "explainer": {
        "which two together": ("ShapleyInteractions",),
        "which teaching example": ("knn_shapley",),
        "where attention goes": ("attention_rollout",),
        "parts of an image to hide": ("patches", "superpixels"),
        "what does it go by, on the whole": ("global_importance", "partial_dependence"),
        "which tasks taught it": ("task_influence",),
    },
    "measure": {
        "does it predict well": ("evaluate", "log_likelihoods", "reliability"),
        "are the reasons the true ones": ("recovery", "selection", "agreement"),
        "does the score need them": ("insertion_deletion", "rationale", "infidelity", "hiding_infidelity", "EvalX"),
        "how to fill hidden parts": ("NoisyLinear", "LinearRegression"),
        "do they depend on the model": ("randomised_model", "shuffled_labels"),
        "do they stay where little changes": ("max_sensitivity", "query_stability", "teaching_stability"),
        "can they be read": ("complexity",),
        "do they beat what knows nothing": ("trust",),
        "what breaks the model": ("FGSM", "PGD"),
        "is it fair": ("audit",),
        "which tasks are alike": ("task_map",),
    },
    "seeing": {
        "how it learned": ("film", "iterates", "gradient_histograms", "changes"),
        "what its layers hold": ("features_over", "embedding", "cka", "rsa", "probes", "variance_explained"),
        "what its units like and do": ("maximise", "units"),
        "what an answer rests on": ("attended", "reliance", "looks_like"),
    },
}
_FOUND_IN = {"explainer": "explainers", "measure": "measures", "seeing": "seeing"}
CITED = r"[A-Z][\w’'-]+(?:,? (?:&|and|et al\.|[A-Z][\w’'-]+))*,? \(?(?:19|20)\d\d"
_ABOUT = {
    "Differentiation": "route through the inner loop",
    "InnerOptimizer": "rule of the inner loop",
    "Estimator": "way to the meta-gradient",
    "ViewExplainer": "moves the input",
    "GameExplainer": "hides parts of the input",
    "TableExplainer": "asks about a table's rows",
    "Tasks": "source of episodes",
    "Module": "network",
}


def parser() -> Parser:
    """Return the parser."""
    made = Parser(
        "list",
        "Name every learner, explainer, measure, way to look inside, task source, model and route through the inner "
        "loop: what it does, what it is for, and its paper.",
        "mapsto list learner",
    )
    made.add_argument("kind", nargs="?", choices=[*dict.fromkeys([*_ROOMS, *_ASKED]), "preset"], help="only these")
    return made


def main(args: argparse.Namespace) -> int:
    """Print the entries as a table a room, or as JSON."""
    found = [entry for entry in entries() if args.kind in (None, entry.kind)]
    if args.json:
        write_json({"entries": [entry._asdict() for entry in found]})
    else:
        _print(found)
    return 0


def entries() -> Iterator[Entry]:
    """Yield everything that can be named, room by room, then the presets."""
    for kind in dict.fromkeys([*_ROOMS, *_ASKED]):
        yield from _of_room(kind)
    for preset in PRESETS:
        told = ", ".join(f"{name}={_written(value)}" for name, value in preset.arguments.items())
        yield Entry("preset", preset.name, f"{preset.of}({told})", preset.about, preset.paper, told)


def _of_room(kind: str) -> Iterator[Entry]:
    """Yield the classes that their base class tells of, by name; then what else answers a question."""
    if kind in _ROOMS:
        module = importlib.import_module(f"mapsto.{_ROOMS[kind]}")
        for name in sorted(getattr(module, "__all__", vars(module))):
            found = getattr(module, name)
            if not (inspect.isclass(found) and found.__module__.startswith(module.__name__)):
                continue
            if not inspect.isabstract(found) and (family := _family(found)):
                yield _entry(kind, name, family, found)
    for family, names in _ASKED.get(kind, {}).items():
        module = importlib.import_module(f"mapsto.{_FOUND_IN[kind]}")
        yield from (_entry(kind, name, family, getattr(module, name)) for name in names)


def _entry(kind: str, name: str, family: str, found: Any) -> Entry:
    return Entry(kind, name, family, _sentence(found.__doc__), _paper(found), _arguments(found))


def _written(value: Any) -> str:
    return f"{type(value).__name__}()" if isinstance(value, Differentiation) else repr(value)


def _family(found: Any) -> str:
    if issubclass(found, Learner):
        return found.family
    return next((_ABOUT[base.__name__] for base in found.__mro__[1:] if base.__name__ in _ABOUT), "")


def _sentence(doc: str | None) -> str:
    return " ".join((doc or "").partition("\n\n")[0].split())


def _paper(found: Any) -> str:
    """Return the first citation of the docstring, else of the module's, from its authors to its year."""
    for told in (found.__doc__, sys.modules[found.__module__].__doc__):
        cited = re.search(CITED, " ".join((told or "").split()))
        if cited:
            return cited[0].replace("(", "")
    return ""


def _arguments(found: Any) -> str:
    return ", ".join(str(p).partition(":")[0] for p in inspect.signature(found).parameters.values())


def _print(found: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for kind in dict.fromkeys(entry.kind for entry in found):
        table = Table.grid(padding=(0, 3, 0, 0))
        table.add_column(no_wrap=True)
        for entry in found:
            if entry.kind == kind:
                table.add_row(*(Text(part) for part in (f"  {entry.name}", entry.about, entry.family, entry.paper)))
        console.print(Text(kind, "bold"))
        console.print(table)
