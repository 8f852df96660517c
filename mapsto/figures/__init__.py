"""Pictures of answers, reasons and models: arrays go in, one `matplotlib.figure.Figure` comes out."""

from .attributions import attributions
from .beeswarm import beeswarm
from .curve import learning_curve
from .embedding import embedding
from .film import film_layers, film_losses, film_path, film_reasons, film_said, film_strip
from .histograms import gradient_histograms
from .influence import influence
from .inside import changes, probes, units
from .preferred import preferred
from .reliability import reliability, reliability_bins
from .similarity import similarity
from .task_map import task_map
from .waterfall import waterfall

__all__ = [
    "attributions",
    "beeswarm",
    "changes",
    "embedding",
    "film_layers",
    "film_losses",
    "film_path",
    "film_reasons",
    "film_said",
    "film_strip",
    "gradient_histograms",
    "influence",
    "learning_curve",
    "preferred",
    "probes",
    "reliability",
    "reliability_bins",
    "similarity",
    "task_map",
    "units",
    "waterfall",
]
