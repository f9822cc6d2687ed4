"""Wine: three cultivars told apart by thirteen measurements of a laboratory."""

from __future__ import annotations

from typing import Annotated

import polars as pl

import samovar as sv

Amount = Annotated[float, sv.Range(ge=0, le=10_000)]

_CULTIVARS = ("barolo", "grignolino", "barbera")  # scikit-learn's class_0, class_1 and class_2


class Bottle(sv.Contract):
    """The chemistry of one bottle."""

    alcohol: Annotated[float, sv.Range(ge=0, le=100), sv.Doc("Per cent of volume.")]
    malic_acid: Amount
    ash: Amount
    alcalinity_of_ash: Amount
    magnesium: Amount
    total_phenols: Amount
    flavanoids: Amount
    nonflavanoid_phenols: Amount
    proanthocyanins: Amount
    color_intensity: Amount
    hue: Amount
    od280_od315: Annotated[float, sv.Range(ge=0, le=10_000), sv.Doc("Absorption at 280 nm over that at 315 nm, diluted.")]
    proline: Amount


@sv.project(
    contract=Bottle,
    target="cultivar",
    metric="f1_macro",
    candidates=[
        sv.kinds.logreg(trials=3),
        sv.kinds.random_forest(trials=1, n_estimators=50),
        sv.kinds.hist_gradient_boosting(trials=2, max_iter=50),
        sv.kinds.mlp(trials=2),
    ],
    gate=sv.Gate(minimum=0.85),
)
def wine(window: sv.Window) -> pl.DataFrame:  # noqa: ARG001 - the bottles have no time
    """Wines of three cultivars of one region, as scikit-learn carries them."""
    from sklearn.datasets import load_wine  # noqa: PLC0415 - a declaration stays light

    data = load_wine()
    rows = pl.DataFrame(data.data, schema=[field.name for field in Bottle.spec.fields])
    return rows.with_columns(cultivar=pl.Series([_CULTIVARS[label] for label in data.target]))
