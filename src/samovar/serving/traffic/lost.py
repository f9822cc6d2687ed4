"""The log in the place of one that cannot be opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.serving.turn import NoSpool, NotLogged

if TYPE_CHECKING:
    from samovar.serving.jobs import Answers, Job, Row
    from samovar.serving.metrics import SpoolCounts


class Lost(NoSpool):
    """Keeps nothing and says so: requests are counted as lost, or refused.

    Args:
        counts: of the endpoint's log.
        refuse: whether the endpoint is to refuse what it cannot log.
    """

    def __init__(self, counts: SpoolCounts, *, refuse: bool) -> None:
        self._counts = counts
        self._refuse = refuse
        self._requests = 0

    @property
    def empty(self) -> bool:
        """Whether nothing waits for the end of a turn."""
        return not self._requests

    def row(self, request_id: bytes, route: str, row: Row) -> None:  # noqa: ARG002 - a `Spool`
        """Lose a request."""
        self._requests += 1

    def job(self, request_id: bytes, route: str, job: Job, answers: Answers) -> None:  # noqa: ARG002 - a `Spool`
        """Lose a request."""
        self._requests += 1

    def put(self, encoded: bytes | bytearray) -> None:  # noqa: ARG002 - a `Spool`
        """Lose a request."""
        self._requests += 1

    def flush(self) -> None:
        """Count what was lost.

        Raises:
            NotLogged: the endpoint is to refuse.
        """
        requests, self._requests = self._requests, 0
        if requests and self._refuse:
            raise NotLogged("The endpoint cannot log predictions at present.", remedy="Try again later.")
        self._counts.dropped["error"].add(requests)
