"""Numbers as Prometheus reads them: names, help, buckets and the text format 0.0.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Labels = tuple[tuple[str, str], ...]
    Sums = Mapping[tuple[str, Labels], Sequence[float]]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets of the duration; 0.5 and 1.0 are the bounds of the promised p95 and p99."""

BYTES = (256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216)

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384, 65536)
"""Buckets of the rows of one call to the model."""

DIFFERENCES = (0.0, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Buckets of how far a shadow's score is from the champion's; of probabilities, mostly."""

FAMILIES = {
    "api_request_duration_seconds": ("histogram", "Seconds from the request's headers to its answer.", SECONDS),
    "api_errors_total": ("counter", "Answers with status 500 and above.", ()),
    "api_request_size_bytes": ("histogram", "Bytes of request bodies.", BYTES),
    "api_response_size_bytes": ("histogram", "Bytes of response bodies.", BYTES),
    "samovar_errors_total": ("counter", "Answers with status 400 and above, by kind.", ()),
    "samovar_batch_rows": ("histogram", "Rows of one call to the model.", ROWS),
    "samovar_queue_depth": ("gauge", "Requests that wait for the model.", ()),
    "samovar_requests_in_flight": ("gauge", "Requests whose answer is not out yet.", ()),
    "samovar_spool_bytes": ("gauge", "Bytes of the prediction log that are not shipped yet.", ()),
    "samovar_spool_written_bytes_total": ("counter", "Bytes written to the prediction log.", ()),
    "samovar_spool_dropped_total": ("counter", "Answered requests that are missing in the prediction log.", ()),
    "samovar_computed_mismatch_total": ("counter", "Numbers that were sent and are not what their texts say.", ()),
    "samovar_exactness_ties": ("gauge", "Rows of the exactness check at which the model is undecided between two labels.", ()),
    "samovar_traffic_rows_total": ("counter", "Rows of a split, by the version that answered.", ()),
    "samovar_traffic_fallback_total": ("counter", "Rows that the champion answered in another version's place.", ()),
    "samovar_shadow_sent_rows_total": ("counter", "Rows passed to a shadow.", ()),
    "samovar_shadow_dropped_total": ("counter", "Rows that a shadow did not get.", ()),
    "samovar_shadow_rows_total": ("counter", "Rows that a shadow answered.", ()),
    "samovar_shadow_failed_total": ("counter", "Rows that a shadow could not answer.", ()),
    "samovar_shadow_compared_total": ("counter", "Rows of a shadow compared with the champion's answer.", ()),
    "samovar_shadow_disagreement_total": ("counter", "Compared rows whose labels differ.", ()),
    "samovar_shadow_score_difference": ("histogram", "How far the scores of compared rows are apart.", DIFFERENCES),
    "model_info": ("gauge", "The version that answers.", ()),
    "samovar_engine": ("gauge", "Who computes the answers, and why.", ()),
}

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def labels(values: Iterable[tuple[str, str]]) -> str:
    """Write labels as ``{a="b",...}``."""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in values) + "}"


def render(sums: Sums) -> bytes:
    """Write series; ``sums`` holds one number for each, or a histogram's count of each bucket and then the sum."""
    by_family: dict[str, list[tuple[Labels, Sequence[float]]]] = {name: [] for name in FAMILIES}
    for (family, own), values in sums.items():
        if family == "sizes":
            received, sent = _margins(values)
            by_family["api_request_size_bytes"].append((own, received))
            by_family["api_response_size_bytes"].append((own, sent))
        elif family in by_family:
            by_family[family].append((own, values))
    lines: list[str] = []
    for name, (kind, text, bounds) in FAMILIES.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        for own, values in by_family[name]:
            lines += _histogram(name, own, bounds, values) if bounds else [f"{name}{labels(own)} {_number(values[0])}"]
    return ("\n".join(lines) + "\n").encode()


def _histogram(name: str, own: Labels, bounds: Sequence[float], values: Sequence[float]) -> Iterator[str]:
    """Write the buckets, cumulative as Prometheus wants them."""
    total = 0.0
    opened = labels(own)[:-1]
    for bound, count in zip([*map(_number, bounds), "+Inf"], values, strict=False):
        total += count
        yield f'{name}_bucket{opened},le="{bound}"}} {_number(total)}'
    yield f"{name}_sum{opened}}} {_number(values[-1])}"
    yield f"{name}_count{opened}}} {_number(total)}"


def _margins(table: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the two histograms of a table (bytes received, bytes sent), which ends with the sum of each."""
    width = len(BYTES) + 1
    rows = [table[at : at + width] for at in range(0, width * width, width)]
    received = [sum(row) for row in rows]
    sent = [sum(column) for column in zip(*rows, strict=True)]
    return [*received, table[-2]], [*sent, table[-1]]


def _number(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() else repr(float(value))
