"""One HTML file in which the pretrained models run: markup, style, scripts, models and their runtime, all embedded."""

import base64
import json
from pathlib import Path

from .. import __version__
from ..files import atomically
from .reading import reading

ASSETS = Path(__file__).parent / "assets"
RUNTIME = "1.30.0"  # of onnxruntime-web
GRAPHS = ("fit.onnx", "explain.onnx", "images.onnx")
WEIGHTS = ("tables.bin", "images.bin")
MOST_COLUMNS = 60  # of a table in the page
_SCRIPTS = (
    "base", "runtime", "text", "decoding", "grid", "dates", "numbers", "sums", "layout", "scales", "columns", "levels",
    "outcome", "rows", "rows_view", "table", "strokes", "characters", "waves", "waves_view", "main",
)  # fmt: skip


def write(path: str | Path) -> None:
    """Write the page to `path`; it needs no server and no network.

    Raises:
        OSError: if the file cannot be written.
    """
    atomically(Path(path), lambda file: file.write_text(page(), encoding="utf-8"))


def page() -> str:
    """Return the page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(ASSETS), undefined=StrictUndefined)
    return environment.get_template("page.html").render(
        version=__version__, runtime_version=RUNTIME, style=_text("style.css"), licence=_text("runtime/LICENSE"),
        script="\n".join(_text(f"{name}.js") for name in _SCRIPTS), parts="\n".join(_parts()),
    )  # fmt: skip


def example() -> str:
    """Return 40 patients of scikit-learn's breast cancer table with their diagnosis, and six without, as CSV."""
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    from ..tables.splits import stratified

    data = load_breast_cancer(as_frame=True)
    table = data.data.filter(like="worst").rename(columns=lambda name: name.removeprefix("worst "))
    table["diagnosis"] = data.target_names[data.target]
    chosen = np.sort(stratified(data.target.to_numpy(), 46, seed=4))
    table = table.iloc[chosen].reset_index(drop=True)
    table.loc[table.index[::8], "diagnosis"] = ""
    return table.to_csv(index=False)


def _parts() -> list[str]:
    """Return the data of the page as elements that the scripts read."""
    files = ["runtime/ort.mjs", "runtime/ort.wasm", "runtime/notices", *(f"models/{n}" for n in (*GRAPHS, *WEIGHTS))]
    packed = {file.rpartition("/")[2]: (ASSETS / f"{file}.gz").read_bytes() for file in files}
    texts = {name: base64.b64encode(data).decode() for name, data in packed.items()}
    texts |= {name: _text(f"{file}.json") for name, file in (("phrases", "phrases"), ("models", "models/models"))}
    texts |= {"example.csv": example(), "words": json.dumps(reading()), "orders": json.dumps(_orders())}
    return [f'<script type="text/plain" id="{name}">{text}</script>' for name, text in texts.items()]


def _orders() -> list[list[list[int]]]:
    """Return the orders of 11, 12, … columns along which coalitions are asked; each one's reverse is asked too."""
    from ..explainers.coalitions import design

    orders = []
    for d in range(11, MOST_COLUMNS + 1):
        sizes = design(d).masks.view(-1, d + 1, d)  # [orders, first 0 … d columns, d]
        joined = (d - sizes.sum(1)).argsort(-1)
        orders.append(joined[: len(joined) // 2].int().tolist())
    return orders


def _text(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
