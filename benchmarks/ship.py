"""Turn a run's weights into the file that ships: bfloat16, with the shape of the networks beside it.

python benchmarks/ship.py runs/tables        # writes mapsto/weights/tables.safetensors and tables.yaml
"""

import argparse
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

from mapsto.training.run import WEIGHTS, read_config, read_tensors
from mapsto.weights import FOLDER

LIMIT = 4 * 2**20  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the weights that ship with the package.")
    parser.add_argument("run", type=Path, help="folder of the run")
    run = parser.parse_args().run
    tensors, meta = read_tensors(run / WEIGHTS)
    path = FOLDER / "tables.safetensors"
    save_file({name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()}, path, meta)
    init = read_config(run)["learner"]["init_args"]
    shape = {
        "body": init["learner"]["init_args"]["body"]["init_args"],
        "explainer": init["explainer"]["init_args"],
    }
    path.with_suffix(".yaml").write_text(yaml.safe_dump(shape))
    assert path.stat().st_size <= LIMIT, path.stat().st_size
    print(
        f"{path}: {path.stat().st_size / 2**20:.2f} MiB, step {meta['step']}, {float(meta['seconds']) / 60:.0f} minutes"
    )


if __name__ == "__main__":
    main()
