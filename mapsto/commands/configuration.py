"""From a configuration to objects: a learner and a source of tasks, each a class name with arguments.

    --learner MAML --learner.body MLP --learner.body.widths '[1, 40, 40, 1]' --tasks Sinusoids --tasks.shots 10

Only classes of `mapsto` are built, unless `--allow-imports` is passed: a configuration is data, not code.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jsonargparse
import yaml

from .. import joint, models  # noqa: F401 - a class can be named once it is imported
from ..errors import MapstoError
from ..learners import Learner
from ..tasks import Tasks
from ..training import load_weights
from ..training.run import read_config


class Parser(jsonargparse.ArgumentParser):
    """A parser whose errors are one sentence, and which imports nothing outside `mapsto` by itself."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None, **kwargs: Any
    ) -> jsonargparse.Namespace:
        """Parse, importing nothing outside `mapsto` unless `--allow-imports` is among `args`."""
        if self.exit_on_error:  # otherwise jsonargparse built this parser itself, for the arguments of a class
            _allow("--allow-imports" in (args or []))
        return super().parse_args(args, namespace, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:  # type: ignore[override]
        """Raise MapstoError."""
        if not self.exit_on_error:
            super().error(message, ex)
        raise MapstoError(_sentence(message)) from ex

    def make(self, parsed: jsonargparse.Namespace) -> jsonargparse.Namespace:
        """Return the arguments with class names replaced by objects."""
        try:
            return self.instantiate(parsed)
        except MapstoError:
            raise
        except (ValueError, TypeError) as error:
            raise MapstoError(_sentence(str(error))) from error


def objects_parser(command: str, description: str, epilog: str = "", kind: type[Parser] = Parser) -> Parser:
    """Return a parser of `--learner` and `--tasks`."""
    parser = kind(prog=f"mapsto {command}", description=description, epilog=epilog)
    for name, base in (("learner", Learner), ("tasks", Tasks)):
        about = f"the {name}: a class of `mapsto list`, then its arguments as --{name}.NAME"
        parser.add_subclass_arguments(base, name, required=True, help=about)
    parser.link_arguments("learner", "tasks.init_args.learner", apply_on="instantiate")  # of tasks that it plays itself
    parser.add_argument(
        "--allow-imports", action="store_true", help="make classes outside mapsto too: it runs their code"
    )
    return parser


class Loaded(NamedTuple):
    """A run read back: its learner with the final weights, its tasks, and its configuration."""

    learner: Learner
    tasks: Tasks
    config: dict[str, Any]


def load_run(folder: str | Path, changes: Sequence[str] = (), allow_imports: bool = False) -> Loaded:
    """Read a run back, with `changes` such as `["--tasks.ways", "20"]` to the arguments of its learner and tasks.

    Raises:
        MapstoError: the folder is not a run, is damaged, or comes from another version or from a training in Python,
            which leaves no class names; or a change is not an argument.
    """
    config = read_config(folder)
    if not all(isinstance(config.get(name), dict) for name in ("learner", "tasks")):
        raise MapstoError(
            f"run: {folder} was trained from Python, so its configuration names no arguments; build the learner there "
            "and call mapsto.training.load_weights(learner, folder)."
        )
    parser = objects_parser("run", "Read a run back.")
    try:
        arguments = [part for name in ("learner", "tasks") for part in (f"--{name}", json.dumps(config[name]))]
    except (TypeError, ValueError, RecursionError) as error:  # a date, or an entry that contains itself
        raise MapstoError(f"run: {Path(folder) / 'config.yaml'} holds no arguments ({error}); train again.") from error
    allow = ["--allow-imports"] if allow_imports else []
    try:
        run = parser.make(parser.parse_args([*arguments, *changes, *allow]))
    except MapstoError as error:
        if changes:
            raise
        raise MapstoError(f"{Path(folder) / 'config.yaml'}: {error}") from error
    steps = load_weights(run.learner, folder)
    if steps < config.get("steps", 0):
        sys.stderr.write(f"mapsto: {folder} is not finished: weights of step {steps:,} of {config['steps']:,}.\n")
    return Loaded(run.learner, run.tasks, config)


def refuse_unreadable(path: str | Path) -> None:
    """Raise MapstoError, which names the file, if a configuration is not a mapping in YAML."""
    try:
        config = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise MapstoError(f"config: cannot read {path} ({error.strerror}); check the path.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MapstoError(f"config: {path} is not readable as YAML; mend it, or train again.") from error
    if not isinstance(config, dict):
        raise MapstoError(f"config: {path} holds no arguments, expected lines such as `steps: 1000`.")


def _allow(imports: bool) -> None:
    denied = None if imports else ["*"]
    jsonargparse.set_parsing_settings(import_path_denylist=denied, import_path_allowlist=["mapsto"])
    if imports and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


_NOISE = re.compile(
    "Does not validate|Subtypes:|Errors:|Given value|Problem with|Parser key .*:$"
    "|Expected a <class 'NoneType'>|Expected a path but"
)


_KINDS = {"float": "a number", "int": "a whole number", "str": "a text", "bool": "true or false"}


def _sentence(message: str) -> str:
    """Shorten a message of jsonargparse, which lists everything it tried, to one sentence."""
    where = _where(message)
    lines = [re.sub(r'^Parser key "[^"]+": ', "", line.strip(" -")) for line in message.splitlines()]
    reasons = [line for line in lines if line and not _NOISE.match(line)]
    reason = reasons[0] if reasons else " ".join(message.split())
    if denied := re.search(r"Importing '([^']+)' is not allowed", message):
        return (
            f"{where}: got {denied[1]}, but only classes of mapsto are made from a configuration; name one of "
            "`mapsto list`, or pass --allow-imports if you trust it."
        )
    if unknown := re.match(r"Expected a dot import path string: (.*)", reason):
        return f"{where}: got {unknown[1]!r}, which is no class of `mapsto list`; name one of them."
    if re.match(r"Option '.*' is not accepted", reason):
        return f"--{where}: no such argument; see `mapsto train --{where.partition('.')[0]}.help CLASS`."
    if literal := re.match(r"Expected a typing.Literal\[(.*)\]$", reason):
        given = re.search(r"Given value: (?!NestedArg)(.*)", message)
        return f"{where}: got {given[1] if given else 'another value'!r}, expected one of {literal[1]}."
    if missing := re.match(r"the following arguments are required: (.*)", reason):
        options = " and ".join(f"--{where}.{name}" if where else f"--{name}" for name in missing[1].split(", "))
        return f"{_class(message) or 'arguments'}: {options} missing; pass what --help says of it."
    if "is abstract" in reason:
        return (
            f"--{where}: the class is not named; pass --{where.partition('.')[0]} CLASS before it, see `mapsto list`."
        )
    reason = re.sub(r"Expected a <class '(\w+)'>", lambda kind: f"expected {_KINDS.get(kind[1], kind[1])}", reason)
    return f"{where}: {reason}" if where else reason


def _where(message: str) -> str:
    """Return the dotted name of the argument in a message."""
    keys = re.findall(r'Parser key "([^"]+)"', message)
    tail = re.findall(r"NestedArg\(key='([^']+)'", message)
    parts = ".".join(dict.fromkeys(keys)).split(".") if keys else []
    for part in tail[0].split(".") if tail else ():
        if part not in parts:
            parts.append(part)
    return ".".join(parts)


def _class(message: str) -> str:
    match = re.search(r"class_path='([^']+)'", message)
    return match[1].rpartition(".")[2] if match else ""
