"""`python -m mapsto` is the command `mapsto`."""

import sys

from .cli import main

sys.exit(main())
