"""Reproduce: fit a run's recorded parameters again on its recorded dataset, and see whether the same model comes out.

The search that found the parameters is not repeated: its path depends on how many processes searched and how fast they were.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from samovar.errors import ModelError, NotFound, UsageError
from samovar.pipelines import candidates, identity, provenance
from samovar.pipelines.train import find_dataset
from samovar.project import CandidateSpec
from samovar.registry import model_folder, runs
from samovar.store import content
from samovar.training import canonical, environment, fanout
from samovar.training.job import Trained

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.pipelines.context import Context
    from samovar.project import Project
    from samovar.registry.runs import Run
    from samovar.store.datasets import Dataset
    from samovar.training.fanout import Report

_IDLE = frozenset({"candidates", "gate", "metric", "model", "response", "seed", "slices", "threshold"})
"""Declarations that choose, judge or name, and so do not change what a candidate with known parameters learns."""


def reproduce(ctx: Context, run_id: str, find: Callable[[str], Project], progress: Report | None = None) -> dict[str, Any]:
    """Fit again what a run recorded.

    Args:
        ctx: the world.
        run_id: of one candidate; not of the parent run around several.
        find: project by name.
        progress: told ``(candidate, done, total, best score so far)``.

    Returns:
        ``reproduced``, ``run_id``, ``project``, ``candidate``, ``dataset``, ``fitted`` (digest now), ``recorded`` (digest then),
        ``reason`` in one sentence, and ``differs``: ``environment`` (name -> [then, now]), ``code`` and ``data`` ([then, now]),
        ``declared`` (names) and ``parameters`` (what differs in the fitted model), each only where it does.

    Raises:
        NotFound: the run, its dataset, or a custom candidate's code is gone.
        UsageError: the run is none that can be fitted again.
        ProjectError: its project is not declared here.
        ModelError: fitting failed.
    """
    run = _run(ctx, run_id)
    document = _document(ctx, run)
    project = find(document["project"])
    data = find_dataset(ctx, project, document["dataset"])
    trained, rows = _fit(ctx, project, data, document, progress)
    fitted = canonical.digest(trained.model)
    same = fitted == document["fitted"]
    differs = _differences(ctx, project, document, rows)
    if not same and (found := _parameters(ctx, run, trained)):
        differs["parameters"] = found
    return {
        "reproduced": same,
        "run_id": run_id,
        "project": project.name,
        "candidate": document["candidate"],
        "dataset": document["dataset"],
        "fitted": fitted,
        "recorded": document["fitted"],
        "reason": _sentence(differs, same=same),
        "differs": differs,
    }


def _run(ctx: Context, run_id: str) -> Run:
    try:
        return runs.get(ctx.registry, run_id)
    except (NotFound, UsageError):
        raise NotFound(
            f"MLflow has no run {run_id}.", remedy="Take a run id from `samovar train --json` or from MLflow's page."
        ) from None


def _document(ctx: Context, run: Run) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(runs.read_file(ctx.registry, run, provenance.FILE))
    except NotFound:
        raise UsageError(
            f"Run {run.run_id} holds no {provenance.FILE}: it is not the run of one candidate that Samovar trained.",
            remedy="Name a candidate's run, as `samovar train --json` lists them.",
        ) from None
    return found


def _fit(ctx: Context, project: Project, data: Dataset, document: dict[str, Any], progress: Report | None) -> tuple[Trained, str]:
    """Fit it as it was fitted, in a process of its own with one thread; return it, and the digest of the rows read."""
    spec = _spec(project, document)
    then = dataclasses.replace(ctx, settings=ctx.settings.model_copy(update={"seed": document["seed"]}))
    study = candidates.prepare(then, dataclasses.replace(project, candidates=(spec,)), data, document["fitted"])
    job = dataclasses.replace(study.job, specs=(spec,), asked=None, storage=None)
    for one in fanout.train_each(job, 1, progress):
        if isinstance(one, Trained):
            return one, content.digest(ctx.lake.read(data.url))
        raise ModelError(f"Candidate {one.name} could not be fitted again: {one.reason}", remedy="Mend the code it is built by.")
    raise ModelError(f"Candidate {spec.name} could not be fitted again.")


def _spec(project: Project, document: dict[str, Any]) -> CandidateSpec:
    """The candidate with its recorded parameters and nothing left to search."""
    name, kind = document["candidate"], document["kind"]
    known = next((one for one in project.candidates if one.name == name), None)
    if kind == "custom" and known is None:
        raise NotFound(
            f"Project {project.name} has no candidate {name} any more, so its code is gone.",
            remedy=f"Check out the commit of the run: {(document['git'] or {}).get('commit', 'unknown')}.",
        )
    try:
        params = {field: provenance.thaw(value) for field, value in document["params"].items()}
    except ValueError as error:
        raise UsageError(
            f"A parameter of {name} is no plain value ({error}), so it could not be recorded.",
            remedy="Give custom candidates numbers, text, and lists or tuples of them.",
        ) from None
    base = known if known is not None and known.kind == kind else CandidateSpec(kind, name)
    return dataclasses.replace(base, params=params, trials=0)


def _differences(ctx: Context, project: Project, document: dict[str, Any], rows: str) -> dict[str, Any]:
    now = provenance.declared(project, ctx.settings)
    then = document["declared"]
    found = {
        "environment": environment.differences(document["environment"], environment.describe()),
        "code": _pair(document["code"], identity.code_digest(project)),
        "data": _pair(document["dataset"], rows),
        "declared": sorted(name for name in (then | now).keys() - _IDLE if then.get(name) != now.get(name)),
    }
    return {name: value for name, value in found.items() if value}


def _pair(then: str, now: str) -> list[str]:
    return [] if then == now else [then, now]


def _parameters(ctx: Context, run: Run, trained: Trained) -> list[str]:
    try:
        stored = runs.read_file(ctx.registry, run, f"{candidates.MODEL_FOLDER}/{model_folder.MODEL_FILE}")
    except NotFound:
        return []
    return canonical.differences(stored, trained.model)


def _sentence(differs: dict[str, Any], *, same: bool) -> str:
    changed = [name for name in ("environment", "code", "data", "declared") if name in differs]
    if same:
        although = f", although this differs: {', '.join(changed)}" if changed else ""
        return f"The same parameters were fitted again, bit for bit{although}."
    if changed:
        return f"Other parameters were fitted; what differs from then: {', '.join(changed)}."
    return (
        "Other parameters were fitted, although data, code, declarations and environment are the same: the kind is not repeatable."
    )
