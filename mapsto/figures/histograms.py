"""Histograms of gradients or updates by magnitude: a panel for each layer, a line for each of some inner steps.

The height is the share of the layer's entries in a bin of log₁₀ magnitude; the title says how many are exactly 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import checks
from . import style
from .film import chosen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..seeing.histograms import Histograms

_LAYERS, _STEPS = 8, 4


def gradient_histograms(result: Histograms, of: str = "gradients") -> Figure:
    """Draw up to four steps, with the first and the last, of up to eight layers; `of` is "gradients" or "updates"."""
    checks.one_of(("gradients", "updates"), of=of)
    counts, zero = (
        (result.gradients, result.zero_gradients) if of == "gradients" else (result.updates, result.zero_updates)
    )
    checks.expect(len(counts) > 0, "of", f"{of!r} of an adaptation without steps", "'gradients'")
    from matplotlib import colormaps

    layers, steps = chosen(len(result.layers), _LAYERS), chosen(len(counts), _STEPS)
    edges, n, gone = result.edges.cpu().numpy(), counts.cpu().numpy(), zero.cpu().numpy()
    n = 100 * n / (n.sum(-1, keepdims=True) / np.maximum(1 - gone[..., None], 1e-12)).clip(1)  # per cent of all entries
    figure = style.canvas(1.0 + 1.05 * len(layers))
    panels = figure.subplots(len(layers), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    colours = colormaps["cividis"](np.linspace(0, 0.85, len(steps)))
    for axes, j in zip(panels, layers, strict=True):
        style.quiet(axes)
        for i, colour, line in zip(steps, colours, ("-", "--", "-.", ":"), strict=False):
            axes.stairs(n[i, j], edges, color=colour, linewidth=1.6, linestyle=line, label=f"step {i}")
        axes.set_title(
            f"layer {style.label(result.layers[j], 20)}: {_zeros(gone[steps, j])}", fontsize=9, loc="left", pad=3
        )
        axes.tick_params(labelsize=8.5)
    panels[0].set_ylim(bottom=0)
    figure.supylabel("entries of the layer, in per cent", fontsize=9.5, color=style.INK)
    name = "gradient" if of == "gradients" else "update"
    panels[-1].set_xlabel(f"size of the {name}, log₁₀", fontsize=9.5, color=style.INK)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", fontsize=9, frameon=False, ncols=4, columnspacing=1.2)
    return figure


def _zeros(share: np.ndarray) -> str:
    if share.max() == 0:
        return "no entry is exactly 0"
    first, last = (f"{100 * s:.0f}" for s in (share[0], share[-1]))
    return f"{first} % are exactly 0" if first == last else f"{first} % are exactly 0, {last} % at the end"
