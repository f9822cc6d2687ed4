"""Request ids: the client's own when it is sane, else one of ours."""

from __future__ import annotations

import itertools
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SANE = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")


def sane(sent: bytes) -> bytes:
    """Return ``sent`` if it may go into logs and headers, else nothing."""
    return sent if _SANE.fullmatch(sent) else b""


def maker() -> Callable[[], bytes]:
    """Return a function that makes ids of 32 hexadecimal digits, unique across processes and restarts.

    The first half is random for the maker, the second half counts: a tenth of the time of a random id each. To be called in the
    process that serves: a fork would inherit the random half.
    """
    prefix = os.urandom(8).hex().encode()
    count = itertools.count(int.from_bytes(os.urandom(4)))
    return lambda: b"%b%016x" % (prefix, next(count))
