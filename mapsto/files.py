"""Write files completely or not at all: under a temporary name first, then renamed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call `write` with a temporary path, then rename the file to `path`; an interruption leaves the old file whole.

    The temporary name has the suffix of `path`, because some writers choose the format by it.

    Raises:
        OSError: if the file cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}; choose another place.") from error
    finally:
        temporary.unlink(missing_ok=True)
