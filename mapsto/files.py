"""Files are written whole or not at all: under a temporary name first, then renamed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a temporary file beside `path`, then rename it; whatever interrupts leaves the old file whole.

    The temporary name keeps the suffix of `path`, which some writers go by. Raises OSError where it cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}; choose another place.") from error
    finally:
        temporary.unlink(missing_ok=True)
