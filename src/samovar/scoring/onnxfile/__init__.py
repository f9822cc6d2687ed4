"""ONNX files, read as data: no onnx package, no onnxruntime."""

from __future__ import annotations

from samovar.scoring.onnxfile.graph import Graph, Known, Node, Port, read
from samovar.scoring.onnxfile.trust import external, outside, strangers

__all__ = ["Graph", "Known", "Node", "Port", "external", "outside", "read", "strangers"]
