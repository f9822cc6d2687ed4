"""``python -m samovar.autoserve.standalone``: see ``main``."""

from __future__ import annotations

import sys

from samovar.autoserve.standalone.main import main

if __name__ == "__main__":
    sys.exit(main())
