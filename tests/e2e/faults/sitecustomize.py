"""Loaded by every Python process of the fault table's stack: a clock that can be set, and points at which the controller dies."""

import os
import sys
import time
from pathlib import Path

_real = time.time
_program = next((sys.orig_argv[at + 1] for at, word in enumerate(sys.orig_argv[:-1]) if word == "-m"), "")


def _offset(path):
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0


if "SAMOVAR_CLOCK" in os.environ and _program.startswith("samovar.autoserve"):
    _clock = Path(os.environ["SAMOVAR_CLOCK"])
    time.time = lambda: _real() + _offset(_clock)

if "SAMOVAR_KILL_AT" in os.environ and _program == "samovar.autoserve":
    import kill_points

    kill_points.install()
