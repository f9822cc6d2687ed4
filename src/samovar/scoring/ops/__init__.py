"""The operations a program is made of. They need numpy and nothing else.

A plan names an operation by its class name, so a class that is renamed or changes its meaning raises `samovar.scoring.plan.FORMAT`.
"""

from __future__ import annotations

from samovar.scoring.ops.columns import Concat, Gather, Select
from samovar.scoring.ops.linear import Affine, Linear, Sigmoid, Softmax

AnyOp = Affine | Concat | Gather | Linear | Select | Sigmoid | Softmax
"""Every operation there is; msgspec reads a plan with it."""

__all__ = ["Affine", "AnyOp", "Concat", "Gather", "Linear", "Select", "Sigmoid", "Softmax"]
