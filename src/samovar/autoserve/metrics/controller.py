"""The controller's ``/metrics``."""

from __future__ import annotations

import collections
import time
from typing import TYPE_CHECKING, get_args

from samovar.autoserve.doorbell.bell import RESULTS
from samovar.autoserve.metrics.families import Histogram, family, histogram
from samovar.autoserve.metrics.swaps import Swaps
from samovar.autoserve.status import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from samovar.autoserve.controller import Health, Round
    from samovar.autoserve.doorbell.doorbell import Doorbell
    from samovar.autoserve.metrics.families import Sample
    from samovar.autoserve.status import EndpointStatus

ROUND_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds; 0.2 is promised for 200 aliases that did not change, 2 for 10,000."""


class ControllerMetrics:
    """Counts what the controller's rounds show.

    Args:
        health: gives how the controller is.
        doorbell: what MLflow rings; None where it does not.
        clock: seconds since the epoch.
    """

    def __init__(
        self, health: Callable[[], Health], doorbell: Doorbell | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._health = health
        self._doorbell = doorbell
        self._clock = clock
        self._swaps = Swaps()
        self._rounds = Histogram(ROUND_BOUNDS)
        self._results = {"complete": 0, "incomplete": 0}
        self._succeeded_at = 0.0
        self._failed_at = 0.0
        self._statuses: tuple[EndpointStatus, ...] = ()

    def __call__(self, done: Round) -> None:
        """Take one round in."""
        now = self._clock()
        self._rounds.add(done.seconds)
        self._results["complete" if done.whole else "incomplete"] += 1
        if done.whole:
            self._succeeded_at = now
        else:
            self._failed_at = now
        self._statuses = done.statuses
        self._swaps.observe(done.statuses, now - done.seconds, now)

    @property
    def moves_pending(self) -> int:
        """Moves that are not served yet."""
        return self._swaps.pending

    def render(self) -> str:
        """Write all metrics."""
        return "\n".join([*self._fleet(), *self._endpoints(), *self._loop(), *self._ringing()]) + "\n"

    def _fleet(self) -> Iterator[str]:
        statuses, health = self._statuses, self._health()
        desired = sum(status.wanted is not None for status in statuses)
        serving = sum(bool(status.pids) for status in statuses)
        conditions = collections.Counter[str](status.condition for status in statuses)
        yield from family("samovar_endpoints_desired", "gauge", "Aliases in the registry.", [({}, desired)])
        yield from family("samovar_endpoints_serving", "gauge", "Endpoints of which some version answers.", [({}, serving)])
        by_condition: list[Sample] = [({"condition": name}, conditions[name]) for name in get_args(Condition)]
        yield from family("samovar_endpoints", "gauge", "Endpoints by condition.", by_condition)
        yield from family("samovar_aliases_held", "gauge", "Aliases gone that wait for a person.", [({}, len(health.held))])

    def _endpoints(self) -> Iterator[str]:
        known = [({"model": one.model, "alias": one.alias, "endpoint": one.name}, one) for one in self._statuses]
        wanted: list[Sample] = [(own, one.wanted) for own, one in known if one.wanted is not None]
        serving: list[Sample] = [(own, one.serving or 0) for own, one in known]
        yield from family("samovar_endpoint_wanted_version", "gauge", "The version an alias points to.", wanted)
        yield from family("samovar_endpoint_serving_version", "gauge", "The version that answers; 0 if none does.", serving)
        conditions: list[Sample] = [(own | {"condition": one.condition}, 1) for own, one in known]
        yield from family("samovar_endpoint_condition", "gauge", "How an endpoint is.", conditions)
        restarts: list[Sample] = [(own, one.restarts) for own, one in known]
        yield from family("samovar_endpoint_restarts_total", "counter", "Workers that came back after a crash.", restarts)

    def _loop(self) -> Iterator[str]:
        health, swaps = self._health(), self._swaps
        moves: list[tuple[dict[str, str], Histogram]] = [({"kind": kind}, counted) for kind, counted in swaps.seconds.items()]
        yield from histogram("samovar_swap_seconds", "From seeing an alias moved to its version answering.", moves)
        yield from family("samovar_moves_pending", "gauge", "Moves that are not served yet.", [({}, swaps.pending)])
        yield from histogram("samovar_reconcile_seconds", "Of one round of the loop.", [({}, self._rounds)])
        results: list[Sample] = [({"result": name}, count) for name, count in self._results.items()]
        yield from family("samovar_reconciles_total", "counter", "Rounds, by whether both sides could be read.", results)
        for name, text, value in (
            ("samovar_last_success_timestamp_seconds", "Last complete round; 0 before the first.", self._succeeded_at),
            ("samovar_last_error_timestamp_seconds", "Last incomplete round; 0 before the first.", self._failed_at),
            ("samovar_registry_up", "Whether MLflow could be read.", not health.registry),
            ("samovar_runtime_up", "Whether the agent could be read.", not health.agent),
            ("samovar_lease_held", "Whether this controller acts.", not health.standby),
            ("samovar_lease_epoch", "Number of its lease.", health.epoch),
        ):
            yield from family(name, "gauge", text, [({}, value)])

    def _ringing(self) -> Iterator[str]:
        bell = self._doorbell.bell if self._doorbell is not None else None
        counts: list[Sample] = [({"result": name}, bell.counts[name] if bell is not None else 0) for name in RESULTS]
        yield from family("samovar_doorbell_deliveries_total", "counter", "What came in by MLflow's webhook.", counts)
        ringing = self._doorbell is not None and self._doorbell.state.state == "ringing"
        yield from family("samovar_doorbell_ringing", "gauge", "Whether MLflow's webhook is known to work.", [({}, ringing)])
        rung = bell.rung_at if bell is not None else 0.0
        yield from family("samovar_doorbell_last_timestamp_seconds", "gauge", "Last delivery that woke the loop.", [({}, rung)])
