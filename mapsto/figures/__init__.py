"""Pictures of reasons and the HTML reports: every picture is a `matplotlib.figure.Figure`, every report one file."""

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
from .report import write_run_report, write_table_report
from .similarity import similarity
from .slider import slider, write_film
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
    "slider",
    "task_map",
    "units",
    "waterfall",
    "write_film",
    "write_run_report",
    "write_table_report",
]
