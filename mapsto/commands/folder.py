"""The folder of a command's files, refused before any work is done if nothing can be written there."""

import os
from pathlib import Path

from .. import checks
from ..errors import MapstoError


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
