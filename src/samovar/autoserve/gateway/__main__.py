"""Run the gateway."""

import os
import sys

from samovar.autoserve.gateway.program import main

os.umask(0o077)
sys.exit(main())
