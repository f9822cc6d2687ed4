"""Why a model is not lowered."""

from __future__ import annotations


class NotLowered(Exception):
    """A step has no rule, or a setting that its rule does not cover. The message is one sentence for people."""
