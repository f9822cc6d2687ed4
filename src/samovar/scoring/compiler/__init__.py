"""Lowers a fitted pipeline to a program, step by step. The builder runs it; a worker never imports it.

One small rule for each estimator (`rules/`), looked up by the exact class: a subclass may compute anything, so it is not lowered.
Then fusing passes (`fuse/`) fold what follows each other. Whatever has no rule raises `NotLowered`, and the native model serves.
"""

from __future__ import annotations

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.lower import compile_model

__all__ = ["NotLowered", "compile_model"]
