"""Who is at the keyboard: the actor of decisions that a person makes by a command."""

from __future__ import annotations

import getpass
import os


def actor() -> str:
    """Name of the operating system's user; the number where it has no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
