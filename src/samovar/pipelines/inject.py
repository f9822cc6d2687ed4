"""Inject drift: a dataset as the source might send it after the world has changed. For drills and demonstrations.

Labels stay as they are, and every row still keeps the contract: it is drift, not dirt.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from samovar.contracts.check import check
from samovar.errors import DataError, NotFound, UsageError
from samovar.store import content, datasets

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.contracts.spec import FieldSpec
    from samovar.pipelines.context import Context
    from samovar.project import Project

    Random = np.random.Generator

STRENGTH = {"shift": 1.5, "scale": 3.0, "swap": 1.0, "missing": 0.3}
"""Default strength: standard deviations, a factor, a share of the rows, a share of the values."""

_SPREAD = 0.1  # how much single features deviate from the strength, so that seeds differ


def drift_inject(
    ctx: Context, project: Project, kind: str = "shift", strength: float | None = None, seed: int = 0
) -> dict[str, Any]:
    """Store a drifted copy of the latest dataset that came from the source; it becomes the latest.

    The same kind, strength and seed on the same rows make the same dataset, so that doing it again changes nothing.

    Args:
        ctx: the world.
        project: whose dataset.
        kind: ``shift`` (numbers move by standard deviations), ``scale`` (amounts grow by a factor), ``swap`` (categories change
            places) or ``missing`` (values of nullable fields are lost).
        strength: see `STRENGTH`; None takes the default of the kind.
        seed: of what is random.

    Returns:
        ``status``, ``project``, ``kind``, ``strength``, ``dataset``, ``parent``, ``rows``, ``fields`` that changed.

    Raises:
        UsageError: unknown kind, impossible strength, or a contract without fields that can drift so.
        NotFound: there is no dataset yet.
    """
    strength = _strength(kind, strength)
    with ctx.db.read() as connection:
        parent = datasets.latest(connection, project.name, origin="source")
    if parent is None:
        raise NotFound(f"Project {project.name} has no dataset yet.", remedy=f"Run `samovar ingest {project.name}`.")
    before = ctx.lake.read(parent.url)
    after = _drifted(before, project, kind, strength, seed)
    snapshot = ctx.lake.put(project.name, after)
    with ctx.db.begin() as connection:
        known = datasets.get(connection, project.name, snapshot.digest)
        made = datasets.Dataset(
            project=project.name,
            digest=snapshot.digest,
            contract=parent.contract,
            url=snapshot.url,
            rows=snapshot.rows,
            origin="injected",
            parent=parent.digest,
            report={"injected": kind, "strength": strength, "seed": seed},
        )
        datasets.add(connection, made)
    return {
        "status": "unchanged" if known else "done",
        "project": project.name,
        "kind": kind,
        "strength": strength,
        "dataset": snapshot.digest,
        "parent": parent.digest,
        "rows": snapshot.rows,
        "fields": [name for name in before.columns if content.digest(before.select(name)) != content.digest(after.select(name))],
    }


def _strength(kind: str, strength: float | None) -> float:
    if kind not in STRENGTH:
        raise UsageError("There is no such kind of drift.", remedy=f"Choose one of {', '.join(STRENGTH)}.")
    value = STRENGTH[kind] if strength is None else strength
    if not math.isfinite(value) or value <= 0 or (kind in ("swap", "missing") and value > 1):
        what = "a share over 0 and up to 1" if kind in ("swap", "missing") else "a number over 0"
        raise UsageError(f"The strength of {kind} must be {what}.")
    return value


def _drifted(frame: pl.DataFrame, project: Project, kind: str, strength: float, seed: int) -> pl.DataFrame:
    affected = [field for field in project.contract.features if _CAN[kind](field)]
    if kind == "scale" and any(field.dtype == "float" for field in affected):
        affected = [field for field in affected if field.dtype == "float"]  # amounts grow; hours and ages do not
    if not affected:
        raise UsageError(
            f"Project {project.name} has no {_NEEDS[kind]}, which {kind} needs.", remedy="Choose another kind of drift."
        )
    rng = np.random.default_rng(seed)
    changed = frame.with_columns(_CHANGE[kind](frame[field.name], field, strength, rng) for field in affected)
    checked = check(changed, project.contract, target=project.target, time=project.time, carried=project.carried)
    if checked.rejected:  # only a contract that the clipping below does not know could bring us here
        raise DataError(f"A {kind} of this strength breaks the contract of project {project.name}.", remedy="Use a smaller one.")
    return checked.accepted


def _shift(column: pl.Series, field: FieldSpec, strength: float, rng: Random) -> pl.Series:
    deviation = column.std()
    step = (float(deviation) if isinstance(deviation, int | float) else 0.0) * strength * _about_one(rng)
    return _kept(column.cast(pl.Float64) + step, field)


def _scale(column: pl.Series, field: FieldSpec, strength: float, rng: Random) -> pl.Series:
    return _kept(column.cast(pl.Float64) * strength * _about_one(rng), field)


def _about_one(rng: Random) -> float:
    return float(rng.uniform(1 - _SPREAD, 1 + _SPREAD))


def _swap(column: pl.Series, field: FieldSpec, strength: float, rng: Random) -> pl.Series:
    """Rename categories in a circle, the most frequent one to the next most frequent, in a share of the rows."""
    order = column.drop_nulls().value_counts(sort=True, name="rows").sort(["rows", field.name], descending=[True, False])
    values = order[field.name].to_list()
    if len(values) < 2:
        return column
    swapped = column.replace_strict(values, values[1:] + values[:1], default=None, return_dtype=column.dtype)
    chosen = pl.Series(rng.random(column.len()) < strength)
    return swapped.zip_with(chosen, column).alias(field.name)


def _lose(column: pl.Series, field: FieldSpec, strength: float, rng: Random) -> pl.Series:
    lost = pl.Series(rng.random(column.len()) < strength)
    return pl.Series(field.name, [None] * column.len(), dtype=column.dtype).zip_with(lost, column)


def _kept(values: pl.Series, field: FieldSpec) -> pl.Series:
    """Keep numbers inside the contract's range, and integers whole."""
    least, most = field.ge, field.le
    if field.dtype == "int":
        least = math.floor(field.gt) + 1 if field.gt is not None else least
        most = math.ceil(field.lt) - 1 if field.lt is not None else most
        return values.round().clip(least, most).cast(pl.Int64).alias(field.name)
    least = math.nextafter(field.gt, math.inf) if field.gt is not None else least
    most = math.nextafter(field.lt, -math.inf) if field.lt is not None else most
    return values.clip(least, most).alias(field.name)


def _is_number(field: FieldSpec) -> bool:
    return field.dtype in ("int", "float") and field.choices is None


def _is_category(field: FieldSpec) -> bool:
    return field.role != "text" and (field.choices is not None or field.dtype in ("str", "bool"))


def _is_nullable(field: FieldSpec) -> bool:
    return field.nullable


_CAN: dict[str, Callable[[FieldSpec], bool]] = {
    "shift": _is_number,
    "scale": _is_number,
    "swap": _is_category,
    "missing": _is_nullable,
}
_NEEDS = {"shift": "numeric feature", "scale": "numeric feature", "swap": "category", "missing": "nullable feature"}
_CHANGE: dict[str, Callable[[pl.Series, FieldSpec, float, Random], pl.Series]] = {
    "shift": _shift,
    "scale": _scale,
    "swap": _swap,
    "missing": _lose,
}
