"""The trained mapping that ships with the package; `tables.md` is its model card, `tables.yaml` its shape."""

import functools
import hashlib
from pathlib import Path

import safetensors
import yaml
from safetensors.torch import load_file

from ..errors import MapstoError
from ..joint import SelfExplaining

FOLDER = Path(__file__).parent


def load(
    ways: int = 2, members: int = 2, loss: str = "cross_entropy", path: str | Path = FOLDER / "tables.safetensors"
) -> SelfExplaining:
    """Return the shipped mapping for tables with `ways` classes, or with numbers to predict, frozen.

    Args:
        ways: number of classes, 2 to 10; 1 for numbers.
        members: readings to average, see `InContext`.
        loss: "cross_entropy" for classes, "mse" for numbers.
        path: the weights, a safetensors file.

    Raises:
        MapstoError: the file is missing, truncated, or holds weights of another mapping.
    """
    from ..explainers.learned.attribution import PairwiseAttribution
    from ..learners import InContext
    from ..models import SetTransformer

    shape, path = _shape(), Path(path)
    learner = InContext(SetTransformer(**shape["body"]), ways, members, loss)
    mapping = SelfExplaining(learner, PairwiseAttribution(**shape["explainer"]))
    try:
        mapping.load_state_dict(load_file(path))  # of bfloat16, into float32
    except (OSError, safetensors.SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MapstoError(
            f"weights: {path} is missing, damaged or of another version ({reason}); reinstall mapsto."
        ) from error
    return mapping.requires_grad_(False).eval()


@functools.cache
def fingerprint(path: Path = FOLDER / "tables.safetensors") -> str:
    """Return what tells these weights from others: the SHA-256 sum of their file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def _shape() -> dict:
    return yaml.safe_load((FOLDER / "tables.yaml").read_text())
