"""The finished parts of a long result: files in a folder beside it, from which a later run goes on.

The folder `OUT.parts` holds `plan.json`, which says of which input and arguments the parts are, and one file for each
part. Each is written whole or not at all, so whoever is killed loses one part at most.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import checks
from ..errors import MapstoError
from ..files import atomically
from .folder import make, writable

Plan = dict[str, Any]


class PartFiles:
    """The parts of the file `out`.

    Args:
        out: the file that all parts become at the end.
        plan: everything on which the parts depend, as values that JSON can hold.

    Raises:
        MapstoError: if the folder of the parts cannot be made, or holds parts of another plan.
    """

    def __init__(self, out: Path, plan: Plan):
        self.out, self.folder, self.plan = out, out.with_name(f"{out.name}.parts"), json.loads(json.dumps(plan))
        checks.expect(not out.is_dir(), "--out", f"{out}, which is a folder", "a file", "choose another name")
        writable(self.folder)
        self._refuse_others()

    def __contains__(self, number: int) -> bool:
        return self._path(number).exists()

    def begin(self) -> None:
        """Make the folder and write the plan."""
        make(self.folder)
        atomically(self.folder / "plan.json", lambda file: file.write_text(json.dumps(self.plan), encoding="utf-8"))

    def add(self, number: int, write: Callable[[Path], Any]) -> None:
        """Write a part by `write`, whole or not at all."""
        gone = f"{self.folder}, which is gone"
        checks.expect(self.folder.exists(), "--out", gone, "its parts", "another run of this command has joined them")
        atomically(self._path(number), write)

    def join(self, count: int, write: Callable[[list[Path], Path], Any]) -> None:
        """Write the file from its `count` parts by `write(parts, file)`, and remove them."""
        paths = [self._path(number) for number in range(count)]
        atomically(self.out, lambda file: write(paths, file))
        for path in paths:  # the plan goes last, so that a rest of the parts is never taken for others
            path.unlink()
        shutil.rmtree(self.folder)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}{self.out.suffix}"

    def _refuse_others(self) -> None:
        if not any(self.folder.glob("[0-9]*")):
            return
        try:
            before = json.loads((self.folder / "plan.json").read_text(encoding="utf-8"))
            other = [name for name in self.plan if before.get(name) != self.plan[name]]
        except (OSError, ValueError, AttributeError):
            other = ["plan.json"]
        if other:
            raise MapstoError(
                f"--out: {self.folder} holds parts of another input or of other arguments ({', '.join(other)}); "
                "delete it, or choose another --out."
            )
