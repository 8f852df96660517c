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
    """Draw the result of a function of `mt.seeing`, or the result of `mt.measures.task_map`.

    Args:
        result: the return value of `changes`, `cka_over`, `embedding`, `film`, `gradient_histograms`, `maximise`,
            `probes`, `rsa_over`, `task_map` or `units`.
        options: options of some pictures. `classes` (for `embedding` and `film`) holds the names of the classes. `most`
            (for `film`) is the largest number of steps to show. `of` is "gradients" or "updates" for
            `gradient_histograms`; for `task_map`, it holds a number for each task, shown by colour, and `name` is the
            name of this number. `names` (for `maximise`) holds the names of the features.

    Raises:
        MapstoError: if the result is not one of these.
    """
    if isinstance(result, Mapping):  # of layers to their units
        return units(result, **options)
    expected = "a result of mt.seeing or of mt.measures.task_map"
    checks.expect(type(result) in _PICTURES, "result", type(result).__name__, expected)
    return _PICTURES[type(result)](result, **options)
