"""MLflow runs: begun, filled, found again after a kill, and removed."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from samovar.errors import Conflict, NotFound, SamovarError
from samovar.registry import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from samovar.registry.client import Registry

_BATCH = 100  # the fewest of MLflow's limits on one log-batch request (params and tags; metrics: 1000)
_POINTS = 1000  # of metrics alone
_VALUE = 6000  # longest parameter value
_PARENT = "mlflow.parentRunId"


@dataclass(frozen=True, slots=True)
class Run:
    """One MLflow run."""

    run_id: str
    artifact_uri: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def parent(self) -> str | None:
        """Id of the run that it is nested in."""
        return self.tags.get(_PARENT)


def experiment(registry: Registry, name: str) -> str:
    """Return the id of the experiment, made if it is not there.

    Raises:
        Conflict: an experiment of that name was deleted; MLflow keeps its name taken.
    """
    for _ in range(2):  # two first runs at once: one of them creates it
        try:
            found = registry.rest.get("experiments/get-by-name", experiment_name=name)["experiment"]
        except NotFound:
            try:
                return str(registry.rest.post("experiments/create", name=name)["experiment_id"])
            except Conflict:
                continue
        if found.get("lifecycle_stage") == "deleted":
            break
        return str(found["experiment_id"])
    raise Conflict(
        f"The MLflow experiment {name!r} was deleted.", remedy="Restore it in MLflow, or remove it for good (mlflow gc)."
    )


def begin(registry: Registry, experiment_id: str, name: str, tags: Mapping[str, str], parent: Run | None = None) -> Run:
    """Begin a run, nested in ``parent`` if there is one."""
    every = {**tags, "mlflow.runName": name, "mlflow.source.name": "samovar", "mlflow.source.type": "LOCAL"}
    if parent is not None:
        every[_PARENT] = parent.run_id
    body = {"experiment_id": experiment_id, "run_name": name, "start_time": _now(), "tags": _pairs(every)}
    return _run(registry.rest.post("runs/create", **body)["run"])


def log(registry: Registry, run: Run, params: Mapping[str, Any] | None = None, metrics: Mapping[str, float] | None = None) -> None:
    """Log parameters and metrics of a run."""
    stamp = _now()
    values = [{"key": key, "value": str(value)[:_VALUE]} for key, value in (params or {}).items()]
    figures = [{"key": key, "value": float(value), "timestamp": stamp, "step": 0} for key, value in (metrics or {}).items()]
    for start in range(0, max(len(values), len(figures)), _BATCH):
        part = slice(start, start + _BATCH)
        registry.rest.post("runs/log-batch", run_id=run.run_id, params=values[part], metrics=figures[part])


def log_series(registry: Registry, run: Run, series: Mapping[str, Mapping[int, float]]) -> None:
    """Log metrics that have a value at each of many steps."""
    stamp = _now()
    points = [(key, step, value) for key, steps in series.items() for step, value in steps.items()]
    for start in range(0, len(points), _POINTS):
        part = [
            {"key": key, "value": float(value), "timestamp": stamp, "step": step}
            for key, step, value in points[start : start + _POINTS]
        ]
        registry.rest.post("runs/log-batch", run_id=run.run_id, metrics=part)


def tag(registry: Registry, run: Run, tags: Mapping[str, str]) -> None:
    """Set tags of a run."""
    registry.rest.post("runs/log-batch", run_id=run.run_id, tags=_pairs(tags))


def log_dataset(  # noqa: PLR0913 - what MLflow shows of a dataset
    registry: Registry, run: Run, *, name: str, digest: str, source: str, rows: int
) -> None:
    """Log which dataset a run learned from: the lineage that MLflow's UI shows."""
    dataset = {
        "name": name,
        "digest": digest[:36],  # MLflow's longest
        "source_type": "local" if "://" not in source else source.partition("://")[0],
        "source": f'{{"uri": "{source}"}}',
        "profile": f'{{"num_rows": {rows}}}',
    }
    tags = [{"key": "mlflow.data.context", "value": "training"}]
    registry.rest.post("runs/log-inputs", run_id=run.run_id, datasets=[{"tags": tags, "dataset": dataset}])


def log_files(registry: Registry, run: Run, content: Mapping[str, bytes]) -> None:
    """Write files into a run's artifacts."""
    for path in sorted(content):
        files.write(registry, run.artifact_uri, path, content[path])


def read_file(registry: Registry, run: Run, path: str) -> bytes:
    """Read one file of a run's artifacts; raises NotFound if it is not there."""
    return files.read_one(registry, run.artifact_uri, path)


def finish(registry: Registry, run: Run, status: str = "FINISHED") -> None:
    """End a run."""
    registry.rest.post("runs/update", run_id=run.run_id, status=status, end_time=_now())


@contextmanager
def ending(registry: Registry, run: Run) -> Iterator[Run]:
    """End the run with the block: as failed when the block raises, so that nobody waits for a run that nobody works on."""
    try:
        yield run
    except BaseException:
        with suppress(SamovarError):  # MLflow itself may be what failed; the next attempt deletes what this one left
            finish(registry, run, "FAILED")
        raise
    finish(registry, run)


def nest(registry: Registry, run_id: str, parent: Run) -> None:
    """Put a run under another one."""
    registry.rest.post("runs/set-tag", run_id=run_id, key=_PARENT, value=parent.run_id)


def delete(registry: Registry, run: Run) -> None:
    """Delete a run; MLflow keeps it restorable among the deleted ones."""
    registry.rest.post("runs/delete", run_id=run.run_id)


def find(registry: Registry, experiment_id: str, tag: str, value: str) -> list[Run]:
    """Return the active runs that carry a tag, newest first."""
    found: list[Run] = []
    token: str | None = None
    while True:
        answer = registry.rest.post(
            "runs/search", experiment_ids=[experiment_id], filter=f"tags.`{tag}` = '{value}'", max_results=1000, page_token=token
        )
        found += [_run(one) for one in answer.get("runs", [])]
        token = answer.get("next_page_token") or None
        if token is None:
            return found


def get(registry: Registry, run_id: str) -> Run:
    """Return one run, deleted or not; raises NotFound if there is none."""
    return _run(registry.rest.get("runs/get", run_id=run_id)["run"])


def _run(found: dict[str, Any]) -> Run:
    tags = {tag["key"]: tag.get("value", "") for tag in found.get("data", {}).get("tags", [])}
    return Run(found["info"]["run_id"], found["info"]["artifact_uri"], tags)


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _now() -> int:
    return time.time_ns() // 1_000_000
