"""The trained mapping that ships with the package; `tables.md` is its model card, `tables.yaml` its shape."""

import functools
from pathlib import Path

import safetensors
import yaml
from safetensors.torch import load_file

from ..errors import MapstoError
from ..joint import SelfExplaining

FOLDER = Path(__file__).parent


def load(ways: int = 2, members: int = 2, path: str | Path = FOLDER / "tables.safetensors") -> SelfExplaining:
    """Return the shipped mapping for tables with `ways` classes, frozen.

    Args:
        ways: number of classes, 2 to 10.
        members: readings to average, see `InContext`.
        path: the weights, a safetensors file.

    Raises:
        MapstoError: the file is missing, truncated, or holds weights of another mapping.
    """
    mapping = _build(Path(path)).requires_grad_(False).eval()
    mapping.learner.ways, mapping.learner.members = ways, members
    return mapping


def _build(path: Path) -> SelfExplaining:
    from ..explainers.learned.attribution import PairwiseAttribution
    from ..learners import InContext
    from ..models import SetTransformer

    shape = _shape()
    mapping = SelfExplaining(InContext(SetTransformer(**shape["body"])), PairwiseAttribution(**shape["explainer"]))
    try:
        mapping.load_state_dict(load_file(path))
    except (OSError, safetensors.SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MapstoError(
            f"weights: {path} is missing, damaged or of another version ({reason}); reinstall mapsto."
        ) from error
    return mapping


@functools.cache
def _shape() -> dict:
    return yaml.safe_load((FOLDER / "tables.yaml").read_text())
