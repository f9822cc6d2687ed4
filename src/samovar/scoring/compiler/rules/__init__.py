"""The lowering rules, by family; importing this package registers them all."""

from __future__ import annotations

from samovar.scoring.compiler.rules import (
    bayes,
    bins,
    boosting,
    calibration,
    compose,
    decompose,
    dummy,
    encode,
    ensemble,
    functions,
    impute,
    linear,
    neural,
    pipeline,
    scale,
    search,
    select,
    sparse,
    text,
    trees,
)

__all__ = [
    "bayes",
    "bins",
    "boosting",
    "calibration",
    "compose",
    "decompose",
    "dummy",
    "encode",
    "ensemble",
    "functions",
    "impute",
    "linear",
    "neural",
    "pipeline",
    "scale",
    "search",
    "select",
    "sparse",
    "text",
    "trees",
]
