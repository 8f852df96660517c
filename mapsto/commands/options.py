"""The options that all commands share, one-sentence errors, and JSON."""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, NoReturn

from ..errors import MapstoError


class Parser(argparse.ArgumentParser):
    """An `argparse` parser that raises MapstoError instead of printing its usage and leaving."""

    def __init__(self, command: str, description: str, example: str):
        super().__init__(
            prog=f"mapsto {command}",
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--json", action="store_true", help="print one JSON object and nothing else on stdout")
        self.add_argument("--seed", type=int, default=0, help="the seed of everything random (default: 0)")

    def error(self, message: str) -> NoReturn:
        """Raise MapstoError."""
        raise MapstoError(f"{self.prog}: {message}; see `{self.prog} --help`.")


@contextmanager
def as_options(**options: str) -> Iterator[None]:
    """Name the option in errors about a library's argument: `methods: got …` becomes `--method: got …`.

    >>> with as_options(methods="--method"):
    ...     raise MapstoError("methods: got 'Astrology'.")
    Traceback (most recent call last):
    mapsto.errors.MapstoError: --method: got 'Astrology'.
    """
    try:
        yield
    except MapstoError as error:
        argument, _, sentence = str(error).partition(": ")
        if argument not in options:
            raise
        raise MapstoError(f"{options[argument]}: {sentence}") from error


def refuse(args: argparse.Namespace, options: Iterable[str], reason: str) -> None:
    """Raise MapstoError if one of the options was given."""
    for option in options:
        if getattr(args, option) is not None:
            raise MapstoError(f"--{option.replace('_', '-')}: {reason}; leave it out.")


def suggest(option: str, name: str, names: Iterable[str]) -> None:
    """Raise MapstoError if `name` is not one of the names, but is like one of them, such as `Dead` for `dead`.

    >>> suggest("--target", "Dead", ["age", "dead"])
    Traceback (most recent call last):
    mapsto.errors.MapstoError: --target: got 'Dead', expected one of the names, such as 'dead'; pass --target dead.
    """
    plain = {other.strip().casefold(): other for other in map(str, names)}
    near = get_close_matches(name.strip().casefold(), plain, n=1, cutoff=0.7)
    if name not in plain.values() and near:
        other = plain[near[0]]
        remedy = f"{option} {shlex.quote(other)}"
        raise MapstoError(f"{option}: got {name!r}, expected one of the names, such as {other!r}; pass {remedy}.")


def write_json(result: dict[str, Any]) -> None:
    """Write `result` on stdout as one line of JSON."""
    sys.stdout.write(as_json(result) + "\n")


def as_json(result: dict[str, Any]) -> str:
    """Return `result` as JSON; a number that is not finite becomes null, because JSON has no word for it."""
    return json.dumps(_finite(result), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
