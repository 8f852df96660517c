"""The pretrained model for tables; `tables.md` is its model card, and `tables.yaml` holds its sizes."""

import functools
import hashlib
from pathlib import Path

import safetensors
import yaml
from safetensors.torch import load_file

from ..errors import MapstoError
from ..joint import SelfExplaining

__all__ = ["load"]

FOLDER = Path(__file__).parent


def load(
    ways: int = 2, members: int = 2, loss: str = "cross_entropy", path: str | Path = FOLDER / "tables.safetensors"
) -> SelfExplaining:
    """Return the pretrained model for tables with `ways` classes or a numeric outcome; its parameters are frozen.

    The model is a `SelfExplaining` learner, which returns predictions and their explanations.

    Args:
        ways: the number of classes, 2 to 10; 1 if the outcome is numeric.
        members: the number of predictions to average, see `InContext`.
        loss: "cross_entropy" for classes, "mse" for a numeric outcome.
        path: the safetensors file with the weights; by default, the file that comes with the package.

    Raises:
        MapstoError: if the file is missing or damaged, or holds the weights of another model.
    """
    from ..explainers.learned.attribution import PairwiseAttribution
    from ..learners import InContext
    from ..models import SetTransformer

    sizes, path = _sizes(), Path(path)
    learner = InContext(SetTransformer(**sizes["body"]), ways, members, loss)
    mapping = SelfExplaining(learner, PairwiseAttribution(**sizes["explainer"]))
    try:
        mapping.load_state_dict(load_file(path))  # the file holds bfloat16, the mapping float32
    except (OSError, safetensors.SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MapstoError(
            f"weights: {path} is missing, damaged or of another version ({reason}); reinstall mapsto."
        ) from error
    return mapping.requires_grad_(False).eval()


@functools.cache
def fingerprint(path: Path = FOLDER / "tables.safetensors") -> str:
    """Return the SHA-256 sum of the weights file, which identifies the weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def _sizes() -> dict:
    return yaml.safe_load((FOLDER / "tables.yaml").read_text())
