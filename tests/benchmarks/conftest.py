"""The benchmarks are a package beside `src`, found from the checkout's root."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
