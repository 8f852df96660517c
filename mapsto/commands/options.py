"""What every command shares: a parser whose errors are one sentence, and the options `--json` and `--seed`."""

import argparse
import json
import sys
from typing import Any, NoReturn

from ..errors import MapstoError


class Parser(argparse.ArgumentParser):
    """An `argparse` parser that raises `MapstoError` instead of printing its usage and leaving."""

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


def write_json(result: dict[str, Any]) -> None:
    """Write `result` on stdout as one line of JSON."""
    sys.stdout.write(json.dumps(result) + "\n")
