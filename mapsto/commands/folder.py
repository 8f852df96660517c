"""Where a command's files go: refused before any work is done where nothing can be written."""

import os
from pathlib import Path

from ..errors import MapstoError


def writable(folder: Path) -> Path:
    """Return `folder`, which exists or can be made, without making it yet: what fails later leaves nothing behind.

    Raises:
        MapstoError: a file is in the way, or the folder cannot be written to.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise MapstoError(f"--out: {there} is a file, expected a folder; choose another place.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise MapstoError(f"--out: {there} cannot be written to; choose another folder or change its permissions.")
    return folder


def made(folder: Path) -> Path:
    """Return `folder`, which exists now.

    Raises:
        MapstoError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MapstoError(f"--out: {folder} cannot be made: {error.strerror}; choose another place.") from error
    return folder
