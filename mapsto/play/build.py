"""Make the files in `assets/runtime` and `assets/models` anew: `make play`.

The runtime is onnxruntime-web of npm, in the version that `page.RUNTIME` names. It links other people's code, whose
licences come from the Python package onnxruntime: that of npm has none. The graphs are exported from the pretrained
models, which takes some minutes and needs the packages onnx and onnxscript.
"""

import gzip
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

from . import images, page, tables, waves
from .graphs import Weights

_RUNTIME = {"ort.mjs": "ort.wasm.bundle.min.mjs", "ort.wasm": "ort-wasm-simd-threaded.wasm"}


def main() -> None:
    """Make all files."""
    runtime()
    models()


def runtime() -> None:
    """Fetch the runtime from npm."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", f"onnxruntime-web@{page.RUNTIME}", "--pack-destination", folder]
        subprocess.run(command, check=True, capture_output=True)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            for name, source in _RUNTIME.items():
                file = archive.extractfile(f"package/dist/{source}")
                assert file is not None
                _pack(f"runtime/{name}", file.read())
    notices()


def notices() -> None:
    """Copy the licences of the code that the runtime links."""
    import onnxruntime

    _pack("runtime/notices", (Path(onnxruntime.__file__).parent / "ThirdPartyNotices.txt").read_bytes())


def models() -> None:
    """Export the pretrained models, and train MAML on sine waves."""
    for_tables, for_images = Weights(), Weights()
    exported = tables.graphs(for_tables) | images.graphs(for_images)
    for name in ("fit", "explain", "images"):
        _pack(f"models/{name}.onnx", exported[name])
    for name, weights in zip(page.WEIGHTS, (for_tables, for_images), strict=True):
        _pack(f"models/{name}", bytes(weights.data))
    numbers = {"ratios": exported["ratios"], "wave": waves.layers(waves.trained())}
    (page.ASSETS / "models" / "models.json").write_text(json.dumps(numbers, separators=(",", ":")) + "\n")


def _pack(name: str, data: bytes) -> None:
    """Write compressed bytes, the same ones for the same data."""
    (page.ASSETS / f"{name}.gz").write_bytes(gzip.compress(data, 9, mtime=0))


if __name__ == "__main__":
    main()
