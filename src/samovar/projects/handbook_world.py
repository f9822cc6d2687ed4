"""The card payments of the Fraud Detection Handbook's published simulator, written anew: customers, terminals, three frauds.

A customer has a place, a usual amount and a rate of payments, and pays at the terminals near by. Fraud follows three rules; where
two meet, the later one names the payment.

========== ============================================================================================================
scenario   which payments
========== ============================================================================================================
1          every amount over 220
2          each day two terminals are taken over; all their payments of 28 days
3          each day three customers are robbed; a random third of their payments of 14 days, with five times the amount
========== ============================================================================================================

All is drawn from one seed. A `World` of published size has about 1.75 million payments and takes seconds; `World.of_size` gives a
smaller one with the same share of each kind of fraud.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

START = dt.datetime(2018, 4, 1, tzinfo=dt.UTC)
DAY = 86_400  # seconds

_SQUARE = 100.0  # side of the map on which customers and terminals lie
_NEAR = 5.0  # how far from home a customer pays, on the same map
_NOON, _SPREAD = 43_200, 20_000  # seconds of the day: when payments are made, mean and standard deviation
_LARGE = 220.0
_TAKEN_OVER_DAYS = 28
_ROBBED_DAYS = 14
_TIMES = 5


@dataclass(frozen=True, slots=True)
class World:
    """Sizes of a world; the defaults are the published ones.

    Attributes:
        customers: how many.
        terminals: how many.
        days: length, from ``START``.
        taken_over: terminals taken over a day. A fraction is the chance of one more.
        robbed: customers robbed a day, likewise.
    """

    customers: int = 5000
    terminals: int = 10_000
    days: int = 183
    taken_over: float = 2.0
    robbed: float = 3.0

    @classmethod
    def of_size(cls, customers: int, days: int = 183) -> World:
        """A world of so many customers, all else in the published proportion."""
        share = customers / cls().customers
        terminals = max(1, round(cls().terminals * share))
        return replace(cls(), customers=customers, terminals=terminals, days=days, taken_over=2.0 * share, robbed=3.0 * share)


PUBLISHED = World()


def payments(world: World = PUBLISHED, *, seed: int = 0) -> pl.DataFrame:
    """Return a world's payments in order of time.

    Columns: ``second`` (since ``START``), ``customer`` and ``terminal`` (numbers from 0), ``amount`` (two decimals), ``scenario``
    (0 for an honest payment) and ``is_fraud`` (0 or 1).
    """
    rng = np.random.default_rng(seed)
    mean, customer, day, terminal = _visits(rng, world)
    second, amount = _times(rng, customer.size), _amounts(rng, mean[customer])
    kept = np.flatnonzero((second > 0) & (second < DAY) & (terminal >= 0))
    customer, terminal, amount = customer[kept], terminal[kept], amount[kept]
    second = day[kept] * DAY + second[kept]
    scenario = np.where(amount > _LARGE, 1, 0)
    scenario[_taken_over(rng, world)[terminal, second // DAY]] = 2
    robbed = _robbed(rng, world, customer * world.days + second // DAY)
    np.multiply.at(amount, robbed, _TIMES)
    scenario[robbed] = 3
    order = np.argsort(second, kind="stable")
    columns = {"second": second, "customer": customer, "terminal": terminal, "amount": np.round(amount, 2), "scenario": scenario}
    frame = pl.DataFrame({name: values[order] for name, values in columns.items()})
    return frame.with_columns((pl.col("scenario") > 0).cast(pl.Int64).alias("is_fraud"))


def _visits(rng: np.random.Generator, world: World) -> tuple[Floats, Ints, Ints, Ints]:
    """Usual amount of each customer; of each payment, customer after customer: who, on which day, at which terminal (-1: none)."""
    homes, shops = rng.uniform(0, _SQUARE, (world.customers, 2)), rng.uniform(0, _SQUARE, (world.terminals, 2))
    mean, rate = rng.uniform(5, 100, world.customers), rng.uniform(0, 4, world.customers)
    counts = rng.poisson(rate[:, None], (world.customers, world.days)).ravel()
    cells = np.repeat(np.arange(counts.size), counts)
    customer, day = np.divmod(cells, world.days)
    near = cKDTree(shops).query_ball_point(homes, _NEAR, return_sorted=True)
    sizes = np.array([len(found) for found in near])
    shelf = np.concatenate([*(np.asarray(found, dtype=np.int64) for found in near), [-1]])  # a stop for whoever has none near
    first = np.cumsum(sizes) - sizes
    place = first[customer] + (rng.random(customer.size) * sizes[customer]).astype(np.int64)
    return mean, customer, day, np.where(sizes[customer] > 0, shelf[place], -1)


def _times(rng: np.random.Generator, count: int) -> Ints:
    """Second of the day; what falls outside of the day did not happen."""
    return rng.normal(_NOON, _SPREAD, count).astype(np.int64)


def _amounts(rng: np.random.Generator, mean: Floats) -> Floats:
    amount = rng.normal(mean, mean / 2)
    return np.asarray(np.where(amount < 0, rng.uniform(0, 2 * mean), amount).round(2), dtype=np.float64)


def _taken_over(rng: np.random.Generator, world: World) -> NDArray[np.bool_]:
    """Which terminal is in foreign hands on which day, shape (terminals, days)."""
    taken = np.zeros((world.terminals, world.days), dtype=np.bool_)
    for day, chosen in _daily(rng, world.days, world.taken_over, world.terminals):
        taken[chosen, day : day + _TAKEN_OVER_DAYS] = True
    return taken


def _robbed(rng: np.random.Generator, world: World, cell: Ints) -> Ints:
    """Positions of the payments of scenario 3, twice where two robberies meet; ``cell`` is customer * days + day, ascending."""
    starts = np.searchsorted(cell, np.arange(world.customers * world.days + 1))
    hits = [np.empty(0, dtype=np.int64)]
    for day, chosen in _daily(rng, world.days, world.robbed, world.customers):
        until = min(day + _ROBBED_DAYS, world.days)
        for who in chosen * world.days:
            first, last = starts[who + day], starts[who + until]
            hits.append(first + rng.choice(last - first, (last - first) // 3, replace=False))
    return np.concatenate(hits)


def _daily(rng: np.random.Generator, days: int, expected: float, among: int) -> Iterator[tuple[int, Ints]]:
    """Draw, day by day, whom it hits."""
    counts = np.floor(expected + rng.random(days)).astype(np.int64) if expected % 1 else np.full(days, int(expected))
    for day, count in enumerate(counts):
        yield day, rng.choice(among, min(int(count), among), replace=False)
