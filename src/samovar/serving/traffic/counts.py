"""What is counted of shared traffic; each version that is met gets numbers of its own, in the endpoint's metrics folder."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from samovar.serving.exposition import DIFFERENCES
from samovar.serving.traffic.assignment import GROUPS
from samovar.serving.traffic.recent import Recent

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    from samovar.serving.metrics import Metrics

FALLBACKS = ("down", "slow", "busy", "unfit", "failed")
"""Why the champion answered another's share: nobody is there; no answer in time; too much waits; the versions do not fit; the other
version's own failure."""

DROPS = ("full", "down", "unfit")
"""Why a shadow did not get a row: the queue is full, nobody is there, or the versions do not fit."""

SPLIT_ROWS = "samovar_traffic_rows_total"
FALLBACK = "samovar_traffic_fallback_total"
GROUP_ROWS = "traffic_groups"  # not exposed: a series of 256 numbers for each arm
SENT = "samovar_shadow_sent_rows_total"
DROPPED = "samovar_shadow_dropped_total"
SHADOWED = "samovar_shadow_rows_total"
COMPARED = "samovar_shadow_compared_total"
DISAGREED = "samovar_shadow_disagreement_total"
DIFFERED = "samovar_shadow_score_difference"
FAILED = "samovar_shadow_failed_total"


class Counts:
    """Numbers of one endpoint's traffic.

    Args:
        metrics: of the endpoint.
        alias: the alias that was asked.
        version: the version of it that serves.
    """

    def __init__(self, metrics: Metrics, alias: str, version: int) -> None:
        self._metrics = metrics
        self._own = (("model", metrics.model), ("alias", alias))
        self._version = str(version)
        self._arms: Recent[Arm] = Recent(lambda arm: metrics.retire(arm.values))
        self._drops: dict[str, Drops] = {}
        self._fallbacks: dict[str, Fallbacks] = {}

    def arm(self, target: str, version: int, split: str, *, sticky: bool) -> Arm:
        """Return what counts rows that ``target`` answered while the split was so."""

        def make() -> Arm:
            role = "champion" if target == dict(self._own)["alias"] else "challenger"
            labels = (*self._own, ("version", str(version)), ("role", role), ("target", target))
            split_labels = (("split", split), ("target", target), ("sticky", "yes" if sticky else "no"))
            blocks = [(SPLIT_ROWS, labels, 1), (GROUP_ROWS, (*self._own, *split_labels), GROUPS)]
            values, (rows, groups) = self._metrics.extend(blocks)
            return Arm(values, rows, groups)

        return self._arms.of(target, (version, split), make)

    def fallbacks(self, target: str) -> Fallbacks:
        """Return what counts rows that the champion answered in another's place."""
        if target not in self._fallbacks:
            labels = (*self._own, ("version", self._version), ("role", "challenger"), ("target", target))
            values, places = self._metrics.extend([(FALLBACK, (*labels, ("reason", reason)), 1) for reason in FALLBACKS])
            self._fallbacks[target] = Fallbacks(values, dict(zip(FALLBACKS, places, strict=True)))
        return self._fallbacks[target]

    def drops(self, target: str) -> Drops:
        """Return what counts rows that were sent to a shadow, or were not."""
        if target not in self._drops:
            labels = (*self._own, ("version", self._version), ("role", "shadow"), ("target", target))
            blocks = [(SENT, labels, 1), *((DROPPED, (*labels, ("reason", reason)), 1) for reason in DROPS)]
            values, (sent, *dropped) = self._metrics.extend(blocks)
            self._drops[target] = Drops(values, sent, dict(zip(DROPS, dropped, strict=True)))
        return self._drops[target]


class Arm:
    """Rows that one version answered."""

    __slots__ = ("_groups", "_rows", "values")

    def __init__(self, values: MutableSequence[float], rows: int, groups: int) -> None:
        self.values, self._rows, self._groups = values, rows, groups

    def count(self, rows: int, group: int | None = None) -> None:
        """Count rows of entities of one group; of None when nobody looked whose they are."""
        self.values[self._rows] += rows
        if group is not None:
            self.values[self._groups + group] += rows


class Fallbacks:
    """Rows that the champion answered in another's place, by reason."""

    __slots__ = ("_places", "_values")

    def __init__(self, values: MutableSequence[float], places: dict[str, int]) -> None:
        self._values, self._places = values, places

    def count(self, reason: str, rows: int) -> None:
        """Count rows."""
        self._values[self._places[reason]] += rows


class Drops(Fallbacks):
    """Rows that a shadow was sent, and those that it was not, by reason."""

    __slots__ = ("_sent",)

    def __init__(self, values: MutableSequence[float], sent: int, places: dict[str, int]) -> None:
        super().__init__(values, places)
        self._sent = sent

    def sent(self, rows: int) -> None:
        """Count rows that were sent."""
        self._values[self._sent] += rows


class Compared:
    """What a shadow found.

    Args:
        metrics: of the shadow's endpoint.
        alias: the alias that was asked.
        champion: version of it that answered.
        version: the shadow's version.
        target: the shadow's alias.
    """

    def __init__(self, metrics: Metrics, alias: str, champion: int, version: int, target: str) -> None:
        labels = (
            ("model", metrics.model),
            ("alias", alias),
            ("version", str(version)),
            ("role", "shadow"),
            ("target", target),
            ("champion", str(champion)),
        )
        wide = (DIFFERED, labels, len(DIFFERENCES) + 2)
        blocks = [(SHADOWED, labels, 1), (COMPARED, labels, 1), (DISAGREED, labels, 1), (FAILED, labels, 1), wide]
        self.values, places = metrics.extend(blocks)
        self._rows, self._compared, self._disagreed, self._failed, self._differences = places

    def rows(self, count: int) -> None:
        """Count rows that the shadow answered."""
        self.values[self._rows] += count

    def failed(self, count: int) -> None:
        """Count rows that the shadow could not answer."""
        self.values[self._failed] += count

    def compared(self, count: int, differing: int, differences: list[float]) -> None:
        """Count rows whose answers were compared, those whose labels differ, and how far the scores were apart."""
        values = self.values
        values[self._compared] += count
        values[self._disagreed] += differing
        for difference in differences:
            values[self._differences + bisect_left(DIFFERENCES, difference)] += 1.0
            values[self._differences + len(DIFFERENCES) + 1] += difference
