"""More rows than one process should read: a fitted classifier explains each partition of a Dask table.

Run: python examples/dask_rows.py      (MAPSTO_TINY=1 makes it small, as the tests do; it needs dask and distributed)

`explained` takes a DataFrame and returns one, which is also what Spark's `mapInPandas` and Ray's `map_batches` ask for.
"""

import os

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster

import mapsto as mt

ROWS = 10_000 if os.environ.get("MAPSTO_TINY") else 100_000
WORKERS = 2


def patients(rows: int, seed: int = 0) -> pd.DataFrame:
    """Draw a table of patients; the last column is the outcome."""
    r = np.random.default_rng(seed)
    table = pd.DataFrame({"age": r.normal(60, 9, rows).round(), "crp": r.gamma(2, 10, rows).round(1)})
    table["ward"] = r.choice(["north", "south", "east"], rows)
    table.loc[r.random(rows) < 0.05, "crp"] = np.nan
    risk = (table["age"] - 60) / 9 + table["crp"].fillna(20) / 20 - 1
    return table.assign(outcome=np.where(risk + r.normal(size=rows) > 0, "ill", "well"))


def explained(rows: pd.DataFrame, clf: mt.TableClassifier) -> pd.DataFrame:
    """Return the probability of the first class for each row, and the contribution of each column to it."""
    e = clf.explain(rows)
    because = pd.DataFrame(e.values[:, :, 0], rows.index, [f"because of {name}" for name in e.feature_names])
    because.insert(0, "probability", e.predictions[:, 0])
    return because


def on_workers(table: pd.DataFrame, clf: mt.TableClassifier, partitions: int) -> pd.DataFrame:
    """Explain a table on the workers of the current client; `delayed` sends the classifier to each worker once."""
    split = dd.from_pandas(table, npartitions=partitions)
    return split.map_partitions(explained, dask.delayed(clf), meta=explained(table[:2], clf)).compute()


def main() -> None:
    """Fit on 48 patients, explain the others on two workers, and compare a few rows with this process."""
    table = patients(48 + ROWS)
    rows = table.drop(columns="outcome")
    clf = mt.TableClassifier().fit(rows[:48], table["outcome"][:48])
    new = rows[48:]
    with LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        found = on_workers(new, clf, partitions=4 * WORKERS)
    some = new[:: ROWS // 500]
    apart = (found.loc[some.index] - explained(some, clf)).abs().to_numpy().max()
    print(f"{len(found):,} rows on {WORKERS} workers; from the values of this process they differ by {apart:.1e}")
    print(found.head(3).round(3).to_string())


if __name__ == "__main__":
    main()
