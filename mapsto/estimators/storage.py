"""A fitted estimator as one safetensors file: how columns are read, and the training rows that the mapping adapts to.

Nothing is pickled. The file names the weights that it was fitted with, because with other weights its predictions would
differ.
"""

import json
from dataclasses import asdict
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
from ..tables.columns import Column, Columns

if TYPE_CHECKING:
    from .table import TableEstimator

_WARNING = "this file holds the training rows"
_EXTRA = ("mean_", "spread_")  # of a regressor


def write(estimator: "TableEstimator", path: str | Path) -> None:
    """Write a fitted estimator to `path`.

    Raises:
        MapstoError: if classes are neither texts, numbers nor booleans, or the file cannot be written.
    """
    from .table import Scale

    about: dict[str, Any] = {
        "class": type(estimator).__name__, "members": estimator.members, "notes": estimator.notes_,
        "rows": estimator.n_rows_, "features": estimator.n_features_in_,
        "names": [str(name) for name in getattr(estimator, "feature_names_in_", ())],
        "columns": [asdict(column) for column in estimator.columns_.columns],
        "extra": {name: getattr(estimator, name) for name in _EXTRA if hasattr(estimator, name)},
        "classes": _described(getattr(estimator, "classes_", np.array([]))),
    }  # fmt: skip
    tensors = {f"support.{name}": part.contiguous() for name, part in estimator.support_._asdict().items()}
    tensors |= {f"scale.{name}": torch.as_tensor(getattr(estimator.scale_, name)) for name in Scale._fields}
    tensors |= {
        "used": torch.as_tensor(estimator.used_), "rows": torch.as_tensor(estimator.rows_),
        "informative": torch.as_tensor(estimator.columns_.informative),
    }  # fmt: skip
    meta = {"mapsto": __version__, "content": _WARNING, "weights": weights.fingerprint(), "about": json.dumps(about)}
    try:
        atomically(Path(path), lambda temporary: save_file(tensors, temporary, meta))
    except (OSError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise MapstoError(f"path: {path} cannot be written ({reason}); choose another place.") from error


def read(kind: "type[TableEstimator]", path: str | Path) -> "TableEstimator":
    """Read what `write` wrote, and adapt the mapping to it again.

    Raises:
        MapstoError: the file is missing, damaged, of another kind of estimator, or was written with other weights.
    """
    from .table import Scale

    tensors, meta = _open(path)
    try:
        about = json.loads(meta["about"])
        if about["class"] != kind.__name__:
            raise MapstoError(f"path: {path} holds a {about['class']}; load it with {about['class']}.load.")
        if meta["weights"] != weights.fingerprint():
            raise MapstoError(
                f"path: {path} was fitted with the weights of mapsto {meta['mapsto']}, and this version ships others; "
                "install that version, or fit again."
            )
        estimator = kind(members=about["members"])
        estimator.columns_ = Columns()
        estimator.columns_.columns = [Column(**column) for column in about["columns"]]
        estimator.columns_.informative, estimator.columns_.notes = tensors["informative"].numpy(), []
        estimator.used_, estimator.rows_ = tensors["used"].numpy(), tensors["rows"].numpy()
        estimator.n_rows_, estimator.notes_, estimator.n_features_in_ = about["rows"], about["notes"], about["features"]
        if about["names"]:
            estimator.feature_names_in_ = np.array(about["names"], object)
        if about["classes"]["values"]:
            estimator.classes_ = np.array(about["classes"]["values"], about["classes"]["dtype"])
        for name, value in about["extra"].items():
            setattr(estimator, name, value)
        estimator.scale_ = Scale(*(tensors[f"scale.{name}"].numpy() for name in Scale._fields))
        return estimator._adapt(Examples(*(tensors[f"support.{name}"] for name in Examples._fields)))
    except MapstoError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise MapstoError(f"path: {path} holds no fitted estimator ({error}); save one with `save`.") from error


def _open(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise MapstoError(f"path: {path} cannot be read ({reason}); pass a file that `save` wrote.") from error


def _described(classes: np.ndarray) -> dict[str, Any]:
    """Return the classes as JSON values, with their dtype."""
    values = classes.tolist()
    if not all(isinstance(value, str | int | float | bool) for value in values):
        raise MapstoError(f"classes: got {type(values[0]).__name__}, expected texts, numbers or booleans to save.")
    return {"dtype": classes.dtype.str if classes.dtype != object else "object", "values": values}
