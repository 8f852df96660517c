"""Pictures of reasons and the HTML reports: every picture is a `matplotlib.figure.Figure`, every report one file."""

from .attributions import attributions
from .beeswarm import beeswarm
from .curve import learning_curve
from .influence import influence
from .reliability import reliability, reliability_bins
from .report import write_run_report, write_table_report
from .task_map import task_map
from .waterfall import waterfall

__all__ = [
    "attributions",
    "beeswarm",
    "influence",
    "learning_curve",
    "reliability",
    "reliability_bins",
    "task_map",
    "waterfall",
    "write_run_report",
    "write_table_report",
]
