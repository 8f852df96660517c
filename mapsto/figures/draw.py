"""One verb for every result that is no table of contributions: the picture that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .. import checks
from ..explainers.across_tasks.effects import LocalEffects, SingleRows
from ..explainers.across_tasks.global_explanation import GlobalImportance, PartialDependence
from ..explainers.interaction_indices import InteractionValues
from ..measures.evaluation.similarity import TaskMap
from ..measures.faithfulness.perturbation_curves import Curves
from ..seeing.changes import Changes
from ..seeing.embedding import Embedding
from ..seeing.film import Film
from ..seeing.histograms import Histograms
from ..seeing.maximisation import Preferred
from ..seeing.probes import Probes
from ..seeing.similarity import Similarity
from .effects import local_effects, over_tasks, single_rows
from .embedding import embedding
from .film import film_strip
from .histograms import gradient_histograms
from .importance import importance
from .inside import changes, probes, units
from .interactions import of_index, of_matrix
from .perturbed import perturbed
from .preferred import preferred
from .similarity import similarity
from .task_map import task_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PICTURES: dict[type, Callable[..., Figure]] = {
    Changes: changes,
    Curves: perturbed,
    Embedding: embedding,
    Film: film_strip,
    GlobalImportance: importance,
    Histograms: gradient_histograms,
    InteractionValues: of_index,
    LocalEffects: local_effects,
    PartialDependence: over_tasks,
    Preferred: preferred,
    Probes: probes,
    Similarity: similarity,
    SingleRows: single_rows,
    TaskMap: task_map,
    Tensor: of_matrix,
}


def draw(result: Any, **options: Any) -> Figure:
    """Draw the figure for a result of `mt.seeing`, `mt.explainers` or `mt.measures`.

    Args:
        result: the return value of `changes`, `cka_over`, `embedding`, `film`, `gradient_histograms`, `maximise`,
            `probes`, `rsa_over` or `units` of `mt.seeing`; of `ale`, `ice`, `global_importance`, `partial_dependence`,
            `Interactions` or `ShapleyInteractions` of `mt.explainers`; of `insertion_deletion` or `task_map` of
            `mt.measures`.
        options: options that only some results have. For `embedding` and `film`, `classes` holds the names of the
            classes. For `film`, `most` is the largest number of steps to show. For `gradient_histograms`, `of` is
            "gradients" or "updates". For `task_map`, `of` holds one number for each task, to be shown by colour, and
            `name` says what this number is. For `partial_dependence`, `name` is the name of the column. For `maximise`,
            `names` holds the names of the features, for `global_importance` those of the columns, and for interactions
            those of the players.

    Raises:
        MapstoError: if `result` is not the return value of one of these functions.
    """
    if isinstance(result, Mapping):  # of layers to their units
        return units(result, **options)
    expected = "a result of mt.seeing, mt.explainers or mt.measures that has a picture"
    checks.expect(type(result) in _PICTURES, "result", type(result).__name__, expected)
    return _PICTURES[type(result)](result, **options)
