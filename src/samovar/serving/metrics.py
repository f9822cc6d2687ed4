"""Metrics in Prometheus' text format, counted in this process by a few additions per request.

All series of one endpoint carry the same labels, so that ``rate(api_errors_total[5m]) /
rate(api_request_duration_seconds_count[5m])`` works as written; every series exists from the start, at zero.
``api_errors_total`` counts answers of 500 and above only: what a client did wrong spends no error budget.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets of the duration; 0.5 and 1.0 are the bounds of the promised p95 and p99."""

BYTES = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0)

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def labels(values: Mapping[str, str]) -> str:
    """Write labels as ``{a="b",...}``."""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in values.items()) + "}"


class Histogram:
    """Counts observations in buckets with fixed upper bounds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, own: Mapping[str, str]) -> Iterator[str]:
        """Write the series, buckets cumulative as Prometheus wants them."""
        total = 0
        for bound, count in zip([*map(_number, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            yield f"{name}_bucket{labels({**own, 'le': bound})} {total}"
        yield f"{name}_sum{labels(own)} {_number(self._sum)}"
        yield f"{name}_count{labels(own)} {total}"


class Route:
    """What is counted of one scoring route."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self.duration = Histogram(SECONDS)
        self.request_size = Histogram(BYTES)
        self.response_size = Histogram(BYTES)
        self.errors = 0
        self.kinds = dict.fromkeys(kinds, 0)

    def observe(self, *, seconds: float, received: int, status: int, sent: int, kind: str = "") -> None:
        """Count one request that was answered."""
        self.duration.observe(seconds)
        self.request_size.observe(received)
        self.response_size.observe(sent)
        self.errors += status >= 500
        if kind:
            self.kinds[kind] += 1


class Metrics:
    """The metrics of one endpoint worker.

    Args:
        common: labels that every series carries: ``model`` and ``alias``.
        routes: label value of each scoring route.
        info: labels of the constant series ``model_info``.
        kinds: label values of ``samovar_errors_total``.
    """

    def __init__(self, common: Mapping[str, str], routes: Iterable[str], info: Mapping[str, str], kinds: Iterable[str]) -> None:
        self._common = dict(common)
        self._info = dict(info)
        kinds = tuple(kinds)
        self.routes = {route: Route(kinds) for route in routes}

    def render(self) -> bytes:
        """Write everything."""
        lines: list[str] = []
        for name, kind, text in _FAMILIES:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            for path, route in self.routes.items():
                lines += _series(name, route, {**self._common, "endpoint": path})
        lines += ["# HELP model_info The version that answers.", "# TYPE model_info gauge"]
        lines.append(f"model_info{labels({**self._common, **self._info})} 1")
        return ("\n".join(lines) + "\n").encode()


_FAMILIES = (
    ("api_request_duration_seconds", "histogram", "Seconds from the request's headers to its answer."),
    ("api_errors_total", "counter", "Answers with status 500 and above."),
    ("api_request_size_bytes", "histogram", "Bytes of request bodies."),
    ("api_response_size_bytes", "histogram", "Bytes of response bodies."),
    ("samovar_errors_total", "counter", "Answers with status 400 and above, by kind."),
)


def _series(name: str, route: Route, own: Mapping[str, str]) -> Iterator[str]:
    match name:
        case "api_request_duration_seconds":
            yield from route.duration.lines(name, own)
        case "api_request_size_bytes":
            yield from route.request_size.lines(name, own)
        case "api_response_size_bytes":
            yield from route.response_size.lines(name, own)
        case "api_errors_total":
            yield f"{name}{labels(own)} {route.errors}"
        case _:
            for kind, count in route.kinds.items():
                yield f"{name}{labels({**own, 'kind': kind})} {count}"


def _number(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() else repr(value)
