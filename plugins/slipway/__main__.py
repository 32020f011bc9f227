"""`python -m slipway` is `slipway`."""

import sys

from slipway.cli import main

sys.exit(main())
