"""Signed values around a neutral zero: an image, or a bar for each feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from .. import checks
from . import style
from .colours import around_zero

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BARS = 12  # features that are drawn one by one


def signed(values: Float[np.ndarray, ...], reach: float, label: str, names: Sequence[object] = ()) -> Figure:
    """Draw signed values around a neutral zero: the pixels of an image `[..., h, w]`, or a bar for each feature.

    Channels of an image are summed. Of more than twelve features the largest are drawn, and the others summed.
    """
    reach = reach or 1.0
    figure = style.canvas(3.4 if values.ndim > 1 else 1.1 + 0.3 * min(values.size, _BARS))
    if values.ndim > 1:
        axes = figure.subplots()
        image = values.reshape(-1, *values.shape[-2:]).sum(0)
        reach = max(reach, float(np.abs(image).max()))
        bar = figure.colorbar(axes.imshow(image, cmap=around_zero(), vmin=-reach, vmax=reach), ax=axes, fraction=0.05)
        bar.set_label(label, fontsize=9.5)
        axes.set_axis_off()
        return figure
    labels, bars = _largest(values.reshape(-1), names)
    axes = style.rows(style.quiet(figure.subplots()), labels)
    axes.barh(range(len(bars)), bars, color=[style.direction(float(v)) for v in bars], height=0.62)
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_xlim(-1.05 * max(reach, np.abs(bars).max()), 1.05 * max(reach, np.abs(bars).max()))
    axes.set_xlabel(label, fontsize=9.5, color=style.INK)
    return figure


def _largest(values: Float[np.ndarray, " d"], names: Sequence[object]) -> tuple[list[str], Float[np.ndarray, " b"]]:
    """Return names and values; of more than twelve features the smaller ones are summed."""
    fits = len(names) in (0, len(values))
    checks.expect(fits, "names", f"{len(names)} names", f"none, or {len(values)}, one for each feature")
    named = [style.label(name, 20) for name in names] or [f"feature {j + 1}" for j in range(len(values))]
    if len(values) <= _BARS:
        return named, values
    order = np.argsort(-np.abs(values), kind="stable")
    first, rest = np.sort(order[: _BARS - 1]), order[_BARS - 1 :]
    return [named[j] for j in first] + [f"{len(rest)} others, summed"], np.append(values[first], values[rest].sum())
