"""Card fraud as the Fraud Detection Handbook simulates it: one payment, the windows before it, and whether it is fraud.

The windows are computed upstream, in the source, and come with each payment as fields of the contract: an endpoint holds no
history.
``FRAUD_HANDBOOK_CUSTOMERS`` and ``FRAUD_HANDBOOK_SEED`` choose the world; 5000 customers are the published size.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Annotated

import polars as pl

import samovar as sv
from samovar.projects import handbook_windows, handbook_world

CUSTOMERS = 200
"""Customers of the world unless the environment says another number: a 25th of the published size, minutes on a laptop."""

Count = Annotated[int, sv.Range(ge=0)]
Mean = Annotated[float, sv.Range(ge=0)]
Ratio = Annotated[float, sv.Range(ge=0)]
Rate = Annotated[float, sv.Range(ge=0, le=1)]


class CardPayment(sv.Contract):
    """One card payment, and the windows before it."""

    transaction_id: sv.Key[str]
    amount: Annotated[float, sv.Range(ge=0), sv.Doc("Sum paid.")]
    weekend: Annotated[bool, sv.Doc("Saturday or Sunday, UTC.")]
    night: Annotated[bool, sv.Doc("Before seven in the morning, UTC.")]
    customer_count_1d: Annotated[int, sv.Range(ge=1), sv.Doc("Payments of the customer within a day, this one included.")]
    customer_mean_1d: Annotated[float, sv.Range(ge=0), sv.Doc("Their mean amount.")]
    customer_ratio_1d: Annotated[float, sv.Range(ge=0), sv.Doc("This amount over that mean: a robber spends unlike the customer.")]
    customer_count_7d: Annotated[int, sv.Range(ge=1)]
    customer_mean_7d: Mean
    customer_ratio_7d: Ratio
    customer_count_30d: Annotated[int, sv.Range(ge=1)]
    customer_mean_30d: Mean
    customer_ratio_30d: Ratio
    terminal_count_1d: Annotated[int, sv.Range(ge=0), sv.Doc("Payments at the terminal in the day that ended seven days ago.")]
    terminal_fraud_rate_1d: Annotated[float, sv.Range(ge=0, le=1), sv.Doc("Share of fraud in them; 0 when there are none.")]
    terminal_count_7d: Count
    terminal_fraud_rate_7d: Rate
    terminal_count_30d: Count
    terminal_fraud_rate_30d: Rate


class Verdict(sv.Response):
    """What we think of the payment."""

    transaction_id: Annotated[str, sv.Answer("echo", of="transaction_id")]
    is_fraud: Annotated[bool, sv.Answer("decision"), sv.Doc("Whether the probability reaches the version's threshold.")]
    fraud_probability: Annotated[float, sv.Answer("probability")]
    model_version: Annotated[str, sv.Answer("model_version")]


@sv.project(
    contract=CardPayment,
    response=Verdict,
    target="is_fraud",
    positive=1,
    time="event_time",
    label_delay=dt.timedelta(days=handbook_windows.DELAY),
    metric="average_precision",
    threshold="max_f1",
    candidates=[
        sv.kinds.random_forest(trials=1, n_estimators=100, min_samples_leaf=5, max_features=0.3),
        sv.kinds.hist_gradient_boosting(trials=3),
        sv.kinds.logreg(trials=1),
    ],
    gate=sv.Gate(minimum=0.3),
)
def fraud_handbook(window: sv.Window) -> pl.DataFrame:
    """Card payments of the published simulator, from the day on which their windows are complete."""
    rows = payments(_number("FRAUD_HANDBOOK_CUSTOMERS", CUSTOMERS), seed=_number("FRAUD_HANDBOOK_SEED", 0))
    first = handbook_world.START + dt.timedelta(days=handbook_windows.WARM_UP)
    rows = rows.filter(pl.col("event_time") >= max(window.start or first, first))
    return rows if window.end is None else rows.filter(pl.col("event_time") < window.end)


def payments(customers: int, *, seed: int = 0) -> pl.DataFrame:
    """The payments of a world with so many customers, with their windows, as the contract names them."""
    epoch = int(handbook_world.START.timestamp())
    world = handbook_world.World.of_size(customers)
    known = handbook_windows.features(handbook_world.payments(world, seed=seed), epoch=epoch)
    identity = pl.lit("tx-") + pl.int_range(pl.len()).cast(pl.String).str.zfill(7)
    time = ((pl.col("second") + epoch) * 1_000_000).cast(pl.Datetime("us", "UTC"))
    return known.select(
        identity.alias("transaction_id"),
        *(field.name for field in CardPayment.spec.features),
        "is_fraud",
        time.alias("event_time"),
    )


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    if text and not text.isdecimal():
        raise ValueError(f"{variable} must be a whole number")
    return int(text) if text else default
