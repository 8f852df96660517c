"""The folder of a command's files: its name, and refusals before any work is done if nothing may be written there."""

import hashlib
import html
import os
import re
from pathlib import Path

from .. import checks
from ..errors import MapstoError

_TABLE = re.compile(
    r"(\.(csv|tsv|tab|txt|dat|xlsx?|xlsm|xlsb|ods|parquet|pq|feather|arrow|z?sav|por|dta))?(\.gz)?", re.IGNORECASE
)
_MARK = re.compile(r'<meta name="mapsto-input" content="([^"]*)">')


def name_for(path: Path) -> Path:
    """Return the folder for the files about the table `path`: its name without the ending of a table.

    >>> [str(name_for(Path(name))) for name in ("data/patients.csv", "study.2023.csv.gz", ".csv")]
    ['patients-explained', 'study.2023-explained', 'table-explained']
    """
    ending = next(match for i in range(len(path.name) + 1) if (match := _TABLE.fullmatch(path.name, i)))
    stem = path.name[: ending.start()].strip(". ")
    return Path(f"{stem or 'table'}-explained")


def mark(table: Path, folder: Path) -> str:
    """Return the name of a table and a fingerprint of its place, seen from the folder of its report."""
    place = os.path.relpath(table.absolute(), folder.absolute())
    return f"{table.name} {hashlib.sha256(place.encode(errors='surrogateescape')).hexdigest()[:16]}"


def refuse_other(table: Path, folder: Path) -> None:
    """Raise MapstoError if `folder` holds the report of another table, which would be overwritten."""
    report = folder / "report.html"
    found = _MARK.search(report.read_text(encoding="utf-8", errors="replace")[:4096]) if report.is_file() else None
    here = html.unescape(found[1]) if found else ""
    name = here.rpartition(" ")[0]
    got = f"{folder}, which holds the report of {f'another {name}' if name == table.name else name}"
    remedy = "pass --out FOLDER, this one to overwrite it"
    checks.expect(here in ("", mark(table, folder)), "--out", got, f"a folder for {table}", remedy)


def writable(folder: Path) -> Path:
    """Return `folder`, which exists or can be made, without making it yet: a later failure leaves nothing behind.

    Raises:
        MapstoError: a file is in the way, or the folder cannot be written to.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise MapstoError(f"--out: {there} is a file, expected a folder; choose another place.")
    allowed = os.access(there, os.W_OK | os.X_OK)
    remedy = "choose another folder or change its permissions"
    checks.expect(allowed, "--out", f"{there}, which cannot be written to", "a folder that can", remedy)
    return folder


def refuse_input(written: Path, *read: Path | None) -> None:
    """Raise MapstoError if the file `written` is one of the files that are read."""
    for path in filter(None, read):
        same = written.exists() and path.exists() and written.samefile(path)
        checks.expect(not same, "--out", written, "a file that is not read too", "choose another name")


def make(folder: Path) -> Path:
    """Make `folder` if it does not exist, and return it.

    Raises:
        MapstoError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MapstoError(f"--out: {folder} cannot be made: {error.strerror}; choose another place.") from error
    return folder
