"""`mapsto play`: a page on which the pretrained models run in the browser, without a server or a network."""

import argparse
import sys
from pathlib import Path

from .folder import make, writable
from .options import Parser, write_json


def parser() -> argparse.ArgumentParser:
    """Return the options of `mapsto play`."""
    options = Parser(
        "play",
        "Open a page to play with: a table, drawn characters and a sine wave, learned and explained in the browser.",
        "mapsto play --out play.html",
    )
    out = "where the page goes; it is not opened then (default: play.html, opened in a browser)"
    options.add_argument("--out", type=Path, metavar="FILE", help=out)
    return options


def main(args: argparse.Namespace) -> int:
    """Write the page, and open it in a browser unless `--out` names a file."""
    import webbrowser

    from ..play.page import write

    path = args.out or Path("play.html")
    make(writable(path.parent))
    write(path)
    opened = args.out is None and webbrowser.open(path.absolute().as_uri())
    if args.json:
        write_json({"page": str(path), "opened": opened})
    else:
        sys.stdout.write(f"wrote {path}{'' if opened else '; open it in a browser'}\n")
    return 0
