"""Pictures of answers, reasons and models: arrays go in, one `matplotlib.figure.Figure` comes out."""

from .attributions import attributions
from .beeswarm import beeswarm
from .draw import draw
from .heat import heat
from .influence import influence
from .reliability import reliability
from .waterfall import waterfall

__all__ = ["attributions", "beeswarm", "draw", "heat", "influence", "reliability", "waterfall"]
