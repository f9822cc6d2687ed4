"""The operations a program is made of. They need numpy and nothing else.

A plan names an operation by its class name, so a class that is renamed or changes its meaning raises `samovar.scoring.plan.FORMAT`.
"""

from __future__ import annotations

from samovar.scoring.ops.bayes import Counted, Gaussians
from samovar.scoring.ops.bins import Bins
from samovar.scoring.ops.checks import Finite
from samovar.scoring.ops.columns import Concat, Gather, Pick, Select
from samovar.scoring.ops.encode import OneHot, Ordinal
from samovar.scoring.ops.ensemble import Choice, Curves, Logs, Mean, Median, Scatter
from samovar.scoring.ops.forest import Whole
from samovar.scoring.ops.hashing import Hash
from samovar.scoring.ops.impute import Fill, FillCell, Missing
from samovar.scoring.ops.linear import Linear
from samovar.scoring.ops.links import Activation, Complement, LogShares, Shares, Sigmoid, Softmax
from samovar.scoring.ops.poly import Constant, Products, Weighted
from samovar.scoring.ops.power import Power, Quantiles
from samovar.scoring.ops.scale import Affine, Clip, Normalize, Scale, Single, Threshold
from samovar.scoring.ops.scorecard import Scorecard
from samovar.scoring.ops.single import SingleLinear, SingleLogistic, SingleOrder, SingleShares, SingleSigmoid, SingleSoftmax
from samovar.scoring.ops.sparse import Add, SparseLinear, Stack
from samovar.scoring.ops.text import Count, TextLinear
from samovar.scoring.ops.texts import Filled, TextNumber
from samovar.scoring.ops.trees import Trees
from samovar.scoring.ops.weigh import Densify, SparseLog, SparseNorm, SparseScale, SparseSelect, SparseThreshold

AnyOp = (
    Activation
    | Add
    | Affine
    | Bins
    | Choice
    | Clip
    | Complement
    | Concat
    | Constant
    | Count
    | Counted
    | Curves
    | Densify
    | Fill
    | FillCell
    | Filled
    | Finite
    | Gather
    | Gaussians
    | Hash
    | Linear
    | LogShares
    | Logs
    | Mean
    | Median
    | Missing
    | Normalize
    | OneHot
    | Ordinal
    | Pick
    | Power
    | Products
    | Quantiles
    | Scale
    | Scatter
    | Scorecard
    | Select
    | Shares
    | Sigmoid
    | Single
    | SingleLinear
    | SingleLogistic
    | SingleOrder
    | SingleShares
    | SingleSigmoid
    | SingleSoftmax
    | Softmax
    | SparseLinear
    | SparseLog
    | SparseNorm
    | SparseScale
    | SparseSelect
    | SparseThreshold
    | Stack
    | TextLinear
    | TextNumber
    | Threshold
    | Trees
    | Weighted
    | Whole
)
"""Every operation there is; msgspec reads a plan with it."""

__all__ = [
    "Activation",
    "Add",
    "Affine",
    "AnyOp",
    "Bins",
    "Choice",
    "Clip",
    "Complement",
    "Concat",
    "Constant",
    "Count",
    "Counted",
    "Curves",
    "Densify",
    "Fill",
    "FillCell",
    "Filled",
    "Finite",
    "Gather",
    "Gaussians",
    "Hash",
    "Linear",
    "LogShares",
    "Logs",
    "Mean",
    "Median",
    "Missing",
    "Normalize",
    "OneHot",
    "Ordinal",
    "Pick",
    "Power",
    "Products",
    "Quantiles",
    "Scale",
    "Scatter",
    "Scorecard",
    "Select",
    "Shares",
    "Sigmoid",
    "Single",
    "SingleLinear",
    "SingleLogistic",
    "SingleOrder",
    "SingleShares",
    "SingleSigmoid",
    "SingleSoftmax",
    "Softmax",
    "SparseLinear",
    "SparseLog",
    "SparseNorm",
    "SparseScale",
    "SparseSelect",
    "SparseThreshold",
    "Stack",
    "TextLinear",
    "TextNumber",
    "Threshold",
    "Trees",
    "Weighted",
    "Whole",
]
