"""Card fraud: seven fields of one payment, and whether it is fraud."""

from __future__ import annotations

from typing import Annotated, Literal

import polars as pl

import samovar as sv
from samovar.projects import fraud_world


class Payment(sv.Contract):
    """One card payment."""

    transaction_id: sv.Key[str]
    amount: Annotated[float, sv.Range(gt=0), sv.Doc("Sum paid, in the account's currency.")]
    merchant_category: Literal["grocery", "transport", "restaurant", "entertainment", "online", "electronics", "travel", "transfer"]
    hour: Annotated[int, sv.Range(ge=0, le=23), sv.Doc("Hour of the day, UTC.")]
    day_of_week: Annotated[int, sv.Range(ge=0, le=6), sv.Doc("Monday is 0.")]
    user_age: Annotated[int, sv.Range(ge=18, le=100), sv.Doc("Age of the card's holder, in years.")]
    account_balance: Annotated[float, sv.Doc("Balance before the payment; negative when overdrawn.")]


class Verdict(sv.Response):
    """What we think of the payment."""

    transaction_id: Annotated[str, sv.Answer("echo", of="transaction_id")]
    is_fraud: Annotated[bool, sv.Answer("decision"), sv.Doc("Whether the probability reaches the version's threshold.")]
    fraud_probability: Annotated[float, sv.Answer("probability")]
    confidence: Annotated[float, sv.Answer("confidence"), sv.Doc("Probability of the answer given.")]
    model_version: Annotated[str, sv.Answer("model_version")]
    prediction_time: Annotated[str, sv.Answer("prediction_time"), sv.Doc("UTC, ISO 8601.")]


@sv.project(
    contract=Payment,
    response=Verdict,
    target="is_fraud",
    positive=1,
    time="event_time",
    metric="average_precision",
    threshold="max_f1",
    candidates=[
        # The slowest first: candidates are trained side by side, and the last one to start decides when all are done.
        sv.kinds.mlp(trials=1, hidden_layer_sizes="16", batch_size=512),
        sv.kinds.random_forest(trials=1, n_estimators=40),
        sv.kinds.hist_gradient_boosting(trials=3),
        sv.kinds.logreg(trials=2),
    ],
    gate=sv.Gate(minimum=0.4),
)
def fraud(window: sv.Window) -> pl.LazyFrame:
    """Card payments of a made-up world, with the half per cent of broken rows that real feeds have."""
    rows = fraud_world.soil(fraud_world.transactions()).lazy()
    if window.start is not None:
        rows = rows.filter(pl.col("event_time") >= window.start)
    if window.end is not None:
        rows = rows.filter(pl.col("event_time") < window.end)
    return rows
