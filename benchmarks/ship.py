"""Turn a run's weights into the file that ships: half precision, with the shape of the networks beside it.

python benchmarks/ship.py runs/doubt                       # writes mapsto/weights/tables.safetensors and tables.yaml
python benchmarks/ship.py runs/characters-why images       # writes images.safetensors and images.yaml
python benchmarks/ship.py runs/texts texts                 # writes texts.safetensors and texts.yaml
python benchmarks/ship.py runs/pupils pupils               # writes pupils.safetensors and pupils.yaml
"""

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from mapsto.training.run import WEIGHTS, read_config, read_tensors
from mapsto.weights import FOLDER

LIMIT = 4 * 2**20  # bytes
LOOKS = 128  # coalitions of patches about which an explanation asks the image classifier


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the weights that ship with the package.")
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("name", choices=SHAPES, nargs="?", default="tables", help="name of the files")
    args = parser.parse_args()
    tensors, meta = read_tensors(args.run / WEIGHTS)
    path = FOLDER / f"{args.name}.safetensors"
    shape, half = SHAPES[args.name](read_config(args.run)["learner"]["init_args"])
    save_file({name: tensor.to(half) for name, tensor in tensors.items()}, path, meta)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(shape))
    assert path.stat().st_size <= LIMIT, path.stat().st_size
    print(
        f"{path}: {path.stat().st_size / 2**20:.2f} MiB, step {meta['step']}, {float(meta['seconds']) / 60:.0f} minutes"
    )


def tables(init: dict[str, Any]) -> tuple[dict[str, Any], torch.dtype]:
    """Return the sizes of the three networks of the mapping for tables, and the precision of its weights."""
    body = init["learner"]["init_args"]["body"]["init_args"]
    parts = {name: init[name]["init_args"] for name in ("explainer", "doubt")}
    return {"body": body, **parts}, torch.bfloat16


def images(init: dict[str, Any]) -> tuple[dict[str, Any], torch.dtype]:
    """Return the configuration of the image classifier with its explainer, and the precision of its weights."""
    init.pop("trains", None)
    init["learner"]["init_args"]["ways"] = 5
    init["explainers"]["why"]["init_args"]["looks"] = LOOKS
    return {"learner": {"class_path": "mapsto.joint.Joint", "init_args": init}}, torch.float16


def texts(init: dict[str, Any]) -> tuple[dict[str, Any], torch.dtype]:
    """Return the configuration of the prototypical network over the text encoder, and the precision of its weights."""
    init["ways"] = 5
    return {"learner": {"class_path": "mapsto.learners.PrototypicalNetwork", "init_args": init}}, torch.float16


def pupils(init: dict[str, Any]) -> tuple[dict[str, Any], torch.dtype]:
    """Return the configuration of the network for pupils, and the precision of its weights."""
    return {"learner": {"class_path": "mapsto.learners.DKT", "init_args": init}}, torch.float32


SHAPES = {"tables": tables, "images": images, "texts": texts, "pupils": pupils}

if __name__ == "__main__":
    main()
