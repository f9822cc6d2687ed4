"""A library that takes its time to import, as the models' own do."""

from __future__ import annotations

import time

time.sleep(2)
