"""Runs the controller."""

from __future__ import annotations

import sys

from samovar.autoserve.main import main

sys.exit(main())
