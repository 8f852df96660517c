"""A figure that a notebook shows, in whatever style the notebook has set, with names of any script.

Jupyter draws figures only after `pyplot` has been imported, which nothing here does: the picture draws itself.
"""

from __future__ import annotations

import io
from typing import Any, final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from . import fonts

_DOTS, _SHOWN = 160, 110  # pixels an inch: of the picture, and of the screen that it takes


@final
class Picture(Figure):
    """A `matplotlib.figure.Figure` of its own canvas."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        FigureCanvasAgg(self)

    def draw(self, renderer: Any) -> None:
        """Draw the letters of every text in the first installed font that has them."""
        texts: list[Any] = self.findobj(Text)
        families = fonts.families(text.get_text() for text in texts)
        for text in texts:
            text.set_fontfamily(families)
        super().draw(renderer)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the picture in 256 colours, which take a third of the space, and its size on the screen."""
        drawn, small = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=_DOTS)
        Image.open(drawn).convert("RGB").quantize(256).save(small, format="png", optimize=True)
        width, height = (round(_SHOWN * inches) for inches in self.get_size_inches())
        return small.getvalue(), {"width": width, "height": height}
