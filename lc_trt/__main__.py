"""`python -m lc_trt` is `lc-trt`."""

import sys

from lc_trt.cli.app import main

sys.exit(main())
