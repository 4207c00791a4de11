"""`python -m ci_mlsnap` is `mlsnap`."""

import sys

from ci_mlsnap.cli import main

sys.exit(main())
