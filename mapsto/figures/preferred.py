"""The input that a unit likes best, as activation maximisation returns it, around a neutral zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .signed import signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..seeing.maximisation import Preferred


def preferred(result: Preferred, names: Sequence[object] = ()) -> Figure:
    """Draw the preferred input, pixels or features, under the unit's answers to it and to the start."""
    x = result.x.detach().cpu().numpy()
    figure = signed(x, float(abs(x).max()), "input", names)
    figure.suptitle(
        f"The unit says {float(result.value):.3g}; of the start it said {float(result.start):.3g}.", fontsize=9.5
    )
    return figure
