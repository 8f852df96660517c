"""The inside of a model: how well probes read each layer, which units are dead, and what adaptation changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..measures.evaluation.intervals import ends_of_share
from . import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..seeing.changes import Changes
    from ..seeing.probes import Probes
    from ..seeing.units import Units


def probes(result: Probes) -> Figure:
    """Draw the accuracy of a linear probe on each layer, in the first state and in the last."""
    accuracy = result.accuracy.double().cpu().numpy()
    figure = style.canvas(1.3 + 0.42 * len(result.layers))
    axes = style.rows(style.quiet(figure.subplots()), [style.label(layer, 18) for layer in result.layers])
    ends = [(0, "o", style.LOWER, "before"), (-1, "s", style.HIGHER, "after")]
    for i, mark, colour, name in ends if accuracy.shape[1] > 1 else [(0, "o", style.LOWER, "accuracy")]:
        share, at = accuracy[:, i], np.arange(len(accuracy)) + (0.13 if i else -0.13 * (accuracy.shape[1] > 1))
        low, high = ends_of_share(share, np.full(len(share), result.rows))
        axes.errorbar(
            100 * share, at, xerr=100 * np.maximum(np.stack([share - low, high - share]), 0), fmt=mark, color=colour,
            markersize=6, elinewidth=1.3, capsize=3, label=f"{name}, with 95 % interval",
        )  # fmt: skip
    axes.axvline(100 * result.chance, color=style.NEUTRAL, linestyle=(0, (4, 3)), label="commonest class")
    axes.set_xlim(-2, 102)
    axes.set_xlabel(
        f"rows that a linear probe classifies correctly, in per cent of {result.rows}", fontsize=9.5, color=style.INK
    )
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=2, columnspacing=1.2)
    return figure


def units(result: Mapping[str, Units]) -> Figure:
    """Draw the share of dead and of saturated units of each activation layer."""
    figure = style.canvas(1.2 + 0.36 * len(result))
    axes = style.rows(style.quiet(figure.subplots()), [style.label(layer, 18) for layer in result])
    dead, saturated = (100 * np.array([float(part.float().mean()) for part in parts]) for parts in _parts(result))
    at = range(len(result))
    axes.barh(at, dead, color=style.INK, height=0.62, label="dead: no slope on any row")
    axes.barh(
        at,
        saturated,
        left=dead,
        color=style.HIGHER,
        height=0.62,
        hatch="//",
        edgecolor="white",
        label="nearly flat on 95 % of the rows",
    )
    for i, (layer, total) in enumerate(zip(result.values(), dead + saturated, strict=True)):
        axes.annotate(
            f"{int(layer.dead.sum() + layer.saturated.sum())} of {len(layer.dead)}", (total, i), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=9, color=style.INK,
        )  # fmt: skip
    axes.set_xlim(0, 118)
    axes.set_xticks(range(0, 101, 25))
    axes.set_xlabel("units of the layer, in per cent", fontsize=9.5, color=style.INK)
    figure.legend(loc="outside upper left", fontsize=9, frameon=False, ncols=2, columnspacing=1.2)
    return figure


def changes(result: Changes) -> Figure:
    """Draw by how much adaptation changed each layer's parameters, and the features of each part of the network."""
    layers, parts = result.parameters[-1].cpu().numpy(), result.features[-1].cpu().numpy()
    figure = style.canvas(1.7 + 0.34 * (len(layers) + len(parts)))
    top, bottom = figure.subplots(2, 1, height_ratios=[len(layers) + 1, len(parts) + 1])
    _bars(top, result.layers, layers, "change of the parameters, in per cent of their size")
    _bars(bottom, result.parts, parts, "change of the features, in per cent of their size")
    return figure


def _bars(axes: Axes, names: tuple[str, ...], shares: np.ndarray, title: str) -> None:
    style.rows(style.quiet(axes), [style.label(name, 18) for name in names])
    bars = 100 * np.nan_to_num(shares)
    axes.barh(range(len(bars)), bars, color=style.LOWER, height=0.62)
    for i, share in enumerate(shares):
        text = "from 0" if np.isnan(share) else format(100 * share, ",.0f" if share >= 1 else ".3g")
        axes.annotate(text, (bars[i], i), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_xlim(0, 1.2 * max(bars.max(), 1e-9))
    axes.set_xlabel(title, fontsize=9.5, color=style.INK)


def _parts(result: Mapping[str, Units]) -> tuple[list, list]:
    return [layer.dead for layer in result.values()], [layer.saturated for layer in result.values()]
