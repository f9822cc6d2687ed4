"""The operations a program is made of. They need numpy and nothing else.

A plan names an operation by its class name, so a class that is renamed or changes its meaning raises `samovar.scoring.plan.FORMAT`.
"""

from __future__ import annotations

from samovar.scoring.ops.checks import Finite
from samovar.scoring.ops.columns import Concat, Gather, Pick, Select
from samovar.scoring.ops.encode import OneHot, Ordinal
from samovar.scoring.ops.linear import Affine, Linear, Sigmoid, Softmax, SparseLinear
from samovar.scoring.ops.sparse import Stack

AnyOp = Affine | Concat | Finite | Gather | Linear | OneHot | Ordinal | Pick | Select | Sigmoid | Softmax | SparseLinear | Stack
"""Every operation there is; msgspec reads a plan with it."""

__all__ = [
    "Affine",
    "AnyOp",
    "Concat",
    "Finite",
    "Gather",
    "Linear",
    "OneHot",
    "Ordinal",
    "Pick",
    "Select",
    "Sigmoid",
    "Softmax",
    "SparseLinear",
    "Stack",
]
