"""The command line: `mapsto COMMAND ...`. Each command is a module of `mapsto.commands`, imported when it is called.

A command module has `parser() -> argparse.ArgumentParser` and `main(args) -> int`. A mistake that a person can put
right is raised as one sentence and shown as that sentence.
"""

import codecs
import importlib
import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

from .errors import ElsewhereError, MapstoError

COMMANDS = {
    "demo": "predict and explain patients of a table, or drawn characters, and check the reasons",
    "explain": "predict and explain the rows of your own CSV table, or of a trained run",
    "train": "meta-train a learner on a source of tasks, into a run folder",
    "eval": "measure a run on its test tasks, with a 95 % interval",
    "report": "write a run's report as one HTML file",
    "play": "open a page on which the pretrained models run in your browser: a table, drawn characters, a sine wave",
    "list": "list every learner, explainer, source of tasks, network, measure and pretrained model",
}


_IN_ASCII = str.maketrans({
    **dict.fromkeys("−–—‐‑", "-"), **dict.fromkeys("’‘", "'"), **dict.fromkeys("“”", '"'), "…": "...", "±": "+/-",
    "×": "x", "·": "*", "→": "->", "↦": "->", "≤": "<=", "≥": ">=", "≈": "~", "√": "sqrt ", "λ": "lambda ",
    "✓": "right:", "✗": "wrong:",
})  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 only on success."""
    _write_anywhere()
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(argv)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "interrupted.", 130)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the interpreter flushes it while leaving
        return 1
    except ElsewhereError:
        return 1
    except Exception as error:
        if os.environ.get("MAPSTO_DEBUG"):
            raise
        return _fail(sentence(error), 1)


def sentence(error: BaseException) -> str:
    """Return the message of an exception on one line; an unexpected exception is named."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}."
    if isinstance(error, MapstoError | ValueError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text or 'no message'} (set MAPSTO_DEBUG=1 to see where)."


def _write_anywhere() -> None:
    """Let a terminal that lacks a character, such as one of ASCII, show a similar one instead of failing."""
    codecs.register_error("mapsto", _similar)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # streams that are not files have none
        if reconfigure is not None:
            reconfigure(errors="mapsto")


def _similar(error: Any) -> tuple[str, int]:
    """Return characters of ASCII for those that a terminal lacks, without accents; "?" if there are none."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = unicodedata.normalize("NFKD", error.object[error.start : error.end].translate(_IN_ASCII))
    plain = "".join(letter for letter in text if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode(), error.end


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0 if argv else 2
    if argv[0] == "--version":
        from . import __version__

        sys.stdout.write(f"mapsto {__version__}\n")
        return 0
    if argv[0] not in COMMANDS:
        raise MapstoError(f"command: got {argv[0]!r}, expected one of {', '.join(COMMANDS)}; see `mapsto --help`.")
    command = importlib.import_module(f"mapsto.commands.{argv[0]}")
    try:
        return int(command.main(command.parser().parse_args(argv[1:])))
    except SystemExit as leave:  # --help
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)


def _help() -> str:
    lines = [f"  {name:<9}{about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "usage: mapsto COMMAND [options]",
            "",
            "Learners that adapt to a new task from a handful of examples, and explain what they did.",
            "",
            "commands:",
            *lines,
            "",
            "`mapsto COMMAND --help` shows a command's options with an example; `mapsto --version` the version.",
            "",
        ]
    )


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"mapsto: {text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
