"""The pretrained models for tables, for images, for texts and for pupils.

`tables.md`, `images.md`, `texts.md` and `pupils.md` are their model cards. `tables.yaml` holds the sizes of the model
for tables, the other `.yaml` files the configurations of the other models, as `mapsto train` reads them.
"""

import contextlib
import copy
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from safetensors.torch import load_file
from torch import nn

from ..errors import MapstoError
from ..joint import Joint, SelfExplaining

if TYPE_CHECKING:
    from ..learners import DKT
    from ..models import TextEncoder

__all__ = ["load"]

FOLDER = Path(__file__).parent
TABLES, IMAGES, TEXTS, PUPILS = (FOLDER / f"{name}.safetensors" for name in ("tables", "images", "texts", "pupils"))


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
    from ..explainers.learned.value_errors import ValueErrors
    from ..learners import InContext
    from ..models import SetTransformer

    sizes = _configuration(TABLES)
    with _refused(TABLES.with_suffix(".yaml")):
        body, explainer = SetTransformer(**sizes["body"]), PairwiseAttribution(**sizes["explainer"])
        doubt = ValueErrors(**sizes["doubt"])
    mapping = SelfExplaining(InContext(body, ways, members, loss), explainer, doubt=doubt)
    _fill(mapping, Path(path))
    return mapping


def load_images(ways: int = 5, path: str | Path = IMAGES) -> Joint:
    """Return the pretrained model for images with `ways` classes; its parameters are frozen.

    The model is a `Joint` of a few-shot learner and an explainer named "why", which returns the Shapley values of the
    4 × 4 patches of an image.

    Args:
        ways: the number of classes.
        path: the safetensors file with the weights; by default, the file that comes with the package. The configuration
            is read from the file beside it whose name ends in `.yaml`.

    Raises:
        MapstoError: if one of the two files is missing or damaged, or the weights are those of another model.
    """
    mapping = copy.deepcopy(_built(Path(path)))
    mapping.learner.ways = ways
    _fill(mapping, Path(path))
    return mapping


@functools.cache
def load_texts(path: str | Path = TEXTS) -> "TextEncoder":
    """Return the pretrained encoder of texts; its parameters are frozen.

    Args:
        path: the safetensors file with the weights of a prototypical network over the encoder; by default, the file
            that comes with the package. The configuration is read from the file beside it whose name ends in `.yaml`.

    Raises:
        MapstoError: if one of the two files is missing or damaged, or the weights are those of another model.
    """
    from ..learners import PrototypicalNetwork
    from ..models import TextEncoder

    sizes = _configuration(Path(path))["learner"]["init_args"]["body"]["init_args"]
    encoder = TextEncoder(**sizes)
    _fill(PrototypicalNetwork(encoder, ways=2), Path(path))
    return encoder


@functools.cache
def load_pupils(path: str | Path = PUPILS) -> "DKT":
    """Return the pretrained network for pupils; its parameters are frozen.

    Args:
        path: the safetensors file with the weights; by default, the file that comes with the package. The configuration
            is read from the file beside it whose name ends in `.yaml`.

    Raises:
        MapstoError: if one of the two files is missing or damaged, or the weights are those of another model.
    """
    from ..learners import DKT

    learner = DKT(**_configuration(Path(path))["learner"]["init_args"])
    _fill(learner, Path(path))
    return learner


@functools.cache
def fingerprint(path: Path = TABLES) -> str:
    """Return the SHA-256 sum of a weights file, which identifies the weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def _built(path: Path) -> Any:
    """Return the learner that the configuration beside the weights describes."""
    import jsonargparse

    from .. import models  # noqa: F401 - a class can be named once it is imported
    from ..learners import Learner

    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Learner, "learner", required=True)
    with _refused(path.with_suffix(".yaml")):
        return parser.instantiate(parser.parse_object({"learner": _configuration(path)["learner"]})).learner


def _fill(mapping: nn.Module, path: Path) -> None:
    """Load the weights into the model, and freeze it."""
    with _refused(path):
        mapping.load_state_dict(load_file(path))  # the file holds 16 bits a number, the mapping 32
    mapping.requires_grad_(False).eval()


@functools.cache
def _configuration(path: Path) -> dict:
    with _refused(path := path.with_suffix(".yaml")):
        return yaml.safe_load(path.read_text())


@contextlib.contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Raise MapstoError, which names the file, in place of any error inside."""
    try:
        yield
    except MapstoError:
        raise
    except Exception as error:  # of the file, of its format, or of a class built by it
        reason = " ".join(str(error).split())[:200]
        sentence = f"{path} is missing, damaged or of another version ({reason}); reinstall mapsto."
        raise MapstoError(f"weights: {sentence}") from error
