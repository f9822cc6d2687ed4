"""What is odd about a dataset as a whole: volume, nulls, duplicates, and a shift from the previous dataset.

Anomalies are reported and stop nothing: a shift is what monitoring and retraining are for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from samovar.profiles import profile, psi

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from samovar.project import Project


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One thing that is odd.

    Attributes:
        kind: ``volume``, ``nulls``, ``duplicates`` or ``shift``.
        field: the column, empty when the whole dataset is meant.
        value: how much.
        limit: from where on it is reported.
        message: one sentence for people.
    """

    kind: str
    field: str
    value: float
    limit: float
    message: str


def report(frame: pl.DataFrame, project: Project, previous: pl.DataFrame | None) -> dict[str, Any]:
    """Describe accepted rows, and what is odd about them.

    Args:
        frame: the rows.
        project: its contract, and from where on something is odd.
        previous: rows of the previous dataset under the same contract; None when there is none.
    """
    volume = None if previous is None else frame.height / previous.height - 1
    nulls = _null_shares(frame)
    duplicates = _duplicate_share(frame, project)
    shift = {} if previous is None else _shift(previous, frame, project)
    found = [*_volume(volume, project), *_nulls(nulls, project), *_duplicates(duplicates, project), *_shifted(shift, project)]
    return {
        "volume_change": volume,
        "nulls": nulls,
        "duplicates": duplicates,
        "shift": shift,
        "anomalies": [asdict(anomaly) for anomaly in found],
    }


def _null_shares(frame: pl.DataFrame) -> dict[str, float]:
    return {column.name: column.null_count() / frame.height for column in frame.get_columns() if column.null_count()}


def _duplicate_share(frame: pl.DataFrame, project: Project) -> float:
    """Return the share of rows that repeat an earlier one: by key, or as a whole where the contract has no key."""
    key = project.contract.key
    distinct = frame.n_unique(None if key is None else [key.name])
    return 1 - distinct / frame.height


def _shift(previous: pl.DataFrame, frame: pl.DataFrame, project: Project) -> dict[str, float]:
    """Return the population stability index of each feature and of the target, beyond what chance explains."""
    target = project.target
    reference = profile.build(previous, project.contract, previous[target].cast(pl.String))
    current = profile.count(reference, frame, frame[target].cast(pl.String))
    found = psi.by_field(reference, current)
    if reference.prediction is not None and current.prediction is not None:
        found[target] = psi.excess(reference.prediction.bins, current.prediction.bins)
    return found


def _volume(change: float | None, project: Project) -> Iterator[Anomaly]:
    limit = project.quality.volume_change
    if change is not None and abs(change) > limit:
        yield Anomaly("volume", "", change, limit, f"{change:+.0%} rows against the previous dataset")


def _nulls(shares: Mapping[str, float], project: Project) -> Iterator[Anomaly]:
    limit = project.quality.null_share
    for name, share in shares.items():
        if share > limit:
            yield Anomaly("nulls", name, share, limit, f"{share:.0%} of {name} is missing")


def _duplicates(share: float, project: Project) -> Iterator[Anomaly]:
    limit, key = project.quality.duplicate_share, project.contract.key
    if share > limit:
        what = "rows" if key is None else f"values of {key.name}"
        yield Anomaly("duplicates", key.name if key else "", share, limit, f"{share:.1%} of the {what} are repeated")


def _shifted(shift: Mapping[str, float], project: Project) -> Iterator[Anomaly]:
    limit = project.drift.psi
    for name, value in shift.items():
        if value > limit:
            yield Anomaly("shift", name, value, limit, f"{name} has shifted from the previous dataset (PSI {value:.2f})")
