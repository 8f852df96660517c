"""Pictures of answers, reasons and models: arrays or a result go in, one `matplotlib.figure.Figure` comes out."""

from .attributions import attributions
from .bar import bar
from .beeswarm import beeswarm
from .draw import draw
from .heat import heat
from .influence import influence
from .reliability import reliability
from .scatter import scatter
from .waterfall import waterfall

__all__ = ["attributions", "bar", "beeswarm", "draw", "heat", "influence", "reliability", "scatter", "waterfall"]
