"""Common modules of the scripts in tools/gpu.

The scripts run in a checkout without lc-trt installed, so the repository's root is added to the
path here, and tests/helpers/ for plugin_harness.py, the Python side of the harness.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

for folder in (ROOT / "tests" / "helpers", ROOT):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
