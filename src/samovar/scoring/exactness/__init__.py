"""A lowered model is used only after it gave the native model's answers. The builder runs this; a worker never imports it."""

from __future__ import annotations

from samovar.scoring.exactness.check import Agreement, Disagrees, check

__all__ = ["Agreement", "Disagrees", "check"]
