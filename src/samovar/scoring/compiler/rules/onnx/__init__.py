"""The lowering rules of ONNX's operators; importing this package registers them."""

from __future__ import annotations

from samovar.scoring.compiler.rules.onnx import answers, arithmetic, features, graph, linear, trees

__all__ = ["answers", "arithmetic", "features", "graph", "linear", "trees"]
