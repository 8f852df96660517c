"""Every comparison with peers in one command, with the versions, the processor and the load under which it was made.

    MAPSTO_DATA=... python benchmarks/peers.py
    python benchmarks/peers.py --only sinusoid images

Each part is a benchmark of its own, which is named above its rows and says at its head what it measures; a peer that is
not installed is left out with a sentence. All numbers are ratios of one run on one thread, but the load of a machine
still moves them, so it is printed before each part.
"""

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PARTS = {
    "sinusoid": ["sinusoid_peers.py", "--steps", "1", "5", "10"],
    "convolutions": ["convolutions.py"],
    "images": ["peers_images.py"],
    "explanations": ["peers_explain.py"],
    "questions": ["equal_questions.py", "--games", "5", "--most", "600"],
    "interactions": ["equal_interactions.py", "--games", "2", "--most", "1200"],
    "processes": ["scaling.py"],
    "influence": ["influence.py", "--time", "512", "30"],
}
PACKAGES = (
    *("torch", "numpy", "scikit-learn", "jax", "learn2learn", "higher", "torchopt"),
    *("captum", "shap", "shapiq", "lime", "xgboost", "lightgbm"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare mapsto with its peers.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    print(f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in PACKAGES))
    failed = [name for name in args.only if not passed(PARTS[name])]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def processor() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def passed(command: list[str]) -> bool:
    """Run a benchmark after saying how busy the machine is; return whether it ended well."""
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    print(f"\n{' '.join(command)} ({load})", flush=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, str(FOLDER / command[0]), *command[1:]], env=environment).returncode == 0


if __name__ == "__main__":
    main()
