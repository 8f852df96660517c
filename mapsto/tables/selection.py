"""Which rows and columns of a large table to learn from, when not all of them can be read."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from sklearn.model_selection import train_test_split


def some_rows(labels: Int[np.ndarray, " n"], most: int, seed: int = 0) -> Int[np.ndarray, " m"]:
    """Return the positions, in order, of at most `most` rows: a random sample in which no class is lost.

    Classes keep their shares, but for at least two rows each where a class has them.
    """
    rows = np.arange(len(labels))
    if len(rows) <= most:
        return rows
    generator = np.random.default_rng(seed)
    of_class = (generator.permutation(rows[labels == label]) for label in np.unique(labels))
    kept = np.concatenate([mine[:2] for mine in of_class])
    others = np.setdiff1d(rows, kept)
    counts = np.bincount(labels[others])
    alike = labels[others] if counts[counts > 0].min() > 1 and most - len(kept) > len(counts) else None
    more, _ = train_test_split(others, train_size=most - len(kept), stratify=alike, random_state=seed)
    return np.sort(np.concatenate([kept, more]))


def some_columns(x: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], most: int) -> Int[np.ndarray, " m"]:
    """Return the positions, in order, of at most `most` columns: those whose ranks the classes explain best.

    The measure is the correlation ratio η², the share of a column's rank variance that lies between the classes
    (Fisher 1925); missing cells count as the middle rank.
    """
    if x.shape[1] <= most:
        return np.arange(x.shape[1])
    ranks = pd.DataFrame(x).rank(pct=True)
    ranks = (ranks - ranks.mean()).fillna(0.0)
    means = ranks.groupby(labels).transform("mean")
    explained = (means.var() / ranks.var().replace(0.0, 1.0)).to_numpy()
    return np.sort(np.argsort(-explained, kind="stable")[:most])
