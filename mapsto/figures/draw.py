"""One verb for every result of `seeing`, and for the map of tasks: the picture that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import checks
from ..measures.evaluation.similarity import TaskMap
from ..seeing.changes import Changes
from ..seeing.embedding import Embedding
from ..seeing.film import Film
from ..seeing.histograms import Histograms
from ..seeing.maximisation import Preferred
from ..seeing.probes import Probes
from ..seeing.similarity import Similarity
from .embedding import embedding
from .film import film_strip
from .histograms import gradient_histograms
from .inside import changes, probes, units
from .preferred import preferred
from .similarity import similarity
from .task_map import task_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PICTURES: dict[type, Callable[..., Figure]] = {
    Changes: changes,
    Embedding: embedding,
    Film: film_strip,
    Histograms: gradient_histograms,
    Preferred: preferred,
    Probes: probes,
    Similarity: similarity,
    TaskMap: task_map,
}


def draw(result: Any, **options: Any) -> Figure:
    """Draw the figure for a result of `mt.seeing` or of `mt.measures.task_map`.

    Args:
        result: the return value of `changes`, `cka_over`, `embedding`, `film`, `gradient_histograms`, `maximise`,
            `probes`, `rsa_over`, `task_map` or `units`.
        options: options that only some results have. For `embedding` and `film`, `classes` holds the names of the
            classes. For `film`, `most` is the largest number of steps to show. For `gradient_histograms`, `of` is
            "gradients" or "updates". For `task_map`, `of` holds one number for each task, to be shown by colour, and
            `name` says what this number is. For `maximise`, `names` holds the names of the features.

    Raises:
        MapstoError: if `result` is not the return value of one of these functions.
    """
    if isinstance(result, Mapping):  # of layers to their units
        return units(result, **options)
    expected = "a result of mt.seeing or of mt.measures.task_map"
    checks.expect(type(result) in _PICTURES, "result", type(result).__name__, expected)
    return _PICTURES[type(result)](result, **options)
