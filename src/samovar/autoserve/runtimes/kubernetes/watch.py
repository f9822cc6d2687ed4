"""Wakes the controller when something changes in the cluster, so that a roll-out's end is seen at once and not at the next poll."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from samovar.autoserve.backoff import Backoff
from samovar.autoserve.runtimes.kubernetes import manifests
from samovar.errors import SamovarError
from samovar.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.runtimes.kubernetes.cluster import Cluster
    from samovar.autoserve.runtimes.kubernetes.placement import Placement

log = get_logger(__name__)

PAUSE = Backoff(first=0.2, longest=30.0)
"""Seconds between two watches when they keep breaking."""


class Watch:
    """Rings for every change of our Deployments. What it misses, the poll sees: it carries no state, so any restart is clean.

    Args:
        cluster: the cluster.
        placement: says which objects are ours.
        wake: called after each change.
    """

    def __init__(self, cluster: Cluster, placement: Placement, wake: Callable[[], None]) -> None:
        self._cluster = cluster
        self._labels = manifests.owned(placement)
        self._wake = wake
        self._stop = threading.Event()

    def start(self) -> None:
        """Watch in a thread of its own."""
        threading.Thread(target=self._run, name="kubernetes-watch", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                for _ in self._cluster.changes("Deployment", self._labels):
                    failures = 0
                    self._wake()
                    if self._stop.is_set():
                        return
            except SamovarError as error:
                failures += 1
                log.info("the watch begins again", reason=str(error))
            self._wake()  # something may have changed between two watches
            self._stop.wait(PAUSE.delay(failures) if failures else 0)
