"""Metrics as Prometheus reads them: families of samples in the text format 0.0.4."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Literal

from samovar.serving.exposition import labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Sample = tuple[dict[str, str], float]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """Counts of values by bucket.

    Args:
        bounds: upper bounds of the buckets, growing.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, own: dict[str, str]) -> Iterator[str]:
        """Write the buckets, cumulative as Prometheus wants them."""
        total = 0
        for bound, count in zip([*map(number, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            yield f"{name}_bucket{labels((own | {'le': bound}).items())} {total}"
        yield f"{name}_sum{_labels(own)} {number(self._sum)}"
        yield f"{name}_count{_labels(own)} {total}"


def family(name: str, kind: Literal["gauge", "counter"], text: str, samples: Iterable[Sample]) -> Iterator[str]:
    """Write one family."""
    yield from _head(name, kind, text)
    for own, value in samples:
        yield f"{name}{_labels(own)} {number(value)}"


def histogram(name: str, text: str, series: Iterable[tuple[dict[str, str], Histogram]]) -> Iterator[str]:
    """Write one family of histograms."""
    yield from _head(name, "histogram", text)
    for own, counted in series:
        yield from counted.lines(name, own)


def number(value: float) -> str:
    """Write a number without a needless fraction."""
    return repr(int(value)) if float(value).is_integer() else repr(float(value))


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _labels(own: dict[str, str]) -> str:
    return labels(own.items()) if own else ""
