"""Tests here are larger under `make slow`; what has no small size is left out of `make test`."""

import os

collect_ignore = [] if os.environ.get("MAPSTO_SLOW") else ["test_peers_explain.py"]
