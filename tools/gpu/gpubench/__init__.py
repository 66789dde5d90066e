"""What the scripts of tools/gpu share.

They run in a bare checkout, on a machine where lc-trt is not installed: so the repository's root
comes onto the path here, and tests/helpers/, whose plugin_harness.py is the harness's Python side.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

for folder in (ROOT / "tests" / "helpers", ROOT):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
