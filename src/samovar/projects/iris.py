"""Iris: three species told apart by four lengths; the smallest whole loop there is."""

from __future__ import annotations

from typing import Annotated

import polars as pl

import samovar as sv

# Wide on purpose: a batch of unusual flowers is drift to be noticed, not dirt to be refused.
Length = Annotated[float, sv.Range(gt=0, le=50)]


class Flower(sv.Contract):
    """One iris flower, measured in centimetres."""

    sepal_length: Length
    sepal_width: Length
    petal_length: Length
    petal_width: Length


@sv.project(
    contract=Flower,
    target="species",
    metric="accuracy",
    candidates=[
        sv.kinds.logreg(trials=3),
        sv.kinds.random_forest(trials=1, n_estimators=50),
        sv.kinds.hist_gradient_boosting(trials=2, max_iter=50),
        sv.kinds.mlp(trials=2),
    ],
    gate=sv.Gate(minimum=0.85),
)
def iris(window: sv.Window) -> pl.DataFrame:  # noqa: ARG001 - the flowers have no time
    """Fisher's iris flowers, as scikit-learn carries them."""
    from sklearn.datasets import load_iris  # noqa: PLC0415 - a declaration stays light

    data = load_iris()
    rows = pl.DataFrame(data.data, schema=["sepal_length", "sepal_width", "petal_length", "petal_width"])
    return rows.with_columns(species=pl.Series([str(data.target_names[label]) for label in data.target]))
