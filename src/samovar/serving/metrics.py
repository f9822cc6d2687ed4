"""The metrics of one endpoint in Prometheus' text format, counted by a few additions per request.

All series of one version carry the same labels, so that ``rate(api_errors_total[5m]) /
rate(api_request_duration_seconds_count[5m])`` works as written; every series exists from the start, at zero.
``api_errors_total`` counts answers of 500 and above only: what a client did wrong spends no error budget.

An endpoint's workers share one port, so whichever of them is scraped answers for all: see `samovar.serving.numbers`.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from samovar.serving.exposition import BYTES, ROWS, SECONDS, render
from samovar.serving.numbers import Block, Key, Numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

LOST = ("full", "error", "expired")
"""Why requests are missing in the prediction log: there was no room, it could not be written, nobody shipped it in time."""

OTHER = "other"
"""The route of requests that were refused and asked for none of the scoring routes, or not as far as one could tell."""

_WIDTH = len(BYTES) + 1
_LONGEST = 300  # characters of a label's value: the reason why a model is not compiled is a sentence


class Cell:
    """One number: a counter or a gauge."""

    __slots__ = ("_at", "_numbers")

    def __init__(self, numbers: MutableSequence[float], at: int) -> None:
        self._numbers = numbers
        self._at = at

    def add(self, value: float = 1.0) -> None:
        """Add to it."""
        self._numbers[self._at] += value

    def set(self, value: float) -> None:
        """Let it be ``value``."""
        self._numbers[self._at] = value


class Route:
    """What is counted of one scoring route. Places are indices of the numbers.

    Args:
        numbers: where to count.
        duration: place of the buckets of the duration, and of their sum after them.
        sizes: place of the table (bytes received, bytes sent): one addition counts for both histograms.
        errors: place of the errors.
        kinds: place of each kind of error.
    """

    __slots__ = ("_duration", "_errors", "_kinds", "_numbers", "_received", "_seconds", "_sent", "_sizes")

    def __init__(self, numbers: MutableSequence[float], duration: int, sizes: int, errors: int, kinds: Mapping[str, int]) -> None:
        self._numbers = numbers
        self._duration, self._seconds = duration, duration + len(SECONDS) + 1
        self._sizes, self._received, self._sent = sizes, sizes + _WIDTH**2, sizes + _WIDTH**2 + 1
        self._errors = errors
        self._kinds = dict(kinds)

    def observe(self, *, seconds: float, received: int, status: int, sent: int, kind: str = "") -> None:
        """Count one request that was answered: time and bytes of the request and its answer, and the kind of error if it is one."""
        numbers = self._numbers
        numbers[self._duration + bisect_left(SECONDS, seconds)] += 1.0
        numbers[self._seconds] += seconds
        numbers[self._sizes + _WIDTH * bisect_left(BYTES, received) + bisect_left(BYTES, sent)] += 1.0
        numbers[self._received] += received
        numbers[self._sent] += sent
        if status >= 400:
            numbers[self._errors] += status >= 500
            if (place := self._kinds.get(kind)) is not None:
                numbers[place] += 1.0

    def refused(self, kind: str) -> None:
        """Count as an error of ours a request that was observed as answered, and then could not be."""
        self._numbers[self._errors] += 1.0
        if (place := self._kinds.get(kind)) is not None:
            self._numbers[place] += 1.0


class SpoolCounts:
    """What is counted of the prediction log: bytes that wait for the database, and requests that it lost, by reason."""

    __slots__ = ("dropped", "waiting", "written")

    def __init__(self, waiting: Cell, written: Cell, dropped: Mapping[str, Cell]) -> None:
        self.waiting = waiting
        self.written = written
        self.dropped = dropped


class Metrics:
    """The metrics of one endpoint worker.

    Args:
        common: labels that every series carries: ``model`` and ``alias``.
        routes: names of the scoring routes, values of the label ``endpoint``.
        info: labels of the constant series ``model_info``; ``version`` is carried by every series, ``notes`` (why the engine is
            what it is) only by ``samovar_engine``, and ``ties`` (a number) is a series of its own.
        kinds: label values of ``samovar_errors_total``.
        folder: where the endpoint's workers add up their numbers; empty counts for this process alone.
        computed: names of the contract's computed fields.
    """

    def __init__(  # noqa: PLR0913 - what an endpoint counts differs in these
        self,
        common: Mapping[str, str],
        routes: Iterable[str],
        info: Mapping[str, str],
        kinds: Iterable[str],
        folder: str = "",
        *,
        computed: Iterable[str] = (),
    ) -> None:
        own = (*common.items(), ("version", info.get("version", "")))
        routes, kinds = (*dict.fromkeys(routes), OTHER), tuple(kinds)
        blocks = _Blocks()
        places = {route: _route_places(blocks, (*own, ("endpoint", route)), kinds) for route in routes}
        rows = blocks.add("samovar_batch_rows", own, len(ROWS) + 2)
        queue, flight = blocks.add("samovar_queue_depth", own), blocks.add("samovar_requests_in_flight", own)
        waiting = blocks.add("samovar_spool_bytes", own)
        written = blocks.add("samovar_spool_written_bytes_total", own)
        dropped = {why: blocks.add("samovar_spool_dropped_total", (*own, ("reason", why))) for why in LOST}
        model = {**common, **{name: value for name, value in info.items() if name not in ("notes", "ties")}}
        engine = {**dict(own), "engine": info.get("engine", ""), "reason": info.get("notes", "")[:_LONGEST]}
        facts = [blocks.add("model_info", tuple(model.items())), blocks.add("samovar_engine", tuple(engine.items()))]
        ties = blocks.add("samovar_exactness_ties", own)
        mismatches = {name: blocks.add("samovar_computed_mismatch_total", (*own, ("field", name))) for name in computed}
        self.model = common.get("model", "")
        self._folder = folder
        self._more: list[Numbers] = []
        self._shared = Numbers(blocks.made, folder)
        numbers = self._numbers = self._shared.values
        self.routes = {route: Route(numbers, *found) for route, found in places.items()}
        self.queue, self.in_flight = Cell(numbers, queue), Cell(numbers, flight)
        self.spool = SpoolCounts(
            Cell(numbers, waiting), Cell(numbers, written), {why: Cell(numbers, at) for why, at in dropped.items()}
        )
        self.mismatches = {name: Cell(numbers, place) for name, place in mismatches.items()}
        self._rows, self._rows_sum = rows, rows + len(ROWS) + 1
        for place in facts:
            numbers[place] = 1.0
        numbers[ties] = float(info.get("ties", "0"))
        self.refresh: Callable[[], None] = lambda: None
        """Brings gauges up to date that are cheaper to look at now and then."""

    def batch(self, _jobs: int, rows: int) -> None:
        """Count one call to the model: so many requests in it, so many rows."""
        self._numbers[self._rows + bisect_left(ROWS, rows)] += 1.0
        self._numbers[self._rows_sum] += rows

    def extend(self, series: Sequence[tuple[str, tuple[tuple[str, str], ...], int]]) -> tuple[MutableSequence[float], list[int]]:
        """Count more from now on: (family, labels, how many numbers) of each; returns the numbers and their first places."""
        blocks = _Blocks()
        places = [blocks.add(*one) for one in series]
        self._more.append(Numbers(blocks.made, self._folder))
        return self._more[-1].values, places

    def retire(self, values: MutableSequence[float]) -> None:
        """Count no more in numbers that `extend` gave; what they hold stays in the sum."""
        if not self._folder:  # nobody else holds it
            return
        for more in self._more:
            if more.values is values:
                more.close()
        self._more = [more for more in self._more if more.values is not values]

    def render(self) -> bytes:
        """Write everything, of all workers of the endpoint; takes about a millisecond."""
        self.refresh()
        found = self._shared.collect()
        if not self._folder:
            for more in self._more:
                _add(found, more.collect())
        return render(found)

    def close(self) -> None:
        """Say that this process counts no more; what it counted stays in the sum."""
        self._shared.close()
        for more in self._more:
            more.close()


def _add(found: dict[Key, list[float]], more: Mapping[Key, list[float]]) -> None:
    for key, values in more.items():
        before = found.get(key, [0.0] * len(values))
        found[key] = [one + other for one, other in zip(before, values, strict=True)]


class _Blocks:
    """Gives out places one after the other."""

    def __init__(self) -> None:
        self.made: list[Block] = []
        self._next = 0

    def add(self, family: str, labels: tuple[tuple[str, str], ...], length: int = 1) -> int:
        """Return the first of ``length`` places for the series of these labels."""
        place = self._next
        self.made.append(Block(family, labels, place, length))
        self._next += length
        return place


def _route_places(
    blocks: _Blocks, own: tuple[tuple[str, str], ...], kinds: tuple[str, ...]
) -> tuple[int, int, int, dict[str, int]]:
    return (
        blocks.add("api_request_duration_seconds", own, len(SECONDS) + 2),
        blocks.add("sizes", own, _WIDTH**2 + 2),
        blocks.add("api_errors_total", own),
        {kind: blocks.add("samovar_errors_total", (*own, ("kind", kind))) for kind in kinds},
    )
