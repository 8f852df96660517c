"""The time from opening the page of `mapsto play` to the first explained character and the first explained row.

    python benchmarks/play.py

Headless Chromium opens the page afresh each time, with an empty profile, and presses "Draw one for me" as soon as the
scripts have run. Times count from the beginning of the navigation (`performance.now()`).
"""

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import browser

from mapsto.play import page

VISITS = 5
BODY = """
const times = {};
await Promise.all([
  mapsto.characters.drawForMe().then(() => (times.character = performance.now())),
  mapsto.ready.then(() => (times.row = performance.now())),
]);
return times;
"""


def main() -> None:
    """Print a table of medians and ranges in seconds."""
    times: dict[str, list[float]] = {"character": [], "row": []}
    for _ in range(VISITS):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.html"
            page.write(path)
            told = browser.evaluate(path, BODY, "--window-size=1280,900", "--lang=en")
        for name, measured in times.items():
            measured.append(told[name] / 1000)
    print(f"page of {len(page.page()) / 1e6:.1f} MB")
    print("| first explained | median (s) | from (s) | to (s) |\n|---|---|---|---|")
    for name, measured in times.items():
        print(f"| {name} | {statistics.median(measured):.1f} | {min(measured):.1f} | {max(measured):.1f} |")


if __name__ == "__main__":
    main()
