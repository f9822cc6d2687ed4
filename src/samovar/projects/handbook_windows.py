"""What is known of a payment when it is made: its customer's and its terminal's windows, computed without a look ahead.

A window of ``w`` days before a payment at ``t`` holds, of the same customer, the payments of ``(t - w, t]`` up to and with itself
in the order of the feed. A terminal's window ends seven days earlier, ``(t - 7 - w, t - 7]``, because it takes that long until a
fraud is known: younger labels are not read.

Sums are taken over whole cents and counts, so that a later payment cannot change an earlier window even by a rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from samovar.projects import handbook_world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

DAY = handbook_world.DAY
DAYS = (1, 7, 30)
"""Lengths of the windows, in days."""
DELAY = 7
"""Days until it is known whether a payment was fraud."""
WARM_UP = DELAY + max(DAYS)
"""Days from the first payment on in which the longest window is not complete."""

_NIGHT_ENDS = 6  # the last hour of the night
_THURSDAY = 3  # weekday of second 0 of Unix time; Monday is 0


def features(payments: pl.DataFrame, *, epoch: int) -> pl.DataFrame:
    """Add what a model may know of each payment.

    Args:
        payments: columns ``second`` (ascending), ``customer``, ``terminal``, ``amount`` (two decimals) and ``is_fraud``.
        epoch: Unix time of second 0.

    Returns:
        The same rows and columns, and ``weekend``, ``night``; for W of 1, 7 and 30: ``customer_count_Wd``, ``customer_mean_Wd``
        (amount), ``customer_ratio_Wd`` (of this amount to that mean; 1 where the mean is 0), ``terminal_count_Wd`` and
        ``terminal_fraud_rate_Wd`` (0 where there is none). All but the ratio are the published ones.
    """
    second = payments["second"].to_numpy()
    cents = np.rint(payments["amount"].to_numpy() * 100).astype(np.int64)
    hour, weekday = (second + epoch) // 3600 % 24, ((second + epoch) // DAY + _THURSDAY) % 7
    found: dict[str, NDArray[np.generic]] = {"weekend": weekday >= 5, "night": hour <= _NIGHT_ENDS}
    customers = _Windows(payments["customer"].to_numpy(), second)
    for days in DAYS:
        count, (spent,) = customers.ending(0, days, [cents])
        found[f"customer_count_{days}d"] = count
        found[f"customer_mean_{days}d"] = spent / 100 / count
        found[f"customer_ratio_{days}d"] = np.where(spent > 0, cents * count / np.maximum(spent, 1), 1.0)
    terminals = _Windows(payments["terminal"].to_numpy(), second)
    for days in DAYS:
        count, (frauds,) = terminals.ending(DELAY, days, [payments["is_fraud"].to_numpy()])
        found[f"terminal_count_{days}d"] = count
        found[f"terminal_fraud_rate_{days}d"] = frauds / np.maximum(count, 1)
    return payments.with_columns(**{name: pl.Series(values) for name, values in found.items()})


class _Windows:
    """Rows of one owner after the other, each owner's in order of time: a window is a span of them."""

    def __init__(self, owner: Ints, second: Ints) -> None:
        self._order = np.lexsort((second, owner))
        # Owners lie so far apart that no window of one reaches into the rows of another.
        apart = int(second.max(initial=0)) + (WARM_UP + 1) * DAY
        self._at = (owner.astype(np.int64) * apart + second)[self._order]

    def ending(self, ago: int, days: int, values: Sequence[Ints]) -> tuple[Ints, list[Ints]]:
        """Count and sums of ``values`` in ``(t - ago - days, t - ago]``, for every row in the given order; days."""
        last = self._until(ago) if ago else np.arange(1, self._at.size + 1)
        first = self._until(ago + days)
        return self._back(last - first), [self._back(total[last] - total[first]) for total in map(self._running, values)]

    def _until(self, ago: int) -> Ints:
        return np.searchsorted(self._at, self._at - ago * DAY, side="right")

    def _running(self, values: Ints) -> Ints:
        return np.concatenate([[0], np.cumsum(values[self._order])])

    def _back(self, values: Ints) -> Ints:
        back = np.empty_like(values)
        back[self._order] = values
        return back
