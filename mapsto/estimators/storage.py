"""Save a fitted estimator as one safetensors file that holds its training rows and everything that `fit` derived.

Nothing is pickled. The file records which weights it was fitted with, because other weights would predict differently.
A file holds the parts that all estimators have (parameters, notes, classes and training rows) and the parts that the
estimator adds by `_stored` and reads by `_restore`.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import torch
from safetensors.torch import save_file

from .. import __version__, weights
from ..episodes import Examples
from ..errors import MapstoError
from ..files import atomically

if TYPE_CHECKING:
    from .pretrained import PretrainedEstimator


def write(estimator: "PretrainedEstimator", path: str | Path) -> None:
    """Write a fitted estimator to `path`.

    Raises:
        MapstoError: if the classes are neither texts, numbers nor booleans, or if the file cannot be written.
    """
    added = estimator._stored()
    about: dict[str, Any] = {
        "class": type(estimator).__name__, **estimator._parameters(), "notes": estimator.notes_,
        "rows": estimator.n_rows_, "classes": _described(getattr(estimator, "classes_", np.array([]))), **added.about,
    }  # fmt: skip
    tensors = {f"support.{name}": part.contiguous() for name, part in estimator.support_._asdict().items()}
    tensors |= {"rows": torch.as_tensor(estimator.rows_), **added.tensors}
    meta = {
        "mapsto": __version__, "content": f"this file holds the training {estimator.rows_are}",
        "weights": weights.fingerprint(estimator.weights_file), "about": json.dumps(about),
    }  # fmt: skip
    try:
        atomically(Path(path), lambda temporary: save_file(tensors, temporary, meta))
    except (OSError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise MapstoError(f"path: {path} cannot be written ({reason}); choose another place.") from error


def read(kind: "type[PretrainedEstimator]", path: str | Path) -> "PretrainedEstimator":
    """Read an estimator that `write` saved, and adapt the mapping to its training rows again.

    Raises:
        MapstoError: if the file is missing, damaged, of another kind of estimator, or written with other weights.
    """
    tensors, meta = _open(path)
    try:
        about = json.loads(meta["about"])
        _refuse_others(kind, path, about, meta)
        return _restored(kind, about, tensors)
    except MapstoError:
        raise
    except (KeyError, IndexError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise MapstoError(f"path: {path} holds no fitted estimator ({reason}); save one with `save`.") from error


def _refuse_others(
    kind: "type[PretrainedEstimator]", path: str | Path, about: dict[str, Any], meta: dict[str, str]
) -> None:
    """Raise MapstoError if the file is of another kind of estimator, or was written with other weights."""
    if (other := about["class"]) != kind.__name__:
        raise MapstoError(f"path: {path} holds another estimator ({other}); load it with {other}.load.")
    if meta["weights"] != weights.fingerprint(kind.weights_file):
        raise MapstoError(
            f"path: {path} was fitted with the weights of mapsto {meta['mapsto']}, and this version ships others; "
            "install that version, or fit again."
        )


def _restored(
    kind: "type[PretrainedEstimator]", about: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> "PretrainedEstimator":
    estimator = kind(**{name: about[name] for name in kind().get_params() if name in about})
    estimator.n_rows_, estimator.notes_, estimator.rows_ = about["rows"], about["notes"], tensors["rows"].numpy()
    if about["classes"]["values"]:
        estimator.classes_ = np.array(about["classes"]["values"], about["classes"]["dtype"])
    estimator.mapping_ = estimator._mapping()
    estimator._restore(about, tensors)
    return estimator._adapt(Examples(*(tensors[f"support.{name}"] for name in Examples._fields)))


def _open(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise MapstoError(f"path: {path} cannot be read ({reason}); pass a file that `save` wrote.") from error


def _described(classes: np.ndarray) -> dict[str, Any]:
    """Return the classes and their type in a form that JSON can hold."""
    values = classes.tolist()
    if not all(isinstance(value, str | int | float | bool) for value in values):
        raise MapstoError(f"classes: got {type(values[0]).__name__}, expected texts, numbers or booleans to save.")
    return {"dtype": classes.dtype.str if classes.dtype != object else "object", "values": values}
