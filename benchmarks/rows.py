"""Many rows: one process in batches, and two workers of Dask; time, peak memory, and whether the values are the same.

    OMP_NUM_THREADS=1 python benchmarks/rows.py --rows 1000000

The table is that of `examples/dask_rows.py`: 48 patients teach, three columns, two classes. Peak memory is the most
that was resident (VmHWM of Linux's /proc/self/status): of a worker in all, with the interpreter and torch; of one
process, what it has beyond the interpreter, torch, the table and the values of the workers.
"""

import argparse
import sys
import time
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster

import mapsto as mt

sys.path.append(str(Path(__file__).parents[1] / "examples"))
import dask_rows  # type: ignore[import-not-found]

COLUMNS = ["probability", *(f"because of {name}" for name in ("age", "crp", "ward"))]


def main() -> None:
    """Explain the same rows twice, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args()
    table = dask_rows.patients(48 + args.rows)
    rows = table.drop(columns="outcome")
    clf = mt.TableClassifier().fit(rows[:48], table["outcome"][:48])
    print("| | seconds | rows a second | peak memory, MB |\n|---|---|---|---|", flush=True)
    found = on_workers(rows[48:], clf)
    own = in_batches(rows[48:], clf)
    apart = np.abs(found[COLUMNS].to_numpy() - own).max()
    print(f"\n{len(found):,} rows; the largest difference of a value is {apart:.1e}.")


def on_workers(rows: pd.DataFrame, clf: mt.TableClassifier) -> pd.DataFrame:
    """Explain the rows on two workers, and print how long it took."""
    cloudpickle.register_pickle_by_value(dask_rows)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        start = time.perf_counter()
        found = dask_rows.on_workers(rows, clf, partitions=max(2, len(rows) // 20_000))
        seconds = time.perf_counter() - start
        peak = max(client.run(resident, "VmHWM").values())
    print(f"| two workers | {seconds:.0f} | {len(rows) / seconds:,.0f} | {peak:.0f} each, in all |", flush=True)
    return found.loc[rows.index]


def in_batches(rows: pd.DataFrame, clf: mt.TableClassifier) -> np.ndarray:
    """Explain the rows in this process, and print how long it took."""
    clf.explain(rows[:100])
    found = np.empty((len(rows), len(COLUMNS)))
    Path("/proc/self/clear_refs").write_text("5")
    before, start, first = resident("VmRSS"), time.perf_counter(), 0
    for e in clf.explain_batches(rows):
        found[first : first + len(e)] = np.column_stack([e.predictions[:, 0], e.values[:, :, 0]])
        first += len(e)
    seconds = time.perf_counter() - start
    peak = f"{resident('VmHWM') - before:.0f} more than before, {found.nbytes / 1e6:.0f} of them the values kept"
    print(f"| one process | {seconds:.0f} | {len(rows) / seconds:,.0f} | {peak} |", flush=True)
    return found


def resident(field: str) -> float:
    """Return a field of this process's status in MB."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index(f"{field}:") + 1]) / 1e3


if __name__ == "__main__":
    main()
