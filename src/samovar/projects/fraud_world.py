"""A small made-up world of card payments: customers with habits, and fraudsters with methods.

Everything is drawn from one seed, so that the same days hold the same payments on every machine.

**Customers** have an age, a balance, a taste for some merchant categories, a purse (how much they spend) and an hour of the day
at which they like to pay. Some young ones live at night. Payments a day are Poisson; amounts are log-normal around the category's
usual price times the purse.

**Fraud** comes in episodes: a fraudster picks a customer and a method, then makes a few payments within hours.

=========== =========================================== ================================================================
method      what is paid                                why one number alone does not give it away
=========== =========================================== ================================================================
probing     tiny sums online, deep in the night         bus tickets are tiny too; night owls pay at night; all buy online
emptying    most of the balance, for things that resell rich customers pay such sums every week
persuasion  transfers by the elderly, in office hours   the young transfer such sums for rent; the elderly pay much else
blending    whatever the customer would have paid       it looks like the customer: no model can catch it
=========== =========================================== ================================================================

The first three are conjunctions of ordinary values, which is why trees see them and a linear model does not. Blending, and
customers who now and then do what fraudsters do, keep the best possible model honest: its probabilities stay away from 0 and 1.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Columns = dict[str, Any]

CATEGORIES = ("grocery", "transport", "restaurant", "entertainment", "online", "electronics", "travel", "transfer")
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

_PRICE = np.array([32.0, 3.0, 24.0, 18.0, 38.0, 160.0, 240.0, 300.0])  # usual price by category, for an average purse
_TASTE = np.array([8.0, 6.0, 5.0, 3.0, 5.0, 1.2, 0.9, 1.4])  # how often each category is chosen, on average
_EPISODES_A_DAY = 1.7
_METHODS = ("probing", "emptying", "persuasion", "blending")
_METHOD_SHARE = (0.33, 0.30, 0.22, 0.15)
_ODD_SHARE = 0.006  # honest payments that look like emptying: somebody buys a car
_TOP_UP_SHARE = 0.5  # night owls top up games and streams by tiny sums, which looks like probing


@dataclass(frozen=True, slots=True)
class Customers:
    """Arrays of one value (or one row of category weights) per customer."""

    age: Ints
    balance: Floats
    purse: Floats
    rate: Floats
    hour: Floats
    taste: Floats


def transactions(*, days: int = 60, customers: int = 260, seed: int = 7) -> pl.DataFrame:
    """Return the payments of ``days`` days from ``START``, in order of time.

    About 3 % are fraud. Columns: transaction_id, amount, merchant_category, hour, day_of_week (Monday is 0), user_age,
    account_balance, is_fraud (0 or 1), event_time (UTC).
    """
    rng = np.random.default_rng(seed)
    people = _customers(rng, customers)
    honest, fraud = _honest(rng, people, days), _fraud(rng, people, days)
    columns = {name: np.concatenate([honest[name], fraud[name]]) for name in honest}
    order = np.argsort(columns["second"], kind="stable")
    return _frame({name: values[order] for name, values in columns.items()})


def soil(frame: pl.DataFrame, *, share: float = 0.005, seed: int = 8) -> pl.DataFrame:
    """Break one cell in ``share`` of the rows, as feeds do: a value is lost, out of range, or of an unknown category."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(frame.height, size=int(frame.height * share), replace=False)
    breaks: list[tuple[str, Any]] = [
        ("amount", None),
        ("amount", -12.5),
        ("merchant_category", "casino"),
        ("hour", 24),
        ("user_age", 7),
        ("account_balance", None),
    ]
    for kind, (column, value) in enumerate(breaks):
        broken = pl.Series(rows[kind :: len(breaks)], dtype=pl.UInt32).implode()
        here = pl.int_range(pl.len(), dtype=pl.UInt32).is_in(broken)
        frame = frame.with_columns(pl.when(here).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))
    return frame


def _customers(rng: np.random.Generator, count: int) -> Customers:
    age = (18 + 77 * rng.beta(1.8, 2.2, count)).astype(np.int64)
    balance = np.exp(rng.normal(7.1, 0.9, count)) * (0.6 + age / 70)
    owl = rng.random(count) < np.where(age < 40, 0.35, 0.04)
    return Customers(
        age=age,
        balance=balance,
        purse=(balance / 2000) ** 0.4 * np.exp(rng.normal(0, 0.25, count)),
        rate=rng.gamma(2.5, 0.3, count),
        hour=np.where(owl, rng.normal(25.0, 1.5, count), rng.normal(14.5, 2.0, count)),
        taste=rng.dirichlet(_TASTE, count),
    )


def _honest(rng: np.random.Generator, people: Customers, days: int) -> Columns:
    """Payments that customers make themselves."""
    counts = rng.poisson(people.rate[:, None], (people.rate.size, days))
    who = np.repeat(np.arange(people.rate.size), counts.sum(axis=1))
    day = np.concatenate([np.repeat(np.arange(days), row) for row in counts])
    paid = _as_usual(rng, people, who)
    odd = rng.random(who.size) < _ODD_SHARE
    paid["category"][odd] = rng.choice([5, 6], odd.sum())
    paid["amount"][odd] = paid["balance"][odd] * rng.uniform(0.3, 0.8, odd.sum())
    top_up = (paid["category"] == 3) & (paid["hour"] >= 24) & (rng.random(who.size) < _TOP_UP_SHARE)
    paid["amount"][top_up] = rng.uniform(1.0, 9.0, top_up.sum())
    return {**paid, "second": _seconds(day, paid.pop("hour"), rng), "fraud": np.zeros(who.size, dtype=np.int64)}


def _as_usual(rng: np.random.Generator, people: Customers, who: Ints) -> Columns:
    """What these customers would pay: category, amount, hour of the day (24 and more is the next day), age and balance."""
    steps = np.cumsum(people.taste[who], axis=1)
    category = np.minimum((rng.random(who.size)[:, None] > steps).sum(axis=1), len(CATEGORIES) - 1)
    # The elderly seldom transfer much by themselves; the young pay their rent so.
    sedate = np.where((category == 7) & (people.age[who] >= 62), 0.5, 1.0)
    return {
        "category": category,
        "amount": _PRICE[category] * people.purse[who] * sedate * np.exp(rng.normal(0, 0.6, who.size)),
        "hour": people.hour[who] + rng.normal(0, 2.6, who.size),
        "age": people.age[who],
        "balance": people.balance[who] * np.exp(rng.normal(0, 0.15, who.size)),
    }


def _fraud(rng: np.random.Generator, people: Customers, days: int) -> Columns:
    """Episodes of two to five payments on one customer, all by one method."""
    day = np.repeat(np.arange(days), rng.poisson(_EPISODES_A_DAY, days))
    method = rng.choice(len(_METHODS), day.size, p=_METHOD_SHARE)
    victim = rng.integers(0, people.age.size, day.size)
    elderly = np.flatnonzero(people.age >= 62)
    victim = np.where(method == _METHODS.index("persuasion"), rng.choice(elderly, day.size), victim)
    size = rng.integers(2, 6, day.size)
    day, method, who = np.repeat(day, size), np.repeat(method, size), np.repeat(victim, size)
    paid = _as_usual(rng, people, who)
    for index, name in enumerate(_METHODS[:3]):
        _HANDIWORK[name](rng, paid, method == index)
    return {**paid, "second": _seconds(day, paid.pop("hour"), rng), "fraud": np.ones(who.size, dtype=np.int64)}


def _probe(rng: np.random.Generator, paid: Columns, rows: NDArray[np.bool_]) -> None:
    count = int(rows.sum())
    paid["category"][rows] = rng.choice([3, 4], count, p=[0.3, 0.7])
    paid["amount"][rows] = rng.uniform(0.5, 6.0, count)
    paid["hour"][rows] = 24 + rng.uniform(0, 5, count)


def _empty(rng: np.random.Generator, paid: Columns, rows: NDArray[np.bool_]) -> None:
    count = int(rows.sum())
    paid["category"][rows] = rng.choice([5, 6], count, p=[0.7, 0.3])
    paid["amount"][rows] = paid["balance"][rows] * rng.uniform(0.35, 0.9, count)


def _persuade(rng: np.random.Generator, paid: Columns, rows: NDArray[np.bool_]) -> None:
    count = int(rows.sum())
    paid["category"][rows] = CATEGORIES.index("transfer")
    paid["amount"][rows] = np.exp(rng.normal(5.8, 0.5, count))
    paid["hour"][rows] = rng.uniform(9, 16, count)


_HANDIWORK: dict[str, Callable[[np.random.Generator, Columns, NDArray[np.bool_]], None]] = {
    "probing": _probe,
    "emptying": _empty,
    "persuasion": _persuade,
}


def _seconds(day: Ints, hour: Floats, rng: np.random.Generator) -> Ints:
    """Seconds since ``START``; hours past midnight stay on the same day, so that every day is whole."""
    second_of_hour = rng.integers(0, 3600, hour.size)
    return day * 86_400 + np.floor(hour).astype(np.int64) % 24 * 3600 + second_of_hour


def _frame(columns: Columns) -> pl.DataFrame:
    size = columns["second"].size
    when = pl.Series(columns["second"]) * 1_000_000 + int(START.timestamp()) * 1_000_000
    return pl.DataFrame(
        {
            "transaction_id": [f"tx-{index:06d}" for index in range(size)],
            "amount": np.maximum(np.round(columns["amount"], 2), 0.01),
            "merchant_category": np.array(CATEGORIES)[columns["category"]],
            "user_age": columns["age"],
            "account_balance": np.round(columns["balance"], 2),
            "is_fraud": columns["fraud"],
            "event_time": when.cast(pl.Datetime("us", "UTC")),
        }
    ).select(
        "transaction_id",
        "amount",
        "merchant_category",
        pl.col("event_time").dt.hour().cast(pl.Int64).alias("hour"),
        (pl.col("event_time").dt.weekday() - 1).cast(pl.Int64).alias("day_of_week"),
        "user_age",
        "account_balance",
        "is_fraud",
        "event_time",
    )
