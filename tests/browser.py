"""A headless Chromium, for tests that look at pages: `browser.CHROMIUM` is None where none is installed."""

import shutil
import subprocess
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def run(page: Path, *flags: str, budget: int = 20000, timeout: int = 300) -> "subprocess.CompletedProcess[str]":
    """Open a page, let its scripts run for `budget` milliseconds of its own time, and return what Chromium printed."""
    own = [f"--user-data-dir={page.parent / 'profile'}", f"--virtual-time-budget={budget}"]
    command = [str(CHROMIUM), *_FLAGS, *own, *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)
