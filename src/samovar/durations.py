"""Spans of time as people write them: ``5ms``, ``1.5s``, ``12h``, ``7d``."""

from __future__ import annotations

import datetime as dt
import re

_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|w)\s*")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def parse(text: str) -> dt.timedelta:
    """Read a span of time; raises ValueError that says how to write one."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no span of time: write a number and us, ms, s, m, h, d or w, as in 5ms or 7d")
    try:
        return dt.timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any span of time can be") from None


__all__ = ["parse"]
