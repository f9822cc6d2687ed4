"""The lowering rules, by family; importing this package registers them all."""

from __future__ import annotations

from samovar.scoring.compiler.rules import linear, pipeline, scale

__all__ = ["linear", "pipeline", "scale"]
