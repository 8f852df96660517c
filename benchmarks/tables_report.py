"""The lines of the tables benchmark as Markdown: means over tables, with 95 % intervals over tables.

Splits are averaged within a table first, so that a table counts once; the interval is `t₀.₉₇₅(T−1)·s/√T` over T tables.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

NAMES = {
    "mapping": "the mapping",
    "logistic_regression": "logistic regression",
    "random_forest": "random forest",
    "gradient_boosting": "histogram gradient boosting",
    "ebm": "EBM (two splits)",
}
NOTHING = 1e-4  # true values that vary by less: nothing to explain


def lines(out: Path) -> list[dict]:
    """Return what stands in the file; a last line that is still being written is left out."""
    return [json.loads(line) for line in out.read_text().split("\n")[:-1]]


def interval(values: pd.Series, digits: int = 3) -> str:
    """Return `mean ± half the 95 % interval` of one number a table."""
    values = values.dropna()
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.{digits}f} ± {half:.{digits}f}"


def report(found: list[dict]) -> str:
    """Return the whole result."""
    every = pd.DataFrame(found)
    if every.empty:
        return "no lines yet"
    every = every.reindex(columns=every.columns.union(["failed", "left_out"]))
    kept = every[every.failed.isna() & every.left_out.isna()]
    parts = [quality(kept[kept.method.isin(NAMES)]), agreement(kept[kept.method == "agreement"])]
    parts += [speed(kept[kept.method == "kernel_explainer"]), by_table(kept[kept.method.isin(NAMES)])]
    parts += [listed("Failed", every, "failed"), listed("Left out", every, "left_out")]
    return "\n\n".join(part for part in parts if part)


def listed(title: str, every: pd.DataFrame, reason: str) -> str:
    """One line for each reason, with what it befell."""
    some = every[every[reason].notna()]
    cases = some.groupby([reason, "method"])["table"].agg(lambda tables: ", ".join(sorted(set(tables))))
    return f"{title}:\n\n" + "\n".join(f"- {m}, {t}: {r}" for (r, m), t in cases.items()) if len(some) else ""


def quality(kept: pd.DataFrame) -> str:
    """One row a size and method. Ranks (1 is best) are by AUC within a split, among the methods run on all splits."""
    if kept.empty:
        return ""
    main = kept[kept.method != "ebm"].copy()
    main["rank"] = main.groupby(["table", "rows", "split"])["auc"].rank(ascending=False)
    mine = kept[kept.method == "mapping"].set_index(["table", "rows", "split"])["auc"]
    text = [
        "| rows | method | AUC | mapping − method | log-loss | calibration error | mean rank | tables |",
        "|--" * 8 + "|",
    ]
    for (rows, method), part in sorted(
        kept.groupby(["rows", "method"]), key=lambda g: (g[0][0], [*NAMES].index(g[0][1]))
    ):
        mean = part.groupby("table")[["auc", "log_loss", "calibration_error"]].mean()
        ahead = mine - part.set_index(["table", "rows", "split"])["auc"]
        ahead = "" if method == "mapping" else interval(ahead.dropna().groupby("table").mean())
        rank = main[(main.rows == rows) & (main.method == method)].groupby("table")["rank"].mean()
        text.append(
            f"| {rows} | {NAMES[method]} | {interval(mean.auc)} | {ahead} | {interval(mean.log_loss)} | "
            f"{interval(mean.calibration_error)} | {'' if rank.empty else f'{rank.mean():.2f}'} | {len(mean)} |"
        )
    return "Quality, mean over tables ± 95 % interval over tables:\n\n" + "\n".join(text)


def agreement(kept: pd.DataFrame) -> str:
    """One row a size."""
    if kept.empty:
        return ""
    text = [
        "| rows | R² mean | median | worst (table) | cosine | ms a row, median | tables | nothing to explain |",
        "|--" * 8 + "|",
    ]
    for rows, part in kept.groupby("rows"):
        some = part[part.variance > NOTHING]
        mean = some.groupby("table")[["r2", "cosine"]].mean()
        worst = some.loc[some.r2.idxmin()]
        flat = sorted(set(part.table) - set(some.table))
        text.append(
            f"| {rows} | {interval(mean.r2)} | {some.r2.median():.3f} | {worst.r2:.3f} ({worst.table}) | "
            f"{interval(mean.cosine)} | {part.ms_per_row.median():.2f} | {len(mean)} | {', '.join(flat)} |"
        )
    gap = f"Largest |base + Σ values − prediction|: {kept.additive.max():.1e}."
    return "Agreement with exact Shapley values of the same model:\n\n" + "\n".join(text) + "\n\n" + gap


def speed(kept: pd.DataFrame) -> str:
    """One sentence: how much longer KernelExplainer takes at equal agreement."""
    if kept.empty:
        return ""
    ratio = kept.kernel_ms_per_row / kept.ms_per_row
    reached = (kept.kernel_r2 >= kept.r2).mean()
    ours, theirs, coalitions = (kept[name].median() for name in ("ms_per_row", "kernel_ms_per_row", "coalitions"))
    return (
        f"Time a row at equal agreement, medians over {len(kept)} tables, 32 training rows: one pass {ours:.2f} ms, "
        f"shap's KernelExplainer {theirs:.0f} ms with {coalitions:.0f} coalitions: {ratio.median():.0f} times longer. "
        f"It reached that agreement on {100 * reached:.0f} % of the tables."
    )


def by_table(kept: pd.DataFrame) -> str:
    """AUC by table, all sizes and splits averaged: the mapping's worst tables first."""
    if kept.empty:
        return ""
    wide = kept[kept.method != "ebm"].pivot_table("auc", "table", "method")
    wide = wide[[name for name in NAMES if name in wide]]
    if "mapping" in wide:
        wide = wide.loc[(wide["mapping"] - wide.drop(columns="mapping").max(axis=1)).sort_values().index]
    text = ["| table | " + " | ".join(NAMES[name] for name in wide) + " |", "|--" * (1 + wide.shape[1]) + "|"]
    text += [
        f"| {table} | " + " | ".join(f"{value:.3f}" for value in row) + " |"
        for table, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return "AUC by table, over all sizes and splits:\n\n" + "\n".join(text)
