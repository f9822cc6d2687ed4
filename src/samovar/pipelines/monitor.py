"""Monitor: a dataset against what the champion learned from. An alarm asks for a retrain, once per version and dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from samovar.errors import FixInput, GiveUp, ModelError, NotFound, StoreUnavailable
from samovar.logs import get_logger
from samovar.monitoring import report as reports
from samovar.monitoring.comparison import Figure
from samovar.monitoring.drift import compare
from samovar.monitoring.subject import Subject
from samovar.pipelines import standings, steps
from samovar.pipelines.candidates import EVALUATION
from samovar.pipelines.infer import challenger_of, champion_of, run_inference, run_shadow_inference
from samovar.pipelines.train import find_dataset
from samovar.profiles import profile
from samovar.registry.files import read_one
from samovar.store import drift_reports, events, retrains
from samovar.store.drift_reports import StoredReport

if TYPE_CHECKING:
    from pathlib import Path

    from samovar.pipelines.context import Context
    from samovar.profiles.profile import Profile
    from samovar.project import Project
    from samovar.registry.client import Version
    from samovar.store.datasets import Dataset
    from samovar.store.predictions import Prediction

_log = get_logger(__name__)


def monitor(ctx: Context, project: Project, dataset: str | None = None) -> dict[str, Any]:
    """Compare a dataset with the champion's reference profile, and the challenger with the champion.

    What has not been predicted yet is predicted first.

    Args:
        ctx: the world.
        project: whose dataset and model.
        dataset: digest, or the beginning of one; None is the latest.

    Returns:
        ``status``, ``project``, ``dataset``, ``model``, ``version``, ``verdict`` (``ok``, ``alarm`` or ``too_few_rows``),
        ``sentence``, ``shifted`` (features), ``worst`` (feature), ``worst_psi``, ``folder`` of the report, ``comparison``,
        ``metric`` and ``score`` on the dataset's labels, and ``retrain_requested``: whether a request for this version and dataset
        waits.

    Raises:
        NotFound: no dataset, no champion, or the champion carries no reference profile.
        StoreUnavailable: the report cannot be written.
        RegistryUnavailable: MLflow cannot be reached.
    """
    data = find_dataset(ctx, project, dataset)
    champion = champion_of(ctx, project)
    run_inference(ctx, project, data)
    challenger = _shadow(ctx, project, data, champion)
    rules = _rules(project, challenger)
    key = steps.step_key("monitor", project.name, data.digest, "", f"{champion.model}/{champion.version}/{rules}")
    done = steps.run_once(ctx, "monitor", project.name, key, lambda: _report(ctx, project, data, champion, challenger, rules))
    waiting = done.result["verdict"] == "alarm" and _request(ctx, project, data, champion, done.result["sentence"])
    return {"status": done.status, **done.result, "retrain_requested": waiting}


def _shadow(ctx: Context, project: Project, data: Dataset, champion: Version) -> Version | None:
    """Return the challenger once it has predicted the dataset; one that cannot must not hide drift of the champion."""
    try:
        run_shadow_inference(ctx, project, data)
    except (FixInput, GiveUp) as error:
        _log.warning("challenger left out", project=project.name, reason=str(error))
        return None
    return challenger_of(ctx, project, champion)


def _rules(project: Project, challenger: Version | None) -> str:
    """Return the digest of what, beside champion and dataset, decides a report."""
    policy = project.drift
    return steps.digest_of([policy.psi, policy.alpha, policy.min_rows, project.metric, challenger.version if challenger else None])


def _report(  # noqa: PLR0913, PLR0917 - the two versions, the rows and the rules are what a report is
    ctx: Context, project: Project, data: Dataset, champion: Version, challenger: Version | None, rules: str
) -> dict[str, Any]:
    subject = _subject(ctx, project, data, champion, challenger)
    folder = _folder(ctx, project, data, champion, challenger)
    try:
        told = reports.write(folder, subject)
    except OSError as error:
        raise StoreUnavailable(
            f"The report cannot be written to {folder} ({error.strerror}).", remedy="Check the folder's permissions and space."
        ) from None
    worst = subject.report.worst
    row = StoredReport(
        project=project.name,
        model=champion.model,
        version=champion.version,
        dataset=data.digest,
        settings=rules,
        verdict=subject.report.verdict,
        worst_psi=worst.psi,
        report=told,
        folder=str(folder),
    )
    with ctx.db.begin() as connection:
        drift_reports.add(connection, row)
    standing = subject.standing
    return {
        "project": project.name,
        "dataset": data.digest,
        "model": champion.model,
        "version": champion.version,
        "verdict": subject.report.verdict,
        "sentence": told["sentence"],
        "shifted": told["shifted"],
        "worst": worst.name,
        "worst_psi": worst.psi,
        "metric": standing.metric if standing else None,
        "score": standing.score.value if standing else None,
        "comparison": told["comparison"],
        "folder": str(folder),
    }


def _subject(ctx: Context, project: Project, data: Dataset, champion: Version, challenger: Version | None) -> Subject:
    frame = ctx.lake.read(data.url)
    reference = _reference(ctx, champion)
    answers = _answers(reference, standings.stored(ctx, champion, data))
    current = profile.count(reference, frame, answers)
    return Subject(
        project=project.name,
        model=champion.model,
        version=champion.version,
        dataset=data.digest,
        origin=data.origin,
        seen=f"{data.created_at:%d %B %Y, %H:%M} UTC",
        report=compare(reference, current, project.drift),
        reference=reference,
        current=current,
        standing=standings.standing(ctx, project, data, frame, champion),
        before=_before(ctx, project, champion),
        comparison=standings.compare(ctx, project, data, frame, champion, challenger) if challenger else None,
    )


def _reference(ctx: Context, champion: Version) -> Profile:
    name = f"version {champion.version} of {champion.model}"
    try:
        found = read_one(ctx.registry, ctx.registry.download_uri(champion), profile.FILE_NAME)
        return profile.decode(found)
    except NotFound:
        raise NotFound(
            f"The champion, {name}, carries no {profile.FILE_NAME}.",
            remedy="Only versions that `samovar train` made can be monitored for drift.",
        ) from None
    except ValueError as error:
        raise ModelError(f"The reference profile of {name} cannot be read: {error}.", remedy="Train a new version.") from None


def _answers(reference: Profile, stored: list[Prediction]) -> pl.Series | None:
    """Return stored predictions in the form that the reference has them: probabilities, or labels."""
    if not stored or reference.prediction is None:
        return None
    if isinstance(reference.prediction, profile.CategoryProfile):
        return pl.Series([one.prediction for one in stored], dtype=pl.String)
    return pl.Series([one.probability for one in stored], dtype=pl.Float64)


def _before(ctx: Context, project: Project, champion: Version) -> Figure | None:
    """Return the champion's score when it was trained, from its evaluation; None where there is none."""
    try:
        found = json.loads(read_one(ctx.registry, ctx.registry.download_uri(champion), EVALUATION))
        figure = found["metrics"][project.metric]
        return Figure(**{name: float(figure[name]) for name in ("value", "low", "high")})
    except (NotFound, ValueError, KeyError, TypeError):
        return None


def _folder(ctx: Context, project: Project, data: Dataset, champion: Version, challenger: Version | None) -> Path:
    against = f"-against-v{challenger.version}" if challenger else ""
    name = f"{data.digest[:12]}-{champion.model}-v{champion.version}{against}"
    return ctx.settings.state / "reports" / project.name / name


def _request(ctx: Context, project: Project, data: Dataset, champion: Version, cause: str) -> bool:
    """Ask for a retrain; returns whether a request for this version and dataset waits or is worked on.

    Asked at every alarm, not only with the first report: a request that fell into the cooldown is made by a later look.
    """
    window = steps.digest_of([champion.model, champion.version, data.digest])
    with ctx.db.begin() as connection:
        if retrains.request(connection, project.name, window, data.digest, cause, cooldown=project.drift.cooldown):
            _log.info("retrain requested", project=project.name, cause=cause)
            detail = {"project": project.name, "version": champion.version, "cause": cause}
            events.add(connection, "retrain_requested", champion.model, project.alias, detail, alarm=True)
        known = [request for request in retrains.list_(connection, project.name) if request.window == window]
    return any(request.state in ("open", "claimed") for request in known)
