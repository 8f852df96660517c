"""`mapsto list`: every learner, explainer, source of tasks, network, measure and pretrained model, with its idea.

`mapsto list shap` lists what matches a word. The entries are read from `catalogue.json`, which `catalogue.py` writes.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..errors import MapstoError
from .options import Parser, write_json

CATALOGUE = Path(__file__).with_name("catalogue.json")


class Entry(NamedTuple):
    """A line of the list."""

    kind: str
    name: str
    family: str  # of the literature for a learner; else what its base class does, or the question that it answers
    about: str
    paper: str
    arguments: str


def parser() -> Parser:
    """Return the parser."""
    options = Parser(
        "list",
        "List every learner, explainer, source of tasks, network, measure and pretrained model, with its idea and its "
        "paper.",
        "mapsto list learner\n  mapsto list shap",
    )
    options.add_argument(
        "words", nargs="*", metavar="WORD", help=f"only this kind ({', '.join(_kinds())}), or what all words occur in"
    )
    return options


def main(args: argparse.Namespace) -> int:
    """Print the entries as one table for each kind, or as JSON."""
    chosen = matching(args.words)
    if args.json:
        write_json({"entries": [entry._asdict() for entry in chosen]})
    else:
        _print(chosen)
    return 0


def matching(words: Sequence[str]) -> list[Entry]:
    """Return the entries of a kind, or those in which all words occur, whatever their case and their hyphens.

    Raises:
        MapstoError: if there is none.

    >>> [entry.name for entry in matching(["grad-cam", "selvaraju"])]
    ['GradCAM', 'Grad-CAM']
    """
    every, kinds = _entries(), _kinds()
    if len(words) == 1 and words[0] in kinds:
        return [entry for entry in every if entry.kind == words[0]]
    chosen = [entry for entry in every if all(_matches(word, entry) for word in words)]
    if not chosen:
        names = {_plain(entry.name): entry.name for entry in every}
        near = [names[name] for name in get_close_matches(_plain(" ".join(words)), names, n=3, cutoff=0.5)]
        remedy = f"try {', '.join(near)}" if near else "see `mapsto list`"
        expected = f"a kind ({', '.join(kinds)}), or words of a name or its description"
        raise MapstoError(f"WORD: got {' '.join(words)!r}, expected {expected}; {remedy}.")
    return chosen


@cache
def _entries() -> list[Entry]:
    return [Entry(**entry) for entry in json.loads(CATALOGUE.read_text(encoding="utf-8"))]


def _kinds() -> list[str]:
    return list(dict.fromkeys(entry.kind for entry in _entries()))


def _matches(word: str, entry: Entry) -> bool:
    return _plain(word) in _plain(entry.name) or word.lower() in " ".join(entry[:5]).lower()


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower().replace("isation", "ization")


def _print(chosen: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    for kind in dict.fromkeys(entry.kind for entry in chosen):
        table = Table.grid(padding=(0, 3, 0, 0))
        table.add_column(no_wrap=True)
        for entry in chosen:
            if entry.kind == kind:
                table.add_row(*(Text(part) for part in (f"  {entry.name}", entry.about, entry.family, entry.paper)))
        console.print(Text(kind, "bold"))
        console.print(table)
